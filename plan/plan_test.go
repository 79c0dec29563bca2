package plan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"sipd/canonicalize"
	"sipd/canonicalize/pattern"
	"sipd/plan"
	"sipd/sipaddr"
	"sipd/store"
	"sipd/trace"
)

// campus has the classes, a dial plan and the gateways of a computer science department.
func campus(t testing.TB) *store.PlanRows {
	t.Helper()
	p := &store.PlanRows{}
	for i, name := range []string{"admin", "faculty", "phd", "staff", "student"} {
		p.Classes = append(p.Classes, store.GatewayClass{ID: int64(i + 1), Name: name})
	}
	p.DialRules, _ = plan.ImportDialPlan(nil, read(t, false, `
7[01]?? tel:+1212939$
911 sip:911@psap.example.org
(9)911 sip:911@psap.example.org
(9)??????? tel:+1212$
(9)1?????????? tel:+$
(9011)* tel:+$
411 sip:info@example.com
`))
	p.GatewayRules, _ = plan.ImportGatewayMap(nil, read(t, true, `
(+12129397139) student,phd,faculty,staff sip:test@192.0.2.196
(+1212939)7[01]?? student,phd,faculty,staff sip:$@itgw1.cs.example.edu
(+121285)4???? student,phd,faculty,staff sip:$@itgw1.cs.example.edu
(+1212)??????? phd,faculty,staff sip:8$@itgw1.cs.example.edu
(+1){347,646,718,917}??????? phd,faculty,staff sip:81$@itgw1.cs.example.edu
(+1800)??????? * sip:91800$@gw
(+)44* admin sip:9011$@gw
`))
	p.Gateways = []store.Gateway{{ID: 1, Name: "gw", URI: "sip:192.0.2.7:5070;transport=tcp", SourceNets: "192.0.2.7", InboundClassID: 4, Enabled: true}}
	number(p)
	return p
}

// number gives rules ids, as a database would.
func number(p *store.PlanRows) {
	for i := range p.DialRules {
		p.DialRules[i].ID = int64(100 + i)
	}
	for i := range p.GatewayRules {
		p.GatewayRules[i].ID = int64(200 + i)
	}
}

func read(t testing.TB, classes bool, text string) []pattern.Line {
	t.Helper()
	lines, err := pattern.Read(strings.NewReader(text), classes)
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func canonical(host []byte) (string, bool) {
	switch string(host) {
	case "example.com", "sip.example.com":
		return "example.com", true
	case "other.example":
		return "other.example", true
	}
	return "", false
}

func book(t testing.TB, rows *store.PlanRows) *plan.Book {
	t.Helper()
	p, problems := plan.Compile(rows, nil)
	for i := range problems {
		t.Error(&problems[i])
	}
	return &plan.Book{Plan: p, Home: "example.com", Canonical: canonical, Names: plan.NewKnown(
		[]sipaddr.AOR{"alice@example.com", "bob@example.com", "201@example.com", "default@example.com", "dave@other.example"},
		[]store.Alias{
			{ID: 1, Alias: "+12129397042@example.com", PrimaryUser: "alice@example.com"},
			{ID: 2, Alias: "sales@example.com", PrimaryUser: "alice@example.com", Kind: store.Group},
			{ID: 3, Alias: "sales@example.com", PrimaryUser: "bob@example.com", Kind: store.Group},
			{ID: 4, Alias: "300@example.com", PrimaryUser: "alice@example.com"},
			{ID: 5, Alias: "300@example.com", PrimaryUser: "bob@example.com"},
			{ID: 6, Alias: "info@example.com", PrimaryUser: "bob@example.com"},
			{ID: 7, Alias: "301@example.com", PrimaryUser: "alice@example.com"},
			{ID: 8, Alias: "301@example.com", PrimaryUser: "bob@example.com", Kind: store.Group},
		})}
}

func TestRoute(t *testing.T) {
	b := book(t, campus(t))
	tests := []struct{ number, class, want string }{
		{"7042", "", "sip:alice@example.com"}, // The dial plan, then an alias: no class is asked.
		{"tel:+1-212-939-7042", "", "sip:alice@example.com"},
		{"sip:%2B12129397042@sip.example.com;user=phone", "", "sip:alice@example.com"},
		{"+1 (212) 939-7042", "", "sip:alice@example.com"},
		{"7139", "student", "sip:test@192.0.2.196"},
		{"713-9", "student", "sip:test@192.0.2.196"},
		{"7139", "", "denied"},
		{"7139", "guest", "denied"},
		{"+12129397242", "student", "denied"},
		{"+12129397242", "phd", "sip:89397242@itgw1.cs.example.edu"},
		{"95551234", "phd", "sip:85551234@itgw1.cs.example.edu"},
		{"95551234", "student", "denied"},
		{"9011442079460000", "admin", "sip:9011442079460000@gw"},
		{"9011442079460000", "staff", "denied"},
		{"+18005551234", "student", "sip:918005551234@gw"},
		{"+18005551234", "", "denied"},
		{"+19145551234", "faculty", "nomatch"},
		{"12125551234", "faculty", "nomatch"},
		{"911", "", "sip:911@psap.example.org"},
		{"9911", "", "sip:911@psap.example.org"},
		{"411", "", "sip:bob@example.com"},
		{"201", "", "sip:201@example.com"},
		{"300", "", "ambiguous"},
		{"301", "", "ambiguous"}, // A group is one by all its rows.
		{"sip:sales@example.com", "", "sip:alice@example.com sip:bob@example.com"},
		{"alice@example.com", "", "sip:alice@example.com"},
		{"sip:default@example.com", "", "nomatch"},
		{"sip:nobody@example.com", "admin", "nomatch"},
		{"sip:201@other.example", "", "nomatch"},
		{"sip:7042@elsewhere.example", "", "sip:7042@elsewhere.example"},
		{"tel:7042;phone-context=elsewhere.example", "admin", "nomatch"},
	}
	for _, tt := range tests {
		r, err := b.Route(tt.number, tt.class, nil)
		if err != nil || r.String() != tt.want {
			t.Errorf("%s %s: got %s, %v; want %s", tt.number, tt.class, r.String(), err, tt.want)
		}
	}
	for _, bad := range []string{"", "sip:", "hello", "mailto:a@b"} {
		if _, err := b.Route(bad, "", nil); err == nil || !strings.Contains(err.Error(), "is no number") {
			t.Errorf("%q: got %v, want an error", bad, err)
		}
	}
	var tr trace.Trace
	if _, err := b.Route("7042", "", &tr); err != nil {
		t.Fatal(err)
	}
	var steps []string
	for _, s := range tr.Steps() {
		steps = append(steps, fmt.Sprint(s.Rule, " ", s.Verdict, " ", s.Table, s.Row))
	}
	if got, want := strings.Join(steps, ", "), "dial plan match dialplan100, user no match 0, alias match aliases1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	// An emergency rule comes ahead of who has the number, and whoever calls gets through.
	rows := campus(t)
	rows.DialRules = append(rows.DialRules, store.DialRule{ID: 150, Position: 1, Pattern: "201", Target: "tel:+44999", Emergency: true, Enabled: true})
	b = book(t, rows)
	if r, err := b.Route("201", "", nil); err != nil || r.String() != "sip:901144999@gw" || !r.Emergency {
		t.Errorf("emergency: got %+v, %v", r, err)
	}
	for _, tt := range []struct {
		ask  canonicalize.Arguments
		want string
	}{{canonicalize.Arguments{Database: true}, "nomatch"}, {canonicalize.Arguments{DialPlan: true}, "denied"}} {
		b.Ask = tt.ask
		if r, err := b.Route("7042", "", nil); err != nil || r.String() != tt.want {
			t.Errorf("%+v: got %s, %v; want %s", tt.ask, r.String(), err, tt.want)
		}
	}
}

func TestCompile(t *testing.T) {
	good, problems := plan.Compile(campus(t), nil)
	if len(problems) != 0 {
		t.Fatalf("got %v", problems)
	}
	if g := good.Gateway([]byte("GW")); g == nil || g.Class != "staff" || g.URI.Port != 5070 || len(g.Nets) != 1 || good.Gateway([]byte("gw2")) != nil ||
		len(good.Gateways()) != 1 || good.Gateway(make([]byte, 300)) != nil {
		t.Errorf("got %+v, want the gateway with its class", g)
	}
	if good.Class(4) != "staff" || good.Class(0) != "" || good.Class(9) != "" {
		t.Errorf("got classes %q %q %q", good.Class(4), good.Class(0), good.Class(9))
	}
	same, problems := plan.Compile(campus(t), good)
	if len(problems) != 0 || same.DialPlan != good.DialPlan || same.Map != good.Map {
		t.Errorf("nothing has changed: got another plan, %v", problems)
	}
	tests := []struct {
		name       string
		do         func(p *store.PlanRows)
		says       string
		dial, maps bool // are made anew
	}{
		{"another rule", func(p *store.PlanRows) { p.DialRules[0].Pattern = "8???" }, "", true, false},
		{"pattern", func(p *store.PlanRows) { p.DialRules[1].Pattern = "7[" }, "dialplan 101: store: invalid value: pattern", false, false},
		{"target", func(p *store.PlanRows) { p.DialRules[2].Target = "gopher:x" }, "dialplan 102: ", false, false},
		{"switched off", func(p *store.PlanRows) { p.DialRules[1].Pattern, p.DialRules[1].Enabled = "7[", false }, "", true, false},
		{"map pattern", func(p *store.PlanRows) { p.GatewayRules[1].Pattern = "(+1" }, "gatewaymap 201: store: invalid value: pattern", false, false},
		{"class", func(p *store.PlanRows) { p.GatewayRules[3].Classes = "phd,guest" }, "gatewaymap 203: store: invalid value: there is no gateway class guest", false, false},
		{"class is gone", func(p *store.PlanRows) { p.Classes = p.Classes[1:] }, "gatewaymap 206: store: invalid value: there is no gateway class admin", false, false},
		{"a large hunt group", func(p *store.PlanRows) {
			for i := range 33 {
				p.GatewayRules = append(p.GatewayRules, store.GatewayRule{ID: int64(300 + i), Position: 999, Pattern: "1", Classes: "*", Target: "sip:a@b.example", Enabled: true})
			}
		}, "gatewaymap 332: store: invalid value: position 999", false, false},
		{"no such gateway", func(p *store.PlanRows) { p.GatewayRules[0].Target = "sip:$@gw9" }, "gatewaymap 200: store: invalid value: target sip:$@gw9: there is no gateway gw9", false, true},
		{"gateway", func(p *store.PlanRows) { p.Gateways[0].SourceNets = "everywhere" }, "gateways 1: store: invalid value: source_nets", false, true},
		{"gateway of no class", func(p *store.PlanRows) { p.Gateways[0].InboundClassID = 77 }, "gateways 1: store: invalid value: inbound_class_id 77", false, true},
		{"name of a class", func(p *store.PlanRows) {
			p.Classes = append(p.Classes, store.GatewayClass{ID: 9, Name: "*"})
		}, "gateway_classes 9: ", false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rows := campus(t)
			tt.do(rows)
			next, problems := plan.Compile(rows, good)
			if (len(problems) > 0) != (tt.says != "") || len(problems) > 0 && !strings.HasPrefix(problems[0].Error(), tt.says) {
				t.Fatalf("got %v, want %q", problems, tt.says)
			}
			if (next.DialPlan != good.DialPlan) != tt.dial || (next.Map != good.Map) != tt.maps {
				t.Errorf("got a new dial plan %v and a new map %v, want %v, %v", next.DialPlan != good.DialPlan, next.Map != good.Map, tt.dial, tt.maps)
			}
			if next.Gateway([]byte("gw")) == nil || next.Gateway([]byte("gw")).Class != "staff" {
				t.Error("the last good gateway is gone")
			}
			// The same once more says the same.
			again, more := plan.Compile(rows, next)
			if len(more) != len(problems) || again.DialPlan != next.DialPlan || again.Map != next.Map {
				t.Errorf("again: got %v, want %v and the same tables", more, problems)
			}
			// What is in force can be taken for a copy, and has nothing wrong with it.
			if _, bad := plan.Compile(next.Rows(), nil); slices.ContainsFunc(bad, func(p plan.Problem) bool { return !p.InForce }) {
				t.Errorf("the rows in force: got %v", bad)
			}
			// Mended, it is in force.
			if _, bad := plan.Compile(campus(t), next); len(bad) != 0 {
				t.Errorf("mended: got %v", bad)
			}
			// Without anything before, the others are in force.
			first, _ := plan.Compile(rows, nil)
			if uri, _ := first.DialPlan.Find(nil, []byte("9011442"), nil); string(uri) != "tel:+442" {
				t.Errorf("the rules beside it: got %q, want tel:+442", uri)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	rows := campus(t)
	rows.DialRules = append(rows.DialRules, store.DialRule{ID: 199, Position: 999, Pattern: "911", Target: "sip:x@y.example", Enabled: true})
	p, _ := plan.Compile(rows, nil)
	if len(p.Warnings) != 1 || p.Warnings[0] != "dialplan: rule 199 is never reached: rule 101 has the same pattern 911" {
		t.Errorf("got %q", p.Warnings)
	}
}

func TestDiff(t *testing.T) {
	before, rows := book(t, campus(t)), campus(t)
	rows.DialRules[0].Target = "tel:+1212854$" // Extensions move to another exchange.
	after := book(t, rows)
	numbers := before.Names.(*plan.Known).Numbers()
	if !slices.Contains(numbers, "7042") || !slices.Contains(numbers, "+12129397042") || slices.Contains(numbers, "2") {
		t.Errorf("got %v, want the number and its ends", numbers)
	}
	got, err := plan.Diff(before, after, numbers, []store.PlanTest{
		{Number: "7042"}, {Number: "7100", Class: "student"}, {Number: "95551234", Class: "phd"}, {Number: "?"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, d := range got {
		lines = append(lines, fmt.Sprintf("%s %s: %s > %s %v", d.Number, d.Class, d.Was, d.Becomes, d.Users))
	}
	want := []string{
		"7042 : sip:alice@example.com > tel:+12128547042 [alice@example.com]",
		"7042 NULL: sip:alice@example.com > denied [alice@example.com]",
		"7100 student: sip:7100@itgw1.cs.example.edu > sip:47100@itgw1.cs.example.edu []",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	// From one user to another the class does not matter: a number with a test is said once.
	rows.DialRules[0].Target = "sip:bob@example.com"
	got, err = plan.Diff(before, book(t, rows), []string{"7042"}, []store.PlanTest{{Number: "7042"}})
	if err != nil || len(got) != 1 || got[0].Becomes != "sip:bob@example.com" || !slices.Equal(got[0].Users, []string{"alice@example.com", "bob@example.com"}) {
		t.Errorf("got %+v, %v, want 7042 from alice to bob", got, err)
	}
	if got, err := plan.Diff(before, before, numbers, nil); err != nil || len(got) != 0 {
		t.Errorf("the same: got %v, %v", got, err)
	}
}

func TestImportExport(t *testing.T) {
	rows := campus(t)
	rows.DialRules[1].Emergency, rows.DialRules[1].Comment = true, "the police"
	rows.GatewayRules[2].Position, rows.GatewayRules[2].Weight = rows.GatewayRules[1].Position, 7 // a hunt group
	rows.DialRules[6].Enabled = false
	lines, off, err := plan.ExportDialPlan(rows.DialRules)
	if err != nil || off != 1 || len(lines) != 6 || lines[1].Comment != "the police" {
		t.Fatalf("got %d lines, %d off, %v", len(lines), off, err)
	}
	next, changes := plan.ImportDialPlan(rows.DialRules, lines)
	if !slices.Equal(changes, []string{"- 411 sip:info@example.com"}) || !slices.Equal(next, rows.DialRules[:6]) {
		t.Errorf("got %q and %+v, want it as it was without the rule that is off", changes, next)
	}
	slices.Reverse(lines)
	if next, changes = plan.ImportDialPlan(rows.DialRules[:6], append(lines, read(t, false, "# new one\n5??? sip:$@x.example\n")...)); !slices.Equal(changes,
		[]string{"+ 5??? sip:$@x.example", "~ rules that stay are in another order"}) || next[0].ID != 105 || next[0].Position != 10 || next[6].Comment != "new one" || next[6].ID != 0 {
		t.Errorf("got %q and %+v, want the new rule and the order", changes, next)
	}
	maps, _, err := plan.ExportGatewayMap(rows.GatewayRules)
	if err != nil {
		t.Fatal(err)
	}
	again, changes := plan.ImportGatewayMap(rows.GatewayRules, maps)
	if len(changes) != 0 || again[2].Weight != 7 || again[1].Position != again[2].Position || again[0].Position == again[1].Position || again[3].Position == again[2].Position {
		t.Errorf("got %q and %+v, want the hunt group and its weight", changes, again)
	}
	if n := plan.NextPosition(again, func(r *store.GatewayRule) int { return r.Position }); n != 70 {
		t.Errorf("got next position %d, want 70", n)
	}
}

// TestImportKeepsWhatFilesCannotSay edits lines of an exported file: an emergency number stays one, a hunt group, too.
func TestImportKeepsWhatFilesCannotSay(t *testing.T) {
	dial := []store.DialRule{
		{ID: 1, Position: 10, Pattern: "911", Target: "sip:911@psap.example", Emergency: true, Comment: "help", Enabled: true},
		{ID: 2, Position: 20, Pattern: "912", Target: "sip:912@psap.example", Emergency: true, Enabled: true},
		{ID: 3, Position: 30, Pattern: "411", Target: "sip:old@psap.example", Emergency: true},
	}
	next, changes := plan.ImportDialPlan(dial, read(t, false, "911 sip:911@new.example\n411 sip:info@psap.example\n"))
	if want := []string{"+ 911 sip:911@new.example (emergency)", "+ 411 sip:info@psap.example", "- 911 sip:911@psap.example (emergency)",
		"- 912 sip:912@psap.example (emergency)", "- 411 sip:old@psap.example (emergency)"}; !slices.Equal(changes, want) {
		t.Errorf("got changes %q, want %q", changes, want)
	}
	if r := next[0]; !r.Emergency || r.Comment != "help" || r.ID != 0 || !r.Enabled {
		t.Errorf("911: got %+v, want an emergency rule", r)
	}
	if r := next[1]; r.Emergency || !r.Enabled {
		t.Errorf("411: got %+v, want nothing of the rule that was off", r)
	}

	rules := []store.GatewayRule{
		{ID: 1, Position: 5, Pattern: "(+1)*", Classes: "staff,student", Target: "sip:$@gw1", Weight: 3, Enabled: true},
		{ID: 2, Position: 5, Pattern: "(+1)*", Classes: "staff,student", Target: "sip:$@gw2", Weight: 1, Enabled: true},
		{ID: 3, Position: 6, Pattern: "(+1)*", Classes: "staff", Target: "sip:$@gw3", Weight: 1, Enabled: true},
	}
	maps, _ := plan.ImportGatewayMap(rules, read(t, true, "(+1)* staff sip:$@gw1\n(+1)* staff sip:$@gw9\n(+1)* staff sip:$@gw3\n(+1)* staff sip:$@gw4\n"))
	for i, want := range []store.GatewayRule{
		{Position: 10, Pattern: "(+1)*", Classes: "staff", Target: "sip:$@gw1", Weight: 3, Enabled: true},
		{Position: 10, Pattern: "(+1)*", Classes: "staff", Target: "sip:$@gw9", Weight: 1, Enabled: true},
		{ID: 3, Position: 20, Pattern: "(+1)*", Classes: "staff", Target: "sip:$@gw3", Weight: 1, Enabled: true},
		{Position: 30, Pattern: "(+1)*", Classes: "staff", Target: "sip:$@gw4", Weight: 1, Enabled: true},
	} {
		if maps[i] != want {
			t.Errorf("rule %d: got %+v, want %+v", i+1, maps[i], want)
		}
	}
}

func TestCheckLines(t *testing.T) {
	if err := plan.CheckDialPlan(read(t, false, "1 sip:$@a\n\n2 mailto:x\n3 sip:\n")); err == nil || !strings.Contains(err.Error(), "line 3: ") || !strings.Contains(err.Error(), "line 4: ") {
		t.Errorf("got %v, want lines 3 and 4", err)
	}
	rows := campus(t)
	if err := plan.CheckGatewayMap(read(t, true, "1 * sip:$@a\n2 staff,guest sip:$@a\n3 phd http:x\n"), rows); err == nil ||
		!strings.Contains(err.Error(), "line 2: store: invalid value: there is no gateway class guest: write `sipd class add guest`") || !strings.Contains(err.Error(), "line 3: ") || strings.Contains(err.Error(), "line 1") {
		t.Errorf("got %v, want lines 2 and 3", err)
	}
}

func TestDigits(t *testing.T) {
	for text, want := range map[string]string{
		"+1 (212) 939-7042": "+12129397042", "7042": "7042", "tel:+1-212": "+1212", "sip:%2B1212@x.example;user=phone": "+1212", "70#": "70#",
		"": "-", "sip:alice@example.com": "-", "sip:@": "-", strings.Repeat("1", 129): "-",
	} {
		got, err := plan.Digits(text)
		if err != nil {
			got = "-"
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
