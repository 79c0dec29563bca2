package proxy

import (
	"net/netip"
	"slices"
	"time"

	"sipd/server/message"
	"sipd/server/target"
	"sipd/server/transaction"
)

// Recurse decides which contacts of a 3xx become targets: target.Recurse with the tables of the moment.
type Recurse func(r *target.Redirection, now time.Time, d *target.Decision)

// maxRedirections bounds the contacts of one 3xx that are looked at; more than a target set has room for are not needed.
const maxRedirections = 64

// recurse does RFC 3261 16.7 step 4 for a 3xx that ends b: contacts that become targets are removed from it, what is left waits in the
// response context as any failure. It reports false when there is no new target: the 3xx is then a failure as it is.
func (c *Context) recurse(s *transaction.Shard, b *branch, m *message.Message) bool {
	// 305 names a proxy to go through, 380 another service (21.3.4, 21.3.5): neither another place of the callee.
	if c.recursion == nil || c.stopped || c.answered || c.tx == nil || b.final || m.Status() == 305 || m.Status() == 380 {
		return false
	}
	r := target.Redirection{
		URI: &c.route.URI, From: b.target, Source: b.flow().Remote.Addr(), Set: slices.Concat(c.targets, c.redirect),
		Disposition: c.set.Disposition, Contacts: contactsOf(m), Class: c.waiting.Class,
	}
	if len(r.Contacts) == 0 {
		return false
	}
	var d target.Decision
	c.recursion(&r, s.Now(), &d)
	follows := len(d.Targets)+len(d.Redirect) > 0
	if follows {
		b.note(s, m.Status(), true)
	}
	c.p.calls.Recursed(c.call, s.Now(), &d)
	if !follows {
		return false
	}
	if rest := c.p.unfollowed(m, r.Contacts); rest != nil { // Else SHOULD NOT be added to the context.
		c.best.add(c.p, m.Status(), rest, b)
	}
	b.over(s)
	c.redirect = append(c.redirect, d.Redirect...)
	c.numeric(c.redirect)
	if len(d.Targets) > 0 {
		c.insert(d.Targets)
		// They stand in for b and do not wait for those that ring beside it, unless the caller wants one after the other.
		if c.set.Disposition&target.Sequential == 0 {
			c.startGroup(s)
		}
	}
	c.settle(s)
	return true
}

// contactsOf returns the contacts of a 3xx that can be read.
func contactsOf(m *message.Message) (list []target.Contact) {
	vs := m.Values(message.Contact)
	for v, ok := vs.Next(); ok && len(list) < maxRedirections; v, ok = vs.Next() {
		a, err := message.ParseAddress(v)
		if err != nil {
			continue
		}
		q, given, err := a.Q()
		if !given || err != nil {
			q = 1000 // BEHAVIOUR I2
		}
		list = append(list, target.Contact{URI: a.URI, Q: q})
	}
	return list
}

// unfollowed is m without the contacts that were followed, nil when none is left.
func (p *Proxy) unfollowed(m *message.Message, contacts []target.Contact) *message.Message {
	var left []byte
	vs := m.Values(message.Contact)
	for v, ok := vs.Next(); ok; v, ok = vs.Next() {
		if a, err := message.ParseAddress(v); err == nil && slices.ContainsFunc(contacts, func(c target.Contact) bool {
			return c.Followed && string(c.URI.Text) == string(a.URI.Text)
		}) {
			continue
		}
		left = append(append(left, ", "[:min(2, len(left))]...), v...)
	}
	if len(left) == 0 {
		return nil
	}
	x := p.scratch.Get().(*scratch)
	defer p.scratch.Put(x)
	x.splice.Reset(m)
	h, _ := m.First(message.Contact)
	x.splice.SetValue(h, left)
	for h, ok := m.After(h); ok; h, ok = m.After(h) {
		x.splice.Remove(h)
	}
	rest := new(message.Message)
	if rest.Index(x.splice.Append(nil)) != nil {
		return nil
	}
	return rest
}

// insert puts the targets of a recursion, whose groups count from 0, ahead of those that have not been started: they stand in for one that was. Their first
// group joins the one that runs, whose rest may still wait for breadth; the others come behind it.
func (c *Context) insert(ts []target.Target) {
	running, fresh := c.targets[c.next-1].Group, 0
	for _, t := range c.targets {
		fresh = max(fresh, t.Group+1)
	}
	first := 0
	for first < len(ts) && ts[first].Group == 0 {
		ts[first].Group = running
		first++
	}
	for i := range ts[first:] {
		ts[first+i].Group += fresh
	}
	c.targets = slices.Insert(c.targets, c.next, ts[:first]...)
	at := c.next + first
	for at < len(c.targets) && c.targets[at].Group == running {
		at++
	}
	c.targets = slices.Insert(c.targets, at, ts[first:]...)
}

// over notes that b has ended; what it ended with is the caller's.
func (b *branch) over(s *transaction.Shard) {
	b.final = true
	b.c.trying--
	b.c.breadth += b.share
	s.Disarm(&b.timerC)
	s.Disarm(&b.silence)
	b.hunt.leg.End()
}

// loopback stands for an administrator: what he wrote is as if this machine itself had written it.
var loopback = netip.IPv6Loopback()

// asker is whose reach bounds where b's request may go (Proxy.allowed): who named the target in a 3xx, who registered it, else
// the caller.
func (b *branch) asker() netip.Addr {
	switch bind := b.target.Binding; {
	case b.target.By.IsValid():
		return b.target.By
	case bind == nil:
		return b.c.from.Remote.Addr()
	case bind.Static():
		return loopback
	default:
		return bind.Source.Addr()
	}
}
