package proxy

import (
	"sipd/server/message"
	"sipd/server/proxy/hop"
	"sipd/server/target"
	"sipd/server/transaction"
	"sipd/server/transport"
	"sipd/server/trust"
	"sipd/sipaddr"
)

// refusal says why we have not sent a copy at all, where a status alone does not.
type refusal uint8

const (
	lacksPrivacy   refusal = iota + 1 // RFC 3323 5: critical privacy that we do not provide
	sipsNotAllowed                    // RFC 5630 5.3: a sips request, and the way to its target is not secure
	sipsRequired                      // 5.3: a sip request to a sips contact that no TLS leads to
)

// respondRefused answers for us, and says what was refused.
func (c *Context) respondRefused(s *transaction.Shard, status int, why refusal) {
	reason, fields := "", []message.Field(nil)
	switch why {
	case lacksPrivacy: // The reason phrase SHOULD tell the privacy failure and what is not supported.
		reason = string(trust.AppendLacking([]byte("Privacy Is Not Provided: "), c.tx.Request))
	case sipsNotAllowed:
		fields = message.WarningFields(message.WarnSIPSNotAllowed)
	case sipsRequired:
		fields = message.WarningFields(message.WarnSIPSRequired)
	}
	c.respondWith(s, status, reason, fields)
}

// wantsTLS tells whether a copy may go by TLS alone: its Request-URI is a sips URI (16.6 step 7), or the contact that was registered
// is one (RFC 5630 5.3).
func wantsTLS(r *Route, t target.Target) bool {
	return r.URI.Scheme == sipaddr.SIPS || t.Binding != nil && hop.IsSIPS(t.Binding.URI)
}

// insecure tells whether b has no next hop because none is as secure as it has to be: the way there is another than TLS, or we have no
// TLS.
func (c *Context) insecure(b *branch) bool {
	if !wantsTLS(&c.route, b.target) {
		return false
	}
	flow, _, _ := c.p.hop(&c.route, b.target, c.from.Remote.Addr())
	_, has := c.p.net.Source(transport.TLS, flow.Remote.Addr())
	return flow.Remote.IsValid() && (!has || !secure(flow.Proto))
}

// refuseInsecure ends b with the 480 that RFC 5630 5.3 asks for: nothing is downgraded.
func (b *branch) refuseInsecure(s *transaction.Shard) {
	b.refused = sipsRequired
	if b.c.route.URI.Scheme == sipaddr.SIPS {
		b.refused = sipsNotAllowed
	}
	b.ended(s, 480, nil)
}

// secured tells whether the copy for b has a sips URI as Request-URI or as first Route value when it leaves.
func (c *Context) secured(b *branch) bool {
	if c.route.URI.Scheme == sipaddr.SIPS {
		return true // Its contacts are sips too (target.Decide).
	}
	if bind := b.target.Binding; bind != nil && len(bind.Path) > 0 {
		return hop.IsSIPS(hop.RouteURI(bind.Path[0]))
	}
	return c.route.More && c.route.next.URI.Scheme == sipaddr.SIPS
}

// appendContact writes the URI of a binding as the Request-URI of a copy. RFC 5630 5.3: a sip request MUST NOT become a sips one on
// its way, which would tell the phone that every hop was secure; the scheme of a sips contact is replaced, and TLS leads to it
// all the same.
func (r *Route) appendContact(dst []byte, contact string) []byte {
	at := len(dst)
	if dst = append(dst, contact...); hop.IsSIPS(contact) && r.URI.Scheme != sipaddr.SIPS {
		dst = append(append(dst[:at], "sip"...), contact[len("sips"):]...)
	}
	return hop.CleanRequestURI(dst, at)
}
