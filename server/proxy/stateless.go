package proxy

import (
	"bytes"
	"net/netip"

	"sipd/resolve"
	"sipd/server/message"
	"sipd/server/target"
	"sipd/server/transaction"
	"sipd/server/transport"
)

// ForwardAck forwards the ACK to a 2xx (RFC 3261 16.11, 17): it has no transaction, is never answered, and goes by Route and
// Request-URI, its one target. All we do to it depends on the message and on what does not change, so a retransmission is
// forwarded as the first one was. One that is not valid (16.3) or cannot be sent anywhere is dropped. realm is as in Settings.
//
// It is the only request that we forward statelessly, and it has no responses.
func (p *Proxy) ForwardAck(s *transaction.Shard, m *message.Message, r *Route, realm string) bool {
	if _, err := p.Validate(m, r); err != nil {
		return false
	}
	src := m.Source.Addr()
	if flow, _, ok := p.nextHop(r, target.Target{}, src); ok {
		p.sendAck(s, m, r, realm, flow)
		return true
	}
	q, named := p.nameOf(r, target.Target{})
	if !named {
		return false
	}
	later := *r // The message at hand is gone when the answer of a look-up comes.
	raw := bytes.Clone(m.Raw())
	hops, _, ready := p.resolver.Hops(q, func(hops []resolve.Hop, _ error) {
		copied := new(message.Message)
		if copied.Index(raw) != nil {
			return
		}
		copied.Source = netip.AddrPortFrom(src, 0)
		later.rebase(copied)
		p.inShard(copied.CallID(), func(s *transaction.Shard) {
			p.ackTo(s, copied, &later, realm, q, hops)
		})
	})
	return !ready || p.ackTo(s, m, r, realm, q, hops)
}

// ackTo sends an ACK to the first of the hops that may be used.
func (p *Proxy) ackTo(s *transaction.Shard, m *message.Message, r *Route, realm string, q resolve.Query, hops []resolve.Hop) bool {
	flows := p.flows(nil, q, hops, m.Source.Addr())
	p.health.order(flows, s.Now())
	if len(flows) == 0 {
		return false
	}
	p.sendAck(s, m, r, realm, flows[0])
	return true
}

// sendAck writes and sends the copy.
func (p *Proxy) sendAck(s *transaction.Shard, m *message.Message, r *Route, realm string, flow transport.Flow) {
	x := p.scratch.Get().(*scratch)
	defer p.scratch.Put(x)
	sp := &x.splice
	sp.Reset(m)
	if n, has := m.MaxForwards(); has {
		sp.SetMaxForwards(n - 1)
	} else {
		sp.SetMaxForwards(70)
	}
	setBreadth(sp, m, breadthOf(m))
	p.screenRequest(sp, m, &Identity{}, flow) // RFC 3325 9.1: an ACK has no identity.
	stripCredentials(sp, m, realm)
	x.uri = append(r.appendURI(append(x.uri[:0], '<')), '>')
	r.postprocess(x, m, nil)
	// 16.11: the branch is a function of the request, so that a retransmission looks like one.
	x.via = transaction.AppendStatelessBranch(p.appendVia(x.via[:0], flow), m, p.loopHash(m))
	sp.PushVia(x.via)
	if flow.Proto.Reliable() && !m.Has(message.ContentLength) {
		sp.SetContentLength()
	}
	x.buf = sp.Append(x.buf[:0])
	s.Send(flow, x.buf)
}
