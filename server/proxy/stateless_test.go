package proxy

import (
	"net/netip"
	"strings"
	"testing"

	"sipd/server/transport"
)

// TestFindsBack: a response finds its way by what stands in the Via and by what we would do anyway; whatever would have to be remembered
// takes a transaction (RFC 3261 16.11, RFC 3581 4).
func TestFindsBack(t *testing.T) {
	here := netip.MustParseAddrPort("10.0.0.100:5060") // what ownNet sends from
	from := transport.Flow{Local: here, Remote: netip.MustParseAddrPort("10.0.0.1:5060")}
	for _, tt := range []struct {
		name, via string
		change    func(f *transport.Flow)
		want      bool
	}{
		{"UDP", "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKa", nil, true},
		{"came to another port", "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKa", func(f *transport.Flow) { f.Local = netip.AddrPortFrom(here.Addr(), 5070) }, true},
		{"came to another address", "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKa", func(f *transport.Flow) { f.Local = netip.MustParseAddrPort("10.0.0.99:5060") }, false},
		{"came by TCP", "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKa", func(f *transport.Flow) { f.Proto = transport.TCP }, false},
		{"TCP in the Via", "SIP/2.0/TCP 10.0.0.1;branch=z9hG4bKa", nil, false},
		{"maddr", "SIP/2.0/UDP 10.0.0.1;maddr=10.0.0.2;branch=z9hG4bKa", nil, false},
		{"a branch of RFC 2543", "SIP/2.0/UDP 10.0.0.1;branch=a", nil, false},
	} {
		m, _ := invited(t)
		m = index(t, strings.ReplaceAll(strings.Replace(string(m.Raw()), "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKa", tt.via, 1), "\r\n", "\n"))
		f := from
		if tt.change != nil {
			tt.change(&f)
		}
		if got := New(Config{Net: ownNet{}}).findsBack(m.Top(), f); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}
