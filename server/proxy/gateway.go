package proxy

import (
	"time"

	"sipd/server/gateway"
	"sipd/server/message"
	"sipd/server/target"
	"sipd/server/transaction"
	"sipd/server/transport"
)

// hunt is how far a branch is with the gateways of a hunt group. Its zero value is of targets that are none.
type hunt struct {
	leg     gateway.Leg   // to the gateway at hand; a next hop of it that takes over from another has it
	members int           // gateways in the group, those that were tried, too
	ways    int           // next hops of the gateway at hand
	sent    time.Time     // the request, last
	since   time.Time     // when the first of those that say nothing, one after the other, was tried
	spent   time.Duration // on others, before one that did
	told    bool          // that the gateway at hand says nothing
}

// dial begins with the gateway that is b's target, and reports whether it takes the call.
func (b *branch) dial(s *transaction.Shard) (ok bool) {
	c, h, now := b.c, &b.hunt, s.Now()
	if h.members == 0 {
		h.members, h.since = 1+len(b.target.Else), now
	}
	h.ways, h.told = 1, false
	if c.invite() && !c.route.InDialog {
		if h.leg, ok = c.p.gateways.Begin(b.target.Gateway, now); !ok { // Since it was decided on others have taken the last places.
			if b.target.Class == "" { // An emergency call, for which no class was asked: no count turns it away.
				return true
			}
			c.busy = true
			c.trying++
			b.ended(s, 503, nil)
		}
		return ok
	}
	h.leg = c.p.gateways.Watch(b.target.Gateway, now)
	return true
}

// listen begins the time that the gateway at hand may say nothing: the request has been sent to one of its next hops.
func (b *branch) listen(s *transaction.Shard) {
	h := &b.hunt
	h.sent = s.Now()
	h.leg.Again(h.sent)
	s.Arm(&b.silence, h.leg.Patience(h.members*h.ways))
}

// lastSilent: the last gateway of the group has said nothing for its time. The caller waits on, for whichever of them says
// something, but for all that say nothing no longer than for one (16.6 step 7, Timer B).
func (b *branch) lastSilent(s *transaction.Shard) {
	c, h := b.c, &b.hunt
	if !h.told {
		h.told = true
		h.leg.Silent(s.Now())
		b.waitForAll(s)
		return
	}
	b.note(s, 408, false)
	b.before.forsake(s, nil)
	b.before = nil
	b.giveUp(s)
	b.over(s)
	c.best.add(c.p, 408, nil, b)
	c.settle(s)
}

// waitForAll ends the search among gateways that say nothing when the time of one transaction is over, if b's own is over only later.
func (b *branch) waitForAll(s *transaction.Shard) {
	h := &b.hunt
	end := h.since.Add(gateway.PatienceInAll - h.spent)
	if b.c.invite() && end.Before(h.sent.Add(gateway.PatienceInAll)) {
		s.Arm(&b.silence, max(end.Sub(s.Now()), 1))
	}
}

// heard notes a response of the gateway at hand.
func (b *branch) heard(s *transaction.Shard, m *message.Message) {
	again := time.Duration(0)
	if m.Status() == 503 && m.Has(message.RetryAfter) {
		again = retryAfter(m)
	}
	b.hunt.leg.Response(m.Status(), again, s.Now())
}

// unreachable notes that there is no way to the gateway at hand.
func (b *branch) unreachable(s *transaction.Shard, err error) {
	if !b.hunt.leg.Counts() {
		return
	}
	why := transport.ErrNoListener
	if err != nil {
		why = err
	}
	b.hunt.leg.Unreachable(why.Error(), s.Now())
}

// leave makes b go on to the next gateway; answered tells that the one at hand has said something.
func (b *branch) leave(s *transaction.Shard, answered bool) {
	b.hunt.leg.End()
	if answered && b.before == nil {
		b.hunt.since = s.Now() // What it took to answer is not lost on those that say nothing.
	}
}

// pass makes next go on with what b has begun: with another next hop of the same gateway, or with another gateway.
func (b *branch) pass(s *transaction.Shard, next *branch) {
	if next.hunt = b.hunt; len(next.hops) > 0 {
		b.hunt.leg = gateway.Leg{}
		return
	}
	b.hunt.told, next.hunt.leg = true, gateway.Leg{}
	b.hunt.leg.Silent(s.Now())
}

// reclaim takes the gateway back that b had passed on to from.
func (b *branch) reclaim(from *branch) {
	if from.hunt.leg.Counts() && from.target.Binding == b.target.Binding {
		b.hunt.leg.End()
		b.hunt.leg, from.hunt.leg = from.hunt.leg, gateway.Leg{}
	}
}

// established notes the first 2xx of b's target to an INVITE. Others ring or have answered beside it: the caller ends all calls but one.
func (b *branch) established(s *transaction.Shard, m *message.Message) {
	c := b.c
	switch {
	case c.route.InDialog && (c.invite() || c.method == message.UPDATE):
		c.p.gateways.Refreshed(dialogOf(m), session(m), s.Now())
	case c.invite() && !c.answered:
		b.hunt.leg.Established(dialogOf(m), session(m), s.Now())
	}
	b.hunt.leg.End()
}

// hungUp ends a call whose end has answered that there is none, or nothing at all (12.2.1.2).
func (c *Context) hungUp(status int) {
	if c.route.InDialog && (status == 481 || status == 408) && c.tx != nil {
		c.p.gateways.Bye(dialogOf(c.tx.Request))
	}
}

// hangUp ends the call that a BYE is about to end: it is over for who sends it (15.1.1).
func (p *Proxy) hangUp(m *message.Message, r *Route) {
	if r.InDialog && m.Method() == message.BYE {
		p.gateways.Bye(dialogOf(m))
	}
}

// countsOn tells whether the response to a request says how long a call of a gateway goes on.
func (r *Route) countsOn(m *message.Message) bool {
	return r.InDialog && r.gateway && (m.Method() == message.INVITE || m.Method() == message.UPDATE)
}

func dialogOf(m *message.Message) gateway.Dialog {
	return gateway.Dialog{CallID: m.CallID(), FromTag: m.FromTag(), ToTag: m.ToTag()}
}

// maxSession is more than anybody has use for: how long a call counts is bounded anyway.
const maxSession = 1 << 20

// session reads the Session-Expires of a 2xx (RFC 4028 4), 0 for none.
func session(m *message.Message) time.Duration {
	h, ok := m.Named("Session-Expires")
	if !ok {
		return 0
	}
	n := 0
	for _, c := range m.HeaderValue(h) {
		if c < '0' || c > '9' {
			break
		}
		n = min(10*n+int(c-'0'), maxSession)
	}
	return time.Duration(n) * time.Second
}

// isGateway tells whether the target of b is a gateway, or one of a hunt group.
func isGateway(t *target.Target, b *branch) bool {
	return t.Gateway != 0 || len(t.Else) > 0 || b.hunt.members > 0
}
