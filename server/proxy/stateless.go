package proxy

import (
	"sipd/server/message"
	"sipd/server/target"
	"sipd/server/transaction"
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
	flow, _, ok := p.nextHop(r, target.Target{}, m.Source.Addr())
	if !ok {
		return false
	}
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
	return true
}
