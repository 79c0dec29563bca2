package proxy

import (
	"bytes"

	"sipd/server/message"
	"sipd/server/transport"
	"sipd/server/trust"
)

// What is done to P-Asserted-Identity, P-Preferred-Identity and Privacy on their way through (RFC 3323 5, RFC 3325 5 to 7):
//
//	P-Asserted-Identity    from who may not assert it: removed, from requests and responses alike
//	                       to a trusted peer: stays; a user's own is inserted, when he has proven who he is
//	                       to anybody else: stays, unless Privacy says id
//	P-Preferred-Identity   removed
//	Privacy                stays
//	Proxy-Require: privacy removed on the way to who is not trusted: what we were asked for is done

// Identity is what is known of who sends a request.
type Identity struct {
	Asserted []byte // the P-Asserted-Identity to insert towards trusted peers, nil: none

	believed bool // the request's own came from who may assert it
}

// private are the header fields that make a request one to look at.
var private = [...]message.HeaderID{message.PAssertedIdentity, message.PPreferredIdentity, message.Privacy, message.ProxyRequire}

// screens tells whether something has to be done to a request before it goes on: nearly all need nothing but this.
func (id *Identity) screens(m *message.Message) bool {
	for _, h := range private {
		if m.Has(h) {
			return true
		}
	}
	return len(id.Asserted) > 0
}

// believe notes whether the P-Asserted-Identity of a request is believed. It must be asked while the connection is there.
func (p *Proxy) believe(id *Identity, m *message.Message, from transport.Flow) {
	id.believed = m.Has(message.PAssertedIdentity) && p.level(from) == trust.Asserting
}

// level asks how far the far end of a flow is trusted.
func (p *Proxy) level(flow transport.Flow) trust.Level {
	if p.trust == nil {
		return trust.Stranger
	}
	return p.trust(flow)
}

// screenRequest edits the copy sp of the request m that goes to flow.
func (p *Proxy) screenRequest(sp *message.Splice, m *message.Message, id *Identity, flow transport.Flow) {
	if !id.screens(m) {
		return
	}
	trusted := p.level(flow) >= trust.Peer
	keep := id.believed && (trusted || !trust.PrivacyOf(m).Private())
	if !keep {
		removeAll(sp, m, message.PAssertedIdentity) // RFC 3325 5, 7
	}
	removeAll(sp, m, message.PPreferredIdentity) // 6
	if trusted && !id.believed && len(id.Asserted) > 0 {
		sp.AddHeader(message.PAssertedIdentity.String(), id.Asserted) // 5
	}
	if !trusted { // Validate has refused all other option tags.
		removeAll(sp, m, message.ProxyRequire) // RFC 3323 5
	}
}

// providesPrivacy tells whether an option tag is that of RFC 3323, and what the request asks for is what we provide: id, none.
func providesPrivacy(m *message.Message, tag []byte) bool {
	return bytes.EqualFold(tag, []byte("privacy")) && !trust.PrivacyOf(m).Lacks()
}

// fails tells whether a request must fail rather than go to flow: it asks for privacy that we do not provide, critically, and
// there nobody does either (RFC 3323 5).
func (p *Proxy) fails(m *message.Message, flow transport.Flow) bool {
	return m.Has(message.Privacy) && trust.PrivacyOf(m).Fails() && p.level(flow) == trust.Stranger
}

// tells tells whether the P-Asserted-Identity of the response m, which came from from, may go on to to. It is the response's own
// Privacy that counts: the identity is that of who answers.
func (p *Proxy) tells(m *message.Message, from, to transport.Flow) bool {
	return !m.Has(message.PAssertedIdentity) ||
		p.level(from) == trust.Asserting && (!trust.PrivacyOf(m).Private() || p.level(to) >= trust.Peer)
}

// screenResponse edits the copy sp of the response m; tells is what the function of that name has found.
func screenResponse(sp *message.Splice, m *message.Message, tells bool) {
	if !tells {
		removeAll(sp, m, message.PAssertedIdentity)
	}
	removeAll(sp, m, message.PPreferredIdentity)
}

// removeAll removes all lines of a header field, whatever they are spelled like.
func removeAll(sp *message.Splice, m *message.Message, id message.HeaderID) {
	for h, ok := m.First(id); ok; h, ok = m.After(h) {
		sp.Remove(h)
	}
}
