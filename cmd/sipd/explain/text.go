package explain

import (
	"fmt"
	"strings"

	"sipd/server/calltrace"
)

// page is text for people.
type page struct {
	strings.Builder
	visible func(string) string // of what comes from outside
}

// Text is the decision in words. visible replaces what could move the cursor of a terminal.
func (v *View) Text(visible func(string) string) string {
	b := page{visible: visible}
	b.trace("", v.Trace)
	realm := ""
	if v.Realm != "" {
		realm = fmt.Sprintf(", realm %q", visible(v.Realm))
	}
	b.decision(v.Decision, v.Status, realm, v.Targets, v.Fallback)
	for _, f := range v.Forwards {
		after := ""
		if f.After > 0 {
			after = fmt.Sprintf(" after %g s", f.After)
		}
		fmt.Fprintf(&b, "when his telephones are %s%s (%d):\n", f.When, after, f.Status)
		b.trace("   ", f.Trace)
		if len(f.Targets) == 0 {
			b.WriteString("   => nobody\n")
		}
		b.targets("   => ", f.Targets)
	}
	return b.String()
}

// Calls are calls in words; visible as for Text.
func Calls(list []calltrace.Call, visible func(string) string) string {
	b := page{visible: visible}
	for i := range list {
		if i > 0 {
			b.WriteString("\n")
		}
		b.call(&list[i])
	}
	return b.String()
}

// trace writes one line a step: rule, subject, verdict, row, note.
func (b *page) trace(indent string, steps []calltrace.Step) {
	for i, s := range steps {
		line := fmt.Sprintf("%s%2d  %-13s %-32s %-9s", indent, i+1, s.Rule, b.visible(s.Subject), s.Verdict)
		if s.Table != "" {
			line += fmt.Sprintf(" %s:%d", s.Table, s.Row)
		}
		if s.Note != "" {
			line += "  " + b.visible(s.Note)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}

// targets writes a line a target.
func (b *page) targets(indent string, targets []calltrace.Target) {
	for _, t := range targets {
		fmt.Fprintf(b, "%s%s%s\n", indent, groupOf(&t), b.target(&t))
		for _, e := range t.Else {
			fmt.Fprintf(b, "%s   else, when it fails  %s\n", indent, b.target(&e))
		}
	}
}

func groupOf(t *calltrace.Target) string {
	if t.URI == calltrace.Onward {
		return ""
	}
	after := ""
	if t.After > 0 {
		after = fmt.Sprintf("after %g s  ", t.After)
	}
	return fmt.Sprintf("group %d  q=%.3g  %s", t.Group+1, t.Q, after)
}

func (b *page) target(t *calltrace.Target) string {
	text := b.visible(t.URI)
	switch {
	case t.User == "":
	case t.Rule != 0: // Whose class the call has.
		text += "  for " + b.visible(t.User)
	default:
		text += "  of " + b.visible(t.User)
	}
	if t.Gateway != 0 {
		text += fmt.Sprintf("  gateways:%d", t.Gateway)
	}
	return text
}

// decision writes what was decided, with its targets.
func (b *page) decision(decision string, status int, realm string, targets, fallback []calltrace.Target) {
	switch decision {
	case "reject":
		fmt.Fprintf(b, "=> rejected with %d\n", status)
	case "challenge":
		fmt.Fprintf(b, "=> challenged with %d%s\n", status, realm)
	case "redirect":
		fmt.Fprintf(b, "=> redirected with %d to\n", status)
	default:
		b.WriteString("=> proxied to\n")
	}
	b.targets("   ", targets)
	for _, t := range fallback {
		fmt.Fprintf(b, "   when all fail, redirected to  %s\n", b.target(&t))
	}
}

// call is a call in words.
func (b *page) call(c *calltrace.Call) {
	fmt.Fprintf(b, "%s  INVITE %s\n", c.Time.Local().Format("2006-01-02 15:04:05.000"), b.visible(c.URI))
	fmt.Fprintf(b, "Call-ID %s, CSeq %d, from %s at %s (%s)", b.visible(c.CallID), c.CSeq, b.visible(c.From), c.Source, c.Transport)
	if c.User != "" {
		fmt.Fprintf(b, ", proven to be %s", b.visible(c.User))
	}
	for _, n := range []struct {
		n    uint32
		what string
	}{{c.Challenges, "challenged before"}, {c.Repeated, "retransmitted"}, {c.Questions, "questions asked"}} {
		if n.n > 0 {
			fmt.Fprintf(b, ", %s: %d", n.what, n.n)
		}
	}
	b.WriteString("\n")
	b.trace("", c.Trace)
	b.decision(c.Decision, c.Status, "", c.Targets, c.Fallback)
	if len(c.Events) > 0 {
		b.WriteString("then, after\n")
	}
	for i := range c.Events {
		b.event(&c.Events[i])
	}
	switch {
	case c.Cut:
		b.WriteString("there was more than is kept of a call\n")
	case c.Final == 0 && c.Decision == "proxy":
		b.WriteString("   no final response yet\n")
	}
}

func (b *page) event(e *calltrace.Event) {
	fmt.Fprintf(b, "%9.3f s  ", e.After)
	switch e.What {
	case "branch":
		if e.Received {
			fmt.Fprintf(b, "%d from %s", e.Status, b.visible(e.URI))
		} else {
			fmt.Fprintf(b, "%d, which nobody has sent, for %s", e.Status, b.visible(e.URI))
		}
		if e.Address != "" {
			fmt.Fprintf(b, " at %s (%s)", e.Address, e.Proto)
		}
		if e.Gateway != 0 {
			fmt.Fprintf(b, "  gateways:%d", e.Gateway)
		}
	case "forward":
		b.WriteString("all have failed; the forwards of who is called are asked")
	case "recursion":
		b.WriteString("a redirection")
	case "cancel":
		b.WriteString("the caller has given up")
	case "final":
		fmt.Fprintf(b, "=> %d to the caller", e.Status)
	default:
		b.WriteString(b.visible(e.What))
	}
	b.WriteString("\n")
	b.trace("            ", e.Trace)
}
