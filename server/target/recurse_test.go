package target

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"sipd/location"
	"sipd/sipaddr"
	"sipd/store"
)

// TestRecurse: which contacts of bob's 3xx become targets (RFC 3261 16.5, 16.7 step 4; BEHAVIOUR B21).
func TestRecurse(t *testing.T) {
	phone := []*location.Binding{numericContact("sip:a@10.0.0.21", 1000), numericContact("sip:a@10.0.0.22", 500)}
	moved := numericContact("sip:a@10.0.0.23", 1000)
	moved.Action = uint8(store.Redirect)
	static := numericContact("sip:a@10.0.0.24", 1000)
	static.Expires = 0
	loc := contacts{"alice@example.org": phone, "carol@example.org": {moved, static}}
	for _, tt := range []struct {
		name     string
		uri      string // Request-URI
		phone    string // bob's
		contacts string // with q behind a space
		set      map[string]string
		wish     Disposition
		depth    int
		more     []string // targets besides bob's phone
		foreign  bool     // bob's phone is no binding: the Request-URI led there
		as       string   // whose contact it is, bob when empty
		noNames  bool
		want     string
		followed string
	}{
		{name: "one", contacts: "sip:x@10.0.0.50", want: "0:x@10.0.0.50", followed: "1"},
		{name: "groups", contacts: "sip:x@10.0.0.53 300|sip:x@10.0.0.51|sip:x@10.0.0.52 950", want: "0:x@10.0.0.51 0:x@10.0.0.52 1:x@10.0.0.53", followed: "111"},
		{name: "the setting is false", contacts: "sip:x@10.0.0.50", set: map[string]string{"ProxyRecursion": "false"}, followed: "0"},
		{name: "no-recurse", contacts: "sip:x@10.0.0.50", wish: NoRecurse, followed: "0"},
		{name: "recurse does not switch it on", contacts: "sip:x@10.0.0.50", wish: WantRecurse, set: map[string]string{"ProxyRecursion": "false"}, followed: "0"},
		{name: "a Request-URI that is not ours", contacts: "sip:x@10.0.0.50", foreign: true, followed: "0"},
		{name: "a contact of a disabled user", contacts: "sip:x@10.0.0.50", as: "gone@example.org", followed: "0"},
		{name: "a contact of nobody", contacts: "sip:x@10.0.0.50", as: "nobody@example.org", followed: "0"},
		{name: "the fifth in a row", contacts: "sip:x@10.0.0.50", depth: maxRecursion - 1, want: "0:x@10.0.0.50", followed: "1"},
		{name: "the sixth", contacts: "sip:x@10.0.0.50", depth: maxRecursion, followed: "0"},
		{name: "tel and mailto", contacts: "tel:+1212|mailto:x@y.net|sip:x@10.0.0.50", want: "0:x@10.0.0.50", followed: "001"},
		{name: "sip to sips", contacts: "sips:x@10.0.0.51|sip:x@10.0.0.50", want: "0:x@10.0.0.50", followed: "01"}, // RFC 5630 5.3
		{name: "sip to sips", contacts: "sips:x@10.0.0.51|sips:alice@example.org", followed: "00"},
		{name: "sip to a sips phone to sip", phone: "sips:b@10.0.0.11", contacts: "sip:x@10.0.0.50|sips:x@10.0.0.51", want: "0:sips:x@10.0.0.51", followed: "01"},
		{name: "the redirecting phone itself", contacts: "sip:b@10.0.0.11|SIP:%62@10.0.0.11", followed: "11"},
		{name: "another target", contacts: "sip:y@10.0.0.60|sip:x@10.0.0.50", more: []string{"sip:y@10.0.0.60"}, want: "0:x@10.0.0.50", followed: "11"},
		{name: "the same twice", contacts: "sip:x@10.0.0.50|sip:x@10.0.0.50 100", want: "0:x@10.0.0.50", followed: "11"},
		{name: "a name", contacts: "sip:x@elsewhere.net", want: "0:x@elsewhere.net", followed: "1"},
		{name: "a name that cannot be looked up", contacts: "sip:x@elsewhere.net", noNames: true, followed: "0"},
		{name: "an address needs no look-up", contacts: "sip:x@elsewhere.net;maddr=10.0.0.50", noNames: true, want: "0:x@elsewhere.net;maddr=10.0.0.50", followed: "1"},
		{name: "ForeignDomain redirect", contacts: "sip:x@elsewhere.net|sip:x@10.0.0.50", set: map[string]string{"ForeignDomain": "redirect"}, followed: "00"},
		{name: "ForeignDomain reject", contacts: "sip:x@elsewhere.net|sip:alice@example.org", set: map[string]string{"ForeignDomain": "reject"}, want: "0:a@10.0.0.21 1:a@10.0.0.22", followed: "01"},
		{name: "a user of ours, whatever her policy", contacts: "sip:alice@example.org", want: "0:a@10.0.0.21 1:a@10.0.0.22", followed: "1"},
		{name: "a user at our address", contacts: "sip:alice@10.9.9.9", want: "0:a@10.0.0.21 1:a@10.0.0.22", followed: "1"},
		{name: "a user at our address, another port", contacts: "sip:alice@10.9.9.9:5070", want: "0:alice@10.9.9.9:5070", followed: "1"},
		{name: "her q counts below the contact's", contacts: "sip:alice@example.org 500|sip:x@10.0.0.50 600", want: "0:x@10.0.0.50 1:a@10.0.0.21 2:a@10.0.0.22", followed: "11"},
		{name: "her contact wants a redirect", contacts: "sip:carol@example.org", want: "0:a@10.0.0.24 or:a@10.0.0.23", followed: "1"},
		{name: "herself again", contacts: "sip:bob@example.org|sip:robert@example.org", followed: "11"},
		{name: "an alias of several, no group", contacts: "sip:smith@example.org", followed: "0"},
		{name: "nobody, and nobody at home", contacts: "sip:nobody@example.org|sip:moved@example.org|sip:example.org|sip:10.9.9.9", followed: "0000"},
		{name: "no-fork", contacts: "sip:x@10.0.0.50 400|sip:x@10.0.0.51 600", wish: NoFork, want: "0:x@10.0.0.51", followed: "01"},
		{name: "sequential", contacts: "sip:x@10.0.0.50|sip:x@10.0.0.51", wish: Sequential, want: "0:x@10.0.0.50 1:x@10.0.0.51", followed: "11"},
		{name: "parallel", contacts: "sip:x@10.0.0.50|sip:x@10.0.0.51 100", wish: Parallel, want: "0:x@10.0.0.50 0:x@10.0.0.51", followed: "11"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			set := map[string]string{"ProxyRecursion": "true"}
			for k, v := range tt.set {
				set[k] = v
			}
			tabs := tables(t, loc, set)
			tabs.Own = func(a netip.AddrPort) bool { return a == netip.MustParseAddrPort("10.9.9.9:5060") }
			tabs.Names = !tt.noNames
			if tt.uri == "" {
				tt.uri = "sip:bob@example.org"
			}
			if tt.as == "" {
				tt.as = "bob@example.org"
			}
			uri := parse(t, tt.uri)
			if tt.phone == "" {
				tt.phone = "sip:b@10.0.0.11"
			}
			from := Target{Binding: numericContact(tt.phone, 1000), Owner: tabs.User([]byte(tt.as)), Depth: tt.depth}
			r := Redirection{URI: &uri, From: from, Source: netip.MustParseAddr("10.0.0.11"), Set: []Target{from}, Disposition: tt.wish}
			if tt.foreign {
				r.From.Binding = nil
			}
			for _, other := range tt.more {
				r.Set = append(r.Set, Target{Binding: numericContact(other, 1000), Owner: from.Owner})
			}
			for _, c := range strings.Split(tt.contacts, "|") {
				q := 1000
				text, milli, given := strings.Cut(c, " ")
				if given {
					if _, err := fmt.Sscan(milli, &q); err != nil {
						t.Fatal(err)
					}
				}
				r.Contacts = append(r.Contacts, Contact{URI: parse(t, text), Q: q})
			}
			var d Decision
			Recurse(tabs, &r, now, &d)
			got := strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(summary(&d), "reject 0"), "proxy 0"), " ")
			followed := ""
			for _, c := range r.Contacts {
				followed += map[bool]string{false: "0", true: "1"}[c.Followed]
			}
			if got != tt.want || followed != tt.followed {
				var why strings.Builder
				if err := d.Trace.Print(&why); err != nil {
					t.Fatal(err)
				}
				t.Errorf("got %q, followed %s, want %q, followed %s\n%s", got, followed, tt.want, tt.followed, &why)
			}
			for _, x := range d.Targets {
				registered := slices.ContainsFunc(append(phone, moved, static), func(b *location.Binding) bool { return b.URI == x.Binding.URI })
				if x.Depth != tt.depth+1 || x.By.IsValid() == registered {
					t.Errorf("%s: got depth %d, named by %v; want depth %d, and a name only for who is not registered", x.Binding.URI, x.Depth, x.By, tt.depth+1)
				}
			}
			if len(d.Trace.Steps()) == 0 {
				t.Error("the decision gives no reason")
			}
		})
	}
}

// TestRecurseIsBounded: the target set has its maximum, and the best contacts have the room.
func TestRecurseIsBounded(t *testing.T) {
	tabs := tables(t, contacts{}, map[string]string{"ProxyRecursion": "true"})
	uri := parse(t, "sip:bob@example.org")
	owner := tabs.User([]byte("bob@example.org"))
	from := Target{Binding: numericContact("sip:b@10.0.0.11", 1000), Owner: owner}
	r := Redirection{URI: &uri, From: from, Source: netip.MustParseAddr("10.0.0.11"), Set: []Target{from}}
	for i := range 2 * maxTargets {
		r.Contacts = append(r.Contacts, Contact{URI: parse(t, fmt.Sprintf("sip:x@10.0.1.%d", i)), Q: i})
	}
	var d Decision
	Recurse(tabs, &r, now, &d)
	if len(d.Targets) != maxTargets-1 || r.Contacts[0].Followed || !r.Contacts[2*maxTargets-1].Followed {
		t.Errorf("got %d targets, want %d, the best", len(d.Targets), maxTargets-1)
	}
}

// TestDisposition reads Request-Disposition (RFC 3841 9.1).
func TestDisposition(t *testing.T) {
	for _, tt := range []struct {
		words string
		want  Disposition
	}{
		{"", 0},
		{"proxy", WantProxy},
		{"Redirect", WantRedirect},
		{"cancel fork recurse parallel queue", WantCancel | WantFork | WantRecurse | Parallel | WantQueue},
		{"no-cancel no-fork no-recurse sequential no-queue", NoCancel | NoFork | NoRecurse | Sequential | NoQueue},
		{"proxy redirect proxy", WantProxy},
		{"sequential parallel", Sequential},
		{"proxied no_fork \"proxy\"", 0},
	} {
		var d Disposition
		for _, w := range strings.Fields(tt.words) {
			d.Add([]byte(w))
		}
		if d != tt.want {
			t.Errorf("%q: got %b, want %b", tt.words, d, tt.want)
		}
	}
}

// TestDecideByDisposition: what a caller's wishes change (RFC 3841 9.1, 7.1).
func TestDecideByDisposition(t *testing.T) {
	three := []*location.Binding{numericContact("sip:b@10.0.0.11", 1000), numericContact("sip:b@10.0.0.12", 990), numericContact("sip:b@10.0.0.13", 500)}
	moved := numericContact("sip:b@10.0.0.14", 1000)
	moved.Action = uint8(store.Redirect)
	for _, tt := range []struct {
		name   string
		wish   Disposition
		proven bool
		list   []*location.Binding
		set    map[string]string
		want   string
	}{
		{"nothing", 0, false, three, nil, "proxy 0 0:b@10.0.0.11 0:b@10.0.0.12 1:b@10.0.0.13"},
		{"no-fork", NoFork, false, three, nil, "proxy 0 0:b@10.0.0.11"},
		{"sequential", Sequential, false, three, nil, "proxy 0 0:b@10.0.0.11 1:b@10.0.0.12 2:b@10.0.0.13"},
		{"parallel", Parallel, false, three, nil, "proxy 0 0:b@10.0.0.11 0:b@10.0.0.12 0:b@10.0.0.13"},
		{"proxy", WantProxy, false, []*location.Binding{moved}, nil, "proxy 0 0:b@10.0.0.14"},
		{"proxy, a redirect server", WantProxy, false, three[:1], map[string]string{"DefaultReg": "redirect"}, "proxy 0 0:b@10.0.0.11"},
		{"redirect, proven", WantRedirect | NoFork | Sequential, true, three, nil, "redirect 302 0:b@10.0.0.11 0:b@10.0.0.12 0:b@10.0.0.13"},
		{"redirect, a stranger", WantRedirect | NoFork, false, three, nil, "proxy 0 0:b@10.0.0.11"},
		{"redirect, nobody has to prove anything", WantRedirect, false, three[:1], map[string]string{"AuthMethod": "none"}, "redirect 302 0:b@10.0.0.11"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tabs := tables(t, contacts{"bob@example.org": tt.list}, tt.set)
			uri, from := parse(t, "sip:bob@example.org"), parse(t, "sip:y@elsewhere.net")
			f := Facts{URI: &uri, From: &from, Disposition: tt.wish}
			if tt.proven {
				f.Verdict = Authenticated
			}
			var d Decision
			Decide(tabs, &f, now, &d)
			if got := summary(&d); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			Decide(tabs, &Facts{URI: &uri, From: &from}, now, &d)
			if d.Disposition != 0 {
				t.Errorf("got %b left over for the next decision, want none", d.Disposition)
			}
		})
	}
}

// TestContactsByName: what becomes of a contact in another domain (BEHAVIOUR B37).
func TestContactsByName(t *testing.T) {
	registered := location.Binding{URI: "sip:b@elsewhere.net", Q: 1000, Expires: location.At(now.AddDate(1, 0, 0)), Source: netip.MustParseAddrPort("10.0.0.11:5060")}
	static, path, tel, unknown := registered, registered, registered, registered
	static.Expires = 0
	path.Path = []string{"<sip:edge.net;lr>"}
	tel.URI = "tel:+1212"
	unknown.URI = "sip:nobody@example.org"
	for _, tt := range []struct {
		name    string
		binding location.Binding
		foreign string
		noNames bool
		want    string
	}{
		{"proxy", registered, "proxy", false, "proxy 0 0:b@elsewhere.net"},
		{"redirect", registered, "redirect", false, "redirect 302 0:b@elsewhere.net"},
		{"reject", registered, "reject", false, "reject 480"},
		{"names cannot be looked up", registered, "proxy", true, "reject 480"},
		{"written by an administrator", static, "reject", false, "proxy 0 0:b@elsewhere.net"},
		{"behind an edge proxy", path, "reject", false, "proxy 0 0:b@elsewhere.net"},
		{"tel", tel, "proxy", false, "reject 480"},
		{"nobody here", unknown, "proxy", false, "reject 480"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tabs := tables(t, contacts{"bob@example.org": {&tt.binding}}, map[string]string{"ForeignDomain": tt.foreign})
			tabs.Names = !tt.noNames
			uri, from := parse(t, "sip:bob@example.org"), parse(t, "sip:y@elsewhere.net")
			var d Decision
			Decide(tabs, &Facts{URI: &uri, From: &from}, now, &d)
			if got := summary(&d); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestNumeric(t *testing.T) {
	for _, tt := range []struct{ uri, addr, transport, want string }{
		{"sip:b@h.net", "10.0.0.1:5060", "", "sip:b@10.0.0.1"},
		{"sip:b@h.net", "10.0.0.1:5070", "", "sip:b@10.0.0.1:5070"},
		{"sip:b@h.net:5060", "10.0.0.1:5060", "", "sip:b@10.0.0.1:5060"},
		{"sip:h.net", "10.0.0.1:5060", "tcp", "sip:10.0.0.1;transport=tcp"},
		{"sip:b@h.net;transport=TCP;x=y", "10.0.0.1:5060", "tcp", "sip:b@10.0.0.1;transport=TCP;x=y"},
		{"sip:b:secret@h.net;user=phone?Subject=a%20b", "[2001:db8::1]:5062", "tcp", "sip:b:secret@[2001:db8::1]:5062;user=phone;transport=tcp?Subject=a%20b"},
		{"sip:b@h.net", "[2001:db8::1]:5060", "", "sip:b@[2001:db8::1]"},
		{"sip:b@h.net", "[::ffff:10.0.0.1]:5060", "", "sip:b@10.0.0.1"},
		{"sip:b@h.net;maddr=other.net", "10.0.0.1:5060", "", "sip:b@h.net;maddr=other.net"},
		{"sips:b@h.net", "10.0.0.1:5061", "", "sips:b@h.net"},
		{"tel:+1212", "10.0.0.1:5060", "", "tel:+1212"},
	} {
		b := &location.Binding{URI: tt.uri, Q: 500}
		x := Target{Binding: b}
		x.Numeric(netip.MustParseAddrPort(tt.addr), tt.transport)
		if x.Binding.URI != tt.want || x.Binding.Q != 500 {
			t.Errorf("%s: got %s, want %s", tt.uri, x.Binding.URI, tt.want)
		}
		if b.URI != tt.uri {
			t.Errorf("%s: the published binding was changed to %s", tt.uri, b.URI)
		}
		if _, err := sipaddr.Parse([]byte(x.Binding.URI)); err != nil {
			t.Errorf("%s is no URI: %v", x.Binding.URI, err)
		}
	}
}
