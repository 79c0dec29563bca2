package proxy

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"hash/maphash"
	"net/netip"

	"sipd/resolve"
	"sipd/server/message"
	"sipd/server/proxy/hop"
	"sipd/server/proxy/token"
	"sipd/server/target"
	"sipd/server/transaction"
	"sipd/server/transport"
	"sipd/server/trust"
	"sipd/sipaddr"
)

// ForwardStateless forwards a request without a transaction, and reports whether it did (RFC 3261 16.11): false when it needs one.
// What it takes for that is in the request and in settings that do not change, so a retransmission is forwarded as the first one was,
// and CANCEL and ACK as their INVITE. The plan must come from the same.
//
// It needs a transaction when somebody here has to act later: count the calls of a gateway, choose among targets or ways to one, follow a 3xx or a forward, look a name up, send
// another way what is large. It needs one too unless both sides are UDP: on a stream nobody repeats what is lost on the other side, and the
// connection that a response goes by would have to be remembered (18.2.2). And the response must find its way by what we know
// again: by a branch of RFC 3261 and the source address. Nothing of that holds for the ACK to a 2xx, which has one chance: whatever way
// there is.
func (p *Proxy) ForwardStateless(s *transaction.Shard, m *message.Message, from transport.Flow, plan *Plan) bool {
	if len(plan.Targets) != 1 || len(plan.Redirect) > 0 || plan.Recurse != nil || plan.Next != nil || len(plan.Targets[0].Else) > 0 ||
		plan.Targets[0].Gateway != 0 || plan.Route.countsOn(m) {
		return false
	}
	last := m.Method() == message.ACK && plan.Route.InDialog
	if !last && !p.findsBack(m.Top(), from) {
		return false
	}
	flow, alt, ok := p.nextHop(plan.Route, plan.Targets[0], from.Remote.Addr())
	if !ok || !last && (alt.Remote.IsValid() || flow.Proto != transport.UDP) || p.fails(m, flow) {
		return false
	}
	x := p.scratch.Get().(*scratch)
	defer p.scratch.Put(x)
	c, b := &x.context, &x.branch
	x.tx.Request = m
	defer func() { x.tx.Request, c.route, b.target = nil, Route{}, target.Target{} }()
	c.p, c.tx, c.set, c.route, c.method, c.from = p, &x.tx, plan.Settings, *plan.Route, m.Method(), from
	c.asserted.Value = plan.Asserted.Value
	p.believe(&c.asserted, m, from)
	b.target, b.share = plan.Targets[0], hop.Breadth(m)
	x.via = p.appendStatelessBranch(x, p.appendVia(x.via[:0], flow), m, plan.Route.secret, from)
	c.write(x, b, flow)
	if !last && len(x.buf) > maxUDPRequest && !c.keepsUDP(b) || len(x.buf) > message.MaxMessage {
		return false
	}
	p.hangUp(m, plan.Route)
	s.Send(flow, x.buf)
	return true
}

// findsBack tells whether the Via of a request that came over from leads a response back without anything that we would have to
// remember: its branch tells transactions apart, and the response leaves from the address that the request came to (RFC 3581 4).
func (p *Proxy) findsBack(top *message.ViaValue, from transport.Flow) bool {
	if from.Proto != transport.UDP || from.Remote.Addr().Zone() != "" || top.Maddr != nil || !token.Identifies(top.Branch) {
		return false
	}
	proto, ok := transport.ParseProto(top.Transport)
	src, reached := p.net.Source(transport.UDP, from.Remote.Addr())
	return ok && proto == transport.UDP && reached && src.Addr() == from.Local.Addr()
}

// ForwardResponse forwards a response that no transaction has taken by the Via below ours (18.2.2), and reports whether it did: when
// its branch proves that it answers a request that went out statelessly, from that Via and address. Anything else would make us a
// mirror, behind which strangers send to whomever they write into a Via; RFC 6026 8.9 has it discarded.
func (p *Proxy) ForwardResponse(s *transaction.Shard, m *message.Message, from transport.Flow, secret *[32]byte) bool {
	got, ok := transaction.ParseStatelessBranch(m.Top().Branch)
	if !ok {
		return false
	}
	vias := m.Values(message.Via)
	vias.Next()
	text, ok := vias.Next()
	if !ok {
		return false
	}
	below, err := message.ParseVia(text)
	if err != nil || !token.Identifies(below.Branch) {
		return false
	}
	host, port := below.Received, below.Rport
	if host == nil {
		host = below.Host
	}
	if port == 0 {
		port = below.Port
	}
	if port == 0 {
		port = 5060
	}
	addr, ok := sipaddr.ParseIP(host)
	if !ok {
		return false
	}
	src, ok := p.net.Source(transport.UDP, addr)
	if !ok {
		return false
	}
	x := p.scratch.Get().(*scratch)
	defer p.scratch.Put(x)
	if want := p.prove(x, m, &below, secret, addr, got.Port); subtle.ConstantTimeCompare(got.MAC[:], want.MAC[:]) != 1 {
		return false
	}
	flow := transport.Flow{Local: netip.AddrPortFrom(src.Addr(), got.Port), Remote: netip.AddrPortFrom(addr, port)}
	tells := p.tells(m, from, flow)
	if m.Method() == message.INVITE && m.Status() >= 200 && m.Status() < 300 && overtake(s, m, &below, tells) {
		return true
	}
	x.buf = appendUp(x, x.buf[:0], nil, m, tells)
	s.Send(flow, x.buf)
	return true
}

// overtake gives a 2xx to the response context that has been made for its INVITE meanwhile, and reports whether there is one: between
// the INVITE and its retransmission something has changed (another phone has registered), so that state was needed. The phones that
// ring for the second one must stop as after any 2xx (16.7 step 10).
func overtake(s *transaction.Shard, m *message.Message, below *message.ViaValue, tells bool) bool {
	tx := s.InviteOf(below)
	if tx == nil {
		return false
	}
	c, ok := tx.User().(*Context)
	if !ok || c.answered {
		return false
	}
	c.p.forwardUp(s, tx, m, tells)
	c.stop(s, completedElsewhere)
	c.finish(s, m.Status(), transport.Flow{}, m.ToTag())
	c.retire(s)
	return true
}

// appendStatelessBranch writes the branch of a request that goes without a transaction. A retransmission has the same one, and CANCEL
// and ACK that of their INVITE.
func (p *Proxy) appendStatelessBranch(x *scratch, dst []byte, m *message.Message, secret *[32]byte, from transport.Flow) []byte {
	proof := p.prove(x, m, m.Top(), secret, from.Remote.Addr(), from.Local.Port())
	return transaction.AppendStatelessBranch(dst, proof, token.Loop(m, secret))
}

// prove makes the first part of a stateless branch for what via, that of its sender at source, was written into, and came to our port.
// Without TryStateless only ACKs to a 2xx get one, and there is nothing to prove: a cheaper hash will do.
func (p *Proxy) prove(x *scratch, m *message.Message, via *message.ViaValue, secret *[32]byte, source netip.Addr, port uint16) transaction.Proof {
	x.mac = token.AppendSent(x.mac[:0], secret, m, via, source, port)
	proof := transaction.Proof{Port: port}
	if !p.stateless {
		binary.BigEndian.PutUint64(proof.MAC[:], maphash.Bytes(p.seed, x.mac))
		return proof
	}
	sum := sha256.Sum256(x.mac)
	copy(proof.MAC[:], sum[:])
	return proof
}

// ForwardAck forwards the ACK to a 2xx (RFC 3261 16.11, 17): it has no transaction, is never answered, and goes by Route and
// Request-URI, its one target. All we do to it depends on the message and on what does not change, so a retransmission is
// forwarded as the first one was. One that is not valid (16.3) or cannot be sent anywhere is dropped. It came over from; realm is
// as in Settings. Without TryStateless it is the only request that we forward statelessly, and it has no responses.
func (p *Proxy) ForwardAck(s *transaction.Shard, m *message.Message, from transport.Flow, r *Route, realm string) bool {
	if _, err := p.Validate(m, r); err != nil {
		return false
	}
	src := m.Source.Addr()
	if flow, _, ok := p.nextHop(r, target.Target{}, src); ok {
		p.sendAck(s, m, from, r, realm, flow)
		return true
	}
	q, named := p.nameOf(r, target.Target{})
	if !named {
		return false
	}
	later := *r // The message at hand is gone when the answer of a look-up comes.
	raw, callID := bytes.Clone(m.Raw()), bytes.Clone(m.CallID())
	hops, _, ready := p.resolver.Hops(q, func(hops []resolve.Hop, _ error) {
		p.inShard(callID, func(s *transaction.Shard) { // Where a panic costs this ACK only.
			copied := new(message.Message)
			if copied.Index(raw) != nil {
				return
			}
			copied.Source = netip.AddrPortFrom(src, 0)
			later.rebase(copied)
			p.ackTo(s, copied, from, &later, realm, q, hops)
		})
	})
	return !ready || p.ackTo(s, m, from, r, realm, q, hops)
}

// ackTo sends an ACK to the first of the hops that may be used.
func (p *Proxy) ackTo(s *transaction.Shard, m *message.Message, from transport.Flow, r *Route, realm string, q resolve.Query, hops []resolve.Hop) bool {
	flows, _ := p.flows(nil, r, &target.Target{}, q, hops, m.Source.Addr())
	p.health.Order(flows, s.Now(), false)
	if len(flows) == 0 {
		return false
	}
	p.sendAck(s, m, from, r, realm, flows[0])
	return true
}

// sendAck writes and sends the copy.
func (p *Proxy) sendAck(s *transaction.Shard, m *message.Message, from transport.Flow, r *Route, realm string, flow transport.Flow) {
	x := p.scratch.Get().(*scratch)
	defer p.scratch.Put(x)
	sp := &x.splice
	sp.Reset(m)
	if n, has := m.MaxForwards(); has {
		sp.SetMaxForwards(n - 1)
	} else {
		sp.SetMaxForwards(70)
	}
	hop.SetBreadth(sp, m, hop.Breadth(m))
	p.screenRequest(sp, m, &trust.Asserted{}, flow) // RFC 3325 9.1: an ACK has no identity.
	stripCredentials(sp, m, realm)
	x.uri = append(r.appendURI(append(x.uri[:0], '<')), '>')
	r.postprocess(x, m, nil)
	// 16.11: the branch is a function of the request, so that a retransmission looks like one.
	x.via = p.appendStatelessBranch(x, p.appendVia(x.via[:0], flow), m, r.secret, from)
	sp.PushVia(x.via)
	if flow.Proto.Reliable() && !m.Has(message.ContentLength) {
		sp.SetContentLength()
	}
	x.buf = sp.Append(x.buf[:0])
	s.Send(flow, x.buf)
}
