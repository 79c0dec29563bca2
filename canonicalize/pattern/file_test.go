package pattern_test

import (
	"slices"
	"strings"
	"testing"

	"sipd/canonicalize/pattern"
)

func TestRead(t *testing.T) {
	text := "# Department calls\n(+1212939)7[01]??   student,phd  sip:$@gw.example.com\n\n# old\n\n\t(+)* * sip:$@gw\n"
	lines, err := pattern.Read(strings.NewReader(text), true)
	if err != nil || len(lines) != 2 {
		t.Fatalf("got %v, %v", lines, err)
	}
	l := lines[0]
	if l.Number != 2 || l.Comment != "Department calls" || !slices.Equal(l.Classes, []string{"student", "phd"}) || l.Target.String() != "sip:$@gw.example.com" {
		t.Errorf("got %+v", l)
	}
	if l = lines[1]; l.Number != 6 || l.Comment != "" || l.Pattern.String() != "(+)*" {
		t.Errorf("got %+v", l)
	}
	var out strings.Builder
	if err := pattern.Format(&out, lines); err != nil {
		t.Fatal(err)
	}
	if want := "# Department calls\n(+1212939)7[01]?? student,phd sip:$@gw.example.com\n(+)* * sip:$@gw\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestReadErrors(t *testing.T) {
	tests := []struct {
		name, text string
		classes    bool
		says       []string
	}{
		{"fields", "911 sip:x@y\n1 2 3\n", false, []string{"line 2: 3 fields; a rule has two"}},
		{"classes missing", "911 sip:x@y\n", true, []string{"line 1: 2 fields; a rule has three"}},
		{"all lines", "(1 sip:x\n2\n3 sip:y@z\n", false, []string{"line 1: \"(1\", column 1", "line 2: 1 fields"}},
		{"empty class", "1 a,,b sip:x@y", true, []string{"empty"}},
		{"star among others", "1 a,* sip:x@y", true, []string{"alone"}},
		{"null", "1 null sip:x@y", true, []string{"no class"}},
		{"no word", "1 a/b sip:x@y", true, []string{"a word"}},
		{"twice", "1 a,a sip:x@y", true, []string{"twice"}},
		{"too many", "1 " + strings.Repeat("a,", 64) + "b sip:x@y", true, []string{"at most 64"}},
		{"long line", "1 " + strings.Repeat("x", 5000), false, []string{"line 1", "too long"}},
		{"target", "1 sip:<x>", false, []string{"column 5", "%3C"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			lines, err := pattern.Read(strings.NewReader(tt.text), tt.classes)
			if err == nil || lines != nil {
				t.Fatalf("got %v and %v, want no rules and an error", lines, err)
			}
			for _, says := range tt.says {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("got %q, want %q in it", err, says)
				}
			}
		})
	}
	if _, err := pattern.Read(strings.NewReader(strings.Repeat("1 sip:x@y\n", 10001)), false); err == nil {
		t.Error("10,001 rules: got no error")
	}
}
