package config

import (
	"net"
	"net/netip"
	"strings"
	"testing"
)

// TestOpens: what AllowedNextHops and LocalNets open, and for whom.
func TestOpens(t *testing.T) {
	const hops = "127.0.0.1:5080, 169.254.0.0/16, [fe80::/10]:5060, 0.0.0.0/0:5090, 224.0.1.75"
	const stranger = "198.51.100.1"
	for _, tt := range []struct {
		name, hops, nets, to, src string
		want                      bool
	}{
		{"nothing is set", "", "", "127.0.0.1:5080", "10.0.0.1", false},
		{"listed with its port", hops, "", "127.0.0.1:5080", stranger, true},
		{"in IPv6 spelling", hops, "", "[::ffff:127.0.0.1]:5080", stranger, true},
		{"listed with another port", hops, "", "127.0.0.1:5081", stranger, false},
		{"in a listed network", hops, "", "169.254.7.7:9", stranger, true},
		{"with a zone", hops, "", "[fe80::1%eth0]:5060", stranger, true},
		{"not listed", hops, "", "[::1]:5060", stranger, false},
		{"a group that is listed", hops, "", "224.0.1.75:5060", stranger, true},
		{"a group inside a network", hops, "", "224.0.0.1:5090", stranger, false},
		{"LocalNets has both", "", "169.254.0.0/16 10.0.0.0/8", "169.254.1.1:5060", "10.1.2.3", true},
		{"LocalNets has the source alone", "", "10.0.0.0/8", "169.254.1.1:5060", "10.1.2.3", false},
		{"LocalNets has the hop alone", "", "169.254.0.0/16 10.0.0.0/8", "169.254.1.1:5060", stranger, false},
		{"LocalNets has loopback", "", "127.0.0.0/8 10.0.0.0/8", "127.0.0.1:5080", "10.1.2.3", false},
		{"LocalNets has a group", "", "224.0.0.0/4 10.0.0.0/8", "224.0.1.75:5060", "10.1.2.3", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var in []Value
			if tt.hops != "" {
				in = append(in, set("AllowedNextHops", tt.hops)...)
			}
			if tt.nets != "" {
				in = append(in, set("LocalNets", tt.nets)...)
			}
			s, err := Build(in)
			if err != nil {
				t.Fatal(err)
			}
			if got := s.Opens(netip.MustParseAddrPort(tt.to), netip.MustParseAddr(tt.src)); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// TestOnCampus: the networks of the interfaces, and loopback when we listen there, stand for a LocalNets that nobody has set.
func TestOnCampus(t *testing.T) {
	const outside = "198.51.100.1"
	for _, tt := range []struct {
		name, listen, nets, addr string
		want                     bool
	}{
		{"set", "", "10.0.0.0/8", "10.1.2.3", true},
		{"set, IPv6 spelling", "", "10.0.0.0/8", "::ffff:10.1.2.3", true},
		{"set, elsewhere", "", "10.0.0.0/8", outside, false},
		{"set, loopback is not meant", "", "10.0.0.0/8", "127.0.0.1", false},
		{"default, elsewhere", "", "", outside, false},
		{"default, listening everywhere", "", "", "127.3.2.1", true},
		{"default, listening on IPv6 loopback", "udp:[::1]:5060", "", "::1", true},
		{"default, not listening on loopback", "udp:[::1]:5060", "", "127.0.0.1", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var in []Value
			if tt.listen != "" {
				in = append(in, set("Listen", tt.listen)...)
			}
			if tt.nets != "" {
				in = append(in, set("LocalNets", tt.nets)...)
			}
			s, err := Build(in)
			if err != nil {
				t.Fatal(err)
			}
			if got := s.OnCampus(netip.MustParseAddr(tt.addr)); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
	nets, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	s, err := Build(set("Listen", "udp:127.0.0.1:5060"))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nets {
		p, err := netip.ParsePrefix(n.String())
		if err != nil || p.Addr().IsLoopback() {
			continue
		}
		if !s.OnCampus(p.Addr()) {
			t.Errorf("%v, an address of this machine: got false, want true", p.Addr())
		}
	}
}

// TestNoNets: a value that names nothing is a mistake, not the default.
func TestNoNets(t *testing.T) {
	for _, name := range []string{"LocalNets", "AllowedNextHops"} {
		if _, err := Build(set(name, " , ")); err == nil || !strings.Contains(err.Error(), name+": the value is missing; write ") {
			t.Errorf("%s: got %v, want that the value is missing", name, err)
		}
	}
}
