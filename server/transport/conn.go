package transport

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// conn is a stream connection, from its accept or the decision to dial until its end. One goroutine owns it: it dials
// when that is needed, reads, and at the end reports what was lost.
type conn struct {
	s      *Sockets
	flow   Flow       // set before the connection is in the table; Local of a dialled one before it is read from
	source netip.Addr // what it counts against; invalid when it was dialled
	named  bool       // it was dialled for a domain or an address that somebody asked for

	dialling bool        // guarded by table.mu
	aliases  []remoteKey // guarded by table.mu: what it is found by besides its own keys (RFC 5923)

	alias   atomic.Uint32 // the port of the aliases, 0 when there are none
	keep    atomic.Bool
	lastUse atomic.Int64 // when the last byte was received or message sent, since epoch

	mu      sync.Mutex
	nc      net.Conn // nil while dialling
	tls     *tlsConn // nil: plain, or the handshake is not over
	rc      syscall.RawConn
	cancel  context.CancelFunc // ends the dialling
	aborted bool               // takes nothing more; its owner notices and ends
	closed  bool               // and its owner has ended
	writing bool               // somebody writes (and has try), or waits for the peer to read, or dials: queue
	try     tryWriter
	queue   []queued
	bytes   int // in queue

	drains sync.WaitGroup // a drain that runs
}

// queued is a message, or the rest of one, that waits.
type queued struct {
	ref  Ref
	data []byte
}

func (c *conn) touch() { c.lastUse.Store(int64(time.Since(epoch))) }

// write sends data, or queues a copy of it when the peer does not take it at once. It never waits. An error means that
// this message, and only this, is not sent.
func (c *conn) write(data []byte, ref Ref) error {
	c.mu.Lock()
	switch {
	case c.aborted:
		c.mu.Unlock()
		return net.ErrClosed
	case c.writing:
		err := c.push(data, ref)
		c.mu.Unlock()
		return err
	}
	c.writing = true
	rc := c.rc
	if c.tls != nil {
		var err error
		if data, err = c.tls.seal(data); err != nil {
			c.writing = false
			c.closeLocked()
			c.mu.Unlock()
			return err
		}
		defer c.tls.reuse(data)
	}
	c.mu.Unlock()

	c.touch()
	n, err := c.try.write(rc, data)

	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.writing = false
		c.closeLocked()
		return err
	}
	if n < len(data) && c.closed {
		return net.ErrClosed // the owner has reported the queue already
	}
	if n < len(data) {
		// Others may have queued meanwhile: the rest of this goes first. It is accepted whatever the bound says, a message
		// must not be cut.
		rest := queued{ref, append([]byte(nil), data[n:]...)}
		c.queue = append([]queued{rest}, c.queue...)
		c.wait(len(rest.data))
	}
	c.goOnLocked()
	return nil
}

// connected says that the system has a connection; a TLS handshake may follow. The owner calls it.
func (c *conn) connected(nc net.Conn, rc syscall.RawConn) error {
	c.touch()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nc, c.rc, c.cancel = nc, rc, nil
	if c.aborted {
		nc.Close()
		return net.ErrClosed
	}
	return nil
}

// opened makes the connection usable, over TLS when tls is not nil; the owner calls it.
func (c *conn) opened(tls *tlsConn) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.aborted {
		return net.ErrClosed
	}
	if c.tls = tls; tls != nil {
		for i := range c.queue { // What has waited for the handshake.
			sealed, err := tls.seal(c.queue[i].data)
			if err != nil {
				return err
			}
			c.wait(len(sealed) - len(c.queue[i].data))
			c.queue[i].data = sealed
		}
	}
	c.goOnLocked()
	return nil
}

// push queues a copy of data.
func (c *conn) push(data []byte, ref Ref) error {
	if len(c.queue) >= maxQueueMessages || c.bytes+len(data) > maxQueueBytes || c.s.waiting.Load()+int64(len(data)) > maxWaitingBytes {
		return ErrQueueFull
	}
	if c.tls == nil {
		data = append([]byte(nil), data...)
	} else {
		var err error
		if data, err = c.tls.seal(data); err != nil {
			return err
		}
	}
	c.queue = append(c.queue, queued{ref, data})
	c.wait(len(data))
	return nil
}

// wait counts bytes that have come into the queue, or have left it.
func (c *conn) wait(n int) {
	c.bytes += n
	c.s.waiting.Add(int64(n))
}

// flush sends what TLS itself has to say, such as a new key.
func (c *conn) flush() {
	c.mu.Lock()
	waiting := c.tls.waiting() && !c.aborted
	c.mu.Unlock()
	if waiting && errors.Is(c.write(nil, 0), ErrQueueFull) {
		c.abort() // He makes TLS answer, key after key, and reads nothing of it: it would pile up. Other failures the reader notices.
	}
}

// goOnLocked ends a write: what is queued gets a goroutine that waits for the peer.
func (c *conn) goOnLocked() {
	if len(c.queue) == 0 || c.aborted {
		c.writing = false
		return
	}
	c.writing = true
	c.drains.Go(c.drain) // finish, which waits for it, comes after closed is set
}

// drain writes the queue. Each message has the write limit for itself; a peer that takes none of it is cut off.
func (c *conn) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queue) > 0 && !c.aborted {
		data := c.queue[0].data
		nc := c.nc
		c.mu.Unlock()

		err := nc.SetWriteDeadline(time.Now().Add(c.s.limits.write))
		if err == nil {
			_, err = nc.Write(data)
		}
		c.touch()

		c.mu.Lock()
		if err != nil {
			c.s.log.Debug("connection closed: peer does not read", "dst", c.flow.Remote, "err", err)
			c.closeLocked() // the owner reports the queue, this message included
			break
		}
		c.queue[0] = queued{}
		c.queue = c.queue[1:]
		c.wait(-len(data))
	}
	c.writing = false
	if len(c.queue) == 0 {
		c.queue = nil
	}
}

// abort closes the connection; its owner notices and ends.
func (c *conn) abort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closeLocked()
}

func (c *conn) closeLocked() {
	c.aborted = true
	if c.cancel != nil {
		c.cancel()
	}
	if c.nc == nil {
		return
	}
	if c.tls != nil {
		c.tls.goodbye(c)
	}
	c.nc.Close()
}

// finish is the owner's last act: nobody finds the connection any more, and what waited is reported.
func (c *conn) finish(err error, wasOpen bool) {
	c.s.table.remove(c)
	c.mu.Lock()
	c.closed = true
	c.closeLocked()
	c.mu.Unlock()
	c.drains.Wait() // short: what it writes to is closed. Then the queue holds what was not sent
	c.mu.Lock()
	lost := c.queue
	c.queue = nil
	c.wait(-c.bytes)
	c.mu.Unlock()

	out := c.s.pool.Get().(*Out)
	for _, q := range lost {
		c.s.fail(out, q.ref, err)
	}
	if wasOpen {
		c.s.flowClosed(out, c.flow)
	}
	out.Flush()
	c.s.pool.Put(out)
}
