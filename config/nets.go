package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// NextHop is an item of AllowedNextHops: a network, or a single address, and a port of it.
type NextHop struct {
	Net  netip.Prefix
	Port uint16 // 0: any
}

// String returns the item as it is written in settings: "127.0.0.1:5080", "[fe80::/10]:5060".
func (h NextHop) String() string {
	text := h.Net.String()
	if h.Net.IsSingleIP() {
		text = h.Net.Addr().String()
	}
	if h.Port == 0 {
		return text
	}
	if h.Net.Addr().Is6() {
		text = "[" + text + "]"
	}
	return text + ":" + strconv.Itoa(int(h.Port))
}

// OnCampus tells whether an address is in LocalNets: by default in a network of one of this machine's interfaces as they were when the
// settings were read, or on its loopback when we listen there.
func (s *Settings) OnCampus(a netip.Addr) bool { return contains(s.campus, a) }

// Opens tells whether a next hop is allowed that is out of reach otherwise: a loopback or link-local address, or a multicast group,
// that a URI, a Via or a name leads to, written by somebody at src. AllowedNextHops lists it, or it is link-local and LocalNets, when it
// is set, has both. A group must be listed as one: a network that contains it is not meant for it.
func (s *Settings) Opens(to netip.AddrPort, src netip.Addr) bool {
	a := to.Addr().Unmap().WithZone("")
	return s.Allows(to) || a.IsLinkLocalUnicast() && contains(s.LocalNets, a) && contains(s.LocalNets, src)
}

// Allows tells whether AllowedNextHops names an address.
func (s *Settings) Allows(to netip.AddrPort) bool {
	a := to.Addr().Unmap().WithZone("")
	return slices.ContainsFunc(s.AllowedNextHops, func(h NextHop) bool {
		return h.Net.Contains(a) && (h.Port == 0 || h.Port == to.Port()) && h.Net.Addr().IsMulticast() == a.IsMulticast()
	})
}

func contains(nets []netip.Prefix, a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(nets, func(n netip.Prefix) bool { return n.Contains(a) })
}

// localNets reads LocalNets.
func localNets(b *builder, v Value) error {
	items := list(v)
	if len(items) == 0 {
		return errors.New("the value is missing; write networks: 192.0.2.0/24, 2001:db8::/32")
	}
	for _, item := range items {
		p, ok := parseNet(item)
		if !ok {
			return fmt.Errorf("got %q; write networks: 192.0.2.0/24, 2001:db8::/32", item)
		}
		b.LocalNets = append(b.LocalNets, p)
	}
	if len(b.LocalNets) > maxLocalNets {
		return fmt.Errorf("%d networks; at most %d", len(b.LocalNets), maxLocalNets)
	}
	return nil
}

// allowedNextHops reads AllowedNextHops.
func allowedNextHops(b *builder, v Value) error {
	items := list(v)
	if len(items) == 0 {
		return errors.New("the value is missing; write addresses or networks: 127.0.0.1:5080, 169.254.0.0/16")
	}
	for _, item := range items {
		h, ok := parseNextHop(item)
		switch {
		case !ok:
			return fmt.Errorf("got %q; write an address or a network, with a port where only that one is meant: 127.0.0.1:5080, 169.254.0.0/16, [fe80::/10]:5060", item)
		case h.Net.Addr().IsMulticast() && h.Net.Addr().Is6():
			return fmt.Errorf("got %q; IPv6 multicast is not defined for SIP (RFC 3261 18.1.1)", item)
		}
		b.AllowedNextHops = append(b.AllowedNextHops, h)
	}
	if len(b.AllowedNextHops) > maxNextHops {
		return fmt.Errorf("%d items; at most %d", len(b.AllowedNextHops), maxNextHops)
	}
	return nil
}

// parseNextHop reads ADDR, NET/BITS, and either with a port, IPv6 in brackets then.
func parseNextHop(text string) (h NextHop, ok bool) {
	alone := text
	if strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
		alone = text[1 : len(text)-1]
	}
	if h.Net, ok = parseNet(alone); ok {
		return h, true
	}
	i := strings.LastIndexByte(text, ':')
	if i < 0 {
		return h, false
	}
	port, err := strconv.ParseUint(text[i+1:], 10, 16)
	if err != nil || port == 0 {
		return h, false
	}
	host := text[:i]
	if inner, found := strings.CutPrefix(host, "["); found {
		if host, found = strings.CutSuffix(inner, "]"); !found {
			return h, false
		}
	} else if strings.Contains(host, ":") {
		return h, false // An IPv6 address and a port without brackets: nobody knows where one ends.
	}
	h.Port = uint16(port)
	h.Net, ok = parseNet(host)
	return h, ok
}

// parseNet reads a network, or an address as the network of itself.
func parseNet(text string) (p netip.Prefix, ok bool) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return p, false
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	return p.Masked(), true
}

// findCampus settles what OnCampus says.
func (b *builder) findCampus() {
	if b.campus = b.LocalNets; len(b.campus) > 0 {
		return
	}
	nets, err := net.InterfaceAddrs()
	if err != nil {
		b.note(fmt.Sprintf("LocalNets: the networks of the interfaces cannot be read: %v", err))
	}
	for _, n := range nets {
		if p, err := netip.ParsePrefix(n.String()); err == nil && !p.Addr().IsLoopback() && len(b.campus) < maxLocalNets {
			b.campus = append(b.campus, p.Masked())
		}
	}
	for _, loopback := range [...]netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{127}), 8), netip.PrefixFrom(netip.IPv6Loopback(), 128)} {
		if slices.ContainsFunc(b.Listen, func(l Listen) bool {
			a := l.Addr.Addr()
			return loopback.Contains(a) || a.IsUnspecified() && a.Is4() == loopback.Addr().Is4()
		}) {
			b.campus = append(b.campus, loopback)
		}
	}
}
