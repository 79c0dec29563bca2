package proxy

import (
	"bytes"
	"strconv"

	"sipd/digest"
	"sipd/server/history"
	"sipd/server/message"
	"sipd/server/proxy/hop"
	"sipd/server/transaction"
	"sipd/server/transport"
)

// maxUDPRequest is the size above which a request does not go over UDP when the path MTU is unknown (RFC 3261 18.1.1).
const maxUDPRequest = 1300

// start forwards the request to b's target (16.6). When no transport reaches it the branch ends at once, as with a 503.
func (c *Context) start(s *transaction.Shard, b *branch) bool {
	if isGateway(&b.target, b) && !b.dial(s) {
		return false
	}
	flow, alt, ok := c.p.nextHop(&c.route, b.target, b.asker())
	if !ok {
		if q, named := c.p.nameOf(&c.route, b.target); named {
			return c.lookUp(s, b, q)
		}
		c.trying++
		if flow.Remote.IsValid() && c.p.fenced(&c.route, &b.target, flow) {
			b.ended(s, 403, nil)
			return false
		}
		if c.insecure(b) {
			b.refuseInsecure(s)
			return false
		}
		b.unreachable(s, nil)
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
	b.send(s, to)
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
	defer s.Discard(client) // Does nothing once it was started.
	if c.p.fails(c.tx.Request, flow) {
		b.refused = lacksPrivacy
		b.ended(s, 500, nil)
		return false
	}
	x := c.p.scratch.Get().(*scratch)
	defer c.p.scratch.Put(x)
	x.via = client.AppendBranch(c.p.appendVia(x.via[:0], flow), c.loop)
	c.write(x, b, flow)
	if len(x.buf) > maxUDPRequest && flow.Proto == transport.UDP && !b.overTCP && !c.keepsUDP(b) {
		// 18.1.1: a large request takes TCP, and UDP when that cannot be had.
		tcp := transport.Flow{Proto: transport.TCP, Remote: flow.Remote}
		if src, ok := c.p.net.Source(transport.TCP, flow.Remote.Addr()); ok {
			tcp.Local = src
			b.alt, b.overTCP, flow = flow, true, tcp
			x.via = client.AppendBranch(c.p.appendVia(x.via[:0], flow), c.loop)
			c.write(x, b, flow)
		}
	}
	if len(x.buf) > message.MaxMessage {
		b.ended(s, 513, nil) // 21.5.7
		return false
	}
	b.client, b.last = client, flow
	c.live++
	s.Start(client, flow, x.buf)
	if c.invite() {
		b.resetTimerC(s) // step 11
	}
	if b.hunt.members > 0 {
		b.listen(s)
	}
	return true
}

// keepsUDP tells whether a large request stays on UDP: the target registered, or set up the dialog, over UDP itself. Of a
// contact that an administrator wrote nobody knows.
func (c *Context) keepsUDP(b *branch) bool {
	if bind := b.target.Binding; bind != nil {
		return transport.Proto(bind.Proto) == transport.UDP && !bind.Static()
	}
	return c.route.to.UDP
}

// write puts the copy for b into x.buf, step by step as 16.6 numbers them.
func (c *Context) write(x *scratch, b *branch, flow transport.Flow) {
	req := c.tx.Request
	sp := &x.splice
	sp.Reset(req) // 1. Make a copy.

	// 2. Update the Request-URI: that of the target, else the received one. Step 6 may still turn it into a Route value, so it
	// stands in angle brackets.
	bind, path := b.target.Binding, []string(nil)
	if x.uri = append(x.uri[:0], '<'); bind != nil {
		x.uri, path = c.route.appendContact(x.uri, bind.URI), bind.Path
	} else {
		x.uri = c.route.appendURI(x.uri)
	}
	x.uri = append(x.uri, '>')
	// 3. Max-Forwards: one less, or 70. Max-Breadth: the share of this branch (RFC 5393 5.3.3).
	if n, ok := req.MaxForwards(); ok {
		sp.SetMaxForwards(n - 1)
	} else {
		sp.SetMaxForwards(70)
	}
	hop.SetBreadth(sp, req, b.share)
	// 4. Record-Route, before any existing value.
	if secured := c.secured(b); makesDialog(c.method) && (c.set.RecordRoute || b.target.Rule != 0 || secured != secure(c.from.Proto)) {
		c.recordRoute(x, b, flow, secured)
	}
	// 5. Additional header fields: an asserted identity (RFC 3325). 22.3: the credentials that were ours go no further.
	c.p.screenRequest(sp, req, &c.asserted, flow)
	stripCredentials(sp, req, c.set.Realm)
	history.Write(sp, req, &b.target, x.uri[1:len(x.uri)-1]) // RFC 5806, RFC 7044
	// 6. Postprocess routing information.
	c.route.postprocess(x, req, path)
	// 7. The next hop, which is flow, was determined by start. 8. Via, above all others; its branch is that of the client
	// transaction.
	sp.PushVia(x.via)
	// 9. Content-Length, on a stream.
	if flow.Proto.Reliable() && !req.Has(message.ContentLength) {
		sp.SetContentLength()
	}
	x.buf = sp.Append(x.buf[:0]) // 10 and 11, sending and Timer C, are the caller's.
}

// appendVia writes a Via value up to "branch=" for a message that leaves over flow.
func (p *Proxy) appendVia(dst []byte, flow transport.Flow) []byte {
	dst = append(append(append(dst, "SIP/2.0/"...), flow.Proto.String()...), ' ')
	dst = p.appendHost(dst, flow)
	if flow.Proto == transport.TLS && flow.Domain != 0 {
		dst = append(dst, ";alias"...) // RFC 5923 8.1: a server that has seen our certificate may send its requests over this connection.
	}
	return append(dst, ";branch="...)
}

// appendHost writes our host and port as the receiver at the end of flow reaches us (BEHAVIOUR B20).
func (p *Proxy) appendHost(dst []byte, flow transport.Flow) []byte {
	if len(p.name) == 0 {
		return flow.Local.AppendTo(dst)
	}
	if bytes.IndexByte(p.name, ':') >= 0 { // An IPv6 address
		dst = append(append(append(dst, '['), p.name...), ']')
	} else {
		dst = append(dst, p.name...)
	}
	dst = append(dst, ':')
	return strconv.AppendUint(dst, uint64(flow.Local.Port()), 10)
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

// appendURI writes the Request-URI of a copy that has no other target.
func (r *Route) appendURI(dst []byte) []byte {
	if _, ok := r.URI.Param("method"); ok || len(r.URI.Headers) > 0 {
		return hop.CleanRequestURI(append(dst, r.URI.Text...), len(dst))
	}
	return append(dst, r.URI.Text...)
}
