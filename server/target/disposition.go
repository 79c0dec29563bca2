package target

import (
	"bytes"

	"sipd/config"
	"sipd/trace"
)

// Disposition is what a caller would like a proxy to do with his request (Request-Disposition, RFC 3841 9.1): a set of
// directives, at most one of each type.
type Disposition uint16

// The directives. Each type has two, side by side. Queueing is not done: those two are read and ignored.
const (
	WantProxy Disposition = 1 << iota
	WantRedirect
	WantCancel
	NoCancel // after a 2xx the other phones go on ringing
	WantFork
	NoFork // the best contact alone
	WantRecurse
	NoRecurse  // a 3xx goes upstream
	Parallel   // all contacts at once
	Sequential // one contact after the other
	WantQueue
	NoQueue
)

// directives are the words, in the order of their bits.
var directives = [...]string{
	"proxy", "redirect", "cancel", "no-cancel", "fork", "no-fork", "recurse", "no-recurse", "parallel", "sequential", "queue", "no-queue",
}

// Add notes one directive. A word that is none is ignored, and so is the second of a type: RFC 3841 9.1 allows only one.
func (d *Disposition) Add(word []byte) {
	for i, name := range directives {
		if bytes.EqualFold(word, []byte(name)) && *d&(1<<(i^1)) == 0 {
			*d |= 1 << i
		}
	}
}

// prefer takes over what the caller wishes, as far as it is his to choose (RFC 3841 7.1: unless local policy directs otherwise).
func (d *Decision) prefer(t Tables, f *Facts) {
	if f.Disposition == 0 {
		return
	}
	want := f.Disposition
	switch {
	case want&WantRedirect == 0:
		d.step("disposition", "", trace.Accept, "the caller's Request-Disposition is followed")
	case f.Verdict == Authenticated || t.Settings.AuthMethod == config.AuthNone:
		want &= WantRedirect // 9.1: fork, recurse and parallel directives are ignored beside it.
		d.step("disposition", "redirect", trace.Accept, "the caller's Request-Disposition is followed")
	default:
		want &^= WantRedirect
		d.step("disposition", "redirect", trace.Deny, "the addresses of telephones are for callers who have proven who they are")
	}
	d.Disposition = want
}
