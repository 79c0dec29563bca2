package target

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"sipd/location"
	"sipd/plan"
	"sipd/server/gateway"
	"sipd/sipaddr"
	"sipd/store"
	"sipd/trace"
)

// trunks adds gateways by address and by name, and a user w with a class and what he has written.
func trunks(forwards ...string) func(*store.Tables) {
	return func(rows *store.Tables) {
		rows.Plan.Gateways = []store.Gateway{
			{ID: 1, Name: "pstn", URI: "sip:10.0.0.70:5070", Enabled: true},
			{ID: 2, Name: "far", URI: "sip:gw.far.example;transport=tcp", Enabled: true},
			{ID: 3, Name: "off", URI: "sip:[2001:db8::70]"},
			{ID: 4, Name: "local", URI: "sip:127.0.0.1:5090", Enabled: true},
			{ID: 5, Name: "itgw1", URI: "sip:10.0.0.71", Enabled: true},
		}
		for i, to := range forwards {
			rows.Forwards = append(rows.Forwards, store.Forward{UserID: int64(101 + i), Kind: store.ForwardAll, Target: to})
		}
	}
}

// TestPastTheMap: however a URI is written, it leads to no gateway but by the tables of the administrator.
func TestPastTheMap(t *testing.T) {
	tabs := office(t, nil, trunks("sip:+19005551234@10.0.0.70", "sip:+19005551234@GW.far.example."))
	loc := tabs.Location.(contacts)
	byFlow := func(source string, conn uint64) *location.Binding {
		b := behindNAT(source)
		b.Conn = conn
		return b
	}
	static := numericContact("sip:x@10.0.0.70", 1000)
	static.Expires = 0
	path := numericContact("sip:+19005551234@10.9.9.9", 1000)
	path.Path, path.Next = []string{"<sip:10.0.0.70;lr>"}, netip.MustParseAddrPort("10.0.0.70:5060")
	named := *path
	named.Path, named.Next = []string{"<sip:x@gw.far.example;lr>"}, netip.AddrPort{}
	loc["u3@cs.example.edu"] = []*location.Binding{numericContact("sip:+19005551234@10.0.0.70", 1000), numericContact("sip:x@gw.far.example", 900), path, &named}
	loc["u4@cs.example.edu"] = []*location.Binding{byFlow("10.0.0.70:5070", 0)}
	loc["u5@cs.example.edu"] = []*location.Binding{byFlow("10.0.0.70:40000", 0)} // A telephone behind the same NAT.
	loc["u6@cs.example.edu"] = []*location.Binding{byFlow("10.0.0.70:5070", 7)}
	loc["u7@cs.example.edu"] = []*location.Binding{static}
	loc["u8@cs.example.edu"] = []*location.Binding{numericContact("sip:x@127.0.0.1:5091", 1000)} // A program beside the gateway.
	const refused = "reject 403"
	for _, tt := range []struct{ uri, want string }{
		{"sip:+19005551234@10.0.0.70", refused},
		{"sip:+19005551234@10.0.0.70:5070", refused},
		{"sip:+19005551234@10.0.0.70:9;transport=tls", refused},
		{"sips:+19005551234@10.0.0.70", refused},
		{"SIP:10.0.0.70", refused},
		{"sip:+19005551234@[::ffff:10.0.0.70]", refused},
		{"sip:+19005551234@[2001:DB8:0:0::70]", refused},
		{"sip:+19005551234@[64:ff9b::10.0.0.70]", refused},
		{"sip:+19005551234@elsewhere.example;maddr=10.0.0.70", refused},
		{"sip:+19005551234@elsewhere.example;MADDR=gw.far.example", refused},
		{"sip:+19005551234:secret@gw.far.example;user=phone?Route=x", refused},
		{"sip:gw.FAR.example.;lr", refused},
		{"sip:+19005551234@gw.far.example:5099", refused},
		{"sip:90055@gw.example.net", refused}, // Of the gateway map alone.
		{"sip:x@10.0.0.61", refused},
		{"sip:x@192.0.2.196:7", refused},
		{"sip:x@10.0.0.71;transport=udp", refused},
		{"sip:x@127.0.0.1:5090", refused},
		{"sip:x@127.0.0.1:5091", "proxy 0 0:onward"},
		{"sip:x@10.0.0.72", "proxy 0 0:onward"},
		{"sip:x@far.example", "proxy 0 0:onward"},
		{"sip:x@gw.far.example;maddr=192.0.2.3", "proxy 0 0:onward"}, // It goes to 192.0.2.3.
		{"sip:u1@cs.example.edu", "reject 480"},
		{"sip:u2@cs.example.edu", "reject 480"},
		{"sip:u3@cs.example.edu", "reject 480"},
		{"sip:u4@cs.example.edu", "reject 480"},
		{"sip:u5@cs.example.edu", "proxy 0 0:b@192.168.1.2"},
		{"sip:u6@cs.example.edu", "proxy 0 0:b@192.168.1.2"},
		{"sip:u7@cs.example.edu", "proxy 0 0:x@10.0.0.70"},
		{"sip:u8@cs.example.edu", "proxy 0 0:x@127.0.0.1:5091"},
		{"tel:+12125551234", "proxy 0 0:85551234@itgw1.cs.example.edu"},
	} {
		d := dials(t, tabs, tt.uri, "phd")
		if got := summary(d); got != tt.want {
			t.Errorf("%s: got %s, want %s\n%s", tt.uri, got, tt.want, why(d))
		}
		if tt.want == refused && !strings.Contains(why(d), "past the gateway map") {
			t.Errorf("%s: the trace does not say why:\n%s", tt.uri, why(d))
		}
	}
	for _, mode := range []string{"redirect", "reject"} {
		if got := summary(dials(t, office(t, map[string]string{"ForeignDomain": mode}, trunks()), "sip:x@10.0.0.70", "phd")); got != refused {
			t.Errorf("ForeignDomain %s: got %s, want %s", mode, got, refused)
		}
	}
	if got := summary(dials(t, office(t, map[string]string{"AllowedNextHops": "10.0.0.70:5070"}, trunks()), "sip:x@10.0.0.70:5070", "phd")); got != "proxy 0 0:onward" {
		t.Errorf("opened: got %s, want proxy", got)
	}
	// Strangers are not told where the gateways are.
	if got := summary(dials(t, tabs, "sip:x@10.0.0.70", "-")); got != summary(dials(t, tabs, "sip:x@10.0.0.72", "-")) {
		t.Errorf("a stranger: got %s, and something else for another address", got)
	}
}

func why(d *Decision) string {
	var s strings.Builder
	d.Trace.Print(&s)
	return s.String()
}

// TestRecursionToGateways: a 3xx leads to no gateway, and whoever is no telephone of the owner's cannot have him pay for a number.
func TestRecursionToGateways(t *testing.T) {
	tabs := office(t, map[string]string{"ProxyRecursion": "true"}, trunks())
	owner := tabs.User([]byte("phd@cs.example.edu"))
	phone := Target{Binding: numericContact("sip:phd@10.0.1.99", 1000), Owner: owner}
	elsewhere := Target{Binding: &location.Binding{URI: "sip:x@other.example", Q: maxQ}, Owner: owner, By: byUser}
	for _, tt := range []struct {
		name    string
		from    Target
		contact string
		want    string
	}{
		{"number", phone, "tel:+12125551234", "proxy 0 0:85551234@itgw1.cs.example.edu"},
		{"number, by the dial plan", phone, "sip:95551234@cs.example.edu", "proxy 0 0:85551234@itgw1.cs.example.edu"},
		{"gateway", phone, "sip:+19005551234@10.0.0.70", "reject 0"},
		{"gateway by name", phone, "sip:+19005551234@gw.far.example", "reject 0"},
		{"number, from elsewhere", elsewhere, "tel:+12125551234", "reject 0"},
		{"number, from elsewhere, by the dial plan", elsewhere, "sip:95551234@cs.example.edu", "reject 0"},
		{"user, from elsewhere", elsewhere, "sip:u1@cs.example.edu", "proxy 0 0:u1@10.0.1.1"},
	} {
		u := parse(t, "sip:phd@cs.example.edu")
		r := Redirection{URI: &u, From: tt.from, Source: netip.MustParseAddr("10.0.1.99"), Set: []Target{tt.from}, Contacts: []Contact{{URI: parse(t, tt.contact), Q: maxQ}}}
		var d Decision
		Recurse(tabs, &r, now, &d)
		if got := summary(&d); got != tt.want || r.Contacts[0].Followed != (d.Kind == Proxy) {
			t.Errorf("%s: got %s, followed %v, want %s\n%s", tt.name, got, r.Contacts[0].Followed, tt.want, why(&d))
		}
	}
}

// TestForwardsToTheirGroup: a thousand people whose calls are all forwarded to the group that they are in are a mistake that costs little.
func TestForwardsToTheirGroup(t *testing.T) {
	const people = 1000
	tabs := office(t, nil, func(rows *store.Tables) {
		for i := range people {
			key := sipaddr.AOR(fmt.Sprintf("m%d@cs.example.edu", i))
			rows.Users = append(rows.Users, store.User{ID: int64(1000 + i), Key: key, Realm: "cs.example.edu", AuthPolicy: store.Never})
			rows.Aliases = append(rows.Aliases, store.Alias{ID: int64(1000 + i), Alias: "all@cs.example.edu", PrimaryUser: key, Kind: store.Group})
			rows.Forwards = append(rows.Forwards, store.Forward{UserID: int64(1000 + i), Target: "sip:all@cs.example.edu"})
		}
	})
	var d *Decision
	allocs := testing.AllocsPerRun(1, func() { d = dials(t, tabs, "sip:all@cs.example.edu", "-") })
	if got := summary(d); got != "reject 480" {
		t.Errorf("got %s, want reject 480", got)
	}
	if d.lookups > maxLookups+len(d.visited) || len(d.visited) > maxMembers || allocs > 5000 {
		t.Errorf("got %d look-ups of %d people with %v allocations, want no more than %d of %d", d.lookups, len(d.visited), allocs, maxLookups, maxMembers)
	}
}

// pick returns one of a list.
func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

// randomURI is something that a caller, a telephone or a user may write.
func randomURI(r *rand.Rand) string {
	number := pick(r, "+12125551234", "+1-212-555-1234", "%2B12125551234", "95551234", "911", "112", "7042", "4711", "+442079460000", "+", "u1", "u2", "u9", "all", "in-turn",
		"phd", "student", "null", "hgs", "gone", "nobody", "1%32", "a%40b", "%00", "x%0d%0a", "*67", "+3312345", "9011442079460000", strings.Repeat("1", 140), "7155;ext=1", "5551234;phone-context=+1212")
	if r.IntN(5) == 0 {
		return pick(r, "tel:", "TEL:") + number + pick(r, "", ";phone-context=+1", ";phone-context=cs.example.edu", ";isub=1", ";phone-context=other.example")
	}
	host := pick(r, "cs.example.edu", "cs.example.edu", "cs.example.edu", "cs.example.edu", "www.CS.example.edu.", "10.0.0.70", "10.0.0.70:5070", "gw.far.example", "pstn", "[2001:db8::70]",
		"other.example", "192.0.2.9", "127.0.0.1:5090", "10.0.0.61", "192.0.2.91")
	return pick(r, "sip:", "sip:", "sips:", "SIP:") + number + pick(r, "@", "@", "@", ":pw@") + host + pick(r, "", "", ";user=phone", ";maddr=10.0.0.70", ";transport=tcp", ";lr?Route=x", ";maddr=cs.example.edu")
}

// randomCampus are tables of many things that lead to one another, good and bad.
func randomCampus(t testing.TB, r *rand.Rand) Tables {
	set := map[string]string{
		"GatewayClassOf": pick(r, "owner", "owner", "caller"), "ForeignDomain": pick(r, "proxy", "proxy", "redirect", "reject"), "LocalNets": "10.9.0.0/16",
		"DefaultReg": pick(r, "proxy", "redirect"), "AuthMethod": pick(r, "digest", "digest", "digest", "none"), "ProxyRecursion": "true",
	}
	tabs := office(t, set, func(rows *store.Tables) {
		trunks()(rows)
		for i := range rows.Plan.DialRules {
			rows.Plan.DialRules[i].ID += 1000 // Told apart from those of the gateway map.
		}
		for i := range rows.Users {
			if u := &rows.Users[i]; u.ID > 100 {
				u.AuthPolicy, u.DefaultAction = pick(r, store.Never, store.Never, store.Required), pick(r, store.NoAction, store.Proxy, store.Redirect)
				u.Disabled = r.IntN(9) == 0
				for _, kind := range []store.ForwardKind{store.ForwardAll, store.ForwardBusy, store.ForwardNoAnswer, store.ForwardOffline} {
					fw := store.Forward{UserID: u.ID, User: u.Key, Kind: kind, Target: randomURI(r)}
					if r.IntN(4) == 0 && fw.Check() == nil {
						rows.Forwards = append(rows.Forwards, fw)
					}
				}
			}
		}
		for i := range 1 + r.IntN(9) {
			key := sipaddr.AOR(fmt.Sprintf("u%d@cs.example.edu", i+1))
			rows.Aliases = append(rows.Aliases,
				store.Alias{ID: int64(100 + i), Alias: "all@cs.example.edu", PrimaryUser: key, Kind: store.Group, Delay: r.IntN(2)},
				store.Alias{ID: int64(200 + i), Alias: "in-turn@cs.example.edu", PrimaryUser: key, Kind: store.Group, RingMode: store.Serial},
				store.Alias{ID: int64(300 + i), Alias: "4711@cs.example.edu", PrimaryUser: key})
		}
		rows.Plan.DialRules = append(rows.Plan.DialRules, store.DialRule{ID: 2000, Position: 2000, Pattern: "112", Target: pick(r, "tel:+1911", "sip:all@cs.example.edu", "sip:$@10.0.0.70"), Emergency: true, Enabled: true})
		rows.Plan.GatewayRules = append(rows.Plan.GatewayRules, store.GatewayRule{ID: 90, Position: 90, Pattern: "(+1)911", Classes: "admin", Target: "sip:$@pstn", Enabled: true},
			store.GatewayRule{ID: 91, Position: 90, Pattern: "(+1)*", Classes: "admin,phd", Target: "sip:$@far", Enabled: true})
	})
	loc := tabs.Location.(contacts)
	for i := 1; i <= 9; i++ {
		key := fmt.Sprintf("u%d@cs.example.edu", i)
		for range r.IntN(12) {
			uri := randomURI(r)
			u, err := sipaddr.Parse([]byte(uri))
			if err != nil {
				continue
			}
			b := &location.Binding{URI: uri, Q: r.IntN(1001), Expires: location.At(now.Add(time.Hour))}
			if to, ok := u.AddrPort(); ok {
				b.Next = to
			}
			loc[key] = append(loc[key], b)
		}
	}
	tabs.Enum, tabs.Locator, tabs.Names = r.IntN(2) == 0, r.IntN(2) == 0, r.IntN(4) > 0
	if r.IntN(2) == 0 {
		tabs.Order = func(dst []int, group []gateway.Member, _ time.Time, _ *trace.Trace) []int {
			for i := range group {
				if r.IntN(4) > 0 {
					dst = append(dst, i)
				}
			}
			return dst
		}
	}
	return tabs
}

// sound checks what must hold of every decision.
func sound(t testing.TB, tabs Tables, f *Facts, d *Decision, rules map[int64]store.GatewayRule) {
	fail := func(what string, arg any) {
		t.Helper()
		t.Fatalf("%s of %s, %v: %s: %v\n%s", f.URI.Text, f.From.Text, f.Verdict, what, arg, why(d))
	}
	if len(why(d)) == 0 {
		fail("no trace", d.Kind)
	}
	if n := len(d.Targets) + len(d.Redirect); n > maxTargets {
		fail("too many targets", n)
	}
	if d.Kind == Proxy && len(d.Targets)+len(d.Redirect) == 0 || d.Kind == Reject && d.Status < 400 && d.Status != 0 {
		fail("no decision", d.Status)
	}
	all := slices.Concat(d.Targets, d.Redirect)
	for i := range all {
		all = append(all, all[i].Else...)
	}
	for i := range all {
		x := &all[i]
		if x.Rule == 0 {
			u := *f.URI
			if x.Binding != nil {
				u = parse(t, x.Binding.URI)
			}
			if tabs.Plan().Fence().Leads(&u) && (x.Binding == nil || !x.Binding.Static()) {
				fail("a gateway past the gateway map", string(u.Text))
			}
			continue
		}
		if d.Kind == Redirect || slices.ContainsFunc(d.Redirect, func(y Target) bool { return y.Rule != 0 }) {
			fail("the caller is sent to a gateway", x.Binding.URI)
		}
		rule, is := rules[x.Rule]
		if !is || d.free { // Of the dial plan, or an emergency call.
			continue
		}
		class := d.class
		if x.Owner.Exists() && tabs.Settings.GatewayClassOf == "owner" {
			class = tabs.Class(x.Owner)
		}
		if class == "" || rule.Classes != "*" && !slices.Contains(strings.Split(rule.Classes, ","), class) {
			fail("rule "+rule.Pattern+" for "+rule.Classes+" used by class", class)
		}
	}
}

// decideAtRandom makes tables, asks n questions of them, and checks the answers.
func decideAtRandom(t testing.TB, r *rand.Rand, n int, uri string) (dialled int) {
	tabs := randomCampus(t, r)
	rules := map[int64]store.GatewayRule{}
	for _, rule := range tabs.Plan().Rows().GatewayRules {
		rules[rule.ID] = rule
	}
	var d Decision
	for i := range n {
		if i > 0 || uri == "" {
			uri = randomURI(r)
		}
		u, err := sipaddr.Parse([]byte(uri))
		if err != nil {
			continue
		}
		user := pick(r, "phd", "student", "null", "admin", "u1", "u2")
		from := parse(t, pick(r, "sip:x@elsewhere.example", "sip:"+user+"@cs.example.edu"))
		f := &Facts{Method: []byte(pick(r, "INVITE", "MESSAGE")), URI: &u, From: &from, InDialog: r.IntN(9) == 0, Disposition: Disposition(r.IntN(1 << 12)),
			Source: netip.MustParseAddr(pick(r, "10.9.0.1", "198.51.100.7", "10.0.0.70"))}
		switch r.IntN(4) {
		case 0, 1:
			f.Verdict, f.User = Authenticated, tabs.User([]byte(user+"@cs.example.edu"))
		case 2:
			f.Trunk = pick(r, nil, &plan.Gateway{Class: pick(r, "", "staff")})
		}
		Decide(tabs, f, now, &d)
		for asked := 0; d.Kind == Ask; asked++ {
			if asked > maxQuestions {
				t.Fatalf("%s: it asks without end\n%s", uri, why(&d))
			}
			a := Answer{Question: d.Question}
			for range r.IntN(3) {
				a.Found = append(a.Found, Found{URI: randomURI(r), Q: maxQ})
			}
			f.Answers = append(f.Answers, a)
			Decide(tabs, f, now, &d)
		}
		sound(t, tabs, f, &d, rules)
		if slices.ContainsFunc(d.Targets, func(x Target) bool { return x.Rule != 0 }) {
			dialled++
		}
		if d.Kind != Proxy || len(d.Targets) == 0 || d.Waiting.User == "" || d.free {
			continue
		}
		var next Decision
		Next(tabs, &Failure{Waiting: d.Waiting, URI: &u, Status: pick(r, 408, 480, 486, 503, 603), Set: d.Targets}, now, &next)
		next.class = d.Waiting.Class
		sound(t, tabs, f, &next, rules)
	}
	return dialled
}

// TestRandomTables: whatever the tables and whoever calls, no gateway is reached by who may not.
func TestRandomTables(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	dialled := 0
	for range 200 {
		dialled += decideAtRandom(t, r, 100, "")
	}
	if dialled < 400 {
		t.Errorf("only %d of 20,000 calls went to a gateway: they show too little", dialled)
	}
}

func FuzzDecide(f *testing.F) {
	f.Add(uint64(1), "sip:+12125551234@cs.example.edu;user=phone")
	f.Add(uint64(2), "tel:5551234;phone-context=+1212")
	f.Add(uint64(3), "sip:+19005551234@elsewhere.example;maddr=10.0.0.70")
	f.Fuzz(func(t *testing.T, seed uint64, uri string) {
		if _, err := sipaddr.Parse([]byte(uri)); err == nil {
			decideAtRandom(t, rand.New(rand.NewPCG(seed, 7)), 2, uri)
		}
	})
}
