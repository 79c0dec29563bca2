package target

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"sipd/location"
	"sipd/sipaddr"
	"sipd/store"
	"sipd/store/cache"
	"sipd/trace"
)

// findCallee finds who or what is called, asks the policy, and collects where to go.
func (d *Decision) findCallee(t Tables, f *Facts, now time.Time) bool {
	is := d.find(t, f.URI, f.Canonical)
	var strictest cache.User
	if is == people || is == unclear {
		for _, u := range d.one {
			if !strictest.Exists() || u.AuthPolicy < strictest.AuthPolicy { // Required < Requested < Never
				strictest = u
			}
		}
	}
	return d.policyLets(t, f, strictest) && d.goTo(t, f, is, now)
}

// goTo collects where what was found leads.
func (d *Decision) goTo(t Tables, f *Facts, is finding, now time.Time) bool {
	d.sips = f.URI.Scheme == sipaddr.SIPS
	switch is {
	case people:
		var u cache.User
		if len(d.one) == 1 {
			u = d.one[0]
		}
		d.callAll(t, now, 0)
		if len(d.Targets) > 0 {
			return true
		}
		found, asks := d.locate(t, f, is, u, now)
		return found || !asks && d.absent()
	case number:
		return d.dialNumber(t, f, now)
	case elsewhere:
		return d.dialOut(t, f)
	case unclear:
		return d.refuseUnclear(t)
	case gone:
		return d.reject(404)
	}
	found, asks := d.locate(t, f, is, cache.User{}, now)
	return found || !asks && d.reject(404)
}

// absent is for a callee whom there is no way to reach.
func (d *Decision) absent() bool {
	subject := "" // Each of several has a step of his own.
	if len(d.one) == 1 {
		subject = string(d.one[0].Key)
	}
	d.step("location", subject, trace.Deny, "no live contact")
	if d.insecure {
		d.Warning = sipsNotAllowed
	}
	return d.reject(480)
}

// usersOf resolves an AOR to the users behind it, d.one. Of several who are no group d.AORs are the candidates.
func (d *Decision) usersOf(t Tables, aor []byte) finding {
	d.members = d.members[:0]
	if u := t.User(aor); u.Exists() {
		d.one = append(d.one[:0], u)
		if u.Disabled {
			d.row("users", u.ID, "user", string(u.Key), trace.Deny, "disabled")
			return gone
		}
		d.row("users", u.ID, "user", string(u.Key), trace.Match, "")
		return people
	}
	d.text("user", aor, trace.NoMatch, "no row of users has this key")
	if !t.Settings.Canonicalize.Database {
		return nobody
	}
	rows := t.Aliases(aor)
	group := len(rows) > 0
	users := d.one[:0]
	for i, a := range rows {
		if i == maxMembers {
			d.row("aliases", a.ID, "alias", a.Alias, trace.Skip, "too many members: this one and those behind it are left out")
			break
		}
		u := t.User([]byte(a.PrimaryUser))
		if !u.Exists() || u.Disabled {
			d.row("aliases", a.ID, "alias", a.Alias, trace.NoMatch, "its user is unknown or disabled")
			continue
		}
		d.row("aliases", a.ID, "alias", string(u.Key), trace.Match, "")
		group = group && a.Kind == store.Group
		users = append(users, u)
		d.members = append(d.members, a)
	}
	d.one = users
	switch {
	case len(rows) == 0:
		d.text("alias", aor, trace.NoMatch, "no row of aliases leads to a user")
		return nobody
	case len(users) == 0:
		return gone
	}
	return d.oneOrGroup(group)
}

// oneOrGroup says what several users are.
func (d *Decision) oneOrGroup(group bool) finding {
	if len(d.one) > 1 && !group {
		d.AORs = d.AORs[:0]
		for _, u := range d.one {
			d.AORs = append(d.AORs, u.Key)
		}
		return unclear
	}
	return people
}

func (d *Decision) refuseUnclear(t Tables) bool {
	d.step("ambiguous", "", trace.Deny, "the alias stands for several users and is no group")
	if t.Settings.AmbiguousStatus == 404 {
		d.AORs = d.AORs[:0]
		return d.reject(404)
	}
	if !t.Settings.DisplayAmbiguous {
		d.AORs = d.AORs[:0]
	}
	return d.reject(485) // The redirect server lists d.AORs as Contacts (RFC 3261 21.4.23).
}

// collect adds the live contacts of u. A contact that names a local address-of-record is resolved here, never sent to
// ourselves; visited keeps it from going round.
func (d *Decision) collect(t Tables, u cache.User, now time.Time, depth int) {
	d.key = append(d.key[:0], u.Key...)
	for _, b := range t.Location.Bindings(d.key) {
		switch {
		case !b.Live(now):
			continue
		case len(d.set)+len(d.Targets) >= maxTargets:
			d.step("location", string(u.Key), trace.Skip, "too many contacts")
			return
		case b.Suspended():
			d.contact(b, trace.Skip, "its connection is closed")
		case t.gatewayContact(b):
			d.contact(b, trace.Deny, "it leads to a gateway past the gateway map")
		case isTel(b.URI):
			d.telContact(t, b, u, now, depth)
		case d.sips && !isSIPS(b.URI):
			d.insecure = true
			d.contact(b, trace.Skip, "a sips request goes by TLS alone, to contacts that are sips") // RFC 5630 5.3
		case d.has(b, u):
			d.contact(b, trace.Skip, "in the target set already")
		case b.ByFlow, b.Next.IsValid() && (t.Own == nil || !t.Own(b.Next)):
			d.contact(b, trace.Match, "")
			d.add(Target{Binding: b, Owner: u})
		default:
			d.collectLocal(t, b, u, now, depth)
		}
	}
}

// add adds a target, with how the call comes to it.
func (d *Decision) add(x Target) {
	if x.Diverted = d.via; d.via != nil {
		x.Nth = 1
		for i := range d.Targets {
			if d.Targets[i].Diverted == d.via {
				x.Nth++
			}
		}
	}
	d.Targets = append(d.Targets, x)
}

// sipsNotAllowed is the warn code of a 480 to a sips request for somebody who has registered sip contacts only (RFC 5630 5.3).
const sipsNotAllowed = 380

func isSIPS(uri string) bool { return len(uri) > 5 && strings.EqualFold(uri[:5], "sips:") }

func isTel(uri string) bool { return len(uri) > 4 && strings.EqualFold(uri[:4], "tel:") }

// has tells whether a contact of u is in the target set already, by somebody else: a URI stands there once (16.5). The same
// URI behind another flow is another phone, at the same private address in another home (BEHAVIOUR J).
func (d *Decision) has(b *location.Binding, u cache.User) bool {
	same := func(x Target) bool {
		o := x.Binding
		return x.Owner.ID != u.ID && o.ByFlow == b.ByFlow && (!b.ByFlow || o.Source == b.Source) && sameURI(o.URI, b.URI)
	}
	return slices.ContainsFunc(d.Targets, same) || slices.ContainsFunc(d.set, same)
}

// sameURI compares by RFC 3261 19.1.4.
func sameURI(a, b string) bool {
	if a == b {
		return true
	}
	u, err := sipaddr.Parse([]byte(a))
	if err != nil {
		return false
	}
	v, err := sipaddr.Parse([]byte(b))
	return err == nil && u.Equal(&v)
}

// contact notes what was made of a binding.
func (d *Decision) contact(b *location.Binding, v trace.Verdict, note string) {
	d.row("contacts", b.ID, "location", b.URI, v, note)
}

// collectLocal follows a contact that leads to ourselves, or whose host is a name: a local address-of-record is looked up
// in turn.
func (d *Decision) collectLocal(t Tables, b *location.Binding, u cache.User, now time.Time, depth int) {
	uri, err := sipaddr.Parse([]byte(b.URI))
	if err == nil {
		if dom := domainOf(t, &uri, b.Next.IsValid()); dom != nil {
			aor := appendCanonical(nil, &uri, dom.Canonical)
			if u := t.User(aor); u.Exists() && !u.Disabled {
				d.call(t, u, now, depth+1)
				return
			}
			d.contact(b, trace.Skip, "it leads to this server, and to no user of it")
			return
		}
	}
	switch {
	case b.Next.IsValid():
		d.contact(b, trace.Skip, "it leads to this server, and to no user of it")
	case err != nil || uri.Scheme != sipaddr.SIP && uri.Scheme != sipaddr.SIPS:
		d.contact(b, trace.Skip, "neither sip nor sips")
	case !t.Names:
		d.contact(b, trace.Skip, "its host is a name, only numeric next hops can be reached")
	case t.Settings.ForeignDomain == "reject" && foreignName(b):
		d.contact(b, trace.Skip, "it leads to another domain, and ForeignDomain is reject")
	default:
		d.contact(b, trace.Match, "")
		d.add(Target{Binding: b, Owner: u})
	}
}

// foreignName tells whether a contact leads to another domain by its name (BEHAVIOUR B11). One that an administrator wrote may
// go anywhere; one with a Path goes by its edge proxy.
func foreignName(b *location.Binding) bool {
	return !b.ByFlow && !b.Next.IsValid() && !b.Static() && len(b.Path) == 0
}

// choose orders the targets, groups them, and lets the best group's action decide between proxy and redirect (BEHAVIOUR I).
func (d *Decision) choose(t Tables, f *Facts) {
	d.prefer(t, f)
	d.Waiting.Class = d.class
	d.order()
	if d.action(t, &d.Targets[0], f) == store.Redirect {
		d.Targets = slices.DeleteFunc(d.Targets, func(x Target) bool { return x.Rule != 0 || asked(&x, f) }) // Gateways are nobody's to call.
		d.step("action", d.Targets[0].Binding.URI, trace.Accept, "redirect")
		d.Kind, d.Status = Redirect, 302
		return
	}
	d.Kind = Proxy
	d.split(t, f)
	d.group()
	d.step("action", d.Targets[0].Binding.URI, trace.Accept, "proxy")
}

// order puts the best contact first; those of the same q stay as the location service has them.
func (d *Decision) order() {
	if d.rings {
		return // In the order of the group.
	}
	slices.SortStableFunc(d.Targets, func(a, b Target) int { return cmp.Compare(b.Binding.Q, a.Binding.Q) })
}

// split moves the contacts that want to be redirected to out of the targets.
func (d *Decision) split(t Tables, f *Facts) {
	proxied := d.Targets[:0]
	for i := range d.Targets {
		if x := &d.Targets[i]; d.action(t, x, f) == store.Redirect {
			d.Redirect = append(d.Redirect, *x)
		} else {
			proxied = append(proxied, *x)
		}
	}
	d.Targets = proxied
}

// group puts the ordered targets into groups, or into those that the caller asks for (RFC 3841 9.1).
func (d *Decision) group() {
	if d.Disposition&NoFork != 0 && len(d.Targets) > 1 {
		d.step("disposition", d.Targets[0].Binding.URI, trace.Accept, "no-fork: the best contact alone")
		d.Targets = d.Targets[:1]
	}
	if len(d.Targets) == 0 {
		return
	}
	group, best := 0, int(d.Targets[0].Binding.Q)
	for i := range d.Targets {
		// Anchored at the group's best, since "within 0.05" is not transitive.
		if q := int(d.Targets[i].Binding.Q); best-q > groupSpan {
			group, best = group+1, q
		}
		switch {
		case d.Disposition&Sequential != 0:
			d.Targets[i].Group = i
		case d.Disposition&Parallel != 0:
			d.Targets[i].Group = 0
		case !d.rings:
			d.Targets[i].Group = group
		}
	}
}

// action is the caller's wish (RFC 3841 9.1), else the contact's own, else the user's, else the server's DefaultReg
// (BEHAVIOUR B5).
func (d *Decision) action(t Tables, x *Target, f *Facts) store.Action {
	a := t.chosen(x)
	switch {
	case x.Rule != 0: // A gateway is nobody's to call but ours: it trusts us to have asked.
		return store.Proxy
	case x.Only != store.NoAction:
		return x.Only
	case foreignName(x.Binding) && t.Settings.ForeignDomain == "redirect" && !x.By.IsValid(): // BEHAVIOUR B11
		return store.Redirect
	case d.Disposition&WantProxy != 0:
		return store.Proxy
	case d.Disposition&WantRedirect != 0:
		a = store.Redirect
	}
	if a == store.Redirect && asked(x, f) {
		return store.Proxy // RFC 3261 8.3: nobody is redirected to where he asked already.
	}
	return a
}

func (t Tables) chosen(x *Target) store.Action {
	if a := store.Action(x.Binding.Action); a != store.NoAction {
		return a
	}
	if a := x.Owner.DefaultAction; a != store.NoAction {
		return a
	}
	return t.Settings.DefaultReg
}

// asked tells whether the contact is the Request-URI.
func asked(x *Target, f *Facts) bool {
	u, err := sipaddr.Parse([]byte(x.Binding.URI))
	return err == nil && u.Equal(f.URI)
}
