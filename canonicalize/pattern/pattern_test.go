package pattern_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"sipd/canonicalize/pattern"
)

func TestMatch(t *testing.T) {
	tests := []struct {
		pattern, number string
		kept            string // "-": no match
	}{
		{"(+1212939)7[01]??", "+12129397139", "7139"},
		{"(+1212939)7[01]??", "+12129397042", "7042"},
		{"(+1212939)7[01]??", "+12129397242", "-"},
		{"(+1212939)7[01]??", "+1212939704", "-"},
		{"(+1212939)7[01]??", "+121293970421", "-"},
		{"(+121285)4????", "+12128541234", "41234"},
		{"(+1212)???????", "+12125551234", "5551234"},
		{"(+1){347,646,917,201}???????", "+13475551234", "3475551234"},
		{"(+1){347,646,917,201}???????", "+19145551234", "-"},
		{"(+)*", "+442079460000", "442079460000"},
		{"(+)*", "+", "-"},
		{"(+*)", "+44", ""},
		{"9(*)", "912", "9"},
		{"*", "12a", "-"},
		{"911", "911", "911"},
		{"911", "9911", "-"},
		{"\\*98", "*98", "*98"},
		{"\\*98", "198", "-"},
		{"[!2-9]", "1", "1"},
		{"[^1]", "1", "-"},
		{"[!1]", "+", "-"},
		{"[*#]1", "#1", "#1"},
		{"[0-26]", "6", "6"},
		{"[0-26]", "3", "-"},
		{"aB", "Ab", "Ab"},
		{"\\x1", "X1", "X1"},
		// A split that is ambiguous: the first alternative, and * as much as it can.
		{"({1,12}){2,22}", "122", "22"},
		{"({12,1}){2,22}", "122", "2"},
		{"(*)2", "122", "2"},
		{"{1,1?}(*)", "123", "1"},
		{"{1?,1}(*)", "123", "12"},
		{"{1?,1}(*)", "12", "1"},
	}
	for _, tt := range tests {
		t.Run(tt.pattern+" "+tt.number, func(t *testing.T) {
			p, err := pattern.Compile(tt.pattern)
			if err != nil {
				t.Fatal(err)
			}
			got, ok := p.AppendKept([]byte("x"), []byte(tt.number))
			want := tt.kept != "-"
			if ok != want || p.Match([]byte(tt.number)) != want {
				t.Fatalf("got match %v, want %v", ok, want)
			}
			if ok && string(got) != "x"+tt.kept || !ok && string(got) != "x" {
				t.Errorf("got %q, want %q", got, "x"+tt.kept)
			}
		})
	}
}

func TestCompileErrors(t *testing.T) {
	tests := []struct {
		pattern string
		column  int
		says    string
	}{
		{"", 1, "empty"},
		{strings.Repeat("1", 129), 129, "at most 128"},
		{"(+1", 1, "( without )"},
		{"+1)", 3, ") without ("},
		{"((1))", 2, "nested"},
		{"1()", 2, "empty group"},
		{"[12", 1, "[ without ]"},
		{"[]1", 1, "empty set"},
		{"[!]", 1, "empty set"},
		{"[!0-9]", 1, "matches nothing"},
		{"[5-2]", 2, "range"},
		{"[a-c]", 2, "range"},
		{"[1-]", 3, "cannot stand in a set"},
		{"{1,2", 1, "{ without }"},
		{"{1,,2}", 4, "empty"},
		{"{}", 2, "empty"},
		{"{1,2*}", 5, "alternatives"},
		{"*1", 1, "last"},
		{"(*)(1)", 2, "last"},
		{"(*1)", 2, "last"},
		{"**", 1, "last"},
		{"1\\", 2, "followed"},
		{"1-2", 2, "without separators"},
		{"12]", 3, "closes nothing"},
		{"sip", 1, "no digit"},
	}
	for _, tt := range tests {
		t.Run(tt.pattern, func(t *testing.T) {
			_, err := pattern.Compile(tt.pattern)
			var bad *pattern.Error
			if !errors.As(err, &bad) {
				t.Fatalf("got %v, want a *pattern.Error", err)
			}
			if bad.Column != tt.column || !strings.Contains(bad.Error(), tt.says) {
				t.Errorf("got %v, want column %d and %q", bad, tt.column, tt.says)
			}
		})
	}
}

func TestTarget(t *testing.T) {
	tests := []struct{ target, kept, want string }{
		{"sip:$@gw", "7042", "sip:7042@gw"},
		{"sip:81$@gw", "5551234", "sip:815551234@gw"},
		{"sip:test@192.0.2.1", "1", "sip:test@192.0.2.1"},
		{"sip:$@gw;x=$", "12", "sip:12@gw;x=12"},
		{"tel:+1%24$", "2", "tel:+1%242"},
	}
	for _, tt := range tests {
		target, err := pattern.ParseTarget(tt.target)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(target.Append(nil, []byte(tt.kept))); got != tt.want || target.String() != tt.target {
			t.Errorf("%s: got %q and %q, want %q", tt.target, got, target, tt.want)
		}
	}
	for _, bad := range []string{"", "sip:a b@gw", "sip:<$>", "sip:\x00", strings.Repeat("a", 513)} {
		if _, err := pattern.ParseTarget(bad); err == nil {
			t.Errorf("%q: got no error", bad)
		}
	}
}

func TestStrip(t *testing.T) {
	if got := string(pattern.Strip(nil, []byte("+1 (212) 939-70.42"))); got != "+12129397042" {
		t.Errorf("got %q", got)
	}
}

// randomPattern makes a pattern and, as its judge, the regular expression that says the same: RE2 prefers the first
// alternative and the longest repetition too. What is kept is in its groups.
func randomPattern(r *rand.Rand) (text, re string) {
	var p, q strings.Builder
	atoms := 1 + r.IntN(6)
	group := false
	for i := range atoms {
		opened := false
		if !group && r.IntN(3) == 0 {
			p.WriteByte('(')
			group, opened = true, true
		}
		var in string
		last := i == atoms-1
		switch k := r.IntN(8); {
		case k < 3:
			d := string(rune('0' + r.IntN(3)))
			p.WriteString(d)
			in = d
		case k == 3:
			p.WriteByte('?')
			in = "[0-9]"
		case k == 4:
			sets := [][2]string{{"[01]", "[01]"}, {"[!1]", "[02-9]"}, {"[^0-1]", "[2-9]"}, {"[0-12]", "[0-2]"}, {"[+1]", "[+1]"}}
			s := sets[r.IntN(len(sets))]
			p.WriteString(s[0])
			in = s[1]
		case k < 7:
			seqs := []string{"0", "1", "01", "10", "+1", "1?", "??", "001", "0?1"}
			var alts, res []string
			for range 1 + r.IntN(3) {
				s := seqs[r.IntN(len(seqs))]
				alts = append(alts, s)
				res = append(res, strings.NewReplacer("?", "[0-9]", "+", `\+`).Replace(s))
			}
			p.WriteString("{" + strings.Join(alts, ",") + "}")
			in = "(?:" + strings.Join(res, "|") + ")"
		case last:
			p.WriteByte('*')
			in = "[0-9]+"
		default:
			p.WriteByte('+')
			in = `\+`
		}
		if group {
			q.WriteString(in)
		} else {
			q.WriteString("(" + in + ")")
		}
		if group && (last || !opened || r.IntN(2) == 0) {
			p.WriteByte(')')
			group = false
		}
	}
	return p.String(), "^" + q.String() + "$"
}

// TestSizeAgainstRegexp compares a million random cases with package regexp.
func TestSizeAgainstRegexp(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	patterns, numbers := 4000, 250
	if raceEnabled || testing.Short() {
		patterns = 400
	}
	matched := 0
	for range patterns {
		var set []*pattern.Pattern
		text, re := randomPattern(r)
		p, err := pattern.Compile(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		set = append(set, nil, p)
		s := pattern.NewSet(set)
		judge := regexp.MustCompile(re)
		for range numbers {
			number := make([]byte, r.IntN(9))
			for i := range number {
				number[i] = "0011122+9*a"[r.IntN(11)]
			}
			var want []byte
			found := judge.FindSubmatch(number)
			for i, part := range found {
				if i > 0 {
					want = append(want, part...)
				}
			}
			got, ok := p.AppendKept(nil, number)
			if ok != (found != nil) || string(got) != string(want) {
				t.Fatalf("%s on %s: got %q %v, want %q %v (%s)", text, number, got, ok, want, found != nil, re)
			}
			if in := s.Next(number, 0); (in == 1) != ok {
				t.Fatalf("%s on %s: the set finds %d, want %v", text, number, in, ok)
			}
			if ok {
				matched++
			}
		}
	}
	if matched < patterns {
		t.Errorf("only %d of %d cases matched: they show too little", matched, patterns*numbers)
	}
}

// TestSet compares a set of many patterns with trying each.
func TestSet(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var all []*pattern.Pattern
	for range 300 {
		text, _ := randomPattern(r)
		p, err := pattern.Compile(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	all[7] = nil
	s := pattern.NewSet(all)
	for range 2000 {
		number := make([]byte, r.IntN(14))
		for i := range number {
			number[i] = "0011122+9#"[r.IntN(10)]
		}
		var want, got []int
		for i, p := range all {
			if p != nil && p.Match(number) {
				want = append(want, i)
			}
		}
		for i := s.Next(number, 0); i >= 0; i = s.Next(number, i+1) {
			got = append(got, i)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%s: got %v, want %v", number, got, want)
		}
	}
	if got := s.Next([]byte(strings.Repeat("1", 129)), 0); got != -1 {
		t.Errorf("too long a number: got %d", got)
	}
	if got := pattern.NewSet(nil).Next([]byte("1"), 0); got != -1 {
		t.Errorf("empty set: got %d", got)
	}
}

// TestWorstCase: nothing is worse than linear, however many ways there are to divide a number.
func TestWorstCase(t *testing.T) {
	p, err := pattern.Compile(strings.Repeat("{1,11}", 21))
	if err != nil {
		t.Fatal(err)
	}
	number := []byte(strings.Repeat("1", 41) + "2")
	if p.Match(number) { // Two to the twenty-first ways: a matcher that tries each would not come back.
		t.Error("matched")
	}
	if !p.Match(number[:41]) {
		t.Error("did not match")
	}
}

func TestNoAllocation(t *testing.T) {
	var all []*pattern.Pattern
	for _, text := range []string{"(+1212939)7[01]??", "(+1){347,646}???????", "(+)*"} {
		p, err := pattern.Compile(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	s := pattern.NewSet(all)
	number, dst := []byte("+13475551234"), make([]byte, 0, 64)
	if n := testing.AllocsPerRun(100, func() {
		i := s.Next(number, 0)
		dst, _ = all[i].AppendKept(dst[:0], number)
	}); n != 0 {
		t.Errorf("got %v allocations, want none", n)
	}
	if string(dst) != "3475551234" {
		t.Errorf("got %q", dst)
	}
}

func BenchmarkSet(b *testing.B) {
	var all []*pattern.Pattern
	for i := range 500 {
		p, err := pattern.Compile(fmt.Sprintf("(+1%03d){347,646,%d}????", 200+i, i%10))
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, p)
	}
	s := pattern.NewSet(all)
	number := []byte("+16896461234")
	b.ReportAllocs()
	for b.Loop() {
		if s.Next(number, 0) != 489 {
			b.Fatal("not found")
		}
	}
}

func FuzzCompile(f *testing.F) {
	for _, seed := range []string{"(+1212939)7[01]??", "(+1){347,917}*", "[!0-3]\\*(9*)", "{1,1?}(*)"} {
		f.Add(seed, "+12129397139")
	}
	f.Fuzz(func(t *testing.T, text, number string) {
		p, err := pattern.Compile(text)
		if err != nil {
			var bad *pattern.Error
			if !errors.As(err, &bad) || bad.Column < 1 || bad.Column > len(text)+1 {
				t.Errorf("got %v, want a column inside", err)
			}
			return
		}
		kept, ok := p.AppendKept(nil, []byte(number))
		if ok != p.Match([]byte(number)) || len(kept) > len(number) {
			t.Errorf("%q on %q: got %q, %v", text, number, kept, ok)
		}
		if in := pattern.NewSet([]*pattern.Pattern{p}).Next([]byte(number), 0); (in == 0) != ok {
			t.Errorf("%q on %q: the set says %d, the pattern %v", text, number, in, ok)
		}
	})
}
