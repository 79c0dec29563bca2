package transaction

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"sipd/server/transport"
)

// TestResponseFlow has a table that follows a maddr everywhere but to 198.51.100.66, and another one that follows none.
func TestResponseFlow(t *testing.T) {
	follows, err := New(Config{Net: &rig{}, Maddr: func(to netip.AddrPort, _ netip.Addr) bool { return to.Addr().String() != "198.51.100.66" }})
	if err != nil {
		t.Fatal(err)
	}
	stays, err := New(Config{Net: &rig{}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		via   string
		proto transport.Proto
		from  string
		want  string
		conn  transport.ConnID
	}{
		{"sent-by port", "SIP/2.0/UDP 192.0.2.1:5070", transport.UDP, "192.0.2.1:40000", "192.0.2.1:5070", 0},
		{"default port", "SIP/2.0/UDP 192.0.2.1", transport.UDP, "192.0.2.1:40000", "192.0.2.1:5060", 0},
		{"received", "SIP/2.0/UDP 10.0.0.1:5070", transport.UDP, "192.0.2.1:40000", "192.0.2.1:5070", 0},
		{"forged received", "SIP/2.0/UDP 10.0.0.1:5070;received=198.51.100.1", transport.UDP, "192.0.2.1:40000", "192.0.2.1:5070", 0},
		{"host name", "SIP/2.0/UDP phone.example.org", transport.UDP, "192.0.2.1:40000", "192.0.2.1:5060", 0},
		{"rport", "SIP/2.0/UDP 10.0.0.1:5070;rport", transport.UDP, "192.0.2.1:40000", "192.0.2.1:40000", 0},
		{"forged rport", "SIP/2.0/UDP 10.0.0.1:5070;rport=9", transport.UDP, "192.0.2.1:40000", "192.0.2.1:40000", 0},
		{"maddr", "SIP/2.0/UDP 10.0.0.1:5070;maddr=192.0.2.2", transport.UDP, "192.0.2.1:40000", "192.0.2.2:5070", 0},
		{"maddr without a port", "SIP/2.0/UDP 10.0.0.1;maddr=192.0.2.2", transport.UDP, "192.0.2.1:40000", "192.0.2.2:5060", 0},
		{"maddr and rport", "SIP/2.0/UDP 10.0.0.1:5070;rport;maddr=192.0.2.2", transport.UDP, "192.0.2.1:40000", "192.0.2.2:5070", 0},
		{"maddr in IPv6 spelling", "SIP/2.0/UDP 10.0.0.1:5070;maddr=[::ffff:192.0.2.2]", transport.UDP, "192.0.2.1:40000", "192.0.2.2:5070", 0},
		{"maddr elsewhere", "SIP/2.0/UDP 10.0.0.1:5070;maddr=198.51.100.66", transport.UDP, "192.0.2.1:40000", "192.0.2.1:5070", 0},
		{"maddr elsewhere and rport", "SIP/2.0/UDP 10.0.0.1:5070;rport;maddr=198.51.100.66", transport.UDP, "192.0.2.1:40000", "192.0.2.1:40000", 0},
		{"a group", "SIP/2.0/UDP 10.0.0.1:5070;maddr=224.0.1.75", transport.UDP, "192.0.2.1:40000", "224.0.1.75:5070", 0},
		{"a group, ttl 1", "SIP/2.0/UDP 10.0.0.1:5070;maddr=224.0.1.75;ttl=1", transport.UDP, "192.0.2.1:40000", "224.0.1.75:5070", 0},
		{"a group, ttl 16", "SIP/2.0/UDP 10.0.0.1:5070;maddr=224.0.1.75;ttl=16", transport.UDP, "192.0.2.1:40000", "192.0.2.1:5070", 0},
		{"ttl without a group", "SIP/2.0/UDP 10.0.0.1:5070;maddr=192.0.2.2;ttl=16", transport.UDP, "192.0.2.1:40000", "192.0.2.2:5070", 0},
		{"maddr over TCP", "SIP/2.0/TCP 10.0.0.1:5070;maddr=192.0.2.2", transport.TCP, "192.0.2.1:40000", "192.0.2.1:5070", 3},
		{"maddr of the other family", "SIP/2.0/UDP 10.0.0.1;rport;maddr=[2001:db8::5]", transport.UDP, "192.0.2.1:40000", "192.0.2.1:40000", 0},
		{"maddr name", "SIP/2.0/UDP 10.0.0.1:5070;maddr=mcast.example.org", transport.UDP, "192.0.2.1:40000", "192.0.2.1:5070", 0},
		{"IPv6", "SIP/2.0/UDP [2001:db8::9]:5070", transport.UDP, "[2001:db8::1]:40000", "[2001:db8::1]:5070", 0},
		{"IPv6 maddr", "SIP/2.0/UDP [2001:db8::9]:5070;maddr=[2001:db8::2]", transport.UDP, "[2001:db8::1]:40000", "[2001:db8::2]:5070", 0},
		{"TCP", "SIP/2.0/TCP 10.0.0.1:5070", transport.TCP, "192.0.2.1:40000", "192.0.2.1:5070", 3},
		{"TCP, rport", "SIP/2.0/TCP 10.0.0.1;rport", transport.TCP, "192.0.2.1:40000", "192.0.2.1:5060", 3},
		{"TLS", "SIP/2.0/TLS 10.0.0.1", transport.TLS, "192.0.2.1:40000", "192.0.2.1:5061", 3},
		{"WS", "SIP/2.0/WS abc.invalid", transport.WS, "192.0.2.1:40000", "192.0.2.1:40000", 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			from := transport.Flow{Proto: tt.proto, Conn: tt.conn, Local: netip.MustParseAddrPort("192.0.2.9:5060"), Remote: netip.MustParseAddrPort(tt.from)}
			text := strings.Replace(request("OPTIONS", "z9hG4bKabc"), "SIP/2.0/UDP 192.0.2.1:5062", tt.via, 1)
			got := follows.ResponseFlow(parse(t, from, text), from)
			want := from
			want.Remote = netip.MustParseAddrPort(tt.want)
			if got != want {
				t.Errorf("via %s from %s: got %+v, want %+v", tt.via, tt.from, got, want)
			}
			if got := stays.ResponseFlow(parse(t, from, text), from); got.Remote.Addr() != from.Remote.Addr() {
				t.Errorf("a table that follows no maddr answers to %v, want the source", got.Remote)
			}
		})
	}
}

// TestStatelessBranch reads stateless branches again, in any case; no client transaction has one.
func TestStatelessBranch(t *testing.T) {
	b := newBench(t)
	for _, want := range []Proof{{}, {Port: 5060, MAC: [12]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}}, {Port: 65535, MAC: [12]byte{11: 255}}} {
		text := AppendStatelessBranch(nil, want, 77)
		for _, text := range [][]byte{text, bytes.ToUpper(text)} {
			if loop, stateless, ok := LoopHash(text); !ok || !stateless || loop != 77 {
				t.Errorf("branch %q: got loop %d, stateless %v, ok %v, want 77", text, loop, stateless, ok)
			}
			if got, ok := ParseStatelessBranch(text); !ok || got != want {
				t.Errorf("branch %q: got %+v %v, want %+v", text, got, ok, want)
			}
			for i := range b.table.shards {
				if c := b.table.shards[i].clientOf(text); c != nil {
					t.Errorf("branch %q is that of a client transaction", text)
				}
			}
		}
	}
}
