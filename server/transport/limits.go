package transport

import "time"

// limits of stream connections.
type limits struct {
	// partial is how long a message may take to arrive, and an accepted connection to bring its first: a slow sender ties up
	// a connection no longer.
	partial time.Duration
	// idle is how long a connection without live bindings may be silent. RFC 3261 18 asks for 64*T1 (32 s) at least, and more
	// where Timer C (over 3 minutes) waits for an answer on it.
	idle time.Duration
	// write is how long a peer may take no byte before its connection is closed.
	write time.Duration
	// dial is the connect limit: after it a large request goes by UDP (18.1.1), a branch to the next target.
	dial time.Duration
	// handshake is how long a TLS handshake may take, waiting for its turn included.
	handshake time.Duration
}

const (
	partialTimeout = 30 * time.Second
	idleTimeout    = 10 * time.Minute
	writeTimeout   = 5 * time.Second
	dialTimeout    = 2 * time.Second
	handshakeLimit = 5 * time.Second

	// maxQueueBytes and maxQueueMessages bound what waits for a peer that does not read: some 64 KiB messages, or the ordinary
	// messages of a trunk in the 5 s until it is closed.
	maxQueueBytes    = 1 << 20
	maxQueueMessages = 1024
	// maxWaitingBytes bounds the same of all peers together: many who each read one message in time hold no more memory.
	maxWaitingBytes = 64 * maxQueueBytes
	// maxDials connects are under way at once, and maxDialling connections wait for their turn or are under way.
	maxDials    = 256
	maxDialling = 1024
	// maxHandshakes are computed at once, and no more than handshakesPerProcessor of each processor: a call waits for those
	// before it. Two processors with 2000 handshakes in a second: 1 % of the calls take 20 ms and more, with 64 at once 110 ms.
	maxHandshakes          = 64
	handshakesPerProcessor = 2
	// maxDomains is how many names of domains are remembered, see Domains.
	maxDomains = 1 << 16

	// minReadBuffer is a connection's buffer; larger messages make it grow, up to message.MaxMessage, for as long as they last.
	minReadBuffer = 4 << 10
)

func (l limits) withDefaults() limits {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&l.partial, partialTimeout)
	def(&l.idle, idleTimeout)
	def(&l.write, writeTimeout)
	def(&l.dial, dialTimeout)
	def(&l.handshake, handshakeLimit)
	return l
}
