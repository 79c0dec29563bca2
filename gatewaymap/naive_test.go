package gatewaymap_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"sipd/canonicalize"
	"sipd/canonicalize/pattern"
	"sipd/gatewaymap"
)

// randomRule writes the pattern of a rule: few digits, so that rules and numbers meet.
func randomRule(r *rand.Rand) string {
	var s strings.Builder
	for range 1 + r.IntN(3) {
		part := [...]string{"1", "2", "?", "[12]", "[!1]", "{1,22,12}", "(1)", "(2?)", "(+)", "??"}[r.IntN(10)]
		s.WriteString(part)
	}
	if r.IntN(4) == 0 {
		s.WriteString("*")
	}
	return s.String()
}

// naive is Find, rule by rule.
func naive(rules []gatewaymap.Rule, number []byte, class string) (uris []string, out gatewaymap.Outcome) {
	rules = slices.Clone(rules)
	slices.SortStableFunc(rules, func(a, b gatewaymap.Rule) int { return a.Position - b.Position })
	for i := range rules {
		r := &rules[i]
		if !r.Pattern.Match(number) {
			continue
		}
		if class == "" || !slices.Contains(r.Classes, "*") && !slices.Contains(r.Classes, class) {
			out = max(out, gatewaymap.Denied)
			continue
		}
		for _, x := range rules {
			if x.Position == r.Position && x.Pattern.Match(number) && (x.Classes[0] == "*" || slices.Contains(x.Classes, class)) {
				uris = append(uris, string(x.AppendURI(nil, number)))
			}
		}
		return uris, gatewaymap.Found
	}
	return nil, out
}

// TestAgainstNaive compares dial plan and gateway map with trying each rule in turn.
func TestAgainstNaive(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 9))
	outcomes := map[gatewaymap.Outcome]int{}
	planned := 0
	for range 150 {
		var rules []gatewaymap.Rule
		var dial []canonicalize.Rule
		for i := range 1 + r.IntN(80) {
			text := randomRule(r)
			classes := [...]string{"*", "a", "b", "a,b", "c"}[r.IntN(5)]
			rules = append(rules, rule(t, int64(i+1), r.IntN(20), text, classes, fmt.Sprintf("sip:$@g%d", i)))
			p, err := pattern.Compile(text)
			if err != nil {
				t.Fatal(err)
			}
			to, err := pattern.ParseTarget(fmt.Sprintf("tel:%d$", 100+i))
			if err != nil {
				t.Fatal(err)
			}
			dial = append(dial, canonicalize.Rule{ID: int64(i + 1), Pattern: p, Target: to})
		}
		m, _, err := gatewaymap.New(rules)
		if err != nil {
			continue // A hunt group that is too large.
		}
		plan, _, err := canonicalize.NewDialPlan(dial)
		if err != nil {
			t.Fatal(err)
		}
		for range 50 {
			number := make([]byte, 1+r.IntN(5))
			for i := range number {
				number[i] = "1122239+"[r.IntN(8)]
			}
			class := [...]string{"", "a", "b", "c", "d"}[r.IntN(5)]
			found, out := m.Find(nil, number, class, nil)
			var got []string
			for _, g := range found {
				got = append(got, g.URI)
			}
			want, wantOut := naive(rules, number, class)
			if out != wantOut || !slices.Equal(got, want) {
				t.Fatalf("%s by %q: got %v %v, want %v %v", number, class, out, got, wantOut, want)
			}
			outcomes[out]++
			uri, by := plan.Find(nil, number, nil)
			i := slices.IndexFunc(dial, func(r canonicalize.Rule) bool { return r.Pattern.Match(number) })
			switch {
			case i < 0 != (by == nil):
				t.Fatalf("dial plan, %s: got %v, want rule %d", number, by, i+1)
			case by == nil:
			default:
				planned++
				kept, _ := dial[i].Pattern.AppendKept(nil, number)
				if want := dial[i].Target.Append(nil, kept); by.ID != dial[i].ID || string(uri) != string(want) {
					t.Fatalf("dial plan, %s: got %s by rule %d, want %s by %d", number, uri, by.ID, want, dial[i].ID)
				}
			}
		}
	}
	if outcomes[gatewaymap.Found] < 400 || outcomes[gatewaymap.Denied] < 400 || outcomes[gatewaymap.NoMatch] < 400 || planned < 400 {
		t.Errorf("got %v and %d by the dial plan: they show too little", outcomes, planned)
	}
}

// TestNothingExplodes: the worst patterns and the longest numbers are tried in time that grows with their length alone.
func TestNothingExplodes(t *testing.T) {
	worst := strings.Repeat("{1,11}", 20) + "*"
	var rules []gatewaymap.Rule
	for i := range 200 {
		rules = append(rules, rule(t, int64(i+1), i, worst, "a", "sip:$@g"))
	}
	m, _, err := gatewaymap.New(rules)
	if err != nil {
		t.Fatal(err)
	}
	took := func(n int) time.Duration {
		number := append([]byte(strings.Repeat("1", n-1)), '#')
		best := time.Hour
		for range 3 {
			begin := time.Now()
			if _, out := m.Find(nil, number, "b", nil); out != gatewaymap.NoMatch {
				t.Fatalf("got %v, want no match", out)
			}
			best = min(best, time.Since(begin))
		}
		return best
	}
	// It takes some milliseconds. A matcher that tries everything would take a million times as long.
	for _, n := range []int{21, 60, pattern.MaxLen, pattern.MaxLen + 1, 10_000} {
		if d := took(n); d > 2*time.Second {
			t.Errorf("%d digits: it took %v", n, d)
		}
	}
}
