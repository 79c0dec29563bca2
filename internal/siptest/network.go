package siptest

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"sipd/server/certs"
	"sipd/server/transport"
)

// The reasons why a message is not delivered.
var (
	ErrRefused = errors.New("siptest: connection refused")
	ErrClosed  = errors.New("siptest: connection closed")
)

// Net is a network in memory with one server on it. It delivers in the sender's goroutine: when a Send has returned, the server
// has dealt with the message, and what it flushed lies at the hosts. It has no goroutine and no socket, so it can be used
// in a testing/synctest bubble.
type Net struct {
	Names   *NameServer
	Domains transport.Domains // behind Flow.Domain: server.Config.Domains

	listeners []listener

	// Shape, when set, decides the fate of each datagram: one copy is delivered after each delay it returns, none loses
	// it. Streams are never shaped. Set it before the network is used.
	Shape func(toServer bool, data []byte) []time.Duration

	mu       sync.Mutex
	receiver transport.Receiver
	hosts    map[netip.AddrPort]*Host
	nobody   Host
	conns    map[transport.ConnID]*Conn
	life     int // of the server: what an earlier one sends goes nowhere
	lastConn transport.ConnID
	log      []Event
}

var _ transport.Network = (*Net)(nil)

// listener is where the server listens.
type listener struct {
	proto transport.Proto
	addr  netip.AddrPort
}

// Event is one message on the wire, for the report of a failed flow.
type Event struct {
	At       time.Time
	From, To netip.AddrPort
	Proto    transport.Proto
	Data     []byte
}

// Arrival is a message that reached a host.
type Arrival struct {
	At    time.Time
	Proto transport.Proto
	Conn  *Conn          // nil over UDP
	From  netip.AddrPort // the server's side
	Data  []byte
}

// Host is a peer of the server.
type Host struct {
	Addr    netip.AddrPort
	Refuses bool // nothing gets through: every send to it fails at once (an ICMP port unreachable, a refused connection)
	NoTCP   bool // it refuses connections: a peer of RFC 2543
	Dead    bool // nothing gets through, and nobody says so: connections fail when the connect limit is over

	// Certificates are what it shows over TLS, its own first.
	Certificates []*x509.Certificate

	// Handle, when set, gets what arrives instead of the inbox. It may send only when Shape delays every message: else it
	// would call the server from within the server.
	Handle func(Arrival)

	net   *Net
	inbox []Arrival
}

// Conn is a stream connection between a host and the server.
type Conn struct {
	// Certificates are those that the host has shown and the server has verified. Set them before the connection is used.
	Certificates []*x509.Certificate

	ID     transport.ConnID
	proto  transport.Proto
	domain transport.Domain // that was asked for
	host   *Host
	local  netip.AddrPort // the server's side
	peer   netip.AddrPort // the host's side
	open   bool
	pend   []byte // what came and is not a whole message yet
}

// NewNet returns a network whose server listens on own, by UDP and TCP each.
func NewNet(own ...netip.AddrPort) *Net {
	n := &Net{Names: newNameServer(), hosts: map[netip.AddrPort]*Host{}, conns: map[transport.ConnID]*Conn{}}
	n.nobody.net = n
	for _, a := range own {
		n.Listen(transport.UDP, a)
		n.Listen(transport.TCP, a)
	}
	return n
}

// Listen adds a listener of the server, before the network is used.
func (n *Net) Listen(p transport.Proto, addr netip.AddrPort) {
	n.listeners = append(n.listeners, listener{p, addr})
}

// Host puts a host on the network.
func (n *Net) Host(addr netip.AddrPort) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	if h := n.hosts[addr]; h != nil {
		return h
	}
	h := &Host{Addr: addr, net: n}
	n.hosts[addr] = h
	return h
}

// Run serves r until ctx ends.
func (n *Net) Run(ctx context.Context, r transport.Receiver) error {
	n.mu.Lock()
	n.receiver = r
	n.mu.Unlock()
	<-ctx.Done()
	n.mu.Lock()
	if n.receiver == r {
		n.receiver = nil
	}
	n.mu.Unlock()
	return ctx.Err()
}

// NewOut returns an empty send queue.
func (n *Net) NewOut() *transport.Out {
	n.mu.Lock()
	defer n.mu.Unlock()
	life := n.life
	return transport.NewOut(func(o *transport.Out, packets []transport.Packet) { n.deliver(life, o, packets) })
}

// Crash is the death of the server's process: nothing reaches it and nothing it sends reaches anybody from now on, and its
// connections are closed. Another one may Run.
func (n *Net) Crash() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.life++
	n.receiver = nil
	for _, c := range n.conns {
		c.open = false
	}
}

// Source returns the server's address of the family of remote.
func (n *Net) Source(p transport.Proto, remote netip.Addr) (netip.AddrPort, bool) {
	for _, l := range n.listeners {
		if p == l.proto && l.addr.Addr().Is4() == remote.Unmap().Is4() {
			return l.addr, true
		}
	}
	return netip.AddrPort{}, false
}

// Own tells whether addr is the server's.
func (n *Net) Own(addr netip.AddrPort) bool {
	return slices.ContainsFunc(n.listeners, func(l listener) bool {
		return l.addr.Addr() == addr.Addr().Unmap() && (addr.Port() == 0 || l.addr.Port() == addr.Port())
	})
}

// Certificates returns what the host of a connection has shown.
func (n *Net) Certificates(id transport.ConnID) []*x509.Certificate {
	n.mu.Lock()
	defer n.mu.Unlock()
	if c := n.conns[id]; c != nil {
		return c.Certificates
	}
	return nil
}

// Alias does nothing: which connections are shared is package transport's alone.
func (n *Net) Alias(transport.ConnID, []byte, uint16) {}

// Log returns every message so far.
func (n *Net) Log() []Event {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.log)
}

// deliver takes what the server flushed.
func (n *Net) deliver(life int, o *transport.Out, packets []transport.Packet) {
	n.mu.Lock()
	alive := life == n.life
	n.mu.Unlock()
	if !alive {
		return
	}
	type failure struct {
		ref transport.Ref
		err error
	}
	var failed []failure
	for _, p := range packets {
		err := n.toHost(p.To, bytes.Clone(p.Data))
		if errors.Is(err, errNoAnswer) {
			time.AfterFunc(connectTime, func() { n.sendFailed(p.Ref, err) })
		} else if err != nil {
			failed = append(failed, failure{p.Ref, err})
		}
	}
	n.mu.Lock()
	r := n.receiver
	n.mu.Unlock()
	for _, f := range failed {
		if r != nil {
			r.SendFailed(o, f.ref, f.err)
		}
	}
}

// connectTime is how long a connect waits for a host that is dead, errNoAnswer what it then says.
const connectTime = 2 * time.Second

var errNoAnswer = errors.New("siptest: nobody answers there")

// sendFailed tells the server later.
func (n *Net) sendFailed(ref transport.Ref, err error) {
	n.mu.Lock()
	r := n.receiver
	n.mu.Unlock()
	if r == nil {
		return
	}
	out := n.NewOut()
	r.SendFailed(out, ref, err)
	out.Flush()
}

// toHost delivers one message of the server.
func (n *Net) toHost(to transport.Flow, data []byte) error {
	remote := netip.AddrPortFrom(to.Remote.Addr().Unmap(), to.Remote.Port())
	local := to.Local
	if !local.IsValid() {
		local, _ = n.Source(to.Proto, remote.Addr())
	}
	if to.Proto == transport.UDP {
		n.mu.Lock()
		h := n.hosts[remote]
		if h != nil && h.Refuses {
			n.mu.Unlock()
			return ErrRefused
		}
		if h != nil && h.Dead {
			n.log = append(n.log, Event{At: time.Now(), From: local, To: remote, Proto: to.Proto, Data: data})
			n.mu.Unlock()
			return nil
		}
		n.mu.Unlock()
		n.shaped(false, data, func(data []byte) { n.put(h, Arrival{Proto: to.Proto, From: local, Data: data}, remote) })
		return nil
	}
	n.mu.Lock()
	c := n.conns[to.Conn] // A connection that is gone is replaced, as package transport does it (RFC 3261 18.2.2).
	if c != nil && !c.open {
		c = nil
	}
	named := c != nil
	for _, o := range n.conns {
		fits := o.proto == to.Proto && o.peer == remote && (to.Domain == 0 || o.domain == to.Domain) // Asked for whom it was.
		if !named && o.open && fits && (c == nil || o.ID < c.ID) {
			c = o
		}
	}
	var err error
	if c == nil {
		c, err = n.dial(to, local, remote)
	}
	n.mu.Unlock()
	if err != nil {
		return err
	}
	for _, m := range c.frame(data) {
		n.put(c.host, Arrival{Proto: to.Proto, Conn: c, From: c.local, Data: m}, c.peer)
	}
	return nil
}

// dial opens a connection of the server. n.mu is held.
func (n *Net) dial(to transport.Flow, local, remote netip.AddrPort) (*Conn, error) {
	h := n.hosts[remote]
	switch {
	case h == nil || h.Refuses || h.NoTCP:
		return nil, ErrRefused
	case h.Dead:
		return nil, errNoAnswer
	case to.Proto == transport.TLS && to.Domain != 0:
		a, err := theAuthority()
		if err != nil {
			return nil, err
		}
		if err := certs.Verify(h.Certificates, a.roots, n.Domains.Name(to.Domain), time.Now()); err != nil {
			return nil, err
		}
	}
	c := n.connect(h, to.Proto, netip.AddrPortFrom(local.Addr(), firstPort+uint16(n.lastConn)), remote) // From no listener's port.
	c.domain = to.Domain
	return c, nil
}

// frame adds data to the stream and returns the whole messages in it.
func (c *Conn) frame(data []byte) (messages [][]byte) {
	c.pend = append(c.pend, data...)
	for {
		n := frameLen(c.pend)
		if n == 0 {
			return messages
		}
		messages = append(messages, bytes.Clone(c.pend[:n]))
		c.pend = c.pend[n:]
	}
}

// connect opens a connection. n.mu is held.
func (n *Net) connect(h *Host, p transport.Proto, local, peer netip.AddrPort) *Conn {
	n.lastConn++
	c := &Conn{ID: n.lastConn, proto: p, host: h, local: local, peer: peer, open: true}
	n.conns[c.ID] = c
	return c
}

// put lays an arrival into the inbox of h, or of nobody when h is nil.
func (n *Net) put(h *Host, a Arrival, to netip.AddrPort) {
	a.At = time.Now()
	n.mu.Lock()
	n.log = append(n.log, Event{At: a.At, From: a.From, To: to, Proto: a.Proto, Data: a.Data})
	if h == nil {
		h = &n.nobody
	}
	if h.Handle == nil {
		h.inbox = append(h.inbox, a)
		n.mu.Unlock()
		return
	}
	n.mu.Unlock()
	h.Handle(a)
}

// Nobody is the host that gets what the server sends to addresses without a host.
func (n *Net) Nobody() *Host { return &n.nobody }

// shaped delivers data as Shape wants it.
func (n *Net) shaped(toServer bool, data []byte, deliver func([]byte)) {
	if n.Shape == nil {
		deliver(data)
		return
	}
	for _, d := range n.Shape(toServer, data) {
		if d <= 0 {
			deliver(data)
		} else {
			time.AfterFunc(d, func() { deliver(bytes.Clone(data)) })
		}
	}
}

// Take returns what arrived at h since the last call.
func (h *Host) Take() []Arrival {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	in := h.inbox
	h.inbox = nil
	return in
}

// Send sends a datagram from h to the server's address of its family.
func (h *Host) Send(data []byte) error {
	local, ok := h.net.Source(transport.UDP, h.Addr.Addr())
	if !ok {
		return fmt.Errorf("siptest: the server has no address of the family of %v", h.Addr)
	}
	h.net.mu.Lock()
	h.net.log = append(h.net.log, Event{At: time.Now(), From: h.Addr, To: local, Data: bytes.Clone(data)})
	h.net.mu.Unlock()
	h.net.shaped(true, data, func(data []byte) {
		h.net.receive(transport.Flow{Local: local, Remote: h.Addr}, data)
	})
	return nil
}

// firstPort is where the ports of connections that hosts open begin.
const firstPort = 40000

// Dial opens a connection from h to the server by TCP or TLS.
func (h *Host) Dial(p transport.Proto) (*Conn, error) {
	local, ok := h.net.Source(p, h.Addr.Addr())
	if !ok {
		return nil, fmt.Errorf("siptest: the server does not listen by %v in the family of %v", p, h.Addr)
	}
	var verified []*x509.Certificate
	if p == transport.TLS {
		var err error
		if verified, err = verifyClient(h.Certificates); err != nil {
			return nil, err
		}
	}
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	c := h.net.connect(h, p, local, netip.AddrPortFrom(h.Addr.Addr(), firstPort+uint16(h.net.lastConn)))
	c.Certificates = verified
	return c, nil
}

// Open tells whether the connection is.
func (c *Conn) Open() bool {
	c.host.net.mu.Lock()
	defer c.host.net.mu.Unlock()
	return c.open
}

// Send sends one whole message from the host to the server.
func (c *Conn) Send(data []byte) error {
	n := c.host.net
	n.mu.Lock()
	if !c.open {
		n.mu.Unlock()
		return ErrClosed
	}
	n.log = append(n.log, Event{At: time.Now(), From: c.peer, To: c.local, Proto: c.proto, Data: bytes.Clone(data)})
	n.mu.Unlock()
	n.receive(c.flow(), data)
	return nil
}

// flow is the connection as the server sees it.
func (c *Conn) flow() transport.Flow {
	return transport.Flow{Proto: c.proto, Domain: c.domain, Conn: c.ID, Local: c.local, Remote: c.peer}
}

// Close closes the connection from the host's side.
func (c *Conn) Close() {
	n := c.host.net
	n.mu.Lock()
	was := c.open
	c.open = false
	r := n.receiver
	n.mu.Unlock()
	if was && r != nil {
		out := n.NewOut()
		r.FlowClosed(out, c.flow())
		out.Flush()
	}
}

// receive hands a message to the server in a buffer that is spoilt afterwards: who keeps a part of it is found out.
func (n *Net) receive(from transport.Flow, data []byte) {
	n.mu.Lock()
	r := n.receiver
	n.mu.Unlock()
	if r == nil {
		return
	}
	buf := bytes.Clone(data)
	out := n.NewOut()
	r.Receive(out, from, buf)
	for i := range buf {
		buf[i] = '#'
	}
	out.Flush()
}
