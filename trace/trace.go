package trace

import (
	"fmt"
	"io"
)

// Verdict says how a rule ended.
type Verdict uint8

// The verdicts.
const (
	Match   Verdict = iota // the rule applies
	NoMatch                // the rule does not apply
	Accept                 // the rule lets the request pass
	Deny                   // the rule ends the request
	Skip                   // the rule is switched off or not asked
)

// String returns the verdict as people read it.
func (v Verdict) String() string {
	names := [...]string{"match", "no match", "accept", "deny", "skip"}
	if int(v) >= len(names) {
		return "unknown"
	}
	return names[v]
}

// Step is one reason.
type Step struct {
	Rule    string  // what was asked: "domain", "user", "auth policy"
	Subject string  // on what: "example.com"; a string of the snapshot or of the facts, never of a receive buffer
	Table   string  // the table a row came from, "" if none
	Row     int64   // its id, 0 if none
	Verdict Verdict // how it ended
	Note    string  // why, a constant: "no row for this host"

	from, to uint32 // in Trace.text: the subject, when Subject is ""
}

// maxSteps bounds a trace: a decision with more steps than this has run wild.
const maxSteps = 256

// Trace is the reasons of one decision in order. The zero value is ready; a nil *Trace drops every step.
type Trace struct {
	steps []Step
	text  []byte // subjects of AddText
}

// Add appends a step. It allocates only while the trace grows beyond what earlier decisions needed.
func (t *Trace) Add(s Step) {
	if t == nil || len(t.steps) >= maxSteps {
		return
	}
	t.steps = append(t.steps, s)
}

// maxText bounds the subjects of AddText.
const maxText = 8 << 10

// AddText is Add for a subject that does not last: it is copied.
func (t *Trace) AddText(s Step, subject []byte) {
	if t == nil || len(t.steps) >= maxSteps {
		return
	}
	subject = subject[:min(len(subject), maxText-len(t.text))]
	s.from = uint32(len(t.text))
	t.text = append(t.text, subject...)
	s.to = uint32(len(t.text))
	t.steps = append(t.steps, s)
}

// Subject returns the subject of a step of t, copied where it would not last.
func (t *Trace) Subject(s *Step) string {
	if s.from == s.to {
		return s.Subject
	}
	return string(t.text[s.from:s.to])
}

// AppendSubject appends the subject of a step of t.
func (t *Trace) AppendSubject(dst []byte, s *Step) []byte {
	return append(append(dst, s.Subject...), t.text[s.from:s.to]...)
}

// Steps returns the steps so far, valid until Reset.
func (t *Trace) Steps() []Step {
	if t == nil {
		return nil
	}
	return t.steps
}

// Reset empties the trace and keeps its memory.
func (t *Trace) Reset() {
	if t != nil {
		t.steps, t.text = t.steps[:0], t.text[:0]
	}
}

// Print writes one line a step: rule, subject, verdict, row, note.
func (t *Trace) Print(w io.Writer) error {
	for i, s := range t.Steps() {
		line := fmt.Sprintf("%2d  %-16s %-32s %-9s", i+1, s.Rule, t.Subject(&s), s.Verdict)
		if s.Table != "" {
			line += fmt.Sprintf(" %s:%d", s.Table, s.Row)
		}
		if s.Note != "" {
			line += "  " + s.Note
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}
