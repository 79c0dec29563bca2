package target

import (
	"fmt"
	"net/netip"
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

// office are tables with users u1 to u9, each with a telephone at 10.0.1.N but u9, and what change adds.
func office(t testing.TB, set map[string]string, change func(*store.Tables)) Tables {
	t.Helper()
	tabs := campus(t, set, func(rows *store.Tables) {
		for i := 1; i <= 9; i++ {
			rows.Users = append(rows.Users, store.User{ID: int64(100 + i), Key: sipaddr.AOR(fmt.Sprintf("u%d@cs.example.edu", i)), Realm: "cs.example.edu",
				AuthPolicy: store.Never, GatewayClassID: int64(i % 3)})
		}
		change(rows)
	})
	for i := 1; i <= 8; i++ {
		tabs.Location.(contacts)[fmt.Sprintf("u%d@cs.example.edu", i)] = []*location.Binding{numericContact(fmt.Sprintf("sip:u%d@10.0.1.%d", i, i), 1000)}
	}
	return tabs
}

func forward(user int, kind store.ForwardKind, target string) store.Forward {
	return store.Forward{UserID: int64(100 + user), Kind: kind, Target: target}
}

// diverted writes by whom a target's call was forwarded, the first one first.
func diverted(x *Target) (s string) {
	for v := x.Diverted; v != nil; v = v.Before {
		s = fmt.Sprintf(" %s:%s", v.From.User(), v.Reason) + s
	}
	return strings.TrimSpace(s)
}

func TestForwards(t *testing.T) {
	chain := func(n int) func(*store.Tables) {
		return func(rows *store.Tables) {
			for i := range n {
				rows.Users = append(rows.Users, store.User{ID: int64(200 + i), Key: sipaddr.AOR(fmt.Sprintf("c%d@cs.example.edu", i)), Realm: "cs.example.edu", AuthPolicy: store.Never})
				to := fmt.Sprintf("sip:c%d@cs.example.edu", i+1)
				if i == n-1 {
					to = "sip:u1@cs.example.edu"
				}
				rows.Forwards = append(rows.Forwards, store.Forward{UserID: int64(200 + i), Target: to})
			}
		}
	}
	forwards := func(list ...store.Forward) func(*store.Tables) {
		return func(rows *store.Tables) { rows.Forwards = list }
	}
	for _, tt := range []struct {
		name   string
		uri    string
		class  string // of the caller, "-" for a stranger
		set    map[string]string
		change func(*store.Tables)
		want   string
		by     string // of the first target
		waits  string // for whom, how long
	}{
		{name: "none", uri: "u1", change: forwards(), want: "proxy 0 0:u1@10.0.1.1"},
		{name: "all", uri: "u1", change: forwards(forward(1, store.ForwardAll, "sip:u2@cs.example.edu")), want: "proxy 0 0:u2@10.0.1.2", by: "u1:unconditional"},
		{name: "all, twice", uri: "u1", change: forwards(forward(1, store.ForwardAll, "sip:u2@cs.example.edu"), forward(2, store.ForwardAll, "sip:u3@www.cs.example.edu;x=y")),
			want: "proxy 0 0:u3@10.0.1.3", by: "u1:unconditional u2:unconditional"},
		{name: "round", uri: "u1", change: forwards(forward(1, store.ForwardAll, "sip:u2@cs.example.edu"), forward(2, store.ForwardAll, "sip:u1@cs.example.edu")), want: "reject 480"},
		{name: "eight", uri: "c0", change: chain(8), want: "proxy 0 0:u1@10.0.1.1", by: "c0:unconditional c1:unconditional c2:unconditional c3:unconditional c4:unconditional c5:unconditional c6:unconditional c7:unconditional"},
		{name: "nine", uri: "c0", change: chain(9), want: "reject 480"},
		{name: "offline, and there is a telephone", uri: "u1", change: forwards(forward(1, store.ForwardOffline, "sip:u2@cs.example.edu")), want: "proxy 0 0:u1@10.0.1.1", waits: "u1 0s"},
		{name: "offline", uri: "u9", change: forwards(forward(9, store.ForwardOffline, "sip:u2@cs.example.edu")), want: "proxy 0 0:u2@10.0.1.2", by: "u9:unavailable"},
		{name: "busy waits", uri: "u1", change: forwards(forward(1, store.ForwardBusy, "sip:u2@cs.example.edu")), want: "proxy 0 0:u1@10.0.1.1", waits: "u1 0s"},
		{name: "no answer waits its time", uri: "u1", change: forwards(store.Forward{UserID: 101, Kind: store.ForwardNoAnswer, Target: "sip:u2@cs.example.edu", Timeout: 12}), want: "proxy 0 0:u1@10.0.1.1", waits: "u1 12s"},
		{name: "no answer waits the server's", uri: "u1", set: map[string]string{"TimeOut": "20"}, change: forwards(forward(1, store.ForwardNoAnswer, "sip:u2@cs.example.edu")), want: "proxy 0 0:u1@10.0.1.1", waits: "u1 20s"},
		{name: "the second one's wait", uri: "u1", change: forwards(forward(1, store.ForwardAll, "sip:u2@cs.example.edu"), forward(2, store.ForwardBusy, "sip:u3@cs.example.edu")),
			want: "proxy 0 0:u2@10.0.1.2", by: "u1:unconditional", waits: "u2 0s"},
		{name: "another domain", uri: "u1", change: forwards(forward(1, store.ForwardAll, "sip:x@other.example")), want: "proxy 0 0:x@other.example", by: "u1:unconditional"},
		{name: "another domain, not allowed", uri: "u1", set: map[string]string{"ForeignDomain": "redirect"}, change: forwards(forward(1, store.ForwardAll, "sip:x@other.example")), want: "reject 480"},
		{name: "nobody", uri: "u1", change: forwards(forward(1, store.ForwardAll, "sip:nobody@cs.example.edu")), want: "reject 480"},
		{name: "a number, class of the owner", uri: "u2", class: "-", change: forwards(forward(2, store.ForwardAll, "tel:+1-212-555-1234")), want: "proxy 0 0:85551234@itgw1.cs.example.edu", by: "u2:unconditional"},
		{name: "a number, not for the owner", uri: "u1", class: "phd", change: forwards(forward(1, store.ForwardAll, "tel:+12125551234")), want: "reject 480"},
		{name: "a number, no class", uri: "u3", class: "phd", change: forwards(forward(3, store.ForwardAll, "tel:+12125551234")), want: "reject 480"},
		{name: "a number, class of the caller", uri: "u1", class: "phd", set: map[string]string{"GatewayClassOf": "caller"}, change: forwards(forward(1, store.ForwardAll, "tel:+12125551234")),
			want: "proxy 0 0:85551234@itgw1.cs.example.edu", by: "u1:unconditional"},
		{name: "a number, no class of the caller", uri: "u2", class: "-", set: map[string]string{"GatewayClassOf": "caller"}, change: forwards(forward(2, store.ForwardAll, "tel:+12125551234")), want: "reject 480"},
		{name: "a number by the dial plan", uri: "u2", class: "-", change: forwards(forward(2, store.ForwardAll, "sip:95551234@cs.example.edu")), want: "proxy 0 0:85551234@itgw1.cs.example.edu", by: "u2:unconditional"},
		{name: "an alias", uri: "u2", class: "-", change: forwards(forward(2, store.ForwardAll, "sip:7042@cs.example.edu")), want: "proxy 0 0:hgs@10.0.0.11", by: "u2:unconditional"},
		{name: "redirected to a user's telephone", uri: "u1", set: map[string]string{"DefaultReg": "redirect"}, change: forwards(forward(1, store.ForwardAll, "sip:u2@cs.example.edu")), want: "redirect 302 0:u2@10.0.1.2", by: "u1:unconditional"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tabs := office(t, tt.set, tt.change)
			if tt.class == "" {
				tt.class = "-"
			}
			d := dials(t, tabs, "sip:"+tt.uri+"@cs.example.edu", tt.class)
			by, waits := "", ""
			if len(d.Targets) > 0 {
				by = diverted(&d.Targets[0])
			}
			if w := d.Waiting; w.User != "" {
				waits = fmt.Sprintf("%s %v", w.User.User(), w.NoAnswer)
			}
			if got := summary(d); got != tt.want || by != tt.by || waits != tt.waits {
				var why strings.Builder
				d.Trace.Print(&why)
				t.Errorf("got %s by %q waiting for %q, want %s by %q waiting for %q\n%s", got, by, waits, tt.want, tt.by, tt.waits, &why)
			}
		})
	}
}

func TestNext(t *testing.T) {
	tabs := office(t, nil, func(rows *store.Tables) {
		rows.Forwards = []store.Forward{
			forward(1, store.ForwardBusy, "sip:u2@cs.example.edu"), forward(1, store.ForwardNoAnswer, "sip:u3@cs.example.edu"),
			forward(2, store.ForwardBusy, "sip:u1@cs.example.edu"), forward(3, store.ForwardOffline, "sip:u4@cs.example.edu"),
			forward(4, store.ForwardNoAnswer, "tel:+12125551234"), forward(5, store.ForwardNoAnswer, "tel:+12125551234"),
			forward(6, store.ForwardNoAnswer, "sip:u2@cs.example.edu"), forward(6, store.ForwardOffline, "sip:u3@cs.example.edu"),
			{UserID: 12, Kind: store.ForwardBusy, Target: "sip:u2@cs.example.edu"},
		}
	})
	chain := func(n int) (v *Diversion) {
		for i := range n {
			v = &Diversion{From: sipaddr.AOR(fmt.Sprintf("x%d@elsewhere.example", i)), Reason: "unconditional", Before: v}
		}
		return v
	}
	uri := parse(t, "sip:u1@cs.example.edu")
	before := &Diversion{From: "u1@cs.example.edu", Reason: "user-busy"}
	for _, tt := range []struct {
		name   string
		user   sipaddr.AOR
		status int
		via    *Diversion
		set    []string // owners
		want   string
		by     string
	}{
		{"busy", "u1@cs.example.edu", 486, nil, nil, "proxy 0 0:u2@10.0.1.2", "u1:user-busy"},
		{"no answer", "u1@cs.example.edu", 408, nil, nil, "proxy 0 0:u3@10.0.1.3", "u1:no-answer"},
		{"not there", "u1@cs.example.edu", 480, nil, nil, "proxy 0 0:u3@10.0.1.3", "u1:no-answer"},
		{"not there, which is no answer", "u6@cs.example.edu", 480, nil, nil, "proxy 0 0:u2@10.0.1.2", "u6:no-answer"},
		{"forwarded too often", "u1@cs.example.edu", 486, chain(maxForwards), nil, "reject 0", ""},
		{"for the last time", "u1@cs.example.edu", 486, chain(maxForwards - 1), nil, "proxy 0 0:u2@10.0.1.2",
			"x0:unconditional x1:unconditional x2:unconditional x3:unconditional x4:unconditional x5:unconditional x6:unconditional u1:user-busy"},
		{"out of reach, which is as good as no answer", "u1@cs.example.edu", 503, nil, nil, "proxy 0 0:u3@10.0.1.3", "u1:no-answer"},
		{"out of reach", "u3@cs.example.edu", 503, nil, nil, "proxy 0 0:u4@10.0.1.4", "u3:unavailable"},
		{"declined", "u1@cs.example.edu", 603, nil, nil, "reject 0", ""},
		{"busy, and there is no forward for it", "u3@cs.example.edu", 486, nil, nil, "reject 0", ""},
		{"back to who has forwarded", "u2@cs.example.edu", 486, before, nil, "reject 0", ""},
		{"to who was tried already", "u1@cs.example.edu", 486, nil, []string{"u2@cs.example.edu"}, "reject 0", ""},
		{"to a number", "u5@cs.example.edu", 408, before, nil, "proxy 0 0:85551234@itgw1.cs.example.edu", "u1:user-busy u5:no-answer"},
		{"to a number that is not for him", "u4@cs.example.edu", 408, nil, nil, "reject 0", ""},
		{"nobody", "nobody@cs.example.edu", 486, nil, nil, "reject 0", ""},
		{"disabled", "gone@cs.example.edu", 486, nil, nil, "reject 0", ""},
	} {
		q := Failure{Waiting: Waiting{User: tt.user, Diverted: tt.via}, URI: &uri, Status: tt.status}
		for _, o := range tt.set {
			q.Set = append(q.Set, Target{Binding: numericContact("sip:x@10.0.9.9", 1000), Owner: tabs.User([]byte(o))})
		}
		var d Decision
		Next(tabs, &q, now, &d)
		by := ""
		if len(d.Targets) > 0 {
			by = diverted(&d.Targets[0])
			if s := d.Targets[0].Diverted.Status; s != tt.status {
				t.Errorf("%s: got status %d of the diversion, want %d", tt.name, s, tt.status)
			}
		}
		if got := summary(&d); got != tt.want || by != tt.by {
			var why strings.Builder
			d.Trace.Print(&why)
			t.Errorf("%s: got %s by %q, want %s by %q\n%s", tt.name, got, by, tt.want, tt.by, &why)
		}
	}
}

// TestRingGroups: who rings when (BEHAVIOUR F3).
func TestRingGroups(t *testing.T) {
	row := func(user, priority, delay int, mode store.RingMode) store.Alias {
		return store.Alias{ID: int64(500 + priority), Alias: "desk@cs.example.edu", PrimaryUser: sipaddr.AOR(fmt.Sprintf("u%d@cs.example.edu", user)), Kind: store.Group,
			Priority: priority, Delay: delay, RingMode: mode}
	}
	for _, tt := range []struct {
		name string
		rows []store.Alias
		want string // group:user+wait
	}{
		{"at once, by q", []store.Alias{row(1, 1, 0, store.Parallel), row(2, 2, 0, 0)}, "0:u1+0s 0:u2+0s 1:low+0s"},
		{"with delays", []store.Alias{row(3, 1, 10, 0), row(1, 2, 0, 0), row(2, 3, 4, 0)}, "0:u1+0s 0:low+0s 1:u2+4s 2:u3+6s"},
		{"nobody at the beginning", []store.Alias{row(3, 1, 10, 0), row(2, 2, 4, 0)}, "0:u2+0s 1:u3+6s"},
		{"one after the other", []store.Alias{row(3, 3, 0, store.Serial), row(1, 1, 8, 0), row(2, 2, 0, 0)}, "0:u1+0s 0:low+0s 1:u2+8s 2:u3+0s"},
		{"who is offline is passed over", []store.Alias{row(1, 1, 8, store.Serial), row(9, 2, 5, 0), row(2, 3, 0, 0)}, "0:u1+0s 0:low+0s 1:u2+8s"},
	} {
		tabs := office(t, nil, func(rows *store.Tables) {
			rows.Aliases = append(rows.Aliases, tt.rows...)
			rows.Forwards = []store.Forward{forward(9, store.ForwardOffline, "sip:u4@cs.example.edu"), forward(1, store.ForwardBusy, "sip:u4@cs.example.edu")}
		})
		loc := tabs.Location.(contacts)
		loc["u1@cs.example.edu"] = append(loc["u1@cs.example.edu"], numericContact("sip:low@10.0.1.99", 100))
		d := dials(t, tabs, "sip:desk@cs.example.edu", "-")
		var got []string
		for i := range d.Targets {
			x := &d.Targets[i]
			user, _, _ := strings.Cut(strings.TrimPrefix(x.Binding.URI, "sip:"), "@")
			got = append(got, fmt.Sprintf("%d:%s+%v", x.Group, user, x.Wait))
		}
		if s := strings.Join(got, " "); s != tt.want || d.Waiting.User != "" {
			t.Errorf("%s: got %s, waiting for %q, want %s and nobody", tt.name, s, d.Waiting.User, tt.want)
		}
	}
}

// TestRingGroupSaysWhoIsOffline: the trace names each member who does not ring, whether others do or not.
func TestRingGroupSaysWhoIsOffline(t *testing.T) {
	tabs := office(t, nil, func(rows *store.Tables) {
		for i, user := range []int{9, 1, 2} {
			rows.Aliases = append(rows.Aliases, store.Alias{ID: int64(500 + i), Alias: "desk@cs.example.edu", PrimaryUser: sipaddr.AOR(fmt.Sprintf("u%d@cs.example.edu", user)), Kind: store.Group})
		}
	})
	offline := func() (names string) {
		for _, s := range dials(t, tabs, "sip:desk@cs.example.edu", "-").Trace.Steps() {
			if s.Rule == "location" && s.Note == "no live contact" {
				names += " " + s.Verdict.String() + " " + s.Subject
			}
		}
		return names
	}
	if got, want := offline(), " no match u9@cs.example.edu"; got != want {
		t.Errorf("got%s, want%s", got, want)
	}
	delete(tabs.Location.(contacts), "u1@cs.example.edu")
	delete(tabs.Location.(contacts), "u2@cs.example.edu")
	if got, want := offline(), " no match u9@cs.example.edu no match u1@cs.example.edu no match u2@cs.example.edu deny "; got != want {
		t.Errorf("got%s, want%s", got, want)
	}
}

// TestHuntGroup: the gateways of a hunt group are one target, in the order that their states make.
func TestHuntGroup(t *testing.T) {
	tabs := campus(t, nil, func(rows *store.Tables) {
		p := &rows.Plan
		p.GatewayRules = nil
		for i, target := range []string{"sip:8$@gw1;x=y", "sip:8$@gw2", "sip:8$@10.0.0.53", "sip:8$@off", "sip:8$@cs.example.edu", "tel:$"} {
			p.GatewayRules = append(p.GatewayRules, store.GatewayRule{ID: int64(i + 1), Position: 7, Pattern: "(+1212)???????", Classes: "*", Target: target, Weight: i, Enabled: true})
		}
		p.Gateways = []store.Gateway{{ID: 1, Name: "gw1", URI: "sips:gw.example.net:5071;transport=tcp", Enabled: true}, {ID: 2, Name: "gw2", URI: "sip:10.0.0.52", Enabled: true},
			{ID: 3, Name: "off", URI: "sip:10.0.0.54"}}
	})
	d := dials(t, tabs, "tel:+12125551234", "student")
	got := ""
	for x, more := d.Targets[0], true; more; {
		got += fmt.Sprintf("%s %d/%d/%d, ", x.Binding.URI, x.Rule, x.Gateway, x.Group)
		if more = len(x.Else) > 0; more {
			x = x.Rest()
		}
	}
	if want := "sips:85551234@gw.example.net:5071;transport=tcp;x=y 1/1/0, sip:85551234@10.0.0.52 2/2/0, sip:85551234@10.0.0.53 3/0/0, "; got != want || len(d.Targets) != 1 {
		t.Errorf("got %s, want %s", got, want)
	}
	tabs.Order = func(dst []int, group []gateway.Member, _ time.Time, _ *trace.Trace) []int {
		if want := fmt.Sprint([]gateway.Member{{Gateway: 1}, {Gateway: 2, Weight: 1}, {Gateway: 0, Weight: 2}}); fmt.Sprint(group) != want {
			t.Errorf("got %v, want %s", group, want)
		}
		return append(dst, 2, 0)
	}
	d = dials(t, tabs, "tel:+12125551234", "student")
	if got, want := summary(d), "proxy 0 0:85551234@10.0.0.53"; got != want || len(d.Targets[0].Else) != 1 || d.Targets[0].Else[0].Rule != 1 {
		t.Errorf("got %s %v, want %s, then rule 1", got, d.Targets[0].Else, want)
	}
	tabs.Order = func(dst []int, _ []gateway.Member, _ time.Time, _ *trace.Trace) []int { return dst }
	if got := summary(dials(t, tabs, "tel:+12125551234", "student")); got != "reject 503" {
		t.Errorf("none takes calls: got %s, want 503", got)
	}
	tabs.Order = nil
	u, from := parse(t, "sips:+12125551234@cs.example.edu"), parse(t, "sip:student@cs.example.edu")
	Decide(tabs, &Facts{URI: &u, From: &from, Verdict: Authenticated, User: tabs.User([]byte("student@cs.example.edu"))}, now, d)
	if got := summary(d); got != "proxy 0 0:sips:85551234@gw.example.net:5071;transport=tcp;x=y" || len(d.Targets[0].Else) != 0 {
		t.Errorf("sips: got %s, want the one that is sips", got)
	}
}

// TestHuntGroupOfAForward: each gateway of the group is told by whom the call was forwarded, and is one more branch of it (RFC 7044).
func TestHuntGroupOfAForward(t *testing.T) {
	tabs := office(t, nil, func(rows *store.Tables) {
		rows.Forwards = []store.Forward{forward(2, store.ForwardAll, "tel:+12125551234")}
		rows.Plan.GatewayRules = nil
		for i := range 3 {
			rows.Plan.GatewayRules = append(rows.Plan.GatewayRules, store.GatewayRule{ID: int64(i + 1), Position: 7, Pattern: "(+1212)???????", Classes: "*",
				Target: fmt.Sprintf("sip:8$@10.0.0.5%d", i), Enabled: true})
		}
	})
	d := dials(t, tabs, "sip:u2@cs.example.edu", "-")
	if len(d.Targets) != 1 || len(d.Targets[0].Else) != 2 {
		t.Fatalf("got %s, want one target with two gateways besides", summary(d))
	}
	x := d.Targets[0]
	for i := range 3 {
		if got := diverted(&x); got != "u2:unconditional" || x.Nth != i+1 {
			t.Errorf("gateway %d: got %q, branch %d, want u2:unconditional, branch %d", i, got, x.Nth, i+1)
		}
		if i < 2 {
			x = x.Rest()
		}
	}
}

// TestTrunks: a gateway's own call is believed, and has its class.
func TestTrunks(t *testing.T) {
	tabs := campus(t, nil, nil)
	for _, tt := range []struct{ uri, class, want string }{
		{"sip:hgs@cs.example.edu", "", "proxy 0 0:hgs@10.0.0.11"},
		{"tel:+12125551234", "", "reject 403"},
		{"tel:+12125551234", "phd", "proxy 0 0:85551234@itgw1.cs.example.edu"},
		{"sip:911@cs.example.edu", "", "proxy 0 0:911@192.0.2.91"},
		{"sip:x@elsewhere.example", "phd", "challenge 407"},
	} {
		u, from := parse(t, tt.uri), parse(t, "sip:phd@cs.example.edu")
		var d Decision
		Decide(tabs, &Facts{URI: &u, From: &from, Trunk: &plan.Gateway{Class: tt.class}}, now, &d)
		if got := summary(&d); got != tt.want {
			t.Errorf("%s of class %q: got %s, want %s", tt.uri, tt.class, got, tt.want)
		}
	}
}

// TestTelContacts: a registered tel contact is called as its owner could call it (MAPS 7).
func TestTelContacts(t *testing.T) {
	for _, tt := range []struct {
		name, uri, contact string
		q                  int
		set                map[string]string
		want               string
	}{
		{"by his class", "u2", "tel:+1-212-555-1234", 1000, nil, "proxy 0 0:u2@10.0.1.2 0:85551234@itgw1.cs.example.edu"},
		{"later", "u2", "TEL:+12125551234", 500, nil, "proxy 0 0:u2@10.0.1.2 1:85551234@itgw1.cs.example.edu"},
		{"not for his class", "u1", "tel:+12125551234", 1000, nil, "proxy 0 0:u1@10.0.1.1"},
		{"an extension", "u2", "tel:7042;phone-context=cs.example.edu", 1000, nil, "proxy 0 0:u2@10.0.1.2 0:hgs@10.0.0.11"},
		{"redirect", "u2", "tel:+12125551234", 1000, map[string]string{"DefaultReg": "redirect"}, "redirect 302 0:u2@10.0.1.2 0:tel:+12125551234"},
	} {
		tabs := office(t, tt.set, func(*store.Tables) {})
		loc, key := tabs.Location.(contacts), tt.uri+"@cs.example.edu"
		b := numericContact(tt.contact, tt.q)
		b.ByFlow, b.Source = true, netip.MustParseAddrPort("10.0.9.9:5060")
		loc[key] = append(loc[key], b)
		if got := summary(dials(t, tabs, "sip:"+key, "-")); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

// TestQuestions: a decision asks once for each thing, after the tables, and goes on with the answer.
func TestQuestions(t *testing.T) {
	tabs := office(t, nil, func(*store.Tables) {})
	tabs.Enum, tabs.Locator = true, true
	enum := func(number string, uris ...string) Answer {
		a := Answer{Question: Question{Kind: Enum, Subject: number}}
		for _, u := range uris {
			a.Found = append(a.Found, Found{URI: u, Q: 1000})
		}
		return a
	}
	locate := func(aor string, uris ...string) Answer {
		a := enum(aor, uris...)
		a.Kind = Locate
		return a
	}
	for _, tt := range []struct {
		name, uri, class string
		answers          []Answer
		want             string
	}{
		{"a number of the world", "tel:+12125551234", "phd", nil, "ask +12125551234"},
		{"a stranger asks nothing", "tel:+12125551234", "-", nil, "challenge 407"},
		{"somebody's number", "tel:+12129397042", "-", nil, "proxy 0 0:hgs@10.0.0.11"},
		{"no number of the world", "sip:5551@cs.example.edu", "phd", nil, "ask 5551@cs.example.edu"},
		{"nobody knows: the gateway map", "tel:+12125551234", "phd", []Answer{enum("+12125551234")}, "proxy 0 0:85551234@itgw1.cs.example.edu"},
		{"elsewhere", "tel:+12125551234", "null", []Answer{enum("+12125551234", "sip:x@other.example")}, "proxy 0 0:x@other.example"},
		{"two", "tel:+12125551234", "null", []Answer{enum("+12125551234", "sip:x@other.example", "sip:y@other.example", "garbage")}, "proxy 0 0:x@other.example 0:y@other.example"},
		{"a user here", "tel:+12125551234", "null", []Answer{enum("+12125551234", "sip:u1@cs.example.edu")}, "proxy 0 0:u1@10.0.1.1"},
		{"itself", "tel:+12125551234", "phd", []Answer{enum("+12125551234", "sip:+12125551234@cs.example.edu")}, "proxy 0 0:85551234@itgw1.cs.example.edu"},
		{"nobody here: the gateway map", "tel:+12125551234", "phd", []Answer{enum("+12125551234", "sip:nobody@cs.example.edu")}, "proxy 0 0:85551234@itgw1.cs.example.edu"},
		{"unknown", "sip:nobody@cs.example.edu", "phd", nil, "ask nobody@cs.example.edu"},
		{"an unknown stays so", "sip:nobody@cs.example.edu", "phd", []Answer{locate("nobody@cs.example.edu")}, "reject 404"},
		{"is found", "sip:nobody@cs.example.edu", "phd", []Answer{locate("nobody@cs.example.edu", "sip:n@10.0.2.2")}, "proxy 0 0:n@10.0.2.2"},
		{"has no telephone", "sip:u9@cs.example.edu", "-", nil, "ask u9@cs.example.edu"},
		{"still has none", "sip:u9@cs.example.edu", "-", []Answer{locate("u9@cs.example.edu")}, "reject 480"},
		{"is somewhere", "sip:u9@cs.example.edu", "-", []Answer{locate("u9@cs.example.edu", "sip:u2@cs.example.edu")}, "proxy 0 0:u2@10.0.1.2"},
		{"is disabled", "sip:gone@cs.example.edu", "phd", nil, "reject 404"},
		{"two questions", "tel:+19145551234", "phd", []Answer{enum("+19145551234")}, "ask +19145551234@cs.example.edu"},
	} {
		u, from := parse(t, tt.uri), parse(t, "sip:x@elsewhere.example")
		f := &Facts{URI: &u, From: &from, Answers: tt.answers}
		if tt.class != "-" {
			from = parse(t, "sip:"+tt.class+"@cs.example.edu")
			f.Verdict, f.User = Authenticated, tabs.User([]byte(tt.class+"@cs.example.edu"))
		}
		var d Decision
		Decide(tabs, f, now, &d)
		got := ""
		if d.Kind == Ask {
			got = "ask " + d.Question.Subject
		} else {
			got = summary(&d)
		}
		if got != tt.want {
			var why strings.Builder
			d.Trace.Print(&why)
			t.Errorf("%s: got %s, want %s\n%s", tt.name, got, tt.want, &why)
		}
	}
}
