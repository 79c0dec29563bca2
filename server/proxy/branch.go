package proxy

import (
	"sipd/server/calltrace"
	"sipd/server/message"
	"sipd/server/proxy/health"
	"sipd/server/target"
	"sipd/server/transaction"
	"sipd/server/transport"
)

// branch is one copy of the request on its way to one target. It outlives its client transaction as a line of the context.
type branch struct {
	c      *Context
	client *transaction.Client // nil when it is over
	timerC transaction.Timer
	target target.Target
	alt    transport.Flow // where to try when the first way failed; Proto and Remote, zero if none
	share  int            // of Max-Breadth
	final  bool           // a final response came, or what counts as one
	late   bool           // cancelled because it rang too long: nothing more is tried for it

	succeeded bool // with a 2xx
	refused   refusal
	tells     bool // the response at hand may tell who answers
	overTCP   bool // TCP was taken for its size (18.1.1); UDP is what remains

	hops     []transport.Flow // next hops that were looked up and not tried yet (RFC 3263)
	last     transport.Flow   // where it was sent last
	silence  transaction.Timer
	waiting  bool // for the answer of a look-up
	lookedUp bool
	heir     *branch // to the next hop, tried because this one was silent
	before   *branch // whose heir this one is
	domain   string  // that was looked up
	hunt     hunt
}

func (b *branch) reset() {
	b.hunt.leg.End()
	b.hunt = hunt{}
	b.client, b.target, b.alt = nil, target.Target{}, transport.Flow{}
	b.refused, b.tells = 0, false
	b.overTCP, b.final, b.late, b.succeeded = false, false, false, false
	b.heir, b.before = nil, nil
	b.hops, b.last, b.waiting, b.lookedUp, b.domain = b.hops[:0], transport.Flow{}, false, false, ""
}

// newBranch returns the next branch of the context.
func (c *Context) newBranch() *branch {
	if c.n == len(c.branches) {
		b := &branch{c: c}
		b.timerC.Fire, b.silence.Fire = b.timerCFired, b.silent
		c.branches = append(c.branches, b)
	}
	b := c.branches[c.n]
	b.c = c
	c.n++
	return b
}

// Response is transaction.ClientUser.
func (b *branch) Response(s *transaction.Shard, _ *transaction.Client, m *message.Message) {
	b.c.response(s, b, m)
}

// Failed is transaction.ClientUser: no final response will come.
func (b *branch) Failed(s *transaction.Shard, _ *transaction.Client, why transaction.Failure, err error) {
	c := b.c
	status := 408 // 16.6 step 7, 16.8: Timer B or F counts as 408.
	switch why {
	case transaction.TransportFail:
		// 16.9: as if a 503 had been received. A second way to the same target comes first.
		if b.alt.Remote.IsValid() && !b.late && !c.stopped && c.tx != nil {
			alt := b.alt
			b.alt = transport.Flow{}
			b.retry(s, alt)
			return
		}
		if b.another(s, 503, health.Because(err), health.Time) {
			return
		}
		b.unreachable(s, err)
		status = 503
	case transaction.CancelTimeout:
		status = 487 // 9.1: the transaction counts as cancelled.
	default:
		if b.another(s, 408, "no answer", health.Time) {
			return
		}
		b.hunt.leg.Silent(s.Now())
	}
	b.ended(s, status, nil)
}

// Ended is transaction.ClientUser.
func (b *branch) Ended(s *transaction.Shard, client *transaction.Client) {
	if b.client == client { // Else another way is being tried already.
		b.client = nil
		s.Disarm(&b.timerC)
		s.Disarm(&b.silence)
		b.hunt.leg.End()
	}
	c := b.c
	if c.live--; c.live == 0 {
		c.abort(s, 500) // It has been answered, unless a panic has kept it from that.
	}
	c.recycle(s)
}

// note tells what became of the copy of the request that was sent last.
func (b *branch) note(s *transaction.Shard, status int, received bool) {
	c := b.c
	if c.call == 0 {
		return
	}
	o := calltrace.Outcome{Target: &b.target, To: b.last.Remote, Status: status, Received: received}
	if o.To.IsValid() {
		o.Proto = b.last.Proto.String()
	}
	c.p.calls.Branch(c.call, s.Now(), &o)
}

// ended notes a final response, m, or what counts as one (m nil), and lets the context go on.
func (b *branch) ended(s *transaction.Shard, status int, m *message.Message) {
	c := b.c
	if b.final {
		b.unlink()
		b.hunt.leg.End()
		// A hop that was given up for its silence may say something after all (16.7 steps 5 and 6).
		if m != nil && status != 487 && !c.answered {
			c.best.add(c.p, status, m, b)
			if status >= 600 {
				c.stop(s, causeReason(status))
				c.settle(s)
			}
		}
		return
	}
	b.note(s, status, m != nil)
	if b.elsewhere(s, status, m) || (m == nil || status == 503) && b.handBack(s) {
		return
	}
	if status == 487 && b.late && !c.cancelled {
		status, m = 408, nil // It was us who gave up, not the caller.
	}
	b.over(s)
	if !c.answered {
		c.best.add(c.p, status, m, b)
	}
	if status >= 600 {
		c.stop(s, causeReason(status)) // 16.7 step 5: a 6xx ends the search, but is not forwarded before the others are through.
	}
	c.settle(s)
}
