package canonicalize_test

import (
	"fmt"
	"strings"
	"testing"

	"sipd/canonicalize"
	"sipd/canonicalize/pattern"
	"sipd/sipaddr"
	"sipd/trace"
)

// TestNumber: one number, however it is spelled.
func TestNumber(t *testing.T) {
	tests := []struct{ uri, want string }{
		{"tel:+12129397042", "+12129397042"},
		{"tel:+1-212-939-7042", "+12129397042"},
		{"tel:+1(212)939.7042", "+12129397042"},
		{"TEL:+1-212-939-7042;ext=12", "+12129397042"},
		{"tel:+1-212-939-7042;isub=1411", "+12129397042"},
		{"tel:7042;phone-context=+1212939", "+12129397042"},
		{"tel:7042;phone-context=+1-212-939", "+12129397042"},
		{"tel:7042;phone-context=%2b1%32129-39", "+12129397042"},
		{"tel:7042;PHONE-CONTEXT=example.org", "7042"},
		{"tel:7042;phone-context=elsewhere.example", "-"},
		{"tel:7042", "7042"},
		{"sip:+12129397042@example.org;user=phone", "+12129397042"},
		{"sip:+12129397042@example.org;USER=Phone", "+12129397042"},
		{"sip:+1-212-939-7042@example.org;user=phone", "+12129397042"},
		{"sip:%2B12129397042@example.org;user=phone", "+12129397042"},
		{"sip:%2b1%32129397042@example.org", "+12129397042"},
		{"sips:+12129397042@example.org", "+12129397042"},
		{"sip:+12129397042:secret@example.org", "+12129397042"},
		{"sip:+12129397042;ext=3@example.org;user=phone", "+12129397042"},
		{"sip:7042;phone-context=+1212939@example.org;user=phone", "+12129397042"},
		{"sip:%2B12129397042;phone-context=+1212939@example.org;user=phone", "+12129397042"},
		{"sip:7042;phone-context=elsewhere.example@example.org;user=phone", "-"},
		{"sip:12129397042@example.org", "12129397042"},
		{"sip:0012129397042@example.org", "0012129397042"},
		{"sip:713-9@example.org", "7139"},
		{"sip:*98@example.org", "*98"},
		{"sip:%2398@example.org", "#98"},
		{"sip:7A@example.org;user=phone", "7a"},
		{"sip:7A@example.org", "-"},
		{"sip:abba@example.org", "-"},
		{"sip:alice@example.org", "-"},
		{"sip:alice@example.org;user=phone", "-"},
		{"sip:7042x@example.org", "-"},
		{"sip:1+2@example.org", "-"},
		{"sip:+@example.org", "-"},
		{"sip:-@example.org", "-"},
		{"sip:example.org", "-"},
		{"mailto:7042@example.org", "-"},
		{"tel:" + strings.Repeat("1", 129), "-"},
	}
	local := func(domain []byte) bool { return string(domain) == "example.org" }
	for _, tt := range tests {
		t.Run(tt.uri, func(t *testing.T) {
			uri, err := sipaddr.Parse([]byte(tt.uri))
			if err != nil {
				t.Fatal(err)
			}
			got, ok := canonicalize.Number([]byte("x"), &uri, local)
			want := "x" + tt.want
			if tt.want == "-" {
				want = "x"
			}
			if ok != (tt.want != "-") || string(got) != want {
				t.Errorf("got %q %v, want %q", got, ok, want)
			}
		})
	}
}

// plan makes a dial plan of a map file.
func plan(t testing.TB, text string) (*canonicalize.DialPlan, []string, error) {
	t.Helper()
	lines, err := pattern.Read(strings.NewReader(text), false)
	if err != nil {
		t.Fatal(err)
	}
	var rules []canonicalize.Rule
	for _, l := range lines {
		rules = append(rules, canonicalize.Rule{ID: int64(l.Number), Pattern: l.Pattern, Target: l.Target})
	}
	return canonicalize.NewDialPlan(rules)
}

func TestDialPlan(t *testing.T) {
	d, warnings, err := plan(t, `# a campus
7[01]?? tel:+1212939$
911 sip:911@psap.example.org
(9)911 sip:911@psap.example.org
(9){212,646}??????? tel:+1$
(9)??????? tel:+1212$
(9011)* tel:+$
`)
	if err != nil || len(warnings) != 0 {
		t.Fatalf("got %v, %v", warnings, err)
	}
	tests := []struct {
		number, want string
		row          int64
	}{
		{"7042", "tel:+12129397042", 2},
		{"7139", "tel:+12129397139", 2},
		{"95551234", "tel:+12125551234", 6},
		{"96465551234", "tel:+16465551234", 5},
		{"9011442079460000", "tel:+442079460000", 7},
		{"911", "sip:911@psap.example.org", 3},
		{"9911", "sip:911@psap.example.org", 4},
		{"7242", "", 0},
		{"71", "", 0},
	}
	for _, tt := range tests {
		var tr trace.Trace
		got, rule := d.Find([]byte("x"), []byte(tt.number), &tr)
		if string(got) != "x"+tt.want || (rule != nil) != (tt.want != "") || rule != nil && rule.ID != tt.row {
			t.Errorf("%s: got %q by %v, want %q by %d", tt.number, got, rule, tt.want, tt.row)
		}
		if s := tr.Steps(); len(s) != 1 || s[0].Row != tt.row || (s[0].Verdict == trace.Match) != (tt.want != "") {
			t.Errorf("%s: got steps %+v", tt.number, s)
		}
	}
	var none canonicalize.DialPlan
	if _, rule := none.Find(nil, []byte("7042"), nil); rule != nil {
		t.Error("no rules: one was found")
	}
}

func TestNewDialPlan(t *testing.T) {
	_, warnings, err := plan(t, "1? sip:$@a\n2 sip:2@a\n1? sip:$@b\n")
	if err != nil || len(warnings) != 1 || warnings[0] != "rule 3 is never reached: rule 1 has the same pattern 1?" {
		t.Errorf("got %q, %v", warnings, err)
	}
	for text, says := range map[string]string{
		"1 mailto:$@a\n": "rule 1: target mailto:$@a: a number becomes",
		"1 sip:$@\n":     "rule 1: target sip:$@",
		"1 $@a\n":        "rule 1: target $@a",
	} {
		if _, _, err := plan(t, text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: got %v, want %q", text, err, says)
		}
	}
	if _, _, err := canonicalize.NewDialPlan(make([]canonicalize.Rule, 10001)); err == nil {
		t.Error("10,001 rules: got no error")
	}
}

func TestReadAliases(t *testing.T) {
	n, notes, err := canonicalize.ReadAliases(strings.NewReader(`# mail
postmaster: root
Henning:	hgs@cs.example.edu
staff: alice, bob,
	carol , |/usr/bin/procmail
list: :include:/etc/list
"quoted name": dave
`))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"postmaster": "[root]", "HENNING": "[hgs@cs.example.edu]", "staff": "[alice bob carol]", "list": "[]", "quoted name": "[dave]",
		"nobody": "[]", strings.Repeat("x", 200): "[]",
	} {
		if got := fmt.Sprint(n.Find([]byte(name))); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	if len(notes) != 2 || !strings.HasPrefix(notes[0], "line 5: staff: |/usr") || n.Len() != 4 {
		t.Errorf("got %q, %d names", notes, n.Len())
	}
	for text, says := range map[string]string{
		"a b\n":                             "line 1: no colon",
		" a\n":                              "line 1: it continues no alias",
		"x: y\n: z\n":                       "line 2: no name",
		"x: " + strings.Repeat("y,", 65):    "more than 64",
		"x: " + strings.Repeat("y", 64<<10): "line 1",
	} {
		if _, _, err := canonicalize.ReadAliases(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.20q: got %v, want %q", text, err, says)
		}
	}
}

func TestReadFullNames(t *testing.T) {
	n, err := canonicalize.ReadFullNames(strings.NewReader(`root:x:0:0:root:/root:/bin/sh
alice:x:1:1:Alice Liddell,Room 1:/var/empty:/bin/sh
al2:x:2:1:Alice Liddell:/var/empty:/bin/sh
bob:x:3:1:& Builder:/var/empty:/bin/sh
`))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"Alice.Liddell": "[alice al2]", "alice_liddell": "[alice al2]", "AliceLiddell": "[alice al2]", "alice liddell": "[alice al2]",
		"bob.builder": "[bob]", "root": "[]", "alice": "[]",
	} {
		if got := fmt.Sprint(n.Find([]byte(name))); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	if _, err := canonicalize.ReadFullNames(strings.NewReader("alice:x:1\n")); err == nil || !strings.Contains(err.Error(), "line 1: 3 fields") {
		t.Errorf("got %v", err)
	}
}

func TestParseArguments(t *testing.T) {
	tests := []struct {
		text string
		want canonicalize.Arguments
	}{
		{"", canonicalize.All},
		{"-m -d", canonicalize.All},
		{"-and", canonicalize.Arguments{AliasFile: true, Names: true, DialPlan: true}},
		{"-A /etc/mail/aliases -Dplan", canonicalize.Arguments{AliasFile: true, AliasPath: "/etc/mail/aliases", DialPlan: true, DialPlanPath: "plan"}},
		{"-T sql://u:p@h/d", canonicalize.Arguments{Database: true}},
	}
	for _, tt := range tests {
		got, note, err := canonicalize.ParseArguments(tt.text)
		if err != nil || got != tt.want || (note != "") != strings.Contains(tt.text, "-T") {
			t.Errorf("%q: got %+v %q %v, want %+v", tt.text, got, note, err, tt.want)
		}
	}
	for text, says := range map[string]string{"x": "expected a flag", "-A": "argument is missing", "-z": "unknown flag", "-": "expected a flag"} {
		if _, _, err := canonicalize.ParseArguments(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: got %v, want %q", text, err, says)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	d, _, err := plan(t, "7[01]?? tel:+1212939$\n")
	if err != nil {
		t.Fatal(err)
	}
	uri, err := sipaddr.Parse([]byte("sip:7042@example.org"))
	if err != nil {
		t.Fatal(err)
	}
	local := func([]byte) bool { return true }
	number, dst := make([]byte, 0, 64), make([]byte, 0, 64)
	if n := testing.AllocsPerRun(100, func() {
		number, _ = canonicalize.Number(number[:0], &uri, local)
		dst, _ = d.Find(dst[:0], number, nil)
	}); n != 0 {
		t.Errorf("got %v allocations, want none", n)
	}
}

func FuzzReadAliases(f *testing.F) {
	f.Add("a: b, c\n d\n")
	f.Fuzz(func(t *testing.T, text string) {
		n, _, err := canonicalize.ReadAliases(strings.NewReader(text))
		if (n == nil) == (err == nil) {
			t.Errorf("got %v and %v", n, err)
		}
	})
}
