package proxy

import (
	"context"
	"crypto/x509"
	"net/netip"
	"testing"

	"sipd/location"
	"sipd/server/proxy/token"
	"sipd/server/target"
	"sipd/server/transport"
	"sipd/sipaddr"
)

// ownNet is a network that listens at 10.0.0.100:5060 and 127.0.0.1:5060.
type ownNet struct{}

func (ownNet) Run(context.Context, transport.Receiver) error { return nil }

func (ownNet) NewOut() *transport.Out {
	return transport.NewOut(func(*transport.Out, []transport.Packet) {})
}

func (ownNet) Source(_ transport.Proto, remote netip.Addr) (netip.AddrPort, bool) {
	switch {
	case remote.IsLoopback():
		return netip.MustParseAddrPort("127.0.0.1:5060"), true
	case remote.Is4():
		return netip.MustParseAddrPort("10.0.0.100:5060"), true
	}
	return netip.AddrPort{}, false
}

func (ownNet) Certificates(transport.ConnID) []*x509.Certificate { return nil }
func (ownNet) Alias(transport.ConnID, []byte, uint16)            {}

func (ownNet) Own(a netip.AddrPort) bool {
	return a == netip.MustParseAddrPort("127.0.0.1:5060") || a == netip.MustParseAddrPort("10.0.0.100:5060")
}

// TestNextHopByURI sends a request inside a dialog to URIs that a party of the call may have written (BEHAVIOUR J).
func TestNextHopByURI(t *testing.T) {
	p := New(Config{Net: ownNet{}})
	for _, tt := range []struct{ name, uri, src, want string }{
		{"an address", "sip:bob@10.0.0.11", "10.0.0.1", "UDP 10.0.0.11:5060 from 10.0.0.100:5060"},
		{"port and transport", "sip:bob@10.0.0.11:5070;transport=tcp", "10.0.0.1", "TCP 10.0.0.11:5070 from 10.0.0.100:5060"},
		{"maddr", "sip:bob@example.org:5070;maddr=10.0.0.12", "10.0.0.1", "UDP 10.0.0.12:5070 from 10.0.0.100:5060"},
		{"maddr before an address", "sip:bob@10.0.0.11;maddr=10.0.0.12", "10.0.0.1", "UDP 10.0.0.12:5060 from 10.0.0.100:5060"},
		{"a name", "sip:bob@example.net", "10.0.0.1", ""},
		{"a transport without listener", "sip:bob@10.0.0.11;transport=tls", "10.0.0.1", ""},
		{"sips", "sips:bob@10.0.0.11", "10.0.0.1", ""},
		{"an address family without listener", "sip:bob@[2001:db8::1]", "10.0.0.1", ""},
		{"ourselves", "sip:bob@10.0.0.100", "10.0.0.1", ""},
		{"ourselves by maddr", "sip:bob@10.0.0.11;maddr=10.0.0.100", "10.0.0.1", ""},
		{"a phone on this machine", "sip:bob@10.0.0.100:5070", "10.0.0.1", "UDP 10.0.0.100:5070 from 10.0.0.100:5060"},
		{"multicast", "sip:bob@224.0.1.75", "10.0.0.1", ""},
		{"broadcast", "sip:bob@255.255.255.255", "10.0.0.1", ""},
		{"unspecified", "sip:bob@0.0.0.0", "10.0.0.1", ""},
		{"loopback for a stranger", "sip:bob@127.0.0.1:6379;transport=tcp", "10.0.0.1", ""},
		{"loopback in IPv6 spelling", "sip:bob@[::ffff:127.0.0.1]:6379", "10.0.0.1", ""},
		{"loopback by maddr", "sip:bob@10.0.0.11:6379;maddr=127.0.0.1", "10.0.0.1", ""},
		{"loopback from loopback", "sip:bob@127.0.0.1:5070", "127.0.0.1", "UDP 127.0.0.1:5070 from 127.0.0.1:5060"},
		{"link-local for a stranger", "sip:bob@169.254.1.1", "10.0.0.1", ""},
		{"link-local from the link", "sip:bob@169.254.1.1", "169.254.1.2", "UDP 169.254.1.1:5060 from 10.0.0.100:5060"},
		{"loopback from the link", "sip:bob@127.0.0.1:6379", "169.254.1.2", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := Route{URI: parse(t, tt.uri), InDialog: true}
			flow, alt, ok := p.nextHop(&r, target.Target{}, netip.MustParseAddr(tt.src))
			if got := describe(flow, ok); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if alt.Remote.IsValid() {
				t.Errorf("got the second way %v, want none", alt)
			}
		})
	}
}

// TestNextHopOpened: what the settings open is opened, but never a group, nor ourselves.
func TestNextHopOpened(t *testing.T) {
	stranger := netip.MustParseAddr("198.51.100.1")
	p := New(Config{Net: ownNet{}, Opens: func(_ netip.AddrPort, src netip.Addr) bool { return src == stranger }})
	for _, tt := range []struct {
		uri, src string
		want     bool
	}{
		{"sip:bob@127.0.0.1:5080", "198.51.100.1", true},
		{"sip:bob@169.254.1.1", "198.51.100.1", true},
		{"sip:bob@127.0.0.1:5080", "10.0.0.1", false},
		{"sip:bob@127.0.0.1:5060", "198.51.100.1", false}, // ourselves
		{"sip:bob@10.0.0.11;maddr=10.0.0.100", "198.51.100.1", false},
		{"sip:bob@224.0.1.75", "198.51.100.1", false},
		{"sip:bob@10.0.0.11;maddr=224.0.1.75;ttl=1", "198.51.100.1", false},
		{"sip:bob@0.0.0.0", "198.51.100.1", false},
		{"sip:bob@255.255.255.255", "198.51.100.1", false},
	} {
		r := Route{URI: parse(t, tt.uri), InDialog: true}
		if flow, _, ok := p.nextHop(&r, target.Target{}, netip.MustParseAddr(tt.src)); ok != tt.want {
			t.Errorf("%s from %s: got %v %v, want %v", tt.uri, tt.src, flow.Remote, ok, tt.want)
		}
	}
}

// TestNextHopByFlow sends to an end whose flow the token or the binding knows, with its Contact as second way where it is
// one.
func TestNextHopByFlow(t *testing.T) {
	p := New(Config{Net: ownNet{}})
	nat := netip.MustParseAddrPort("198.51.100.9:33000")
	for _, tt := range []struct{ name, uri, want, alt string }{
		{"another Contact", "sip:bob@10.0.0.11", "TCP 198.51.100.9:33000 from 10.0.0.100:5060", "UDP 10.0.0.11:5060 from 10.0.0.100:5060"},
		{"the same Contact", "sip:bob@198.51.100.9:33000", "TCP 198.51.100.9:33000 from 10.0.0.100:5060", ""},
		{"Contact with a name", "sip:bob@phone.invalid", "TCP 198.51.100.9:33000 from 10.0.0.100:5060", ""},
		{"Contact out of reach", "sip:bob@127.0.0.1:6379", "TCP 198.51.100.9:33000 from 10.0.0.100:5060", ""},
		{"Contact of a family without listener", "sip:bob@[2001:db8::1]", "TCP 198.51.100.9:33000 from 10.0.0.100:5060", ""},
	} {
		t.Run("token: "+tt.name, func(t *testing.T) {
			r := Route{URI: parse(t, tt.uri), InDialog: true, to: token.Side{ByFlow: true, Flow: transport.Flow{Proto: transport.TCP, Remote: nat}}}
			flow, alt, ok := p.nextHop(&r, target.Target{}, netip.MustParseAddr("10.0.0.1"))
			if got := describe(flow, ok); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if got := describe(alt, alt.Remote.IsValid()); got != tt.alt {
				t.Errorf("got the second way %q, want %q", got, tt.alt)
			}
		})
	}
	t.Run("token: sips", func(t *testing.T) { // TLS or nothing (RFC 3261 16.6 step 7).
		for proto, want := range map[transport.Proto]bool{transport.UDP: false, transport.TCP: false, transport.TLS: true, transport.WSS: true} {
			r := Route{URI: parse(t, "sips:bob@10.0.0.11"), InDialog: true, to: token.Side{ByFlow: true, Flow: transport.Flow{Proto: proto, Remote: nat}}}
			if _, _, ok := p.nextHop(&r, target.Target{}, netip.MustParseAddr("10.0.0.1")); ok != want {
				t.Errorf("over %v: got %v, want %v", proto, ok, want)
			}
		}
	})
	own := netip.MustParseAddrPort("10.0.0.100:5062")
	next := netip.MustParseAddrPort("10.0.0.11:5060")
	for _, tt := range []struct {
		name      string
		b         location.Binding
		want, alt string
	}{
		{"Contact", location.Binding{Next: next}, "UDP 10.0.0.11:5060 from 10.0.0.100:5060", ""},
		{"flow", location.Binding{ByFlow: true, Source: nat, Local: own, Next: next},
			"UDP 198.51.100.9:33000 from 10.0.0.100:5062", "UDP 10.0.0.11:5060 from 10.0.0.100:5060"},
		{"flow, and a name as Contact", location.Binding{ByFlow: true, Source: nat, Local: own}, "UDP 198.51.100.9:33000 from 10.0.0.100:5062", ""},
		{"nothing", location.Binding{}, "", ""},
		{"registered", location.Binding{Expires: 1, Source: nat, Next: next}, "UDP 10.0.0.11:5060 from 10.0.0.100:5060", ""},
		{"registered: multicast", location.Binding{Expires: 1, Source: nat, Next: netip.MustParseAddrPort("224.0.1.75:5060")}, "", ""},
		{"registered: unspecified", location.Binding{Expires: 1, Source: nat, Next: netip.MustParseAddrPort("0.0.0.0:6379")}, "", ""},
		{"registered: loopback from elsewhere", location.Binding{Expires: 1, Source: nat, Next: netip.MustParseAddrPort("127.0.0.1:6379")}, "", ""},
		{"registered: loopback from loopback", location.Binding{Expires: 1, Source: netip.MustParseAddrPort("127.0.0.1:5070"), Next: netip.MustParseAddrPort("127.0.0.1:5070")},
			"UDP 127.0.0.1:5070 from 127.0.0.1:5060", ""},
		{"registered: flow, and loopback as Contact", location.Binding{Expires: 1, ByFlow: true, Source: nat, Local: own, Next: netip.MustParseAddrPort("127.0.0.1:6379")},
			"UDP 198.51.100.9:33000 from 10.0.0.100:5062", ""},
		{"sips Contact over TCP", location.Binding{URI: "SIPS:bob@10.0.0.11", ByFlow: true, Proto: uint8(transport.TCP), Source: nat, Local: own, Next: next}, "", ""},
		{"sips Contact over TLS", location.Binding{URI: "sips:bob@10.0.0.11", ByFlow: true, Proto: uint8(transport.TLS), Source: nat, Local: own, Next: next, NextProto: uint8(transport.UDP)},
			"TLS 198.51.100.9:33000 from 10.0.0.100:5062", ""},
		{"an administrator's loopback", location.Binding{Next: netip.MustParseAddrPort("127.0.0.1:5070")}, "UDP 127.0.0.1:5070 from 127.0.0.1:5060", ""},
	} {
		t.Run("binding: "+tt.name, func(t *testing.T) {
			flow, alt, ok := p.nextHop(&Route{}, target.Target{Binding: &tt.b}, netip.MustParseAddr("10.0.0.1"))
			if got := describe(flow, ok); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if got := describe(alt, alt.Remote.IsValid()); got != tt.alt {
				t.Errorf("got the second way %q, want %q", got, tt.alt)
			}
		})
	}
}

func parse(t *testing.T, uri string) sipaddr.URI {
	t.Helper()
	u, err := sipaddr.Parse([]byte(uri))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func describe(f transport.Flow, ok bool) string {
	if !ok {
		return ""
	}
	return f.Proto.String() + " " + f.Remote.String() + " from " + f.Local.String()
}
