package target

import (
	"sipd/canonicalize"
	"sipd/sipaddr"
	"sipd/store/cache"
	"sipd/trace"
)

// finding is what a name stands for.
type finding uint8

const (
	nobody    finding = iota
	gone              // somebody who is disabled
	people            // d.one, by the rows d.members
	unclear           // several who are no group
	number            // d.number, which is nobody's here
	elsewhere         // d.uri, where the dial plan leads
)

// find looks for what u, which is for the domain dom, stands for (BEHAVIOUR B4): the users and aliases of the tables, then the machine's
// aliases and full names, then the dial plan and, with what that makes of it, users and aliases once more. A number is looked for as
// it is written, which may be a name, and then in its one form.
func (d *Decision) find(t Tables, u *sipaddr.URI, dom *cache.Domain) finding {
	if d.lookups++; d.lookups > maxLookups {
		d.step("look-ups", "", trace.Deny, "too many names lead to others")
		return nobody
	}
	d.aor = d.aor[:0]
	if u.Scheme != sipaddr.TEL {
		d.aor = appendCanonical(d.aor, u, dom.Canonical)
		if is := d.usersOf(t, d.aor); is != nobody {
			return is
		}
	}
	isNumber := d.numberOf(t, u)
	if isNumber {
		d.text("number", d.number, trace.Match, "it may be a number, in this form")
		if is := d.ownerOf(t, dom); is != nobody {
			return is
		}
	}
	if is := d.named(t, u, dom); is != nobody {
		return is
	}
	if !isNumber {
		return nobody
	}
	if !t.Settings.Canonicalize.DialPlan {
		return number
	}
	uri, rule := t.Plan().DialPlan.Find(d.uri[:0], d.number, &d.Trace)
	if d.uri = uri; rule == nil {
		return number
	}
	return d.planned(t, rule)
}

// planned is find for what a rule of the dial plan has made of a number, d.uri.
func (d *Decision) planned(t Tables, rule *canonicalize.Rule) finding {
	d.text("number", d.uri, trace.Match, "what the dial plan makes of it")
	u, err := sipaddr.Parse(d.uri)
	if err != nil {
		d.row("dialplan", rule.ID, "dial plan", rule.Target.String(), trace.Skip, "what it makes of the number is no URI")
		return nobody
	}
	dom := domainFor(t, &u, t.ownURI(&u))
	if dom == nil {
		d.rule = rule.ID
		return elsewhere
	}
	d.aor = d.aor[:0]
	if u.Scheme != sipaddr.TEL {
		d.aor = appendCanonical(d.aor, &u, dom.Canonical)
		if is := d.usersOf(t, d.aor); is != nobody {
			return is
		}
	}
	if !d.numberOf(t, &u) {
		return nobody
	}
	if is := d.ownerOf(t, dom); is != nobody {
		return is
	}
	return number
}

// numberOf puts the number that u is about into d.number.
func (d *Decision) numberOf(t Tables, u *sipaddr.URI) (ok bool) {
	d.number, ok = canonicalize.Number(d.number[:0], u, func(domain []byte) bool { return t.Domain(domain) != nil })
	return ok
}

// ownerOf looks for the user whose name or alias is d.number, unless that was looked for just now.
func (d *Decision) ownerOf(t Tables, dom *cache.Domain) finding {
	n := len(d.number)
	if len(d.aor) == n+1+len(dom.Canonical) && string(d.aor[:n]) == string(d.number) {
		return nobody
	}
	d.aor = append(append(append(d.aor[:0], d.number...), '@'), dom.Canonical...)
	return d.usersOf(t, d.aor)
}
