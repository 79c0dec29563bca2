package proxy

import (
	"bytes"
	"errors"
	"net/netip"
	"time"

	"sipd/resolve"
	"sipd/server/message"
	"sipd/server/proxy/health"
	"sipd/server/proxy/hop"
	"sipd/server/target"
	"sipd/server/transaction"
	"sipd/server/transport"
	"sipd/sipaddr"
)

// Resolver finds the next hops of a URI whose host is a name (RFC 3263); *resolve.Resolver is one. It never waits: done is
// called later, by another goroutine, unless ready.
type Resolver interface {
	Hops(q resolve.Query, done func([]resolve.Hop, error)) (hops []resolve.Hop, err error, ready bool)
}

// hopTimeout is how long a next hop that was looked up may be silent before the next one is tried beside it. RFC 3263 4.3 would
// wait for Timer B or F, 32 s, which no caller does; after four copies of a request it is not the network that has lost them.
const hopTimeout = 4 * time.Second

// nameOf returns what must be looked up for a copy whose next hop is a name (16.6 step 7), ok false when it is none.
func (p *Proxy) nameOf(r *Route, t target.Target) (q resolve.Query, ok bool) {
	uri := &r.URI
	var own sipaddr.URI
	switch b := t.Binding; {
	case p.resolver == nil:
		return q, false
	case b != nil && (!r.More || len(b.Path) > 0):
		text := b.URI
		if len(b.Path) > 0 {
			text = b.Path[0]
		}
		var err error
		if own, err = sipaddr.Parse([]byte(text)); err != nil {
			return q, false
		}
		uri = &own
	case r.More:
		uri = &r.next.URI
	}
	if q, ok = hop.Named(uri); !ok {
		return q, false
	}
	// 16.6 step 7: a sips Request-URI goes by TLS alone, whatever URI leads there.
	q.Secure = q.Secure || wantsTLS(r, t)
	return q, true
}

// lookUp finds the next hops of b, now or later. It reports whether the branch goes on.
func (c *Context) lookUp(s *transaction.Shard, b *branch, q resolve.Query) bool {
	b.waiting = true
	c.trying++
	p, ref, callID := c.p, c.tx.Ref(), bytes.Clone(c.tx.Request.CallID())
	hops, err, ready := p.resolver.Hops(q, func(hops []resolve.Hop, err error) {
		p.inShard(callID, func(s *transaction.Shard) {
			if tx := s.Server(ref); tx != nil && tx.User() == c { // Else the request has ended meanwhile, and c may be of a call in another shard.
				done := false
				defer func() {
					if !done { // As in Forward.
						c.abort(s, 500)
					}
				}()
				c.found(s, b, q, hops, err)
				done = true
			}
		})
	})
	if !ready {
		return true
	}
	return c.found(s, b, q, hops, err)
}

// found goes on with a branch whose next hops are known.
func (c *Context) found(s *transaction.Shard, b *branch, q resolve.Query, hops []resolve.Hop, err error) bool {
	if !b.waiting {
		return false
	}
	b.waiting = false
	fenced := false
	b.hops, fenced = c.p.flows(b.hops[:0], &c.route, &b.target, q, hops, b.asker())
	b.domain = q.Host
	c.p.health.Order(b.hops, s.Now(), true)
	b.hunt.ways = max(len(b.hops), 1)
	if len(b.hops) == 0 {
		if !errors.Is(err, resolve.ErrBusy) {
			b.unreachable(s, err)
		}
		c.busy = c.busy || errors.Is(err, resolve.ErrBusy)
		if fenced {
			b.ended(s, 403, nil)
			return false
		}
		b.ended(s, lookUpStatus(err), nil)
		return false
	}
	b.lookedUp = true
	return b.nextOf(s)
}

// lookUpStatus is what a look-up without hops counts as: the domain does not exist, or nobody can say (RFC 3263 4.3: as 503).
func lookUpStatus(err error) int {
	if errors.Is(err, resolve.ErrNotFound) {
		return 404
	}
	return 503
}

// lookUpAgain is when a caller for whose name there was no room may try again: look-ups wait for four seconds at most.
var lookUpAgain = []message.Field{{Name: "Retry-After", Value: []byte("5")}}

// retryAfter is what the caller is told when the request failed for want of room, else nothing.
func (c *Context) retryAfter() []message.Field {
	if c.busy {
		return lookUpAgain
	}
	return nil
}

// flows makes ways of hops for a copy, without those that nobody may be led to; fenced tells that one of them is a gateway.
func (p *Proxy) flows(dst []transport.Flow, r *Route, t *target.Target, q resolve.Query, hops []resolve.Hop, src netip.Addr) (flows []transport.Flow, fenced bool) {
	for _, h := range hops {
		f := transport.Flow{Remote: h.Addr}
		switch h.Transport {
		case resolve.TCP:
			f.Proto = transport.TCP
		case resolve.TLS:
			f.Proto = transport.TLS
			var ok bool
			if f.Domain, ok = p.domains.Number(q.Host); !ok { // RFC 5922 7.3: the domain that was asked for, not what DNS made of it.
				continue
			}
		}
		if p.fenced(r, t, f) {
			fenced = true
			continue
		}
		if p.allowed(h.Addr, src) && p.setSource(&f) {
			dst = append(dst, f)
		}
	}
	return dst, fenced
}

// nextOf sends b to the first of the hops that are left. It counts as trying already.
func (b *branch) nextOf(s *transaction.Shard) bool {
	to := b.hops[0]
	b.hops = append(b.hops[:0], b.hops[1:]...)
	b.alt, b.overTCP = transport.Flow{}, false // They were of the hop before.
	b.c.trying--                               // send counts it again
	if !b.send(s, to) {
		return false
	}
	if len(b.hops) > 0 && b.hunt.members == 0 {
		s.Arm(&b.silence, hopTimeout)
	}
	return true
}

// another tries the next hop after one has failed (RFC 3263 4.3): by the transport, by silence or with a 503. Each gets a branch
// parameter of its own. It reports whether there was one.
func (b *branch) another(s *transaction.Shard, status int, why string, until time.Duration) bool {
	if b.lookedUp {
		b.c.p.health.Failed(b.last, b.domain, why, s.Now(), until)
	}
	if len(b.hops) == 0 || b.final || b.late || b.c.stopped || b.c.tx == nil {
		return false
	}
	b.note(s, status, why == "503")
	s.Disarm(&b.timerC)
	s.Disarm(&b.silence)
	b.nextOf(s)
	return true
}

// silent: the hop has said nothing for hopTimeout. The request goes to the next one in a branch of its own, and whichever of them
// says something first goes on. When none does, each has its 32 s (16.6 step 7).
func (b *branch) silent(s *transaction.Shard) {
	c := b.c
	if b.final || b.late || b.client == nil || c.stopped || c.tx == nil {
		return
	}
	if len(b.hops)+len(b.target.Else) == 0 {
		if b.hunt.members > 0 {
			b.lastSilent(s)
		}
		return
	}
	b.note(s, 408, false)
	next := c.newBranch()
	next.target, next.share, next.lookedUp, next.domain = b.target, b.share, b.lookedUp, b.domain
	next.hops = append(next.hops[:0], b.hops...)
	b.pass(s, next)
	b.hops, b.target.Else = b.hops[:0], nil
	if b.lookedUp {
		c.p.health.Failed(b.last, b.domain, "no answer", s.Now(), health.Time)
	}
	b.final, b.share = true, 0 // The share goes with the hops.
	b.heir, next.before = next, b
	s.Disarm(&b.timerC)
	if len(next.hops) > 0 { // It counts in the place of b.
		next.nextOf(s)
	} else {
		next.nextGateway(s)
	}
}

// takeBack: a hop that was silent has said something, and those that were tried in its place have not.
func (b *branch) takeBack(s *transaction.Shard) {
	last := b.heir
	b.reclaim(last)
	for last.heir != nil {
		last = last.heir
		b.reclaim(last)
	}
	b.final, b.share = false, last.share
	b.target.Else = last.target.Else
	if b.hops = b.hops[:0]; last.target.Binding == b.target.Binding { // Else they are another gateway's.
		b.hops = append(b.hops, last.hops...)
	}
	b.heir = nil
	last.before.forsake(s, b)
	last.before, last.share, last.hops, last.target.Else = nil, 0, last.hops[:0], nil
	last.waiting = false // What is looked up for it is of no use any more, and its place among those that are tried is b's again.
	last.giveUp(s)
	s.Disarm(&last.timerC)
	s.Disarm(&last.silence)
	last.final = true
	if b.c.invite() {
		b.resetTimerC(s)
	}
}

// forsake cancels, as soon as they say something, b and those before it that were silent, as far as until: another hop serves.
func (b *branch) forsake(s *transaction.Shard, until *branch) {
	for b != nil && b != until {
		b.late = true
		b.cancel(s, causeReason(408))
		b.heir = nil
		b, b.before = b.before, nil
	}
}

// handBack makes b, which has failed without an answer, give its place back to one before it that may still say something.
func (b *branch) handBack(s *transaction.Shard) bool {
	old := b.before
	if b.before = nil; old == nil || b.c.stopped || b.c.tx == nil {
		return false
	}
	old.final, old.share, old.heir = false, b.share, nil
	b.final, b.share = true, 0
	s.Disarm(&b.timerC)
	s.Disarm(&b.silence)
	if old.reclaim(b); old.hunt.members > 0 {
		old.hunt.told = true
		old.waitForAll(s)
	}
	b.hunt.leg.End()
	return true
}

// unlink takes b, which has failed while another was tried in its place, out of their row.
func (b *branch) unlink() {
	if b.heir != nil {
		b.heir.before = b.before
	}
	if b.before != nil {
		b.before.heir = b.heir
	}
	b.heir, b.before = nil, nil
}

// alive notes that a hop lives.
func (b *branch) alive(s *transaction.Shard, m *message.Message) {
	if !b.lookedUp && b.hunt.members == 0 && b.heir == nil && b.before == nil {
		return
	}
	s.Disarm(&b.silence)
	if m.Status() == 503 {
		return
	}
	if b.lookedUp {
		b.c.p.health.Works(b.last, s.Now())
	}
	if b.heir != nil {
		b.takeBack(s)
	}
	if b.before != nil {
		b.hunt.spent += s.Now().Sub(b.hunt.since)
		b.before.forsake(s, nil)
		b.before = nil
	}
}
