package transport

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"
)

// TLSConfigs is how TLS connections are made (RFC 3261 26.2, RFC 5922).
type TLSConfigs struct {
	// Server is the configuration of accepted connections. Its GetCertificate decides whom new ones see.
	Server *tls.Config
	// Client returns the configuration of a connection to a server of domain, which verifies that the certificate speaks for
	// it; "" when nobody in particular is asked for.
	Client func(domain string) *tls.Config
	// Domains are the names behind Flow.Domain.
	Domains *Domains
}

// Domains numbers the names of domains, so that a Flow stays small. Its zero value is ready; it may be used by several goroutines.
//
// Whoever may call other domains can invent names without end. So those that have not been asked for during maxDomains/2 others may
// be forgotten; a number is never given again, or a connection would be taken for one to somebody else.
type Domains struct {
	mu   sync.RWMutex
	last Domain
	// What was asked for lately, and before that.
	young, old struct {
		numbers map[string]Domain
		names   map[Domain]string
	}
}

// Number returns the number of a name (any case, a dot at the end ignored). ok is false when all have been given.
func (d *Domains) Number(name string) (n Domain, ok bool) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	d.mu.RLock()
	n = d.young.numbers[name]
	d.mu.RUnlock()
	if n != 0 {
		return n, true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if n = cmp.Or(d.young.numbers[name], d.old.numbers[name]); n == 0 {
		if d.last == math.MaxUint32 {
			return 0, false
		}
		d.last++
		n = d.last
	}
	if d.young.numbers == nil || len(d.young.numbers) >= maxDomains/2 {
		d.old = d.young
		d.young.numbers, d.young.names = make(map[string]Domain), make(map[Domain]string)
	}
	name = strings.Clone(name)
	d.young.numbers[name], d.young.names[n] = n, name
	return n, true
}

// Name returns the name of a number, "" for 0 and for one that is forgotten.
func (d *Domains) Name(n Domain) string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return cmp.Or(d.young.names[n], d.old.names[n])
}

// handshake makes nc a TLS connection, within the handshake limit.
func (s *Sockets) handshake(c *conn, nc *net.TCPConn, rc syscall.RawConn, accepted bool) (*tlsConn, error) {
	if s.tls == nil {
		return nil, ErrNoListener
	}
	if err := nc.SetDeadline(time.Now().Add(s.limits.handshake)); err != nil {
		return nil, err
	}
	limit := time.NewTimer(s.limits.handshake)
	defer limit.Stop()
	p := place{of: s.table.shakes, limit: limit.C}
	defer p.leave()
	t := &tlsConn{below: cipher{Conn: nc, in: waitReader{nc: nc, rc: rc}, record: record{limit: s.limits.partial}, place: &p}}
	var err error
	if accepted {
		t.Conn = tls.Server(&t.below, s.tls.Server)
	} else {
		domain := s.tls.Domains.Name(c.flow.Domain)
		if domain == "" && c.flow.Domain != 0 { // Without a name anybody would be good.
			return nil, errForgotten
		}
		t.Conn = tls.Client(&t.below, s.tls.Client(domain))
		err = p.take()
	}
	if err == nil {
		err = t.Handshake()
	}
	if err != nil {
		return nil, fmt.Errorf("TLS with %s: %w", c.flow.Remote, err)
	}
	t.below.keep()
	return t, nc.SetDeadline(time.Time{})
}

// place is one of those for handshakes that use the processor. It is given back while the peer is waited for, so that those who
// connect and say nothing, or half of what they should, keep nobody from a handshake; they count as connections of their source.
type place struct {
	of    chan struct{}
	limit <-chan time.Time
	taken bool
}

func (p *place) take() error {
	select {
	case p.of <- struct{}{}:
		p.taken = true
		return nil
	case <-p.limit:
		return ErrTooMany
	}
}

func (p *place) leave() {
	if p.taken {
		p.taken = false
		<-p.of
	}
}

// client returns the verified certificates of who has opened c. Those of a server that we dialled are not a client's: they
// are verified by other authorities (TLSConfigs.Client).
func (c *conn) client() []*x509.Certificate {
	c.mu.Lock()
	t := c.tls
	c.mu.Unlock()
	if t == nil || !c.source.IsValid() {
		return nil
	}
	if chains := t.ConnectionState().VerifiedChains; len(chains) > 0 {
		return chains[0]
	}
	return nil
}

// tlsConn is TLS over a connection whose writes do not wait: what crypto/tls writes is kept until the connection's own writer
// sends it.
type tlsConn struct {
	*tls.Conn
	below cipher
}

// cipher is the connection below crypto/tls.
type cipher struct {
	net.Conn // deadlines and addresses
	in       waitReader
	record   record // of the reader, as in
	place    *place // nil when the handshake is over: out takes what is written

	mu    sync.Mutex
	out   []byte // to be sent
	spare []byte // used again
}

func (c *cipher) Read(b []byte) (int, error) {
	handshake := c.place != nil
	if handshake {
		c.place.leave()
	} else if r := &c.record; r.begun() && !r.timed && !r.message {
		r.timed = true
		if err := c.Conn.SetReadDeadline(time.Now().Add(r.limit)); err != nil {
			return 0, err
		}
	}
	n, err := c.in.Read(b)
	c.record.follow(b[:n])
	if handshake && err == nil {
		err = c.place.take()
	}
	return n, err
}

func (c *cipher) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.place != nil {
		c.place.leave()
		n, err := c.Conn.Write(b)
		if err == nil {
			err = c.place.take()
		}
		return n, err
	}
	c.out = append(c.out, b...)
	return len(b), nil
}

// keep ends the handshake, in which writes go to the peer at once.
func (c *cipher) keep() {
	c.mu.Lock()
	c.place = nil
	c.mu.Unlock()
}

// seal encrypts data and returns all that is to be sent. Calls must be in the order of sending.
func (t *tlsConn) seal(data []byte) ([]byte, error) {
	if len(data) > 0 {
		if _, err := t.Conn.Write(data); err != nil {
			return nil, err
		}
	}
	c := &t.below
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.out
	c.out, c.spare = c.spare[:0], nil
	return out, nil
}

// reuse takes back what seal returned, once it is sent.
func (t *tlsConn) reuse(sealed []byte) {
	const most = 64 << 10 // what a burst took is given back
	t.below.mu.Lock()
	defer t.below.mu.Unlock()
	if cap(sealed) <= most {
		t.below.spare = sealed[:0]
	}
}

// waiting tells whether TLS has something to send of its own accord.
func (t *tlsConn) waiting() bool {
	t.below.mu.Lock()
	defer t.below.mu.Unlock()
	return len(t.below.out) > 0
}

// goodbye tells the peer that nothing more comes (close_notify), if the socket takes it at once. c's lock is held.
func (t *tlsConn) goodbye(c *conn) {
	if c.writing || t.CloseWrite() != nil {
		return
	}
	if sealed, err := t.seal(nil); err == nil {
		_, _ = c.try.write(c.rc, sealed)
	}
}

// Read reads what the peer has sent, decrypted.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.tls.Conn.Read(b)
	c.flush()
	return n, err
}
