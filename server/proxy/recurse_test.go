package proxy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"sipd/location"
	"sipd/resolve"
	"sipd/server/message"
	"sipd/server/proxy/hop"
	"sipd/server/target"
	"sipd/server/transport"
)

// TestUnfollowed takes contacts that became targets out of a 3xx (RFC 3261 16.7 step 4).
func TestUnfollowed(t *testing.T) {
	p := New(Config{Net: ownNet{}})
	for _, tt := range []struct {
		name, contacts string
		follow         []string
		read           string // what contactsOf reads
		want           string // the header lines that are left
	}{
		{"one of one", "Contact: <sip:a@h>", []string{"sip:a@h"}, "sip:a@h=1000", ""},
		{"one of two", "Contact: <sip:a@h>, <sip:b@h>;q=0.5", []string{"sip:a@h"}, "sip:a@h=1000 sip:b@h=500", "<sip:b@h>;q=0.5"},
		{"on several lines, compact", "m: \"A, B\" <sip:a@h>;q=0.1\nContact: sip:b@h;q=0.2 , <tel:+1>", []string{"sip:b@h"}, "sip:a@h=100 sip:b@h=200 tel:+1=1000", `"A, B" <sip:a@h>;q=0.1, <tel:+1>`},
		{"the first line goes", "Contact: <sip:a@h>\nContact: <sip:b@h>\nContact: <sip:c@h>", []string{"sip:a@h", "sip:c@h"}, "sip:a@h=1000 sip:b@h=1000 sip:c@h=1000", "<sip:b@h>"},
		{"all of two lines", "Contact: <sip:a@h>\nContact: <sip:b@h>", []string{"sip:a@h", "sip:b@h"}, "sip:a@h=1000 sip:b@h=1000", ""},
		{"what cannot be read stays", "Contact: <sip:a@h>, <sip:b@h", []string{"sip:a@h"}, "sip:a@h=1000", "<sip:b@h"},
		{"a bad q is 1", "Contact: <sip:a@h>;q=7", []string{"sip:a@h"}, "sip:a@h=1000", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := index(t, "SIP/2.0 302 Moved\nVia: SIP/2.0/UDP 10.0.0.100;branch=z9hG4bKb\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKa\n"+
				"From: <sip:a@h>;tag=1\nTo: <sip:b@h>;tag=2\nCall-ID: c\nCSeq: 1 INVITE\n"+tt.contacts+"\nX: y\n\n")
			contacts := contactsOf(m)
			var read []string
			for i := range contacts {
				c := &contacts[i]
				read = append(read, fmt.Sprintf("%s=%d", c.URI.Text, c.Q))
				c.Followed = slices.Contains(tt.follow, string(c.URI.Text))
			}
			if got := strings.Join(read, " "); got != tt.read {
				t.Errorf("got the contacts %s, want %s", got, tt.read)
			}
			rest := p.unfollowed(m, contacts)
			if rest == nil {
				if tt.want != "" {
					t.Errorf("got nothing left, want %s", tt.want)
				}
				return
			}
			h, _ := rest.First(message.Contact)
			_, more := rest.After(h)
			if got := string(rest.HeaderValue(h)); got != tt.want || more {
				t.Errorf("got %q left, more lines: %v; want %q", got, more, tt.want)
			}
			if x, ok := rest.Named("X"); !ok || string(rest.HeaderValue(x)) != "y" || vias(rest) != 2 {
				t.Errorf("the rest of the response was changed:\n%s", rest.Raw())
			}
		})
	}
}

// TestContactsOfIsBounded: a 3xx of thousands of contacts costs what sixty-four do.
func TestContactsOfIsBounded(t *testing.T) {
	m := index(t, "SIP/2.0 302 Moved\nVia: SIP/2.0/UDP 10.0.0.100;branch=z9hG4bKb\nFrom: <sip:a@h>;tag=1\nTo: <sip:b@h>;tag=2\n"+
		"Call-ID: c\nCSeq: 1 INVITE\nContact: "+strings.Repeat("<sip:a@h>, ", 5000)+"<sip:b@h>\n\n")
	if got := len(contactsOf(m)); got != maxRedirections {
		t.Errorf("got %d contacts, want %d", got, maxRedirections)
	}
}

// TestInsert: the targets of a recursion stand ahead of those that have not been started, the first group in the one that runs.
func TestInsert(t *testing.T) {
	for _, tt := range []struct {
		set  []int // groups
		next int
		more []int
		want string
	}{
		{[]int{0}, 1, []int{0, 0}, "a0 | x0 y0"},
		{[]int{0, 1}, 1, []int{0, 1}, "a0 | x0 y3 b1"},
		{[]int{0, 0, 1}, 1, []int{0, 1}, "a0 | x0 b0 y3 c1"},
		{[]int{0, 1, 1}, 2, []int{0, 0, 1}, "a0 b1 | x1 y1 c1 z3"},
	} {
		c := &Context{next: tt.next}
		named := func(from byte, groups []int) (ts []target.Target) {
			for i, g := range groups {
				ts = append(ts, target.Target{Binding: &location.Binding{URI: string(rune(int(from) + i))}, Group: g})
			}
			return ts
		}
		c.targets = named('a', tt.set)
		c.insert(named('x', tt.more))
		var got []string
		groups := map[int]bool{}
		last := -1
		for i, x := range c.targets {
			if i == c.next {
				got = append(got, "|")
			}
			if x.Group != last && groups[x.Group] && i > c.next {
				t.Errorf("%v: group %d stands in two places: %v", tt.set, x.Group, c.targets)
			}
			last, groups[x.Group] = x.Group, true
			got = append(got, fmt.Sprintf("%s%d", x.Binding.URI, x.Group))
		}
		if want := strings.Fields(tt.want); !slices.Equal(got, want) {
			t.Errorf("%v with %v: got %v, want %v", tt.set, tt.more, got, want)
		}
	}
}

// TestNextHopOfARedirection: a contact of a 3xx leads where a stranger's URI would, not where a registered phone's does; TLS needs a
// certificate for the address (RFC 5922 7.3).
func TestNextHopOfARedirection(t *testing.T) {
	p := New(Config{Net: ownNet{}, Domains: new(transport.Domains)})
	for _, tt := range []struct {
		name, uri, by, want string
		certificate         bool
	}{
		{"an address", "sip:x@10.0.0.50;transport=tcp", "10.0.0.11", "TCP 10.0.0.50:5060 from 10.0.0.100:5060", false},
		{"a name", "sip:x@example.net", "10.0.0.11", "", false},
		{"TLS", "sips:x@10.0.0.50", "10.0.0.11", "TLS 10.0.0.50:5061 from 10.0.0.100:5060", true},
		{"loopback for a phone elsewhere", "sip:x@127.0.0.1:6379", "10.0.0.11", "", false},
		{"loopback for a phone on this machine", "sip:x@127.0.0.1:5070", "127.0.0.1", "UDP 127.0.0.1:5070 from 127.0.0.1:5060", false},
		{"ourselves", "sip:x@10.0.0.100", "10.0.0.11", "", false},
		{"multicast", "sip:x@224.0.1.75", "10.0.0.11", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := target.Target{Binding: &location.Binding{URI: tt.uri}, By: netip.MustParseAddr(tt.by)}
			b := &branch{c: &Context{from: transport.Flow{Remote: netip.MustParseAddrPort("10.0.0.1:5060")}}, target: x}
			flow, alt, ok := p.nextHop(&Route{URI: parse(t, "sip:bob@example.org")}, x, b.asker())
			if got := describe(flow, ok); got != tt.want || alt.Remote.IsValid() {
				t.Errorf("got %q and %v, want %q and no second way", got, alt, tt.want)
			}
			if ok && (flow.Domain != 0) != tt.certificate {
				t.Errorf("got domain %d, want one: %v", flow.Domain, tt.certificate)
			}
		})
	}
}

// TestAsker: whose reach bounds where a name may lead.
func TestAsker(t *testing.T) {
	registered := &location.Binding{URI: "sip:b@h.net", Expires: 1, Source: netip.MustParseAddrPort("10.0.0.11:5060")}
	for _, tt := range []struct {
		name string
		x    target.Target
		want string
	}{
		{"the caller", target.Target{}, "10.0.0.1"},
		{"who registered it", target.Target{Binding: registered}, "10.0.0.11"},
		{"an administrator", target.Target{Binding: &location.Binding{URI: "sip:b@h.net"}}, "::1"},
		{"who redirected to it", target.Target{Binding: &location.Binding{URI: "sip:b@h.net"}, By: netip.MustParseAddr("10.0.0.50")}, "10.0.0.50"},
	} {
		b := &branch{c: &Context{from: transport.Flow{Remote: netip.MustParseAddrPort("10.0.0.1:5060")}}, target: tt.x}
		if got := b.asker().String(); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

// TestNumericOfHops: the first hop counts, and one by TLS keeps the name.
func TestNumericOfHops(t *testing.T) {
	at := func(tr resolve.Transport) resolve.Hop {
		return resolve.Hop{Transport: tr, Addr: netip.MustParseAddrPort("192.0.2.1:5070")}
	}
	for _, tt := range []struct {
		name string
		hops []resolve.Hop
		want string
	}{
		{"none", nil, "sip:b@h.net"},
		{"UDP", []resolve.Hop{at(resolve.UDP), at(resolve.TLS)}, "sip:b@192.0.2.1:5070"},
		{"TCP", []resolve.Hop{at(resolve.TCP)}, "sip:b@192.0.2.1:5070;transport=tcp"},
		{"TLS", []resolve.Hop{at(resolve.TLS), at(resolve.UDP)}, "sip:b@h.net"},
	} {
		x := target.Target{Binding: &location.Binding{URI: "sip:b@h.net"}}
		hop.Numeric(&x, tt.hops)
		if x.Binding.URI != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, x.Binding.URI, tt.want)
		}
	}
}
