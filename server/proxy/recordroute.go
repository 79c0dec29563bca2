package proxy

import (
	"sipd/server/message"
	"sipd/server/proxy/hop"
	"sipd/server/proxy/token"
	"sipd/server/target"
	"sipd/server/transport"
	"sipd/sipaddr"
)

// makesDialog tells for which methods we record the route: those that set up a dialog or refresh its target (16.6 step
// 4), and unknown ones, which might.
func makesDialog(m message.Method) bool {
	switch m {
	case message.INVITE, message.SUBSCRIBE, message.REFER, message.NOTIFY, message.UPDATE, message.Unknown:
		return true
	}
	return false
}

// recordRoute puts us into the route of the dialog, with a token. When the request leaves by another transport or from
// another address than it came to, each side gets a value that it can reach (RFC 5658 5): the lower one is the caller's, who
// reads them from below.
//
// Step 4: where the copy has a sips URI as Request-URI or first Route value ours MUST be one, and MUST NOT be one where it came by
// TLS and has none: whichever of both changes here MUST be recorded, whatever RecordRoute says. A side that is not reached by TLS
// gets a sip URI all the same: it could not follow another.
func (c *Context) recordRoute(x *scratch, b *branch, flow transport.Flow, secured bool) {
	t := c.token(b, flow)
	x.token = t.Append(x.token[:0], c.set.Secret, c.tx.Request.CallID())
	if !c.p.sameSide(c.from, flow) {
		x.rrBelow = c.p.appendRecordRoute(x.rrBelow[:0], x.token, c.from, secured)
		x.splice.PushRecordRoute(x.rrBelow)
	}
	x.rr = c.p.appendRecordRoute(x.rr[:0], x.token, flow, secured)
	x.splice.PushRecordRoute(x.rr)
}

// token says who the two ends of the dialog are that a request to b over flow begins or goes on with.
func (c *Context) token(b *branch, flow transport.Flow) token.Token {
	t := token.Token{CallerTag: token.TagHash(c.tx.Request.FromTag())}
	if c.route.InDialog { // A target refresh: its sender is this token's caller.
		t.Caller, t.Callee, t.Gateway = c.route.from, c.route.to, c.route.gateway
		return t
	}
	caller, callee := c.from.Remote.Addr(), flow.Remote.Addr()
	t.Caller = token.Side{UDP: c.from.Proto == transport.UDP, Flow: c.from}
	t.Caller.ByFlow = !hop.InReach(caller, callee) || hop.BehindNAT(c.tx.Request, c.from)
	t.Callee = token.Side{UDP: flow.Proto == transport.UDP, Flow: flow}
	t.Callee.ByFlow = !hop.InReach(callee, caller) || c.keepsFlow(b.target)
	t.Gateway = b.target.Rule != 0 || c.set.Trunk || c.p.gateway != nil && (c.p.gateway(c.from.Remote, false) || c.p.gateway(flow.Remote, false))
	return t
}

// keepsFlow tells whether a phone is reached at the flow of the first request for the whole dialog, not at the Contact it answers with:
// where it registered so, and where a sip call went to a sips contact: it answers with a sip Contact, which does not say that TLS
// leads there, and nothing else may (RFC 5630 5.3).
func (c *Context) keepsFlow(t target.Target) bool {
	bind := t.Binding
	return bind != nil && (bind.ByFlow || hop.IsSIPS(bind.URI) && c.route.URI.Scheme != sipaddr.SIPS)
}

// sameSide tells whether the far ends of two flows reach us by the same URI.
func (p *Proxy) sameSide(a, b transport.Flow) bool {
	return a.Proto == b.Proto && (a.Local == b.Local || len(p.name) > 0 && a.Local.Port() == b.Local.Port())
}

// appendRecordRoute writes our Record-Route value for the side at the end of flow; sips says that TLS is asked for on all hops.
//
// Deviates from RFC 5630 5.3: a sip URI for a side that came by TLS has transport=tls, which proxies MUST NOT use. Without it the URI,
// whose host is an address and whose port is that of TLS, would mean UDP to that port to all who do not reuse their connection.
func (p *Proxy) appendRecordRoute(dst, token []byte, flow transport.Flow, sips bool) []byte {
	sips = sips && secure(flow.Proto)
	if dst = append(dst, "<sip:"...); sips {
		dst = append(dst[:len(dst)-1], "s:"...)
	}
	dst = append(append(dst, token...), '@')
	dst = p.appendHost(dst, flow)
	if flow.Proto != transport.UDP && !sips {
		dst = append(append(dst, ";transport="...), flow.Proto.Param()...)
	}
	return append(dst, ";lr>"...)
}
