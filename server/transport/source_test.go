package transport

import (
	"net/netip"
	"testing"
)

func TestSource(t *testing.T) {
	tests := []struct {
		name   string
		listen []string
		proto  Proto
		remote string
		want   int    // index of the listener; -1: none
		addr   string // of the source
	}{
		{"specific", []string{"udp:127.0.0.5:0"}, UDP, "127.0.0.1", 0, "127.0.0.5"},
		{"wildcard", []string{"udp:0.0.0.0:0"}, UDP, "127.0.0.1", 0, "127.0.0.1"},
		{"wildcard, mapped", []string{"udp:0.0.0.0:0"}, UDP, "::ffff:127.0.0.1", 0, "127.0.0.1"},
		{"the one the kernel would use", []string{"udp:127.0.0.5:0", "udp:127.0.0.1:0"}, UDP, "127.0.0.9", 1, "127.0.0.1"},
		{"wildcard before another address", []string{"udp:127.0.0.5:0", "udp:0.0.0.0:0"}, UDP, "127.0.0.9", 1, "127.0.0.1"},
		{"by transport", []string{"udp:127.0.0.1:0", "tcp:127.0.0.1:0"}, TCP, "127.0.0.1", 1, "127.0.0.1"},
		{"other transport", []string{"udp:127.0.0.1:0"}, TCP, "127.0.0.1", -1, ""},
		{"other family", []string{"udp:127.0.0.1:0"}, UDP, "::1", -1, ""},
		{"invalid", []string{"udp:127.0.0.1:0"}, UDP, "", -1, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Listen(Config{Listen: listeners(tt.listen...)})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			var remote netip.Addr
			if tt.remote != "" {
				remote = netip.MustParseAddr(tt.remote)
			}
			for range 2 { // asked, and remembered
				got, ok := s.Source(tt.proto, remote)
				if ok != (tt.want >= 0) {
					t.Fatalf("got %v, %v", got, ok)
				}
				if !ok {
					return
				}
				if want := netip.AddrPortFrom(netip.MustParseAddr(tt.addr), s.Addrs()[tt.want].Addr.Port()); got != want {
					t.Errorf("got %v, want %v", got, want)
				}
			}
		})
	}
}

func TestSourceIPv6(t *testing.T) {
	needAddr(t, "[::1]:0")
	s, err := Listen(Config{Listen: listeners("udp:0.0.0.0:0", "udp:[::]:0")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got, ok := s.Source(UDP, netip.IPv6Loopback())
	if want := netip.AddrPortFrom(netip.IPv6Loopback(), s.Addrs()[1].Addr.Port()); got != want || !ok {
		t.Errorf("got %v, %v, want %v", got, ok, want)
	}
}

func TestSourceIsCheap(t *testing.T) {
	s, err := Listen(Config{Listen: listeners("udp:0.0.0.0:0")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	remote := netip.MustParseAddr("127.0.0.1")
	s.Source(UDP, remote)
	first := s.route(UDP, remote)
	if got := testing.AllocsPerRun(100, func() { s.Source(UDP, remote) }); got > 0 {
		t.Errorf("got %v allocations, want 0", got)
	}
	if s.route(UDP, remote) != first {
		t.Error("got another route, want it remembered")
	}
	s.refreshOwn()
	if s.route(UDP, remote) == first {
		t.Error("got the old route after a refresh, want a new one")
	}
}

// Addresses in one network share a route, unless the network is split among our interfaces.
func TestRouteCacheSlot(t *testing.T) {
	split := map[netip.Addr]struct{}{netip.MustParseAddr("198.51.100.0"): {}}
	tests := []struct {
		name, a, b string
		same       bool
	}{
		{"one /24", "192.0.2.1", "192.0.2.200", true},
		{"mapped", "192.0.2.1", "::ffff:192.0.2.2", true},
		{"two /24", "192.0.2.1", "192.0.3.1", false},
		{"split", "198.51.100.1", "198.51.100.200", false},
		{"one /64", "2001:db8::1", "2001:db8::ffff:1", true},
		{"two /64", "2001:db8::1", "2001:db8:0:1::1", false},
		{"loopback", "::1", "::2", false},
		{"zones", "fe80::1%eth0", "fe80::1%eth1", false},
	}
	var c routeCache
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, a := c.slot(UDP, netip.MustParseAddr(tt.a), split)
			_, b := c.slot(UDP, netip.MustParseAddr(tt.b), split)
			if got := a == b; got != tt.same {
				t.Errorf("got %v and %v, want the same: %v", a, b, tt.same)
			}
		})
	}
}

func TestOwn(t *testing.T) {
	ifaces := []netip.Prefix{
		netip.MustParsePrefix("127.0.0.1/8"), netip.MustParsePrefix("192.0.2.5/28"), netip.MustParsePrefix("::1/128"),
		netip.MustParsePrefix("2001:db8::5/64"),
	}
	var ls []*listener
	for _, l := range listeners("udp:0.0.0.0:5060", "tcp:192.0.2.5:5080", "udp:[2001:db8::5]:5070") {
		ls = append(ls, &listener{Listener: l, wild: l.Addr.Addr().IsUnspecified()})
	}
	s := &Sockets{listeners: ls}
	s.own.Store(collectOwn(ls, ifaces))
	tests := []struct {
		addr string
		want bool
	}{
		{"192.0.2.5:5060", true},
		{"192.0.2.5:5080", true},
		{"192.0.2.5:0", true},
		{"192.0.2.5:5070", false},
		{"[::ffff:192.0.2.5]:5060", true},
		{"192.0.2.6:5060", false},
		{"127.0.0.1:5060", true},
		{"127.9.9.9:5060", true},
		{"127.9.9.9:0", true},
		{"127.9.9.9:5080", false},
		{"0.0.0.0:5060", true},
		{"[2001:db8::5]:5070", true},
		{"[2001:db8::5]:5060", false},
		{"[::1]:5060", false},
		{"[::1]:0", false},
	}
	for _, tt := range tests {
		t.Run(tt.addr, func(t *testing.T) {
			if got := s.Own(netip.MustParseAddrPort(tt.addr)); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
	own := s.own.Load()
	if got, want := own.any4, netip.MustParseAddr("192.0.2.5"); got != want {
		t.Errorf("got %v, want %v: not loopback", got, want)
	}
	if _, ok := own.split[netip.MustParseAddr("192.0.2.0")]; !ok {
		t.Error("got 192.0.2.0/24 as one network, want it split by our /28")
	}
}
