package proxy

import (
	"sipd/server/message"
	"sipd/server/transport"
	"sipd/server/trust"
)

// level asks how far the far end of a flow is trusted.
func (p *Proxy) level(flow transport.Flow) trust.Level {
	if p.trust == nil {
		return trust.Stranger
	}
	return p.trust(flow)
}

// believe notes whether the P-Asserted-Identity of a request is believed. It must be asked while the connection is there.
func (p *Proxy) believe(a *trust.Asserted, m *message.Message, from transport.Flow) {
	a.Believed = m.Has(message.PAssertedIdentity) && p.level(from) == trust.Asserting
}

// screenRequest edits the copy sp of the request m that goes to flow.
func (p *Proxy) screenRequest(sp *message.Splice, m *message.Message, a *trust.Asserted, flow transport.Flow) {
	if a.Concerns(m) {
		a.ScreenRequest(sp, m, p.level(flow))
	}
}

// fails tells whether a request must fail rather than go to flow: it asks for privacy that we do not provide, critically, and
// there nobody does either (RFC 3323 5).
func (p *Proxy) fails(m *message.Message, flow transport.Flow) bool {
	return m.Has(message.Privacy) && trust.PrivacyOf(m).Fails() && p.level(flow) == trust.Stranger
}

// tells tells whether the P-Asserted-Identity of the response m, which came from from, may go on to to (RFC 3325 5, 7). It is the
// response's own Privacy that counts: the identity is that of who answers.
func (p *Proxy) tells(m *message.Message, from, to transport.Flow) bool {
	return !m.Has(message.PAssertedIdentity) ||
		p.level(from) == trust.Asserting && (!trust.PrivacyOf(m).Private() || p.level(to) >= trust.Peer)
}
