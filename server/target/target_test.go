package target

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"sipd/config"
	"sipd/location"
	"sipd/sipaddr"
	"sipd/store"
	"sipd/store/cache"
)

var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// contacts is a location service that a test writes down.
type contacts map[string][]*location.Binding

func (c contacts) Bindings(aor []byte) []*location.Binding { return c[string(aor)] }

// numericContact is a live contact whose next hop is known.
func numericContact(uri string, q int) *location.Binding {
	b := &location.Binding{URI: uri, Q: q, Expires: location.At(now.Add(time.Hour))}
	u, err := sipaddr.Parse([]byte(uri))
	if err != nil {
		panic(err)
	}
	if a, ok := u.Addr(); ok {
		b.Next = addrPort(a, u.Port)
	}
	return b
}

// behindNAT is a contact with a private address, registered from source.
func behindNAT(source string) *location.Binding {
	b := numericContact("sip:b@192.168.1.2", 1000)
	b.ByFlow, b.Source = true, netip.MustParseAddrPort(source)
	return b
}

func tables(t *testing.T, loc contacts, settings map[string]string) Tables {
	t.Helper()
	set, err := config.New(settings, nil)
	if err != nil {
		t.Fatal(err)
	}
	snap, err := cache.Build(store.Tables{
		Domains: []store.Domain{
			{ID: 1, Name: "example.org"},
			{ID: 2, Name: "10.0.0.1", Kind: store.IP, Canonical: "example.org"},
			{ID: 3, Name: "127.0.0.1", Kind: store.IP, Canonical: "example.org"},
		},
		Users: []store.User{
			{ID: 1, Key: "alice@example.org", Realm: "example.org"},
			{ID: 2, Key: "bob@example.org", Realm: "example.org", AuthPolicy: store.Never},
			{ID: 3, Key: "carol@example.org", Realm: "example.org", AuthPolicy: store.Requested},
			{ID: 4, Key: "gone@example.org", Realm: "example.org", AuthPolicy: store.Never, Disabled: true},
			{ID: 5, Key: "moved@example.org", Realm: "example.org", AuthPolicy: store.Never, DefaultAction: store.Redirect},
		},
		Aliases: []store.Alias{
			{ID: 1, Alias: "robert@example.org", PrimaryUser: "bob@example.org"},
			{ID: 2, Alias: "smith@example.org", PrimaryUser: "bob@example.org"},
			{ID: 3, Alias: "smith@example.org", PrimaryUser: "moved@example.org"},
			{ID: 4, Alias: "desk@example.org", PrimaryUser: "bob@example.org", Kind: store.Group},
			{ID: 5, Alias: "desk@example.org", PrimaryUser: "moved@example.org", Kind: store.Group},
			{ID: 6, Alias: "ghost@example.org", PrimaryUser: "gone@example.org"},
		},
	}, set)
	if err != nil {
		t.Fatal(err)
	}
	return Tables{Snapshot: snap, Location: loc}
}

// summary is a decision in one line.
func summary(d *Decision) string {
	s := fmt.Sprintf("%s %d", [...]string{"reject", "challenge", "proxy", "redirect"}[d.Kind], d.Status)
	for _, x := range d.Targets {
		if x.Binding == nil {
			s += fmt.Sprintf(" %d:onward", x.Group)
			continue
		}
		s += fmt.Sprintf(" %d:%s", x.Group, strings.TrimPrefix(x.Binding.URI, "sip:"))
	}
	for _, x := range d.Redirect {
		s += " or:" + strings.TrimPrefix(x.Binding.URI, "sip:")
	}
	for _, a := range d.AORs {
		s += " " + string(a)
	}
	return s
}

func TestDecide(t *testing.T) {
	one := []*location.Binding{numericContact("sip:b@10.0.0.11", 1000)}
	redirecting := numericContact("sip:b@10.0.0.12", 500)
	redirecting.Action = uint8(store.Redirect)
	expired := numericContact("sip:b@10.0.0.13", 1000)
	expired.Expires = location.At(now)
	loc := contacts{"bob@example.org": one, "alice@example.org": one, "carol@example.org": one, "moved@example.org": {numericContact("sip:m@10.0.0.14", 1000)}}
	for _, tt := range []struct {
		name      string
		uri, from string
		verdict   Verdict
		as        string
		own       bool
		inDialog  bool
		loc       contacts
		set       map[string]string
		want      string
	}{
		{name: "foreign Request-URI and From", uri: "sip:x@elsewhere.net", from: "sip:y@elsewhere.net", want: "reject 403"},
		{name: "foreign Request-URI of ours", uri: "sip:x@elsewhere.net", from: "sip:alice@example.org", want: "challenge 407"},
		{name: "of one who never authenticates", uri: "sip:x@elsewhere.net", from: "sip:bob@example.org", want: "challenge 407"},
		{name: "foreign Request-URI, proven", uri: "sip:x@elsewhere.net", from: "sip:alice@example.org", verdict: Authenticated, as: "alice@example.org", want: "proxy 0 0:onward"},
		{name: "foreign Request-URI, somebody else's From", uri: "sip:x@elsewhere.net", from: "sip:alice@example.org", verdict: Authenticated, as: "bob@example.org", want: "reject 403"},
		{name: "foreign Request-URI, AuthMethod none", uri: "sip:x@elsewhere.net", from: "sip:alice@example.org", set: map[string]string{"AuthMethod": "none"}, want: "proxy 0 0:onward"},
		{name: "ForeignDomain redirect", uri: "sip:x@elsewhere.net", from: "sip:alice@example.org", verdict: Authenticated, as: "alice@example.org", set: map[string]string{"ForeignDomain": "redirect"}, want: "redirect 302 0:x@elsewhere.net"},
		{name: "ForeignDomain reject", uri: "sip:x@elsewhere.net", from: "sip:alice@example.org", verdict: Authenticated, as: "alice@example.org", set: map[string]string{"ForeignDomain": "reject"}, want: "reject 403"},
		{name: "tel is for the home domain", uri: "tel:+1212", from: "sip:y@elsewhere.net", want: "challenge 407"},
		{name: "a phone on our address is foreign", uri: "sip:x@127.0.0.1:6070", from: "sip:y@elsewhere.net", want: "reject 403"},
		{name: "our address with our port", uri: "sip:bob@127.0.0.1:5060", own: true, from: "sip:y@elsewhere.net", want: "proxy 0 0:b@10.0.0.11"},
		{name: "our address without row", uri: "sip:bob@10.9.9.9", own: true, from: "sip:y@elsewhere.net", want: "proxy 0 0:b@10.0.0.11"},
		{name: "maddr elsewhere", uri: "sip:bob@example.org;maddr=10.0.0.66", from: "sip:y@elsewhere.net", want: "reject 403"},
		{name: "maddr is a domain of ours", uri: "sip:bob@example.org;maddr=example.org", from: "sip:y@elsewhere.net", want: "proxy 0 0:b@10.0.0.11"},
		{name: "maddr is a listener", uri: "sip:bob@example.org;maddr=10.9.9.9", own: true, from: "sip:y@elsewhere.net", want: "proxy 0 0:b@10.0.0.11"},
		{name: "foreign host, maddr is a listener", uri: "sip:bob@elsewhere.net;maddr=10.9.9.9", own: true, from: "sip:y@elsewhere.net", want: "reject 403"},
		{name: "sips is not for a sip contact", uri: "sips:bob@example.org", from: "sip:y@elsewhere.net", want: "reject 480"},
		{name: "sips is for a sips contact", uri: "sips:bob@example.org", from: "sip:y@elsewhere.net", loc: contacts{"bob@example.org": {one[0], numericContact("SIPS:b@10.0.0.12", 1000)}}, want: "proxy 0 0:SIPS:b@10.0.0.12"},
		{name: "host in capitals, escaped user", uri: "sip:b%6Fb@EXAMPLE.org.", from: "sip:y@elsewhere.net", want: "proxy 0 0:b@10.0.0.11"},
		{name: "user in other case is another", uri: "sip:Bob@example.org", from: "sip:y@elsewhere.net", want: "challenge 407"},

		{name: "local From must be proven", uri: "sip:bob@example.org", from: "sip:alice@example.org", want: "challenge 407"},
		{name: "unknown local From likewise", uri: "sip:bob@example.org", from: "sip:nobody@example.org", want: "challenge 407"},
		{name: "From with a port is as local", uri: "sip:bob@example.org", from: "sip:alice@10.0.0.1:9999", want: "challenge 407"},
		{name: "bad credentials", uri: "sip:bob@example.org", from: "sip:alice@example.org", verdict: BadCredentials, want: "challenge 407"},
		{name: "proven and owned", uri: "sip:bob@example.org", from: "sip:alice@example.org", verdict: Authenticated, as: "alice@example.org", want: "proxy 0 0:b@10.0.0.11"},
		{name: "proven but not owned", uri: "sip:bob@example.org", from: "sip:alice@example.org", verdict: Authenticated, as: "carol@example.org", want: "reject 403"},
		{name: "an alias may be From", uri: "sip:alice@example.org", from: "sip:robert@example.org", verdict: Authenticated, as: "bob@example.org", want: "proxy 0 0:b@10.0.0.11"},
		{name: "never covers the caller too", uri: "sip:moved@example.org", from: "sip:bob@example.org", want: "redirect 302 0:m@10.0.0.14"},
		{name: "never of a disabled user covers nobody", uri: "sip:bob@example.org", from: "sip:gone@example.org", want: "challenge 407"},
		{name: "AuthMethod none", uri: "sip:alice@example.org", from: "sip:nobody@example.org", set: map[string]string{"AuthMethod": "none"}, want: "proxy 0 0:b@10.0.0.11"},

		{name: "required callee", uri: "sip:alice@example.org", from: "sip:y@elsewhere.net", want: "challenge 407"},
		{name: "unknown callee looks the same", uri: "sip:nobody@example.org", from: "sip:y@elsewhere.net", want: "challenge 407"},
		{name: "unknown callee, known caller", uri: "sip:nobody@example.org", from: "sip:bob@example.org", verdict: Authenticated, as: "bob@example.org", want: "reject 404"},
		{name: "disabled callee, known caller", uri: "sip:gone@example.org", from: "sip:bob@example.org", verdict: Authenticated, as: "bob@example.org", want: "reject 404"},
		{name: "requested callee, nothing sent", uri: "sip:carol@example.org", from: "sip:y@elsewhere.net", want: "proxy 0 0:b@10.0.0.11"},
		{name: "requested callee, wrong secret", uri: "sip:carol@example.org", from: "sip:y@elsewhere.net", verdict: BadCredentials, want: "proxy 0 0:b@10.0.0.11"},
		{name: "in a dialog nobody is asked", uri: "sip:alice@example.org", from: "sip:y@elsewhere.net", inDialog: true, want: "proxy 0 0:b@10.0.0.11"},

		{name: "alias", uri: "sip:robert@example.org", from: "sip:y@elsewhere.net", want: "proxy 0 0:b@10.0.0.11"},
		{name: "ambiguous alias", uri: "sip:smith@example.org", from: "sip:y@elsewhere.net", want: "reject 485"},
		{name: "ambiguous alias, shown", uri: "sip:smith@example.org", from: "sip:y@elsewhere.net", set: map[string]string{"DisplayAmbiguous": "true"}, want: "reject 485 bob@example.org moved@example.org"},
		{name: "ambiguous alias, hidden", uri: "sip:smith@example.org", from: "sip:y@elsewhere.net", set: map[string]string{"AmbiguousStatus": "404", "DisplayAmbiguous": "true"}, want: "reject 404"},
		{name: "group", uri: "sip:desk@example.org", from: "sip:y@elsewhere.net", want: "proxy 0 0:b@10.0.0.11 or:m@10.0.0.14"},
		{name: "alias of a disabled user", uri: "sip:ghost@example.org", from: "sip:bob@example.org", verdict: Authenticated, as: "bob@example.org", want: "reject 404"},

		{name: "no contact", uri: "sip:bob@example.org", from: "sip:y@elsewhere.net", loc: contacts{}, want: "reject 480"},
		{name: "expired contact", uri: "sip:bob@example.org", from: "sip:y@elsewhere.net", loc: contacts{"bob@example.org": {expired}}, want: "reject 480"},
		{name: "contact with a name", uri: "sip:bob@example.org", from: "sip:y@elsewhere.net", loc: contacts{"bob@example.org": {numericContact("sip:b@phone.example.net", 1000)}}, want: "reject 480"},
		{name: "contact is a local user", uri: "sip:bob@example.org", from: "sip:y@elsewhere.net", loc: contacts{"bob@example.org": {numericContact("sip:alice@example.org", 1000)}, "alice@example.org": one}, want: "proxy 0 0:b@10.0.0.11"},
		{name: "contacts in a circle", uri: "sip:bob@example.org", from: "sip:y@elsewhere.net", loc: contacts{"bob@example.org": {numericContact("sip:alice@example.org", 1000)}, "alice@example.org": {numericContact("sip:bob@example.org", 1000)}}, want: "reject 480"},
		{name: "contact is a user at our address", uri: "sip:bob@example.org", from: "sip:y@elsewhere.net", loc: contacts{"bob@example.org": {numericContact("sip:alice@10.9.9.9", 1000)}, "alice@example.org": one}, want: "proxy 0 0:b@10.0.0.11"},
		{name: "contact is nobody at our address", uri: "sip:bob@example.org", from: "sip:y@elsewhere.net", loc: contacts{"bob@example.org": {numericContact("sip:nobody@10.9.9.9", 1000)}}, want: "reject 480"},
		{name: "contact at our address, another port", uri: "sip:bob@example.org", from: "sip:y@elsewhere.net", loc: contacts{"bob@example.org": {numericContact("sip:alice@10.9.9.9:5070", 1000)}}, want: "proxy 0 0:alice@10.9.9.9:5070"},
		{name: "group with one phone", uri: "sip:desk@example.org", from: "sip:y@elsewhere.net", loc: contacts{"bob@example.org": one, "moved@example.org": {numericContact("sip:b@10.0.0.11;line=2", 1000)}}, want: "proxy 0 0:b@10.0.0.11"},
		{name: "group with two phones at one private address", uri: "sip:desk@example.org", from: "sip:y@elsewhere.net", set: map[string]string{"DefaultReg": "proxy"}, loc: contacts{"bob@example.org": {behindNAT("198.51.100.1:5060")}, "carol@example.org": {behindNAT("198.51.100.2:5060")}, "moved@example.org": {numericContact("sip:alice@example.org", 1000)}, "alice@example.org": {behindNAT("198.51.100.2:5060")}}, want: "proxy 0 0:b@192.168.1.2 0:b@192.168.1.2"},
		{name: "contact action redirect", uri: "sip:bob@example.org", from: "sip:y@elsewhere.net", loc: contacts{"bob@example.org": {redirecting}}, want: "redirect 302 0:b@10.0.0.12"},
		{name: "DefaultReg redirect", uri: "sip:bob@example.org", from: "sip:y@elsewhere.net", set: map[string]string{"DefaultReg": "redirect"}, want: "redirect 302 0:b@10.0.0.11"},
		{name: "the best group's action decides", uri: "sip:bob@example.org", from: "sip:y@elsewhere.net", loc: contacts{"bob@example.org": {redirecting, one[0]}}, want: "proxy 0 0:b@10.0.0.11 or:b@10.0.0.12"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.loc == nil {
				tt.loc = loc
			}
			tabs := tables(t, tt.loc, tt.set)
			tabs.Own = func(a netip.AddrPort) bool { return a == netip.MustParseAddrPort("10.9.9.9:5060") }
			uri, from := parse(t, tt.uri), parse(t, tt.from)
			f := &Facts{Method: []byte("INVITE"), URI: &uri, From: &from, OwnURI: tt.own, Verdict: tt.verdict, InDialog: tt.inDialog}
			if tt.as != "" {
				if f.User = tabs.User([]byte(tt.as)); !f.User.Exists() {
					t.Fatalf("no user %s", tt.as)
				}
			}
			var d Decision
			Decide(tabs, f, now, &d)
			if got := summary(&d); got != tt.want {
				var why strings.Builder
				d.Trace.Print(&why)
				t.Errorf("got %s, want %s\n%s", got, tt.want, &why)
			}
			if len(d.Trace.Steps()) == 0 {
				t.Error("the decision gives no reason")
			}
		})
	}
}

// TestGroups: within 0.05 of the group's best, inclusive, not transitive (BEHAVIOUR I1).
func TestGroups(t *testing.T) {
	for _, tt := range []struct {
		q    []int
		want []int
	}{
		{[]int{1000, 1000}, []int{0, 0}},
		{[]int{1000, 950}, []int{0, 0}},
		{[]int{1000, 949}, []int{0, 1}},
		{[]int{1000, 960, 920}, []int{0, 0, 1}},
		{[]int{500, 1000, 970}, []int{0, 0, 1}},
		{[]int{0, 50, 100, 1000}, []int{0, 1, 1, 2}},
	} {
		var list []*location.Binding
		for i, q := range tt.q {
			list = append(list, numericContact(fmt.Sprintf("sip:b@10.0.0.%d", 11+i), q))
		}
		tabs := tables(t, contacts{"bob@example.org": list}, nil)
		uri, from := parse(t, "sip:bob@example.org"), parse(t, "sip:y@elsewhere.net")
		var d Decision
		Decide(tabs, &Facts{URI: &uri, From: &from}, now, &d)
		var got []int
		for i, x := range d.Targets {
			got = append(got, x.Group)
			if i > 0 && x.Binding.Q > d.Targets[i-1].Binding.Q {
				t.Errorf("%v: not in order of q", tt.q)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("q %v: got groups %v, want %v", tt.q, got, tt.want)
		}
	}
}

func TestDecideAllocatesNothing(t *testing.T) {
	tabs := tables(t, contacts{"bob@example.org": {numericContact("sip:b@10.0.0.11", 1000)}}, nil)
	uri, from := parse(t, "sip:bob@example.org"), parse(t, "sip:y@elsewhere.net")
	f := &Facts{URI: &uri, From: &from}
	var d Decision
	Decide(tabs, f, now, &d)
	if n := testing.AllocsPerRun(100, func() { Decide(tabs, f, now, &d) }); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func TestAppendContact(t *testing.T) {
	for q, want := range map[int]string{1000: "<sip:a@h>", 700: "<sip:a@h>;q=0.7", 5: "<sip:a@h>;q=0.005", 0: "<sip:a@h>;q=0"} {
		x := Target{Binding: &location.Binding{URI: "sip:a@h", Q: q}}
		if got := string(x.AppendContact(nil)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func parse(t testing.TB, text string) sipaddr.URI {
	t.Helper()
	u, err := sipaddr.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func addrPort(a netip.Addr, port uint16) netip.AddrPort {
	if port == 0 {
		port = 5060
	}
	return netip.AddrPortFrom(a, port)
}
