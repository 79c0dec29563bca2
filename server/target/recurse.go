package target

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"sipd/location"
	"sipd/sipaddr"
	"sipd/store/cache"
	"sipd/trace"
)

// maxRecursion bounds how many 3xx, each of a target that the one before named, a search follows: a chain of forwardings longer
// than this is a mistake of somebody.
const maxRecursion = 5

// Contact is a value of the Contact header of a 3xx.
type Contact struct {
	URI      sipaddr.URI
	Q        int  // thousandths
	Followed bool // set by Recurse: the search goes there, or has been there already
}

// Redirection is a 3xx to a request that was forwarded for a domain of ours.
type Redirection struct {
	URI         *sipaddr.URI // the Request-URI of the request
	From        Target       // who answered
	Source      netip.Addr   // where from
	Set         []Target     // the target set until now: tried, waiting, and to be redirected to
	Disposition Disposition  // as in the Decision that began the search
	Contacts    []Contact    // in the order of the response
	Class       string       // of the caller
}

// Recurse decides which contacts of a 3xx become targets (RFC 3261 16.5, 16.7 step 4; BEHAVIOUR B21): d.Targets, in their
// groups. d.Redirect is as for Decide. It marks the contacts that are Followed. Whose contact answered 3xx acts as its owner:
// where he may not call, nobody is sent for him.
func Recurse(t Tables, r *Redirection, now time.Time, d *Decision) {
	d.reset()
	if !d.mayRecurse(t, r) {
		return
	}
	d.set, d.sips, d.Disposition, d.class, d.via = r.Set, r.URI.Scheme == sipaddr.SIPS, r.Disposition, r.Class, r.From.Diverted
	for i := range r.Set {
		if key := r.Set[i].Owner.Key; !slices.Contains(d.visited, key) {
			d.visited = append(d.visited, key)
		}
	}
	best := make([]*Contact, len(r.Contacts)) // Where there is not room for all, it is for the best.
	for i := range r.Contacts {
		best[i] = &r.Contacts[i]
	}
	slices.SortStableFunc(best, func(a, b *Contact) int { return cmp.Compare(b.Q, a.Q) })
	for _, c := range best {
		d.follow(t, r, c, now)
	}
	for i := range d.Targets {
		d.Targets[i].Depth = r.From.Depth + 1
	}
	if len(d.Targets) == 0 {
		return
	}
	d.Kind = Proxy
	d.order()
	d.split(t, &Facts{URI: r.URI})
	d.group()
}

// mayRecurse asks whether a 3xx is followed at all.
func (d *Decision) mayRecurse(t Tables, r *Redirection) bool {
	owner := cache.User{}
	if r.From.Owner.Exists() {
		owner = t.User([]byte(r.From.Owner.Key))
	}
	note := ""
	switch {
	case !t.Settings.ProxyRecursion:
		note = "ProxyRecursion is false"
	case r.Disposition&NoRecurse != 0:
		note = "the caller's Request-Disposition says no-recurse"
	case r.From.Rule != 0:
		note = "a gateway says no more than that it does not take the call"
	case r.From.Binding == nil: // 16.5: MUST NOT.
		note = "the Request-URI is in no domain of ours"
	case !owner.Exists() || owner.Disabled:
		note = "the contact's owner is unknown or disabled"
	case r.From.Depth >= maxRecursion:
		note = "too many redirections one after the other"
	default:
		d.row("users", owner.ID, "recursion", string(owner.Key), trace.Match, "")
		return true
	}
	d.step("recursion", "", trace.Skip, note)
	return false
}

// follow makes targets of one contact. The trace outlives the response, so the contact's text is copied.
func (d *Decision) follow(t Tables, r *Redirection, c *Contact, now time.Time) {
	text := string(c.URI.Text)
	skip := func(note string) { d.step("recursion", text, trace.Skip, note) }
	dom := domainFor(t, &c.URI, t.ownURI(&c.URI))
	switch {
	case c.URI.Scheme == sipaddr.Other:
		skip("neither sip, sips nor tel")
	case (c.URI.Scheme == sipaddr.SIPS) != isSIPS(r.From.Binding.URI): // RFC 5630 5.3: MUST NOT, neither way; 16.7 step 4
		skip("no recursion from sips to sip, or from sip to sips")
	case d.inSet(text): // 16.5: MUST NOT be added again.
		c.Followed = true
		skip("in the target set already")
	case len(d.set)+len(d.Targets) >= maxTargets:
		skip("too many targets")
	case d.Disposition&NoFork != 0 && len(d.Targets) > 0:
		skip("the caller's Request-Disposition says no-fork")
	case dom != nil:
		d.followLocal(t, r, c, dom, text, now)
	case d.toGateway(t, &c.URI, "recursion", text):
	case t.Settings.ForeignDomain != "proxy": // BEHAVIOUR B11: it would not be done for the owner himself.
		skip("ForeignDomain is " + t.Settings.ForeignDomain)
	case !t.Names && !numericHost(&c.URI):
		skip("its host is a name, only numeric next hops can be reached")
	default:
		c.Followed = true
		d.step("recursion", text, trace.Match, "")
		d.add(Target{Binding: &location.Binding{URI: text, Q: c.Q}, Owner: r.From.Owner, By: r.Source})
	}
}

// followLocal follows a contact that names one of our users or a number, inside: the request would come back to us. What it costs to call
// the number is the owner's, as if he had called it.
func (d *Decision) followLocal(t Tables, r *Redirection, c *Contact, dom *cache.Domain, text string, now time.Time) {
	if !c.URI.HasUser {
		d.step("recursion", text, trace.Skip, "it is this server")
		return
	}
	first := len(d.Targets)
	is := d.find(t, &c.URI, dom)
	if is == people {
		for _, u := range d.one {
			c.Followed = c.Followed || slices.Contains(d.visited, u.Key)
		}
	}
	if (is == number || is == elsewhere) && r.From.By.IsValid() { // Somebody behind a forward or a 3xx would spend the owner's money.
		d.step("recursion", text, trace.Deny, "a number, and who answered is no telephone of the owner's")
		return
	}
	d.leadOn(t, is, text, r.From.Owner, now, 0)
	d.weigh(first, c.Q) // What the telephone said of the whole comes before what they say of each other.
	c.Followed = c.Followed || len(d.Targets) > first
}

// inSet tells whether a URI is a target already.
func (d *Decision) inSet(uri string) bool {
	same := func(x Target) bool { return x.Binding != nil && sameURI(x.Binding.URI, uri) }
	return slices.ContainsFunc(d.set, same) || slices.ContainsFunc(d.Targets, same)
}

// ownURI tells whether a URI leads to a listener of ours: its maddr, else its host, and its port.
func (t Tables) ownURI(u *sipaddr.URI) bool {
	to, ok := u.AddrPort()
	return ok && t.Own != nil && t.Own(to)
}

// numericHost tells whether a URI leads to an address without a look-up.
func numericHost(u *sipaddr.URI) bool {
	if maddr, has := u.Maddr(); has {
		_, ok := sipaddr.ParseIP(maddr)
		return ok
	}
	_, ok := u.Addr()
	return ok
}
