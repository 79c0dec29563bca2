package target

import (
	"time"

	"sipd/canonicalize"
	"sipd/trace"
)

// emergency decides about a call to an emergency number (BEHAVIOUR, Emergency): from the campus, and from a telephone that is registered,
// it is never refused, and nobody is asked who he is. It comes before users and aliases: nobody answers in the place of help. It
// reports whether the decision is made.
func (d *Decision) emergency(t Tables, f *Facts, now time.Time) bool {
	if !t.Settings.Canonicalize.DialPlan || !d.numberOf(t, f.URI) {
		return false
	}
	var rule *canonicalize.Rule
	d.uri, rule = t.Plan().DialPlan.Find(d.uri[:0], d.number, nil)
	if rule == nil || !rule.Emergency {
		return false
	}
	if !t.Settings.OnCampus(f.Source) && !d.registered(t, f, now) && f.Trunk == nil {
		d.row("dialplan", rule.ID, "emergency", rule.Pattern.String(), trace.NoMatch, "neither from the campus nor from a registered telephone: as any number")
		return false
	}
	d.row("dialplan", rule.ID, "emergency", rule.Pattern.String(), trace.Accept, "nobody is asked who he is")
	d.free = true
	if d.goTo(t, f, d.planned(t, rule), now) {
		d.choose(t, f)
	}
	return true
}

// registered tells whether a request comes from where a telephone of the user in From has registered.
func (d *Decision) registered(t Tables, f *Facts, now time.Time) bool {
	dom := callerDomain(t, f.From)
	if dom == nil {
		return false
	}
	d.aor = appendCanonical(d.aor[:0], f.From, dom.Canonical)
	for _, b := range t.Location.Bindings(d.aor) {
		if b.Live(now) && !b.Static() && b.Source.Addr().Unmap() == f.Source.Unmap() {
			return true
		}
	}
	return false
}
