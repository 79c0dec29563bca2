package server

import (
	"net/netip"
	"sync/atomic"
	"time"

	"sipd/plan"
	"sipd/resolve"
	"sipd/server/proxy/hop"
	"sipd/sipaddr"
)

// fence is where the gateways are whose URIs have names: what DNS has said of them.
type fence struct {
	found   atomic.Pointer[plan.Fence]
	addrs   map[string][]netip.AddrPort // by host; of whoever has set running
	running atomic.Bool                 // they are being looked up
	next    atomic.Int64                // when they are looked up again, in Unix nanoseconds
}

const (
	// fenceTime is how often the names of gateways are looked up: most answers of DNS live as long or longer, and are kept by the resolver.
	fenceTime = time.Minute
	// maxFenceAddrs bounds the addresses of one name.
	maxFenceAddrs = 32
)

// fenced is proxy.Config.Gateway. AllowedNextHops may open a gateway: one that telephones register by.
func (s *Server) fenced(to netip.AddrPort, exact bool) bool {
	t := s.tables()
	f := t.Plan().Fence()
	if f.Empty() {
		return false
	}
	s.seekGateways(f)
	found := s.fence.found.Load()
	return (f.Has(to, exact) || found != nil && found.Has(to, exact)) && !t.Settings.Allows(to)
}

// seekGateways looks up where the gateways are that have names, when it is time.
func (s *Server) seekGateways(f *plan.Fence) {
	names := f.Names()
	if len(names) == 0 || s.resolver == nil {
		return
	}
	if now := time.Now(); now.UnixNano() >= s.fence.next.Load() && s.fence.running.CompareAndSwap(false, true) {
		s.fence.next.Store(now.Add(fenceTime).UnixNano())
		s.findGateways(names, map[string][]netip.AddrPort{})
	}
}

// findGateways looks up where the gateways are, one after the other, and goes on when a look-up is answered: it never waits. found are the
// names before these.
func (s *Server) findGateways(names []sipaddr.URI, found map[string][]netip.AddrPort) {
	for i := range names {
		q, ok := hop.Query(&names[i])
		if !ok {
			continue
		}
		hops, _, ready := s.resolver.Hops(q, func(hops []resolve.Hop, _ error) {
			s.fence.note(found, q.Host, hops)
			s.findGateways(names[i+1:], found)
		})
		if !ready {
			return
		}
		s.fence.note(found, q.Host, hops)
	}
	var all []netip.AddrPort
	for _, addrs := range found {
		all = append(all, addrs...)
	}
	s.fence.addrs = found
	s.fence.found.Store(plan.NewFence(all))
	s.fence.running.Store(false)
}

// note keeps what DNS says of a host; when it says nothing, what it said before.
func (f *fence) note(found map[string][]netip.AddrPort, host string, hops []resolve.Hop) {
	if len(hops) == 0 {
		found[host] = f.addrs[host]
		return
	}
	for _, h := range hops[:min(len(hops), maxFenceAddrs)] {
		found[host] = append(found[host], h.Addr)
	}
}
