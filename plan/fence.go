package plan

import (
	"net/netip"
	"slices"
	"strings"

	"sipd/sipaddr"
)

// Fence is where the gateways are: every host of a row of gateways, enabled or not, and of a target of the gateway map. A gateway trusts us
// to have asked for the class of who calls, so that nothing may lead there but the tables of the administrator. It never changes.
type Fence struct {
	addrs map[netip.Addr][]uint16 // with the ports that are named
	names []sipaddr.URI           // the URIs whose hosts are names, each host once
	known map[string]bool         // these hosts, lower case and without a dot at the end
}

// Fence returns where the gateways are.
func (p *Plan) Fence() *Fence { return &p.fence }

// makeFence needs the gateways and the map.
func (p *Plan) makeFence() {
	f := Fence{}
	for _, g := range p.gateways {
		f.add(g.URI)
	}
	for i := range p.good.GatewayRules {
		r := &p.good.GatewayRules[i]
		// Only what the number is put into has a $ (CheckTarget); the host has none, or nobody can tell where it leads.
		u, err := sipaddr.Parse([]byte(strings.ReplaceAll(r.Target, "$", "1")))
		if err == nil && r.Enabled && (u.Scheme == sipaddr.SIP || u.Scheme == sipaddr.SIPS) && p.Gateway(u.Host) == nil {
			f.add(u)
		}
	}
	p.fence = f
}

func (f *Fence) add(u sipaddr.URI) {
	to, numeric := u.AddrPort()
	if numeric {
		if f.addrs == nil {
			f.addrs = map[netip.Addr][]uint16{}
		}
		a := plain(to.Addr())
		f.addrs[a] = append(f.addrs[a], to.Port())
		return
	}
	var buf [maxName]byte
	if host := lowerName(buf[:0], routeHost(&u)); len(host) > 0 && !f.known[string(host)] {
		if f.known == nil {
			f.known = map[string]bool{}
		}
		f.known[string(host)] = true
		f.names = append(f.names, u)
	}
}

// Empty tells whether there are no gateways.
func (f *Fence) Empty() bool { return len(f.addrs) == 0 && len(f.names) == 0 }

// Names returns a URI for each host that is a name: only who looks it up knows where it is.
func (f *Fence) Names() []sipaddr.URI { return f.names }

// Has tells whether an address is a gateway's: whatever the port, unless exact. On loopback the port is told apart, too: there a
// gateway is a program beside others.
func (f *Fence) Has(to netip.AddrPort, exact bool) bool {
	if len(f.addrs) == 0 {
		return false
	}
	a := plain(to.Addr())
	ports, ok := f.addrs[a]
	return ok && (!exact && !a.IsLoopback() || slices.Contains(ports, to.Port()))
}

// HasName tells whether a host is the name of a gateway, as it stands in its URI.
func (f *Fence) HasName(host []byte) bool {
	var buf [maxName]byte
	return len(f.known) > 0 && f.known[string(lowerName(buf[:0], host))]
}

// Leads tells whether a URI leads to a gateway as it is written. What its host is found to be has to be asked of Has again.
func (f *Fence) Leads(u *sipaddr.URI) bool {
	if f.Empty() || u.Scheme != sipaddr.SIP && u.Scheme != sipaddr.SIPS {
		return false
	}
	if to, numeric := u.AddrPort(); numeric {
		return f.Has(to, false)
	}
	return f.HasName(routeHost(u))
}

// NewFence returns a fence of addresses alone.
func NewFence(addrs []netip.AddrPort) *Fence {
	f := &Fence{addrs: map[netip.Addr][]uint16{}}
	for _, to := range addrs {
		a := plain(to.Addr())
		f.addrs[a] = append(f.addrs[a], to.Port())
	}
	return f
}

// nat64 is what networks of IPv6 alone reach IPv4 by (RFC 6052 2.1).
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// plain is the one form of an address that has several.
func plain(a netip.Addr) netip.Addr {
	if a = a.Unmap().WithZone(""); nat64.Contains(a) {
		b := a.As16()
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return a
}

// routeHost is where requests to u go: its maddr, else its host.
func routeHost(u *sipaddr.URI) []byte {
	if maddr, has := u.Maddr(); has {
		return maddr
	}
	return u.Host
}

// lowerName appends a host name as names are compared: lower case, no dot at the end.
func lowerName(dst, host []byte) []byte {
	if n := len(host); n > 0 && host[n-1] == '.' {
		host = host[:n-1]
	}
	for _, c := range host {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		dst = append(dst, c)
	}
	return dst
}
