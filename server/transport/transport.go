package transport

import (
	"context"
	"crypto/x509"
	"errors"
	"net/netip"
)

// Proto is a transport protocol.
type Proto uint8

// The transports. WS and WSS are names only until they are built.
const (
	UDP Proto = iota
	TCP
	TLS
	WS
	WSS
)

const protos = 5

var (
	viaNames   = [protos]string{"UDP", "TCP", "TLS", "WS", "WSS"}
	paramNames = [protos]string{"udp", "tcp", "tls", "ws", "wss"}
)

// String returns the name as in Via: "UDP".
func (p Proto) String() string {
	if p >= protos {
		return "UNKNOWN"
	}
	return viaNames[p]
}

// Param returns the name as in a URI's transport parameter: "udp".
func (p Proto) Param() string {
	if p >= protos {
		return "unknown"
	}
	return paramNames[p]
}

// Reliable tells whether the transport itself retransmits (RFC 3261 17).
func (p Proto) Reliable() bool { return p != UDP }

// ParseProto reads a name as in Via or a transport parameter, any case.
func ParseProto(b []byte) (Proto, bool) {
	for p, name := range paramNames {
		if len(b) == len(name) && equalLower(b, name) {
			return Proto(p), true
		}
	}
	return 0, false
}

// equalLower compares b in any ASCII case with lower; their lengths are equal. Letters only: all names are letters.
func equalLower(b []byte, lower string) bool {
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// ConnID names a stream connection for the life of the process; 0 is none.
type ConnID uint64

// Domain stands for the name of a domain; 0 is none. Domains gives it.
type Domain uint32

// Flow is a way to a peer: where a message came from, and where an answer or a request goes.
type Flow struct {
	Proto  Proto
	Domain Domain         // TLS to another server: whom its certificate must speak for (RFC 5922 7.3); 0: nobody is asked for
	Conn   ConnID         // the stream connection; 0 when none is meant: one to Remote is reused or opened
	Local  netip.AddrPort // the own address and port it came to; zero: the transport chooses
	Remote netip.AddrPort
}

// Ref names the transaction a sent message belongs to, so that a failure finds it; 0 is none. Opaque here.
type Ref uint64

// Packet is one message to send. Data belongs to the Out that holds it, until its Flush returns.
type Packet struct {
	To   Flow
	Ref  Ref
	Data []byte
}

// Receiver takes what the network brings. Its methods are called by many goroutines at once; what they send they put into
// out, which the caller flushes afterwards. They must not block.
type Receiver interface {
	// Receive takes one message; raw is valid during the call only. A stream hands over whole messages (framed by Content-Length).
	Receive(out *Out, from Flow, raw []byte)
	// SendFailed says that a message with this Ref could not be sent: the socket refused it, the connection failed or closed.
	SendFailed(out *Out, ref Ref, err error)
	// FlowClosed says that a stream connection is gone.
	FlowClosed(out *Out, flow Flow)
}

// Network is the sockets, or in tests the in-memory network of package siptest.
type Network interface {
	// Run serves r until ctx ends and all its goroutines have ended.
	Run(ctx context.Context, r Receiver) error
	// NewOut returns an empty send queue for one goroutine.
	NewOut() *Out
	// Source returns the numeric address and port that a message to remote leaves from: what belongs into Via and
	// Record-Route. ok is false when no listener of that transport and address family exists.
	Source(p Proto, remote netip.Addr) (addr netip.AddrPort, ok bool)
	// Own tells whether addr (port 0: any port) is one of the listeners' addresses.
	Own(addr netip.AddrPort) bool
	// Certificates returns the certificates of the client that opened a TLS connection, its own first, up to an authority that
	// we ask for (TLSClientCA); nil for all other connections, and when the client has shown none.
	Certificates(id ConnID) []*x509.Certificate
	// Alias says that a request over this TLS connection had the alias parameter and this sent-by in its topmost Via (port 0: none
	// was written): where the client's certificates allow it, requests to him go over the connection (RFC 5923 8.2).
	Alias(id ConnID, host []byte, port uint16)
}

// Why a message could not be sent, besides what the system says.
var (
	ErrNoListener = errors.New("transport: no listener of this transport and address family")
	ErrQueueFull  = errors.New("transport: the peer does not read, its write queue is full")
	ErrTooMany    = errors.New("transport: too many connections")
	ErrStopped    = errors.New("transport: not running")
)
