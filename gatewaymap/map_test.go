package gatewaymap_test

import (
	"fmt"
	"strings"
	"testing"

	"sipd/canonicalize/pattern"
	"sipd/gatewaymap"
	"sipd/trace"
)

// read makes a map of a map file; each line is a position of its own.
func read(t testing.TB, text string) (*gatewaymap.Map, []string) {
	t.Helper()
	lines, err := pattern.Read(strings.NewReader(text), true)
	if err != nil {
		t.Fatal(err)
	}
	var rules []gatewaymap.Rule
	for _, l := range lines {
		rules = append(rules, gatewaymap.Rule{ID: int64(l.Number), Position: l.Number, Pattern: l.Pattern, Classes: l.Classes, Target: l.Target})
	}
	m, warnings, err := gatewaymap.New(rules)
	if err != nil {
		t.Fatal(err)
	}
	return m, warnings
}

// department has the rules of a computer science department: a conference, the department, the university and the city.
const department = `
(+12129397139)          student,phd,faculty,staff sip:test@192.0.2.196
(+1212939)7[01]??       student,phd,faculty,staff sip:$@itgw1.cs.example.edu
(+121285)4????          student,phd,faculty,staff sip:$@itgw1.cs.example.edu
(+1212)???????          phd,faculty,staff  sip:8$@itgw1.cs.example.edu
(+1){347,646,718,917}???????  phd,faculty,staff sip:81$@itgw1.cs.example.edu
`

func TestDepartment(t *testing.T) {
	m, warnings := read(t, department)
	if len(warnings) != 0 {
		t.Errorf("got %v", warnings)
	}
	tests := []struct {
		number, class string
		want          string // the URI, or the outcome
		row           int64
	}{
		{"+12129397139", "student", "sip:test@192.0.2.196", 2}, // Matches the next ones, too: order decides.
		{"+1-212-939-7139", "", "denied", 0},
		{"+12129397042", "student", "sip:7042@itgw1.cs.example.edu", 3},
		{"+12129397242", "student", "denied", 0},
		{"+12129397242", "phd", "sip:89397242@itgw1.cs.example.edu", 5},
		{"+12128541234", "student", "sip:41234@itgw1.cs.example.edu", 4},
		{"+12125551234", "phd", "sip:85551234@itgw1.cs.example.edu", 5},
		{"+12125551234", "student", "denied", 0},
		{"+12125551234", "", "denied", 0},
		{"+13475551234", "staff", "sip:813475551234@itgw1.cs.example.edu", 6},
		{"+19145551234", "faculty", "no match", 0},
		{"12125551234", "faculty", "no match", 0},
		{"+1212555123", "faculty", "no match", 0},
		{"+121255512345", "faculty", "no match", 0},
		{"+12129397042", "guest", "denied", 0},
		{"+12129397042", "*", "denied", 0},
	}
	for _, tt := range tests {
		t.Run(tt.number+" "+tt.class, func(t *testing.T) {
			var tr trace.Trace
			found, out := m.Find(nil, pattern.Strip(nil, []byte(tt.number)), tt.class, &tr)
			if out != gatewaymap.Found {
				if out.String() != tt.want || len(found) != 0 {
					t.Errorf("got %v %v, want %s", out, found, tt.want)
				}
				return
			}
			if len(found) != 1 || found[0].URI != tt.want || found[0].Rule.ID != tt.row {
				t.Fatalf("got %v, want %s by row %d", found, tt.want, tt.row)
			}
			steps := tr.Steps()
			if last := steps[len(steps)-1]; last.Verdict != trace.Match || last.Row != tt.row || last.Table != "gatewaymap" {
				t.Errorf("got %+v as last step", last)
			}
		})
	}
}

func TestNoRules(t *testing.T) {
	var none gatewaymap.Map
	if found, out := none.Find(nil, []byte("+1"), "staff", nil); out != gatewaymap.NoMatch || len(found) != 0 {
		t.Errorf("got %v %v, want no match", out, found)
	}
}

func TestDenialIsTold(t *testing.T) {
	m, _ := read(t, department)
	var tr trace.Trace
	m.Find(nil, []byte("+12129397242"), "student", &tr)
	steps := tr.Steps()
	if len(steps) != 1 || steps[0].Row != 5 || steps[0].Verdict != trace.NoMatch || !strings.Contains(steps[0].Note, "class") {
		t.Errorf("got %+v", steps)
	}
}

func TestStarAndOrder(t *testing.T) {
	m, _ := read(t, "(+1800)??????? * sip:91800$@gw\n(+49)* staff sip:$@a\n(+49)* * sip:$@b\n(+)* admin sip:9011$@gw\n")
	tests := []struct{ number, class, want string }{
		{"+18005551234", "student", "sip:918005551234@gw"},
		{"+18005551234", "", "denied"},
		{"+4930", "staff", "sip:30@a"},
		{"+4930", "student", "sip:30@b"},
		{"+442079460000", "admin", "sip:9011442079460000@gw"},
		{"+", "admin", "no match"},
	}
	for _, tt := range tests {
		found, out := m.Find(nil, []byte(tt.number), tt.class, nil)
		got := out.String()
		if out == gatewaymap.Found {
			got = found[0].URI
		}
		if got != tt.want || len(found) > 1 {
			t.Errorf("%s %s: got %s, want %s", tt.number, tt.class, got, tt.want)
		}
	}
}

// rule makes a rule.
func rule(t testing.TB, id int64, position int, text, classes, target string) gatewaymap.Rule {
	t.Helper()
	p, err := pattern.Compile(text)
	if err != nil {
		t.Fatal(err)
	}
	c, err := pattern.ParseClasses(classes)
	if err != nil {
		t.Fatal(err)
	}
	to, err := pattern.ParseTarget(target)
	if err != nil {
		t.Fatal(err)
	}
	return gatewaymap.Rule{ID: id, Position: position, Pattern: p, Classes: c, Target: to}
}

func TestHuntGroup(t *testing.T) {
	m, _, err := gatewaymap.New([]gatewaymap.Rule{
		rule(t, 5, 20, "(+)*", "*", "sip:$@last"),
		rule(t, 1, 10, "(+1)*", "staff", "sip:$@a"),
		rule(t, 2, 10, "(+1)*", "phd", "sip:$@b"),
		rule(t, 3, 10, "(+12)*", "*", "sip:$@c"),
		rule(t, 4, 10, "(+)*", "staff", "sip:$@d"),
	})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ number, class, want string }{
		{"+123", "staff", "[sip:23@a sip:3@c sip:123@d]"},
		{"+123", "phd", "[sip:23@b sip:3@c]"},
		{"+133", "guest", "[sip:133@last]"},
	}
	for _, tt := range tests {
		found, _ := m.Find(nil, []byte(tt.number), tt.class, nil)
		var got []string
		for _, g := range found {
			got = append(got, g.URI)
		}
		if fmt.Sprint(got) != tt.want {
			t.Errorf("%s %s: got %v, want %s", tt.number, tt.class, got, tt.want)
		}
	}
}

func TestNew(t *testing.T) {
	_, warnings := read(t, "(+1)* staff,phd sip:$@a\n(+1)* staff sip:$@b\n(+1)* guest sip:$@c\n(+2)* * sip:$@a\n(+2)* x sip:$@b\n")
	if len(warnings) != 2 || !strings.HasPrefix(warnings[0], "rule 2 is never reached: rule 1") || !strings.HasPrefix(warnings[1], "rule 5 is never reached: rule 4") {
		t.Errorf("got %q", warnings)
	}
	bad := rule(t, 7, 1, "1", "*", "sip:x@y")
	bad.Weight = -1
	classless := rule(t, 8, 1, "1", "*", "sip:x@y")
	classless.Classes = nil
	var group []gatewaymap.Rule
	for i := range 33 {
		group = append(group, rule(t, int64(i), 1, "1", "*", "sip:x@y"))
	}
	for _, tt := range []struct {
		rules []gatewaymap.Rule
		says  string
	}{
		{[]gatewaymap.Rule{bad}, "rule 7: weight -1"},
		{[]gatewaymap.Rule{classless}, "rule 8: no class"},
		{group, "more than 32"},
		{make([]gatewaymap.Rule, 10001), "at most 10000"},
	} {
		if _, _, err := gatewaymap.New(tt.rules); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("got %v, want %q", err, tt.says)
		}
	}
}

func BenchmarkFind(b *testing.B) {
	var rules []gatewaymap.Rule
	for i := range 500 {
		rules = append(rules, rule(b, int64(i), i, fmt.Sprintf("(+1%03d){347,646,%d}????", 200+i, i%10), "staff,phd,faculty", "sip:9$@gw.example.com"))
	}
	m, _, err := gatewaymap.New(rules)
	if err != nil {
		b.Fatal(err)
	}
	number, dst := []byte("+16896461234"), make([]gatewaymap.Gateway, 0, 4)
	b.ReportAllocs()
	for b.Loop() {
		if dst, _ = m.Find(dst[:0], number, "phd", nil); len(dst) != 1 {
			b.Fatal("not found")
		}
	}
}
