package proxy

import (
	"net/netip"
	"testing"

	"sipd/server/proxy/hop"
	"sipd/server/transport"
)

// TestRequestURIOfContact makes Request-URIs of registered Contacts: what must not stand there goes, everything else stays
// (RFC 3261 19.1.1).
func TestRequestURIOfContact(t *testing.T) {
	for _, tt := range []struct{ name, contact, want string }{
		{"plain", "sip:bob@10.0.0.11;transport=udp", "sip:bob@10.0.0.11;transport=udp"},
		{"headers", "sip:bob@10.0.0.11;ob?Subject=x&Route=%3Csip:h%3E", "sip:bob@10.0.0.11;ob"},
		{"method", "sip:bob@10.0.0.11;a=1;METHOD=BYE;b", "sip:bob@10.0.0.11;a=1;b"},
		{"method and headers", "sip:bob@10.0.0.11;method=BYE?Subject=x", "sip:bob@10.0.0.11"},
		{"what only looks like headers", "sip:bob?x=y@10.0.0.11", "sip:bob?x=y@10.0.0.11"},
		{"such a user, and headers", "sip:bob?x@10.0.0.11?Subject=x", "sip:bob?x@10.0.0.11"},
		{"what only looks like a parameter", "sip:bob;method=BYE@10.0.0.11", "sip:bob;method=BYE@10.0.0.11"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := string((&Route{}).appendContact(nil, tt.contact)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// A caller is behind a NAT when his Contact has another address than he sends from; one that says nothing of the kind is called by it.
func TestBehindNAT(t *testing.T) {
	const head = "INVITE sip:bob@example.org SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKa\nMax-Forwards: 70\n" +
		"From: <sip:alice@example.org>;tag=1\nTo: <sip:bob@example.org>\nCall-ID: c1\nCSeq: 7 INVITE\n"
	for _, tt := range []struct {
		contact string
		proto   transport.Proto
		want    bool
	}{
		{"", transport.UDP, false},
		{"", transport.TCP, true},
		{"Contact: <sip:alice@10.0.0.1:5070>\n", transport.UDP, false},
		{"Contact: <sip:alice@[::ffff:10.0.0.1]>\n", transport.UDP, false},
		{"Contact: <sip:alice@192.168.1.2>\n", transport.UDP, true},
		{"Contact: <sip:alice@192.168.1.2>\n", transport.TCP, true},
		{"Contact: <sip:alice@home.example.net>\n", transport.UDP, false},
		{"Contact: \"unclosed <sip:alice@192.168.1.2>\n", transport.UDP, false},
	} {
		from := transport.Flow{Proto: tt.proto, Local: netip.MustParseAddrPort("10.0.0.100:5060"), Remote: netip.MustParseAddrPort("10.0.0.1:5060")}
		if got := hop.BehindNAT(index(t, head+tt.contact+"\n"), from); got != tt.want {
			t.Errorf("%v %q: got %v, want %v", tt.proto, tt.contact, got, tt.want)
		}
	}
}

// RFC 5923 8.1: a server that has seen our certificate may use the connection for its requests; telephones and others are not asked to.
func TestViaAlias(t *testing.T) {
	local := netip.MustParseAddrPort("192.0.2.1:5061")
	for _, tt := range []struct {
		name string
		flow transport.Flow
		want string
	}{
		{"a server of a domain", transport.Flow{Proto: transport.TLS, Domain: 3, Local: local}, "SIP/2.0/TLS 192.0.2.1:5061;alias;branch="},
		{"a telephone", transport.Flow{Proto: transport.TLS, Conn: 4, Local: local}, "SIP/2.0/TLS 192.0.2.1:5061;branch="},
		{"TCP", transport.Flow{Proto: transport.TCP, Local: local}, "SIP/2.0/TCP 192.0.2.1:5061;branch="},
		{"UDP", transport.Flow{Local: local}, "SIP/2.0/UDP 192.0.2.1:5061;branch="},
	} {
		if got := string(New(Config{}).appendVia(nil, tt.flow)); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}
