package store_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"sipd/store"
)

func TestNormalizeTrustedPeer(t *testing.T) {
	many := make([]string, store.MaxPeerNets+1)
	for i := range many {
		many[i] = fmt.Sprintf("192.0.2.%d", i)
	}
	tests := []struct {
		name string
		p    store.TrustedPeer
		want string // networks and name, or part of the error
		bad  bool
	}{
		{"addresses and networks", store.TrustedPeer{SourceNets: " 192.0.2.1,198.51.100.0/24  2001:DB8:0::/32\t,[2001:db8::1]"},
			"192.0.2.1, 198.51.100.0/24, 2001:db8::/32, 2001:db8::1|", false},
		{"IPv4 in IPv6", store.TrustedPeer{SourceNets: "::ffff:192.0.2.1"}, "192.0.2.1|", false},
		{"one address as a network", store.TrustedPeer{SourceNets: "192.0.2.1/32"}, "192.0.2.1|", false},
		{"a name", store.TrustedPeer{TLSName: "Peer.Example.ORG."}, "|peer.example.org", false},
		{"both", store.TrustedPeer{SourceNets: "192.0.2.1", TLSName: "a.example"}, "192.0.2.1|a.example", false},
		{"neither", store.TrustedPeer{SourceNets: " , ", MayAssertIdentity: true}, "write the peer's networks", true},
		{"no network", store.TrustedPeer{SourceNets: "192.0.2.1 peer.example.org"}, `"peer.example.org" is no network: write 192.0.2.0/24`, true},
		{"everybody", store.TrustedPeer{SourceNets: "0.0.0.0/0"}, "is everybody", true},
		{"everybody of IPv6", store.TrustedPeer{SourceNets: "::/0", TLSName: "a.example"}, "is everybody", true},
		{"bits behind the prefix", store.TrustedPeer{SourceNets: "10.0.0.1/8"}, "write 10.0.0.0/8 for the network or 10.0.0.1 for the address", true},
		{"mapped network", store.TrustedPeer{SourceNets: "::ffff:192.0.2.0/120"}, "as 192.0.2.0/24", true},
		{"zone", store.TrustedPeer{SourceNets: "fe80::1%eth0"}, "is no network", true},
		{"too many", store.TrustedPeer{SourceNets: strings.Join(many, " ")}, "has 65 networks: write at most 64", true},
		{"too long", store.TrustedPeer{SourceNets: strings.Repeat(" ", 3000)}, "write at most 2000", true},
		{"an address as name", store.TrustedPeer{TLSName: "192.0.2.1"}, "the domain of the peer's certificate", true},
		{"a wildcard", store.TrustedPeer{TLSName: "*.example.org"}, "write one domain", true},
		{"a long name", store.TrustedPeer{TLSName: strings.Repeat("a", 256)}, "write one domain", true},
	}
	for _, tt := range tests {
		err := tt.p.Normalize()
		switch {
		case tt.bad && (err == nil || !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: got %v, want %q in the error", tt.name, err, tt.want)
		case !tt.bad && (err != nil || tt.p.SourceNets+"|"+tt.p.TLSName != tt.want):
			t.Errorf("%s: got %q %q, %v; want %q", tt.name, tt.p.SourceNets, tt.p.TLSName, err, tt.want)
		case !tt.bad:
			nets, err := tt.p.Nets()
			again := tt.p
			if err != nil || again.Normalize() != nil || again != tt.p || slices.ContainsFunc(nets, func(n netip.Prefix) bool { return n.Addr().Is4In6() }) {
				t.Errorf("%s: got %v, %v and again %+v; want the same", tt.name, nets, err, again)
			}
		}
	}
}

func TestCheckThirdParty(t *testing.T) {
	for _, tt := range []struct {
		name string
		row  store.ThirdParty
		want string
	}{
		{"good", store.ThirdParty{UserID: 1, RegistrantID: 2}, ""},
		{"himself", store.ThirdParty{UserID: 1, RegistrantID: 1}, "another user"},
		{"nobody", store.ThirdParty{UserID: 1}, "ids of two users"},
	} {
		err := tt.row.Check()
		if (err == nil) != (tt.want == "") || err != nil && (!errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}
