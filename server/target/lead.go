package target

import (
	"time"

	"sipd/gatewaymap"
	"sipd/location"
	"sipd/sipaddr"
	"sipd/store"
	"sipd/store/cache"
	"sipd/trace"
)

// lead collects where a URI leads that a user has written, text: the target of a forward, a tel contact, an answer to a Question. What it
// costs is his.
func (d *Decision) lead(t Tables, u *sipaddr.URI, text string, owner cache.User, now time.Time, depth int) {
	dom := domainFor(t, u, t.ownURI(u))
	switch {
	case dom != nil:
		d.leadOn(t, d.find(t, u, dom), text, owner, now, depth)
	case u.Scheme == sipaddr.Other:
		d.step("leads to", text, trace.Skip, "neither sip, sips nor tel")
	case d.toGateway(t, u, "leads to", text):
	case t.Settings.ForeignDomain != "proxy": // BEHAVIOUR B11: it would not be done for the owner himself.
		d.step("leads to", text, trace.Skip, "another domain, and ForeignDomain is "+t.Settings.ForeignDomain)
	case d.sips && u.Scheme != sipaddr.SIPS:
		d.insecure = true
		d.step("leads to", text, trace.Skip, "a sips request goes by TLS alone")
	case !t.Names && !numericHost(u):
		d.step("leads to", text, trace.Skip, "its host is a name, only numeric next hops can be reached")
	case len(d.set)+len(d.Targets) >= maxTargets || d.inSet(text):
		d.step("leads to", text, trace.Skip, "in the target set already, or there are too many")
	default:
		d.step("leads to", text, trace.Match, "another domain")
		d.add(Target{Binding: &location.Binding{URI: text, Q: maxQ, Action: uint8(store.Proxy)}, Owner: owner, By: byUser})
	}
}

// leadOn is goTo for what a user has written.
func (d *Decision) leadOn(t Tables, is finding, text string, owner cache.User, now time.Time, depth int) {
	switch is {
	case people:
		d.callAll(t, now, depth)
	case number:
		class := d.classFor(t, owner)
		if d.dial(t, class, owner, now) == gatewaymap.Denied {
			d.step("gateway map", class, trace.Deny, "the class of who leads there may not call this number")
		}
	case elsewhere:
		if d.sips && !isSIPS(string(d.uri)) {
			d.insecure = true
			return
		}
		d.outside(t, owner)
	default:
		d.AORs = d.AORs[:0]
		d.step("leads to", text, trace.Skip, "it names nobody here, or several")
	}
}

// telContact follows a registered tel contact. Who is redirected gets it as it is.
func (d *Decision) telContact(t Tables, b *location.Binding, u cache.User, now time.Time, depth int) {
	if t.chosen(&Target{Binding: b, Owner: u}) == store.Redirect {
		d.contact(b, trace.Match, "")
		d.add(Target{Binding: b, Owner: u})
		return
	}
	uri, err := sipaddr.Parse([]byte(b.URI))
	if err != nil || depth >= maxDepth {
		d.contact(b, trace.Skip, "no tel URI, or one that leads round")
		return
	}
	d.contact(b, trace.Match, "a number")
	first := len(d.Targets)
	d.lead(t, &uri, b.URI, u, now, depth+1)
	d.weigh(first, b.Q)
}

// weigh lessens the q of the targets from first on by the q of what led there.
func (d *Decision) weigh(first, q int) {
	for i := range d.Targets[first:] {
		if x := &d.Targets[first+i]; q != maxQ {
			b := *x.Binding // A binding never changes.
			b.Q = b.Q * q / maxQ
			x.Binding = &b
		}
	}
}
