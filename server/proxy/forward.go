package proxy

import (
	"bytes"
	"net/netip"
	"strconv"

	"sipd/digest"
	"sipd/server/message"
	"sipd/server/target"
	"sipd/server/transaction"
	"sipd/server/transport"
	"sipd/sipaddr"
)

// maxUDPRequest is the size above which a request does not go over UDP when the path MTU is unknown (RFC 3261 18.1.1).
const maxUDPRequest = 1300

// start forwards the request to b's target (16.6). When no transport reaches it the branch ends at once, as with a 503.
func (c *Context) start(s *transaction.Shard, b *branch) bool {
	flow, alt, ok := c.p.nextHop(&c.route, b.target)
	if !ok {
		c.trying++
		b.ended(s, 503, nil)
		return false
	}
	b.alt = alt
	return b.send(s, flow)
}

// retry forwards to the same target another way, in a new client transaction.
func (b *branch) retry(s *transaction.Shard, to transport.Flow) {
	s.Disarm(&b.timerC)
	b.c.trying-- // send counts it again
	if !b.send(s, to) {
		b.c.settle(s)
	}
}

// send writes the copy for b and starts its client transaction over flow.
func (b *branch) send(s *transaction.Shard, flow transport.Flow) bool {
	c := b.c
	c.trying++
	client := s.NewClient(b)
	if client == nil { // The table is full: no transaction, no call.
		b.ended(s, 503, nil)
		return false
	}
	x := c.p.scratch.Get().(*scratch)
	defer c.p.scratch.Put(x)
	x.via = client.AppendBranch(c.p.appendVia(x.via[:0], flow), c.loop)
	c.write(x, b, flow)
	if len(x.buf) > maxUDPRequest && flow.Proto == transport.UDP && !c.keepsUDP(b) {
		// 18.1.1: a large request takes TCP, and UDP when that cannot be had.
		tcp := transport.Flow{Proto: transport.TCP, Remote: flow.Remote}
		if src, ok := c.p.net.Source(transport.TCP, flow.Remote.Addr()); ok {
			tcp.Local = src
			b.alt, flow = flow, tcp
			x.via = client.AppendBranch(c.p.appendVia(x.via[:0], flow), c.loop)
			c.write(x, b, flow)
		}
	}
	b.client = client
	c.live++
	s.Start(client, flow, x.buf)
	if c.invite() {
		b.resetTimerC(s) // step 11
	}
	return true
}

// keepsUDP tells whether a large request stays on UDP: the target registered, or set up the dialog, over UDP itself.
func (c *Context) keepsUDP(b *branch) bool {
	if bind := b.target.Binding; bind != nil {
		return transport.Proto(bind.Proto) == transport.UDP
	}
	return c.route.to.udp
}

// write puts the copy for b into x.buf, step by step as 16.6 numbers them.
func (c *Context) write(x *scratch, b *branch, flow transport.Flow) {
	req := c.tx.Request
	sp := &x.splice
	sp.Reset(req) // 1. Make a copy.

	// 2. Update the Request-URI.
	bind := b.target.Binding
	if bind != nil {
		x.uri = appendRequestURI(x.uri[:0], bind.URI)
		sp.RequestURI(x.uri)
	}
	// 3. Max-Forwards.
	if n, ok := req.MaxForwards(); ok {
		sp.SetMaxForwards(n - 1)
	} else {
		sp.SetMaxForwards(70)
	}
	// RFC 5393 5.3.3: the share of the breadth.
	c.setBreadth(sp, b)
	// 4. Record-Route.
	if c.set.RecordRoute && makesDialog(c.method) {
		x.rr = c.appendRecordRoute(x.rr[:0], b, flow)
		sp.PushRecordRoute(x.rr)
	}
	// 5. Additional header fields: none. 22.3: the credentials that were ours go no further.
	stripCredentials(sp, req, c.set.Realm)

	// 6. Postprocess routing information: a path of the target comes before what is left of the route.
	if bind != nil {
		c.route.popOwn(sp)
		if len(bind.Path) > 0 { // RFC 3327 5.3
			x.route = x.route[:0]
			for i, hop := range bind.Path {
				x.route = append(append(x.route, ", "[:min(2, 2*i)]...), hop...)
			}
			sp.PushRoute(x.route)
		}
	} else {
		c.route.apply(x)
	}
	// 7 (next hop) is done. 8. Via.
	sp.PushVia(x.via)
	// 9. Content-Length.
	if flow.Proto.Reliable() && !req.Has(message.ContentLength) {
		sp.SetContentLength()
	}
	x.buf = sp.Append(x.buf[:0]) // 10 and 11, sending and Timer C, are the caller's.
}

// setBreadth writes Max-Breadth.
func (c *Context) setBreadth(sp *message.Splice, b *branch) {
	var num [8]byte
	value := strconv.AppendInt(num[:0], int64(b.share), 10)
	if h, ok := c.tx.Request.First(message.MaxBreadth); ok {
		sp.SetValue(h, append([]byte(nil), value...))
		return
	}
	sp.AddHeader("Max-Breadth", breadthText[min(b.share, defaultBreadth)])
}

// breadthText holds the usual values so that writing one allocates nothing.
var breadthText = func() (t [defaultBreadth + 1][]byte) {
	for i := range t {
		t[i] = strconv.AppendInt(nil, int64(i), 10)
	}
	return t
}()

// makesDialog tells for which methods we record the route: those that set up a dialog or refresh its target (16.6 step
// 4), and unknown ones, which might.
func makesDialog(m message.Method) bool {
	switch m {
	case message.INVITE, message.SUBSCRIBE, message.REFER, message.NOTIFY, message.UPDATE, message.Unknown:
		return true
	}
	return false
}

// appendVia writes a Via value up to "branch=" for a message that leaves over flow.
func (p *Proxy) appendVia(dst []byte, flow transport.Flow) []byte {
	dst = append(append(append(dst, "SIP/2.0/"...), flow.Proto.String()...), ' ')
	dst = p.appendHost(dst, flow)
	return append(dst, ";branch="...)
}

// appendHost writes our host and port as the receiver at the end of flow reaches us (BEHAVIOUR B20).
func (p *Proxy) appendHost(dst []byte, flow transport.Flow) []byte {
	if len(p.name) == 0 {
		return flow.Local.AppendTo(dst)
	}
	dst = append(append(dst, p.name...), ':')
	return strconv.AppendUint(dst, uint64(flow.Local.Port()), 10)
}

// appendRecordRoute writes our Record-Route value: the address of the side the next hop is on, with a token.
func (c *Context) appendRecordRoute(dst []byte, b *branch, flow transport.Flow) []byte {
	req := c.tx.Request
	dst = append(dst, "<sip:"...)
	t := token{callerTag: tagHash(req.FromTag())}
	if c.route.InDialog { // A target refresh: who began the dialog stays the caller.
		t.caller, t.callee = c.route.from, c.route.to
	} else {
		t.caller = side{udp: c.tx.Flow.Proto == transport.UDP, byFlow: c.byFlow, flow: c.tx.Flow}
		t.callee = side{udp: flow.Proto == transport.UDP, flow: flow}
		if bind := b.target.Binding; bind != nil {
			t.callee.byFlow = bind.ByFlow
		}
	}
	dst = t.append(dst, c.set.Secret, req.CallID())
	dst = append(dst, '@')
	dst = c.p.appendHost(dst, flow)
	if flow.Proto != transport.UDP {
		dst = append(append(dst, ";transport="...), flow.Proto.Param()...)
	}
	return append(dst, ";lr>"...)
}

// stripCredentials removes the Proxy-Authorization for our realm: it was for us (22.3). Those for a realm downstream stay.
func stripCredentials(sp *message.Splice, req *message.Message, realm string) {
	if !req.Has(message.ProxyAuthorization) || realm == "" {
		return
	}
	for h, ok := req.First(message.ProxyAuthorization); ok; h, ok = req.After(h) {
		var c digest.Credentials
		if _ = c.Parse(req.HeaderValue(h)); string(c.Realm) == realm {
			sp.Remove(h)
		}
	}
}

// appendRequestURI writes a Contact URI as a Request-URI: without headers and the method parameter, which must not stand there
// (RFC 3261 19.1.1).
func appendRequestURI(dst []byte, contact string) []byte {
	at := len(dst)
	dst = append(dst, contact...)
	if i := bytes.IndexByte(dst[at:], '?'); i >= 0 {
		dst = dst[:at+i]
	}
	u, err := sipaddr.Parse(dst[at:])
	if err != nil {
		return dst
	}
	if _, ok := u.Param("method"); !ok {
		return dst
	}
	params := bytes.Split(bytes.Clone(u.Params), []byte(";"))
	dst = dst[:len(dst)-len(u.Params)]
	for _, param := range params {
		if name, _, _ := bytes.Cut(param, []byte("=")); len(param) > 0 && !bytes.EqualFold(name, []byte("method")) {
			dst = append(append(dst, ';'), param...)
		}
	}
	return dst
}

// behindNAT tells whether the sender must be reached at the flow his request came by: over a connection, or over UDP with a
// numeric Contact that is not where the request came from (BEHAVIOUR J).
func behindNAT(m *message.Message, from transport.Flow) bool {
	if from.Proto.Reliable() {
		return true
	}
	text := m.Value(message.Contact)
	if text == nil {
		return false
	}
	a, err := message.ParseAddress(text)
	if err != nil {
		return false
	}
	addr, ok := a.URI.Addr()
	return ok && addr.Unmap() != from.Remote.Addr().Unmap()
}

// nextHop finds where a copy goes (16.6 step 7): the binding's flow, its numeric path or Contact; in a dialog the flow of
// the token, the next Route or the Request-URI. alt is a second way, to try when the first fails.
func (p *Proxy) nextHop(r *Route, t target.Target) (flow, alt transport.Flow, ok bool) {
	if b := t.Binding; b != nil {
		flow = transport.Flow{Proto: transport.Proto(b.NextProto), Remote: b.Next}
		if b.ByFlow {
			if alt = flow; b.Next == b.Source || !alt.Remote.IsValid() || !p.setSource(&alt) {
				alt = transport.Flow{}
			}
			flow = transport.Flow{Proto: transport.Proto(b.Proto), Conn: transport.ConnID(b.Conn), Local: b.Local, Remote: b.Source}
		}
		return flow, alt, flow.Remote.IsValid() && p.setSource(&flow)
	}
	if r.InDialog && r.to.byFlow && !r.More {
		flow = r.to.flow
		if contact, good := numericHop(&r.URI); good && contact.Remote != flow.Remote {
			alt = contact
			p.setSource(&alt)
		}
		return flow, alt, p.setSource(&flow)
	}
	uri := &r.URI
	if r.More {
		uri = &r.next.URI
	}
	flow, ok = numericHop(uri)
	return flow, alt, ok && p.allowed(flow.Remote) && p.setSource(&flow)
}

// setSource fills in the own address and port a message to flow leaves from. What a binding or token remembers stands.
func (p *Proxy) setSource(flow *transport.Flow) bool {
	if flow.Local.Addr().IsValid() {
		return true
	}
	src, ok := p.net.Source(flow.Proto, flow.Remote.Addr())
	if port := flow.Local.Port(); port != 0 && ok {
		src = netip.AddrPortFrom(src.Addr(), port)
	}
	flow.Local = src
	return ok
}

// numericHop reads host, port and transport of a URI whose host is an address (RFC 3263 4.1 and 4.2 without DNS).
func numericHop(u *sipaddr.URI) (flow transport.Flow, ok bool) {
	if u.Scheme != sipaddr.SIP {
		return flow, false
	}
	addr, ok := u.Addr()
	if maddr, has := u.Param("maddr"); has {
		a, err := netip.ParseAddr(string(maddr))
		addr, ok = a, err == nil
	}
	if !ok {
		return flow, false
	}
	if name, has := u.Param("transport"); has {
		if flow.Proto, ok = transport.ParseProto(name); !ok || flow.Proto > transport.TCP {
			return flow, false
		}
	}
	port := u.Port
	if port == 0 {
		port = 5060
	}
	flow.Remote = netip.AddrPortFrom(addr, port)
	return flow, true
}

// allowed refuses next hops no request may be sent to from outside: multicast, unspecified, our own listeners, and
// loopback unless we listen there (BEHAVIOUR J).
func (p *Proxy) allowed(to netip.AddrPort) bool {
	a := to.Addr()
	switch {
	case a.IsMulticast(), a.IsUnspecified(), a.IsLinkLocalUnicast(), a == netip.AddrFrom4([4]byte{255, 255, 255, 255}), p.net.Own(to):
		return false
	case a.IsLoopback():
		src, ok := p.net.Source(transport.UDP, a)
		return ok && src.Addr().IsLoopback()
	}
	return true
}
