package transport

import (
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// ownPeriod is how old the tables of own addresses and of routes may be.
const ownPeriod = 30 * time.Second

// Source returns the numeric address and port that a message to remote leaves from: what belongs into Via and
// Record-Route. With a wildcard listener that is the address the kernel would use. ok is false when no listener of that
// transport and address family exists.
func (s *Sockets) Source(p Proto, remote netip.Addr) (addr netip.AddrPort, ok bool) {
	r := s.route(p, remote)
	return r.source, r.l != nil
}

// route is the way to a remote network: which listener it leaves by and with which address.
type route struct {
	proto  Proto
	net    netip.Addr // first address of the network it holds for
	gen    uint64
	l      *listener // nil: no way
	source netip.AddrPort
}

// routeBits4 is the size of a network that a route is looked up once for (IPv6: /64). Routers between providers know
// nothing smaller; where an own interface is on a part of one, each address is looked up.
const routeBits4 = 24

// routeCache remembers routes: direct-mapped, so that it is bounded and readers never lock; an entry of an earlier
// generation is stale.
type routeCache struct {
	gen   atomic.Uint64 // counts refreshes
	slots [routeSlots]atomic.Pointer[route]
}

const routeSlots = 1024 // power of two; 8 KiB, and some 100 KiB when every slot is used

var noRoute route

// route finds the way to remote, from the cache when it can.
func (s *Sockets) route(p Proto, remote netip.Addr) *route {
	if !remote.IsValid() {
		return &noRoute
	}
	slot, network := s.routes.slot(p, remote, s.own.Load().split)
	gen := s.routes.gen.Load()
	if r := slot.Load(); r != nil && r.gen == gen && r.net == network && r.proto == p {
		return r
	}
	r := s.lookUpRoute(p, remote.Unmap())
	r.proto, r.net, r.gen = p, network, gen
	slot.Store(r)
	return r
}

// slot returns the place of a route to remote, and the network that names it; in a split network each address has its own.
func (c *routeCache) slot(p Proto, remote netip.Addr, split map[netip.Addr]struct{}) (*atomic.Pointer[route], netip.Addr) {
	var key uint64
	var network netip.Addr
	if is4(remote) {
		a := remote.As4()
		last := a[3]
		a[3] = 0
		key = uint64(a[0])<<24 | uint64(a[1])<<16 | uint64(a[2])<<8
		network = netip.AddrFrom4(a)
		if len(split) > 0 {
			if _, ok := split[network]; ok {
				key |= uint64(last)
				network = remote.Unmap()
			}
		}
	} else {
		a := remote.As16()
		for i := range 8 {
			key = key<<8 | uint64(a[i])
			a[8+i] = 0
		}
		// Loopback and unspecified are not of one network with the rest of ::/64.
		if remote.IsLoopback() {
			key, a[15] = 1, 1
		}
		network = netip.AddrFrom16(a)
		if zone := remote.Zone(); zone != "" {
			network = network.WithZone(zone)
			for i := range len(zone) {
				key = key*31 + uint64(zone[i])
			}
		}
	}
	key = (key<<3 | uint64(p)) * 0x9e3779b97f4a7c15 // Fibonacci hashing: the upper bits are well mixed
	return &c.slots[key>>54&(routeSlots-1)], network
}

// lookUpRoute asks the kernel for the address it would use and takes the listener that fits it best.
func (s *Sockets) lookUpRoute(p Proto, remote netip.Addr) *route {
	var best *listener
	var bestFit int
	var kernel netip.Addr
	asked := false
	for _, l := range s.listeners {
		if l.Proto != p || l.is4() != remote.Is4() {
			continue
		}
		if !asked {
			kernel, asked = kernelSource(remote), true
		}
		if fit := l.fit(kernel, remote); best == nil || fit > bestFit {
			best, bestFit = l, fit
		}
	}
	switch {
	case best == nil:
		return &route{}
	case !best.wild:
		return &route{l: best, source: best.Addr}
	case kernel.IsValid():
		return &route{l: best, source: netip.AddrPortFrom(kernel.WithZone(""), best.Addr.Port())}
	}
	// No route to there now: sending will fail and say so. Some own address is better in a header than 0.0.0.0.
	return &route{l: best, source: netip.AddrPortFrom(s.anyOwn(best.is4()), best.Addr.Port())}
}

// fit ranks a listener for a remote that the kernel would reach from its address kernel.
func (l *listener) fit(kernel, remote netip.Addr) int {
	switch {
	case l.Addr.Addr().WithZone("") == kernel.WithZone(""):
		return 3
	case l.wild:
		return 2
	case l.Addr.Addr().IsLoopback() == remote.IsLoopback():
		return 1
	}
	return 0
}

// kernelSource returns the address the kernel sends from towards remote; invalid when it has no route. Connecting a UDP
// socket sends nothing.
func kernelSource(remote netip.Addr) netip.Addr {
	const discard = 9 // any port does; this one is never listened on
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(remote, discard)))
	if err != nil {
		return netip.Addr{}
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
}

// ownAddrs is the set of the listeners' addresses; immutable.
type ownAddrs struct {
	ports    map[netip.AddrPort]struct{}
	addrs    map[netip.Addr]struct{}
	loopback map[uint16]struct{}     // ports of IPv4 listeners that all of 127.0.0.0/8 leads to; port 0 when there is one
	split    map[netip.Addr]struct{} // networks of routeBits4 of which only a part is on one of our interfaces
	any4     netip.Addr              // an address of an interface, not loopback when there is another
	any6     netip.Addr
}

// Own tells whether addr (port 0: any port) is one of the listeners' addresses; for a wildcard listener, those of all
// interfaces of its family.
func (s *Sockets) Own(addr netip.AddrPort) bool {
	own := s.own.Load()
	a := addr.Addr().Unmap().WithZone("")
	if a.Is4() && a.IsLoopback() {
		if _, ok := own.loopback[addr.Port()]; ok {
			return true
		}
	}
	if addr.Port() == 0 {
		_, ok := own.addrs[a]
		return ok
	}
	_, ok := own.ports[netip.AddrPortFrom(a, addr.Port())]
	return ok
}

func (s *Sockets) anyOwn(v4 bool) netip.Addr {
	own := s.own.Load()
	if v4 {
		return own.any4
	}
	return own.any6
}

// refreshOwn reads the interfaces anew and makes cached routes stale.
func (s *Sockets) refreshOwn() {
	ifaces, err := net.InterfaceAddrs()
	if err != nil {
		s.log.Warn("reading interface addresses, the known ones stay", "err", err)
		if s.own.Load() != nil {
			return
		}
	}
	var addrs []netip.Prefix
	for _, i := range ifaces {
		if n, ok := i.(*net.IPNet); ok {
			if a, ok := netip.AddrFromSlice(n.IP); ok {
				bits, _ := n.Mask.Size()
				addrs = append(addrs, netip.PrefixFrom(a.Unmap(), bits))
			}
		}
	}
	s.own.Store(collectOwn(s.listeners, addrs))
	s.routes.gen.Add(1)
}

func collectOwn(listeners []*listener, ifaces []netip.Prefix) *ownAddrs {
	own := &ownAddrs{
		ports:    make(map[netip.AddrPort]struct{}),
		addrs:    make(map[netip.Addr]struct{}),
		loopback: make(map[uint16]struct{}),
		split:    make(map[netip.Addr]struct{}),
		any4:     netip.AddrFrom4([4]byte{127, 0, 0, 1}),
		any6:     netip.IPv6Loopback(),
	}
	for _, i := range ifaces {
		a := i.Addr()
		if a.Is4() && i.Bits() > routeBits4 {
			own.split[netip.PrefixFrom(a, routeBits4).Masked().Addr()] = struct{}{}
		}
		switch {
		case a.Is4() && own.any4.IsLoopback():
			own.any4 = a
		case a.Is6() && !a.IsLinkLocalUnicast() && own.any6.IsLoopback():
			own.any6 = a
		}
	}
	for _, l := range listeners {
		add := func(a netip.Addr) {
			own.addrs[a] = struct{}{}
			own.ports[netip.AddrPortFrom(a, l.Addr.Port())] = struct{}{}
		}
		add(l.Addr.Addr().WithZone("")) // a wildcard, too: what is sent to 0.0.0.0 or :: arrives at ourselves
		if !l.wild {
			continue
		}
		for _, i := range ifaces {
			if i.Addr().Is4() == l.is4() {
				add(i.Addr())
			}
		}
		if l.is4() {
			own.loopback[l.Addr.Port()] = struct{}{}
			own.loopback[0] = struct{}{}
		}
	}
	return own
}
