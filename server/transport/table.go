package transport

import (
	"net/netip"
	"runtime"
	"sync"
)

// table is all stream connections. Its lock is a leaf: every send looks a connection up.
type table struct {
	maxConns  int
	maxSource int
	dials     chan struct{} // a place for each connect under way
	shakes    chan struct{} // a place for each TLS handshake that is computed

	mu       sync.RWMutex
	state    tableState
	last     ConnID
	byID     map[ConnID]*conn
	byRemote map[remoteKey]*conn // RFC 3261 18: indexed by the far end's address, port and transport
	bySource map[netip.Addr]int  // accepted connections of each source
	dialling int
	proven   map[netip.AddrPort]Domain
}

type tableState uint8

const (
	beforeRun tableState = iota
	inRun
	afterRun
)

type remoteKey struct {
	proto  Proto
	domain Domain
	remote netip.AddrPort
}

// key is what a flow's connection is found by. A connection to a server whose certificate speaks for one domain is not used
// for another.
func (f *Flow) key() remoteKey { return remoteKey{f.Proto, f.Domain, f.Remote} }

func (t *table) init(maxConns, maxSource int) {
	t.maxConns, t.maxSource = maxConns, maxSource
	t.dials = make(chan struct{}, maxDials)
	t.shakes = make(chan struct{}, min(maxHandshakes, handshakesPerProcessor*runtime.GOMAXPROCS(0)))
	t.byID = make(map[ConnID]*conn)
	t.byRemote = make(map[remoteKey]*conn)
	t.bySource = make(map[netip.Addr]int)
	t.proven = make(map[netip.AddrPort]Domain)
}

// start lets connections be made.
func (t *table) start() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.state = inRun
}

// stop ends that and returns the connections left.
func (t *table) stop() []*conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.state = afterRun
	all := make([]*conn, 0, len(t.byID))
	for _, c := range t.byID {
		all = append(all, c)
	}
	return all
}

func (t *table) running() bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.state == inRun
}

func (t *table) stopped() bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.state == afterRun
}

func (t *table) len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.byID)
}

func (t *table) byConnID(id ConnID) *conn {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.byID[id]
}

// find returns the connection a flow means: the one it names while it lives, else one to the same remote; nil if neither is.
func (t *table) find(to *Flow) *conn {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if to.Conn != 0 {
		if c := t.byID[to.Conn]; c != nil {
			return c
		}
	}
	return t.byRemote[to.key()]
}

// accepted adds a connection that a peer opened; run starts its goroutine.
func (t *table) accepted(c *conn, run func()) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	c.source = sourceOf(c.flow.Remote.Addr())
	switch {
	case t.state != inRun:
		return ErrStopped
	case len(t.byID) >= t.maxConns || t.bySource[c.source] >= t.maxSource:
		return ErrTooMany
	}
	t.bySource[c.source]++
	t.add(c)
	run()
	return nil
}

// dial adds c, which is to be opened; run starts its goroutine. When another leads to the same remote meanwhile, that one
// is returned instead: one connect for a remote at a time.
func (t *table) dial(c *conn, run func()) (*conn, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.flow.Proto == TLS && c.flow.Domain == 0 {
		c.flow.Domain = t.proven[c.flow.Remote]
	}
	if other := t.byRemote[c.flow.key()]; other != nil {
		return other, nil
	}
	switch {
	case t.state != inRun:
		return nil, ErrStopped
	case len(t.byID) >= t.maxConns || t.dialling >= maxDialling:
		return nil, ErrTooMany
	}
	c.dialling = true
	t.dialling++
	t.add(c)
	run()
	return c, nil
}

// add gives c its number. The newest connection to a remote is the one to reuse.
func (t *table) add(c *conn) {
	t.last++
	c.flow.Conn = t.last
	t.byID[t.last] = c
	keys := c.keys()
	t.byRemote[keys[0]] = c
	if t.byRemote[keys[1]] == nil {
		t.byRemote[keys[1]] = c
	}
}

// keys is what c is found by: also by who asks for nobody in particular, such as a request in a dialog whose Record-Route is numeric.
func (c *conn) keys() [2]remoteKey {
	k := c.flow.key()
	return [2]remoteKey{k, {k.proto, 0, k.remote}}
}

// dialled ends c's time among those being opened.
func (t *table) dialled(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dialledLocked(c)
}

func (t *table) dialledLocked(c *conn) {
	if c.dialling {
		c.dialling = false
		t.dialling--
	}
}

// remove forgets c, once.
func (t *table) remove(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byID[c.flow.Conn] != c {
		return
	}
	delete(t.byID, c.flow.Conn)
	for _, k := range c.keys() {
		if t.byRemote[k] == c {
			delete(t.byRemote, k)
		}
	}
	t.unaliasLocked(c)
	t.dialledLocked(c)
	if c.source.IsValid() {
		if t.bySource[c.source]--; t.bySource[c.source] == 0 {
			delete(t.bySource, c.source)
		}
	}
}

// sourceOf returns what counts as one source: an IPv4 address or an IPv6 /64, within which a peer has addresses without end.
func sourceOf(a netip.Addr) netip.Addr {
	if a.Is4() {
		return a
	}
	p, err := a.WithZone("").Prefix(64)
	if err != nil {
		return a
	}
	return p.Addr()
}
