package target

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"sipd/canonicalize"
	"sipd/canonicalize/pattern"
	"sipd/config"
	"sipd/location"
	"sipd/plan"
	"sipd/sipaddr"
	"sipd/store"
	"sipd/store/cache"
)

// department has the gateway map of a computer science department, and a dial plan to go with it.
const department = `
(+12129397139)          student,phd,faculty,staff sip:test@192.0.2.196
(+1212939)7[01]??       student,phd,faculty,staff sip:$@itgw1.cs.example.edu
(+121285)4????          student,phd,faculty,staff sip:$@itgw1.cs.example.edu
(+1212)???????          phd,faculty,staff  sip:8$@itgw1.cs.example.edu
(+1){347,646,718,917}???????  phd,faculty,staff sip:81$@itgw1.cs.example.edu
(+1800)???????          *  sip:91800$@gw.example.net
(+44)*                  staff sip:gwA@10.0.0.61
(+44)*                  * sip:9011$@10.0.0.62
(+)3*                   admin sip:9011$@10.0.0.63
`

const departmentPlan = `
7[01]??                 tel:+1212939$
(9)???????              tel:+1212$
(9011)*                 tel:+$
(0011)*                 tel:+$
(001)??????????         tel:+1$
1??????????             tel:+$
(9)911                  sip:911@192.0.2.91
911                     sip:911@192.0.2.91
`

// planRows reads map files.
func planRows(t testing.TB, dialPlan, gatewayMap string) (p store.PlanRows) {
	t.Helper()
	for i, name := range []string{"student", "phd", "faculty", "staff", "guest", "admin"} {
		p.Classes = append(p.Classes, store.GatewayClass{ID: int64(i + 1), Name: name})
	}
	lines, err := pattern.Read(strings.NewReader(dialPlan), false)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		p.DialRules = append(p.DialRules, store.DialRule{ID: int64(l.Number), Position: l.Number, Pattern: l.Pattern.String(), Target: l.Target.String(),
			Emergency: strings.HasSuffix(l.Pattern.String(), "911"), Enabled: true})
	}
	if lines, err = pattern.Read(strings.NewReader(gatewayMap), true); err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		p.GatewayRules = append(p.GatewayRules, store.GatewayRule{ID: int64(l.Number), Position: l.Number, Pattern: l.Pattern.String(),
			Classes: strings.Join(l.Classes, ","), Target: l.Target.String(), Enabled: true})
	}
	return p
}

// campus are tables with a user of each class, and some names.
func campus(t testing.TB, set map[string]string, change func(*store.Tables)) Tables {
	t.Helper()
	settings, err := config.New(set, nil)
	if err != nil {
		t.Fatal(err)
	}
	rows := store.Tables{
		Domains: []store.Domain{{ID: 1, Name: "cs.example.edu"}, {ID: 2, Name: "www.cs.example.edu", Canonical: "cs.example.edu"}},
		Users: []store.User{
			{ID: 10, Key: "hgs@cs.example.edu", Realm: "cs.example.edu", AuthPolicy: store.Never},
			{ID: 11, Key: "7155@cs.example.edu", Realm: "cs.example.edu", AuthPolicy: store.Never},
			{ID: 12, Key: "gone@cs.example.edu", Realm: "cs.example.edu", AuthPolicy: store.Never, Disabled: true},
		},
		Aliases: []store.Alias{
			{ID: 1, Alias: "+12129397042@cs.example.edu", PrimaryUser: "hgs@cs.example.edu"},
			{ID: 2, Alias: "7001@cs.example.edu", PrimaryUser: "gone@cs.example.edu"},
		},
		Plan: planRows(t, departmentPlan, department),
	}
	for i, c := range rows.Plan.Classes {
		key := c.Name + "@cs.example.edu"
		rows.Users = append(rows.Users, store.User{ID: int64(i + 1), Key: sipaddr.AOR(key), Realm: "cs.example.edu", AuthPolicy: store.Never, GatewayClassID: c.ID})
	}
	rows.Users = append(rows.Users, store.User{ID: 20, Key: "null@cs.example.edu", Realm: "cs.example.edu", AuthPolicy: store.Never})
	if change != nil {
		change(&rows)
	}
	snap, err := cache.Build(rows, settings)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range snap.Plan().Warnings {
		t.Log(w)
	}
	loc := contacts{
		"hgs@cs.example.edu":  {numericContact("sip:hgs@10.0.0.11", 1000)},
		"7155@cs.example.edu": {numericContact("sip:7155@10.0.0.12", 1000)},
	}
	return Tables{Snapshot: snap, Location: loc, Names: true}
}

// dials decides about a call of somebody of a class who has proven who he is; "-" for a stranger.
func dials(t testing.TB, tabs Tables, uri, class string) *Decision {
	t.Helper()
	var d Decision
	u, from := parse(t, uri), parse(t, "sip:x@elsewhere.example")
	f := &Facts{Method: []byte("INVITE"), URI: &u, From: &from, Source: netip.MustParseAddr("198.51.100.7")}
	if class != "-" {
		from = parse(t, "sip:"+class+"@cs.example.edu")
		f.Verdict, f.User = Authenticated, tabs.User([]byte(class+"@cs.example.edu"))
		if !f.User.Exists() {
			t.Fatalf("no user of class %s", class)
		}
	}
	Decide(tabs, f, now, &d)
	return &d
}

func TestNumbers(t *testing.T) {
	tabs := campus(t, nil, nil)
	for _, tt := range []struct{ uri, class, want string }{
		// Worked examples of the gateway map.
		{"tel:+12129397139", "student", "proxy 0 0:test@192.0.2.196"}, // The next rules match, too: order decides.
		{"tel:+1-212-939-7139", "null", "reject 403"},
		{"tel:+12129397043", "student", "proxy 0 0:7043@itgw1.cs.example.edu"},
		{"tel:+12129397242", "student", "reject 403"},
		{"tel:+12129397242", "phd", "proxy 0 0:89397242@itgw1.cs.example.edu"},
		{"tel:+12128541234", "student", "proxy 0 0:41234@itgw1.cs.example.edu"},
		{"tel:+12125551234", "phd", "proxy 0 0:85551234@itgw1.cs.example.edu"},
		{"tel:+12125551234", "student", "reject 403"},
		{"tel:+12125551234", "null", "reject 403"},
		{"tel:+13475551234", "staff", "proxy 0 0:813475551234@itgw1.cs.example.edu"},
		{"tel:+19145551234", "faculty", "reject 404"},
		{"tel:+1212555123", "faculty", "reject 404"},
		{"tel:+121255512345", "faculty", "reject 404"},
		{"tel:+12129397043", "guest", "reject 403"},
		{"tel:+18005551234", "student", "proxy 0 0:918005551234@gw.example.net"},
		{"tel:+18005551234", "null", "reject 403"},
		{"tel:+442079460000", "staff", "proxy 0 0:gwA@10.0.0.61"},
		{"tel:+442079460000", "student", "proxy 0 0:90112079460000@10.0.0.62"},
		{"tel:+3312345", "admin", "proxy 0 0:90113312345@10.0.0.63"},
		{"tel:+3312345", "staff", "reject 403"},
		{"sip:+@cs.example.edu", "admin", "reject 404"},

		// Worked examples of the dial plan.
		{"sip:7042@cs.example.edu", "student", "proxy 0 0:hgs@10.0.0.11"}, // dial plan, then alias
		{"sip:713-9@cs.example.edu", "student", "proxy 0 0:test@192.0.2.196"},
		{"sip:95551234@cs.example.edu", "phd", "proxy 0 0:85551234@itgw1.cs.example.edu"},
		{"sip:95551234@cs.example.edu", "student", "reject 403"},
		{"sip:9011442079460000@cs.example.edu", "staff", "proxy 0 0:gwA@10.0.0.61"},
		{"sip:911@cs.example.edu", "null", "proxy 0 0:911@192.0.2.91"},
		{"sip:9911@cs.example.edu", "null", "proxy 0 0:911@192.0.2.91"},
		{"sip:7242@cs.example.edu", "phd", "reject 404"},
		{"sip:71@cs.example.edu", "phd", "reject 404"},
		{"sip:12125551234@cs.example.edu", "phd", "proxy 0 0:85551234@itgw1.cs.example.edu"},

		// Users and aliases beat the dial plan.
		{"sip:7155@cs.example.edu", "student", "proxy 0 0:7155@10.0.0.12"},
		{"tel:71-55", "student", "proxy 0 0:7155@10.0.0.12"},
		{"sip:7001@cs.example.edu", "phd", "reject 404"}, // An alias of somebody disabled is nobody's number, and no gateway's.

		// Strangers learn nothing.
		{"tel:+12125551234", "-", "challenge 407"},
		{"tel:+19145551234", "-", "challenge 407"},
		{"sip:95551234@cs.example.edu", "-", "challenge 407"},
		{"sip:911@cs.example.edu", "-", "challenge 407"},
		{"sip:+12129397042@cs.example.edu", "-", "proxy 0 0:hgs@10.0.0.11"}, // His policy is never.

		// Not ours.
		{"sip:+12125551234@elsewhere.example", "phd", "proxy 0 0:onward"},
		{"tel:7042;phone-context=elsewhere.example", "phd", "reject 404"},
		{"tel:7042;phone-context=+1", "phd", "reject 404"},
	} {
		t.Run(tt.uri+" "+tt.class, func(t *testing.T) {
			d := dials(t, tabs, tt.uri, tt.class)
			if got := summary(d); got != tt.want {
				var why strings.Builder
				d.Trace.Print(&why)
				t.Errorf("got %s, want %s\n%s", got, tt.want, &why)
			}
			class := map[bool]string{true: tt.class}[tt.class != "null"]
			if d.Status == 403 && (d.Warning != WarnClass || d.Class != class) {
				t.Errorf("got warning %d of class %q, want %d of %q", d.Warning, d.Class, WarnClass, class)
			}
		})
	}
}

// TestSpellingIsNoLoophole: however a number is written, it is one number with one verdict, for who may call it and for who may not.
func TestSpellingIsNoLoophole(t *testing.T) {
	spellings := []string{
		"tel:+12125551234", "TEL:+12125551234", "tel:+1-212-555-1234", "tel:+1.212.555.1234", "tel:+1(212)5551234", "tel:+1-(212)-555.1234",
		"tel:+12125551234;ext=99", "tel:+12125551234;isub=1", "tel:+12125551234;ISUB=1;ext=5", "tel:+12125551234;phone-context=+44",
		"tel:+12125551234;cpc=ordinary", "tel:212-555-1234;phone-context=+1", "tel:5551234;phone-context=+1-212",
		"tel:5551234;phone-context=+1(212)", "tel:2125551234;PHONE-CONTEXT=%2B1",
		"tel:12125551234;phone-context=cs.example.edu", "tel:12125551234;phone-context=WWW.cs.example.edu.", "tel:12125551234",
		"sip:+12125551234@cs.example.edu", "SIP:+12125551234@CS.Example.EDU", "sip:+12125551234@cs.example.edu.", "sip:+12125551234@www.cs.example.edu",
		"sip:%2B12125551234@cs.example.edu", "sip:%2b1%32125551234@cs.example.edu", "sip:+1-212-555-1234@cs.example.edu", "sip:+1.212.555.1234@cs.example.edu",
		"sip:+1(212)555-1234@cs.example.edu", "sip:%2B1%28212%29555%2D1234@cs.example.edu", "sip:12125551234@cs.example.edu", "sip:0012125551234@cs.example.edu",
		"sip:001-212-555-1234@cs.example.edu", "sip:001112125551234@cs.example.edu",
		"sip:+12125551234@cs.example.edu;user=phone", "sip:+12125551234@cs.example.edu;USER=Phone", "sip:+12125551234@cs.example.edu;user=ip",
		"sip:+12125551234;ext=99@cs.example.edu", "sip:+12125551234;isub=1@cs.example.edu;user=phone", "sip:+12125551234;phone-context=+44@cs.example.edu;user=phone",
		"sip:2125551234;phone-context=+1@cs.example.edu;user=phone", "sip:2125551234;phone-context=%2B1@cs.example.edu;user=phone", "sip:5551234;phone-context=+1212@cs.example.edu",
		"sip:12125551234;phone-context=cs.example.edu@cs.example.edu;user=phone",
		"sip:+12125551234:secret@cs.example.edu", "sip:+12125551234:@cs.example.edu;user=phone", "sip:+12125551234@cs.example.edu:5060", "sip:+12125551234@cs.example.edu;transport=tcp",
		"sip:+12125551234@cs.example.edu;transport=udp;lr;method=INVITE", "sip:+12125551234@cs.example.edu;maddr=cs.example.edu", "sip:+12125551234@cs.example.edu?Subject=x",
		"sip:+12125551234@cs.example.edu;unknown=parameter", "sip:95551234@cs.example.edu", "sip:9-555-1234@cs.example.edu", "sip:%39555-1234@cs.example.edu;user=phone",
		"sip:901112125551234@cs.example.edu", "sip:95551234;x=y@cs.example.edu;user=phone",
	}
	if len(slices.Compact(slices.Sorted(slices.Values(spellings)))) < 40 {
		t.Fatalf("got %d spellings, want 40", len(spellings))
	}
	tabs := campus(t, nil, nil)
	for _, class := range []string{"phd", "student", "null", "-"} {
		want := map[string]string{"phd": "proxy 0 0:85551234@itgw1.cs.example.edu", "student": "reject 403", "null": "reject 403", "-": "challenge 407"}[class]
		for _, uri := range spellings {
			d := dials(t, tabs, uri, class)
			if got := summary(d); got != want {
				var why strings.Builder
				d.Trace.Print(&why)
				t.Errorf("%s by %s: got %s, want %s\n%s", uri, class, got, want, &why)
			}
		}
	}
	// These are other numbers, or none, and lead to no gateway.
	for _, uri := range []string{
		"sip:+12125551234@elsewhere.example;maddr=10.0.0.1", "sip:+12125551234%00@cs.example.edu", "sip:+12125551234%20@cs.example.edu", "sip:%25%32%42x12125551234@cs.example.edu",
		"sip:++12125551234@cs.example.edu", "sip:1%2B2125551234@cs.example.edu", "sip:+12125551234,+12125551234@cs.example.edu", "sip:+12125551234%40x@cs.example.edu",
		"sip:+12125551234%3Bext=9@cs.example.edu", "sip:tel:+12125551234@cs.example.edu", "sip:+1212555123%EF%BC%94@cs.example.edu",
		"tel:5551234;phone-context=elsewhere.example", "sip:5551234;phone-context=elsewhere.example@cs.example.edu;user=phone", "tel:+12125551234#", "tel:*67*12125551234",
		"sip:+abc@cs.example.edu;user=phone", "sip:%EF%BC%8B12125551234@cs.example.edu",
	} {
		d := dials(t, tabs, uri, "phd")
		for _, x := range d.Targets {
			if x.Rule != 0 {
				t.Errorf("%s: got gateway %s, want none", uri, x.Binding.URI)
			}
		}
	}
}

// TestUnknownCallers: whoever is not known leads to no gateway, by whatever is believed of him elsewhere.
func TestUnknownCallers(t *testing.T) {
	tabs := campus(t, nil, func(rows *store.Tables) {
		rows.Plan.DialRules = append(rows.Plan.DialRules, store.DialRule{ID: 99, Position: 99, Pattern: "(88)*", Target: "sip:$@10.0.0.88", Enabled: true})
	})
	none := campus(t, map[string]string{"AuthMethod": "none"}, nil)
	for _, tt := range []struct {
		name, uri, from string
		tabs            Tables
		f               Facts
		want            string
	}{
		{"his auth_policy is never", "tel:+12125551234", "sip:phd@cs.example.edu", tabs, Facts{}, "challenge 407"},
		{"bad credentials", "tel:+12125551234", "sip:phd@cs.example.edu", tabs, Facts{Verdict: BadCredentials}, "challenge 407"},
		{"in a dialog", "tel:+12125551234", "sip:phd@cs.example.edu", tabs, Facts{InDialog: true}, "reject 403"},
		{"in a dialog, by the dial plan alone", "sip:8812@cs.example.edu", "sip:phd@cs.example.edu", tabs, Facts{InDialog: true}, "reject 403"},
		{"by the dial plan alone", "sip:8812@cs.example.edu", "sip:phd@cs.example.edu", tabs, Facts{}, "challenge 407"},
		{"AuthMethod none", "tel:+12125551234", "sip:phd@cs.example.edu", none, Facts{}, "reject 403"},
		{"stale credentials", "tel:+12125551234", "sip:x@elsewhere.example", tabs, Facts{Verdict: StaleCredentials}, "challenge 407"},
	} {
		u, from := parse(t, tt.uri), parse(t, tt.from)
		tt.f.URI, tt.f.From = &u, &from
		var d Decision
		Decide(tt.tabs, &tt.f, now, &d)
		if got := summary(&d); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestEmergency(t *testing.T) {
	tabs := campus(t, map[string]string{"LocalNets": "10.0.0.0/8"}, func(rows *store.Tables) {
		rows.Aliases = append(rows.Aliases, store.Alias{ID: 9, Alias: "911@cs.example.edu", PrimaryUser: "hgs@cs.example.edu"})
		rows.Plan.DialRules = append(rows.Plan.DialRules,
			store.DialRule{ID: 90, Position: 90, Pattern: "112", Target: "tel:+1911", Emergency: true, Enabled: true},
			store.DialRule{ID: 91, Position: 91, Pattern: "113", Target: "sip:hgs@cs.example.edu", Emergency: true, Enabled: true},
			store.DialRule{ID: 92, Position: 92, Pattern: "114", Target: "sip:nobody@cs.example.edu", Emergency: true, Enabled: true})
		rows.Plan.GatewayRules = append(rows.Plan.GatewayRules,
			store.GatewayRule{ID: 90, Position: 90, Pattern: "(+1)911", Classes: "admin", Target: "sip:$@10.0.0.9", Enabled: true})
		rows.Users = append(rows.Users, store.User{ID: 30, Key: "bob@cs.example.edu", Realm: "cs.example.edu"})
	})
	bound := numericContact("sip:bob@10.0.0.13", 1000)
	bound.Source = netip.MustParseAddrPort("198.51.100.8:5060")
	expired := numericContact("sip:bob@10.0.0.13", 1000)
	expired.Expires, expired.Source = location.At(now), netip.MustParseAddrPort("198.51.100.9:5060")
	static := numericContact("sip:bob@10.0.0.13", 1000)
	static.Expires, static.Source = 0, netip.MustParseAddrPort("198.51.100.10:5060")
	tabs.Location.(contacts)["bob@cs.example.edu"] = []*location.Binding{bound, expired, static}
	for _, tt := range []struct{ name, uri, from, source, want string }{
		{"on the campus", "sip:911@cs.example.edu", "sip:nobody@cs.example.edu", "10.9.9.9", "proxy 0 0:911@192.0.2.91"},
		{"by a gateway, of whatever class", "tel:112", "sip:anonymous@anonymous.invalid", "::ffff:10.9.9.9", "proxy 0 0:911@10.0.0.9"},
		{"to somebody here", "sip:113@cs.example.edu", "sip:x@elsewhere.example", "10.9.9.9", "proxy 0 0:hgs@10.0.0.11"},
		{"a mistake in the plan", "sip:114@cs.example.edu", "sip:x@elsewhere.example", "10.9.9.9", "reject 404"},
		{"a registered telephone", "sip:9911@cs.example.edu", "sip:bob@cs.example.edu", "198.51.100.8", "proxy 0 0:911@192.0.2.91"},
		{"another telephone in its name", "sip:112@cs.example.edu", "sip:bob@cs.example.edu", "198.51.100.7", "challenge 407"},
		{"where an administrator says that one is", "sip:112@cs.example.edu", "sip:bob@cs.example.edu", "198.51.100.10", "challenge 407"},
		{"one that was registered", "sip:112@cs.example.edu", "sip:bob@cs.example.edu", "198.51.100.9", "challenge 407"},
		{"a stranger", "sip:112@cs.example.edu", "sip:x@elsewhere.example", "198.51.100.8", "challenge 407"},
		{"another number", "tel:+12125551234", "sip:bob@cs.example.edu", "198.51.100.8", "challenge 407"},
	} {
		u, from := parse(t, tt.uri), parse(t, tt.from)
		var d Decision
		Decide(tabs, &Facts{URI: &u, From: &from, Source: netip.MustParseAddr(tt.source)}, now, &d)
		if got := summary(&d); got != tt.want {
			var why strings.Builder
			d.Trace.Print(&why)
			t.Errorf("%s: got %s, want %s\n%s", tt.name, got, tt.want, &why)
		}
	}
	u, from := parse(t, "tel:112"), parse(t, "sip:x@elsewhere.example")
	var d Decision
	Decide(tabs, &Facts{URI: &u, From: &from, Trunk: &plan.Gateway{}, Source: netip.MustParseAddr("198.51.100.8")}, now, &d)
	if got, want := summary(&d), "proxy 0 0:911@10.0.0.9"; got != want {
		t.Errorf("a gateway without a class: got %s, want %s", got, want)
	}
}

// TestMachineNames: mail aliases are groups, full names of several users are ambiguous, and neither leads round (BEHAVIOUR B4).
func TestMachineNames(t *testing.T) {
	chain := "c9: hgs\n" // c1 is nine names from hgs, which is as far as one looks.
	for i := range 9 {
		chain += fmt.Sprintf("c%d: c%d\n", i, i+1)
	}
	aliases, _, err := canonicalize.ReadAliases(strings.NewReader(chain + "boss: hgs\nall: hgs, 7155@cs.example.edu, list\nlist: all, boss\nround: round2\nround2: round\nout: a@elsewhere.example\ndead: gone\n"))
	if err != nil {
		t.Fatal(err)
	}
	full, err := canonicalize.ReadFullNames(strings.NewReader("hgs:x:1:1:Henning Smith:/:/bin/sh\n7155:x:2:2:Alex Jones:/:/bin/sh\nphd:x:3:3:Alex Jones:/:/bin/sh\n"))
	if err != nil {
		t.Fatal(err)
	}
	tabs := campus(t, nil, nil)
	tabs.Machine = Names{Aliases: aliases, FullNames: full}
	for _, tt := range []struct{ uri, want string }{
		{"sip:boss@cs.example.edu", "proxy 0 0:hgs@10.0.0.11"},
		{"sip:Boss@cs.example.edu", "proxy 0 0:hgs@10.0.0.11"},
		{"sip:all@cs.example.edu", "proxy 0 0:hgs@10.0.0.11 0:7155@10.0.0.12"},
		{"sip:round@cs.example.edu", "reject 404"},
		{"sip:c1@cs.example.edu", "proxy 0 0:hgs@10.0.0.11"},
		{"sip:c0@cs.example.edu", "reject 404"},
		{"sip:out@cs.example.edu", "reject 404"},
		{"sip:dead@cs.example.edu", "reject 404"},
		{"sip:Henning.Smith@cs.example.edu", "proxy 0 0:hgs@10.0.0.11"},
		{"sip:alex_jones@cs.example.edu", "reject 485"},
		{"sip:unknown@cs.example.edu", "reject 404"},
	} {
		d := dials(t, tabs, tt.uri, "student")
		if got := summary(d); got != tt.want {
			var why strings.Builder
			d.Trace.Print(&why)
			t.Errorf("%s: got %s, want %s\n%s", tt.uri, got, tt.want, &why)
		}
	}
}

// TestCanonicalize: what the setting leaves out is not asked.
func TestCanonicalize(t *testing.T) {
	for _, tt := range []struct{ args, uri, want string }{
		{"-m", "sip:7043@cs.example.edu", "reject 404"},
		{"-d", "sip:7043@cs.example.edu", "proxy 0 0:7043@itgw1.cs.example.edu"},
		{"-d", "tel:+12129397042", "proxy 0 0:7042@itgw1.cs.example.edu"}, // The alias is not looked for.
		{"-m", "tel:+12129397042", "proxy 0 0:hgs@10.0.0.11"},
		{"-m", "sip:911@cs.example.edu", "reject 404"},
	} {
		tabs := campus(t, map[string]string{"Canonicalize": tt.args}, nil)
		if got := summary(dials(t, tabs, tt.uri, "phd")); got != tt.want {
			t.Errorf("%s %s: got %s, want %s", tt.args, tt.uri, got, tt.want)
		}
	}
}

// manyRules is a campus: 200 rules of the dial plan, 500 of the gateway map.
func manyRules(tb testing.TB, users, aliases int) Tables {
	tb.Helper()
	return campus(tb, nil, func(rows *store.Tables) {
		p := &rows.Plan
		p.DialRules, p.GatewayRules = nil, nil
		for i := range 199 {
			p.DialRules = append(p.DialRules, store.DialRule{ID: int64(i + 1), Position: i, Pattern: fmt.Sprintf("(%d)????", 200+i), Target: fmt.Sprintf("tel:+1555%03d$", i), Enabled: true})
		}
		p.DialRules = append(p.DialRules, store.DialRule{ID: 200, Position: 200, Pattern: "(9)???????", Target: "tel:+1212$", Enabled: true})
		for i := range 499 {
			p.GatewayRules = append(p.GatewayRules, store.GatewayRule{ID: int64(i + 1), Position: i, Pattern: fmt.Sprintf("(+1%03d)???????", 213+i), Classes: "phd,staff",
				Target: "sip:8$@10.0.0.50", Enabled: true})
		}
		p.GatewayRules = append(p.GatewayRules, store.GatewayRule{ID: 500, Position: 500, Pattern: "(+1212)???????", Classes: "phd,staff", Target: "sip:8$@itgw", Enabled: true})
		p.Gateways = append(p.Gateways, store.Gateway{ID: 1, Name: "itgw", URI: "sip:10.0.0.50;transport=tcp", Enabled: true})
		for i := range users {
			rows.Users = append(rows.Users, store.User{ID: int64(1000 + i), Key: sipaddr.AOR(fmt.Sprintf("u%d@cs.example.edu", i)), Realm: "cs.example.edu", GatewayClassID: 2})
		}
		for i := range aliases {
			rows.Aliases = append(rows.Aliases, store.Alias{ID: int64(1000 + i), Alias: fmt.Sprintf("a%d@cs.example.edu", i), PrimaryUser: sipaddr.AOR(fmt.Sprintf("u%d@cs.example.edu", i%users))})
		}
	})
}

// TestNumbersAllocateLittle: a call to a gateway makes a binding and the text of its URI.
func TestNumbersAllocateLittle(t *testing.T) {
	tabs := manyRules(t, 100, 100)
	u, from := parse(t, "sip:95551234@cs.example.edu"), parse(t, "sip:phd@cs.example.edu")
	f := &Facts{URI: &u, From: &from, Verdict: Authenticated, User: tabs.User([]byte("phd@cs.example.edu"))}
	var d Decision
	Decide(tabs, f, now, &d)
	if got, want := summary(&d), "proxy 0 0:85551234@10.0.0.50;transport=tcp"; got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
	if n := testing.AllocsPerRun(100, func() { Decide(tabs, f, now, &d) }); n > 2 {
		t.Errorf("got %v allocations, want 2 at most", n)
	}
}

// BenchmarkCampus is a call to a gateway at a campus of 50,000 users, 60,000 aliases, 200 rules of the dial plan and 500 of the gateway map.
func BenchmarkCampus(b *testing.B) {
	tabs := manyRules(b, 50_000, 60_000)
	u, from := parse(b, "sip:95551234@cs.example.edu"), parse(b, "sip:phd@cs.example.edu")
	f := &Facts{URI: &u, From: &from, Verdict: Authenticated, User: tabs.User([]byte("phd@cs.example.edu"))}
	var d Decision
	b.ReportAllocs()
	for b.Loop() {
		Decide(tabs, f, now, &d)
	}
	if d.Kind != Proxy {
		b.Fatal(summary(&d))
	}
}

// BenchmarkDecide is an ordinary call.
func BenchmarkDecide(b *testing.B) {
	tabs := campus(b, nil, func(rows *store.Tables) { rows.Plan = store.PlanRows{} })
	u, from := parse(b, "sip:hgs@cs.example.edu"), parse(b, "sip:y@elsewhere.net")
	f := &Facts{URI: &u, From: &from}
	var d Decision
	b.ReportAllocs()
	for b.Loop() {
		Decide(tabs, f, now, &d)
	}
}
