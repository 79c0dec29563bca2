package proxy

import (
	"slices"
	"time"

	"sipd/server/gateway"
	"sipd/server/message"
	"sipd/server/target"
	"sipd/server/transaction"
	"sipd/server/transport"
)

// Next decides who is tried when all have failed: target.Next with the tables of the moment.
type Next func(f *target.Failure, now time.Time, d *target.Decision)

// forwarded asks for further targets after the telephones of whom the call came to last have ended with status, and reports whether there are any: they come behind
// all others.
func (c *Context) forwarded(s *transaction.Shard, status int) bool {
	if c.further == nil || c.waiting.User == "" || c.trying > 0 && status != 408 || c.stopped || c.answered || c.tx == nil {
		return false
	}
	f := target.Failure{Waiting: c.waiting, URI: &c.route.URI, Status: status, Set: slices.Concat(c.targets, c.redirect), Disposition: c.set.Disposition}
	var d target.Decision
	c.further(&f, s.Now(), &d)
	c.p.calls.Forwarded(c.call, s.Now(), &d)
	if len(d.Targets)+len(d.Redirect) == 0 {
		if c.trying == 0 {
			c.waiting.User = ""
		}
		return false
	}
	class := c.waiting.Class
	c.waiting, c.best.own = d.Waiting, 0
	c.waiting.Class = class
	fresh := 0
	for i := range c.targets {
		fresh = max(fresh, c.targets[i].Group+1)
	}
	for i := range d.Targets {
		d.Targets[i].Group += fresh
	}
	c.targets = append(c.targets, d.Targets...)
	c.redirect = append(c.redirect, d.Redirect...)
	c.numeric(c.redirect)
	c.waitForAnswer(s)
	return len(d.Targets) > 0
}

// waitForAnswer begins the time that the callee's telephones may ring before he has the call forwarded.
func (c *Context) waitForAnswer(s *transaction.Shard) {
	if d := c.waiting.NoAnswer; d > 0 && c.waiting.User != "" && c.invite() && !c.stopped && c.tx != nil {
		s.Arm(&c.patience, d)
	}
}

// noAnswer: that time is over. His telephones are given up when there is somebody else to try, and those that have not rung yet are
// left out.
func (c *Context) noAnswer(s *transaction.Shard) {
	if c.stopped || c.tx == nil {
		return
	}
	started, next, targets := c.n, c.next, c.targets
	c.targets = c.targets[:c.next]
	if !c.forwarded(s, 408) {
		c.targets = targets
		return
	}
	for _, b := range c.branches[:started] {
		b.giveUp(s)
	}
	if c.next == next { // Else one of them has ended at once, and has started the group.
		c.startGroup(s)
	}
	c.settle(s)
}

// elsewhere makes the next gateway of a hunt group take the place of b, which has ended with status; m is nil when no response was
// received. It reports whether there is one: after what says something of the number or the callee there is not.
func (b *branch) elsewhere(s *transaction.Shard, status int, m *message.Message) bool {
	c := b.c
	if len(b.target.Else) == 0 || b.late || c.stopped || c.answered || c.tx == nil || !gateway.Failed(status) && (m != nil || status != 404) {
		return false
	}
	c.best.add(c.p, status, m, b)
	b.leave(s, m != nil)
	b.nextGateway(s)
	return true
}

// nextGateway sends b to the first of the gateways that are left. It counts as trying already.
func (b *branch) nextGateway(s *transaction.Shard) {
	s.Disarm(&b.timerC)
	s.Disarm(&b.silence)
	b.target = b.target.Rest()
	b.hops, b.lookedUp, b.domain, b.refused = b.hops[:0], false, "", 0
	// They were of the gateway before.
	b.alt, b.last, b.overTCP = transport.Flow{}, transport.Flow{}, false
	b.c.trying-- // start counts it again
	b.c.start(s, b)
}
