package trace_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"sipd/trace"
)

func TestTrace(t *testing.T) {
	var tr trace.Trace // The zero value is ready.
	if got := tr.Steps(); len(got) != 0 {
		t.Errorf("new: got %v, want no steps", got)
	}
	want := []trace.Step{
		{Rule: "domain", Subject: "example.com", Table: "domains", Row: 3, Verdict: trace.Match},
		{Rule: "user", Subject: "bob@example.com", Verdict: trace.Deny, Note: "disabled"},
	}
	for _, s := range want {
		tr.Add(s)
	}
	if got := tr.Steps(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	tr.Reset()
	if got := tr.Steps(); len(got) != 0 {
		t.Errorf("after Reset: got %v, want no steps", got)
	}
}

// Who wants no trace hands over nil, and nothing happens.
func TestNil(t *testing.T) {
	var tr *trace.Trace
	tr.Add(trace.Step{Rule: "domain"})
	tr.Reset()
	if got := tr.Steps(); got != nil {
		t.Errorf("got %v, want nil", got)
	}
	var out strings.Builder
	if err := tr.Print(&out); err != nil || out.Len() != 0 {
		t.Errorf("got %q, %v; want nothing", out.String(), err)
	}
}

// A decision that runs wild keeps its first reasons, and no more memory than that.
func TestBounded(t *testing.T) {
	var tr trace.Trace
	for i := range 10_000 {
		tr.Add(trace.Step{Rule: "location", Row: int64(i)})
	}
	if got := tr.Steps(); len(got) != 256 || got[255].Row != 255 {
		t.Errorf("got %d steps, want the first 256", len(got))
	}
}

// A subject that does not last is copied, and bounded.
func TestAddText(t *testing.T) {
	var tr trace.Trace
	subject := []byte("bob@example.com")
	tr.Add(trace.Step{Rule: "domain", Subject: "example.com"})
	tr.AddText(trace.Step{Rule: "user", Verdict: trace.NoMatch}, subject)
	tr.AddText(trace.Step{Rule: "alias"}, nil)
	copy(subject, "xxxxxxxxxxxxxxx")
	var got []string
	for i := range tr.Steps() {
		st := &tr.Steps()[i]
		if text := string(tr.AppendSubject([]byte("+"), st)); text != "+"+tr.Subject(st) {
			t.Errorf("got %q and %q", text, tr.Subject(st))
		}
		got = append(got, st.Rule+" "+tr.Subject(st))
	}
	if want := []string{"domain example.com", "user bob@example.com", "alias "}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	tr.Reset()
	size := 0
	for range 300 {
		tr.AddText(trace.Step{Rule: "user"}, make([]byte, 1000))
	}
	for i := range tr.Steps() {
		size += len(tr.Subject(&tr.Steps()[i]))
	}
	if len(tr.Steps()) != 256 || size != 8<<10 {
		t.Errorf("got %d steps with %d bytes, want 256 with 8192", len(tr.Steps()), size)
	}
	(*trace.Trace)(nil).AddText(trace.Step{}, subject)
}

func TestSecondDecisionAllocatesNothing(t *testing.T) {
	var tr trace.Trace
	text := []byte("bob@example.com")
	decide := func() {
		tr.Reset()
		for range 20 {
			tr.Add(trace.Step{Rule: "location", Subject: "sip:bob@192.0.2.1", Verdict: trace.Match})
			tr.AddText(trace.Step{Rule: "user"}, text)
		}
	}
	decide()
	if got := testing.AllocsPerRun(100, decide); got != 0 {
		t.Errorf("got %v allocations, want 0", got)
	}
}

func TestPrint(t *testing.T) {
	var tr trace.Trace
	tr.Add(trace.Step{Rule: "domain", Subject: "example.com", Table: "domains", Row: 3, Verdict: trace.Match})
	tr.Add(trace.Step{Rule: "caller", Verdict: trace.Skip, Note: "AuthMethod is none"})
	tr.Add(trace.Step{Rule: "user", Subject: "bob@example.com", Table: "users", Row: 7, Verdict: trace.Deny, Note: "disabled"})
	const want = "" +
		" 1  domain           example.com                      match     domains:3\n" +
		" 2  caller                                            skip       AuthMethod is none\n" +
		" 3  user             bob@example.com                  deny      users:7  disabled\n"
	var out strings.Builder
	if err := tr.Print(&out); err != nil || out.String() != want {
		t.Errorf("got %v and\n%s\nwant\n%s", err, out.String(), want)
	}
	broken := errors.New("broken pipe")
	if err := tr.Print(failing{broken}); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestVerdict(t *testing.T) {
	names := map[trace.Verdict]string{trace.Match: "match", trace.NoMatch: "no match", trace.Accept: "accept", trace.Deny: "deny", trace.Skip: "skip"}
	for v, want := range names {
		if got := v.String(); got != want {
			t.Errorf("Verdict(%d): got %q, want %q", v, got, want)
		}
	}
	if got, want := trace.Verdict(200).String(), "unknown"; got != want {
		t.Errorf("Verdict(200): got %q, want %q", got, want)
	}
}
