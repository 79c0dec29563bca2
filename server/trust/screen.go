package trust

import (
	"bytes"

	"sipd/server/message"
)

// What is done to P-Asserted-Identity, P-Preferred-Identity and Privacy on their way through (RFC 3323 5, RFC 3325 5 to 7, adr/0020):
//
//	P-Asserted-Identity    from who may not assert it: removed, from requests and responses alike
//	                       to a trusted peer: stays; a user's own is inserted, when he has proven who he is
//	                       to anybody else: stays, unless Privacy says id
//	P-Preferred-Identity   removed
//	Privacy                stays
//	Proxy-Require: privacy removed on the way to who is not trusted: what we were asked for is done

// Asserted is what is known of the identity of who sends a request.
type Asserted struct {
	Value    []byte // the P-Asserted-Identity to insert towards trusted peers, nil: none
	Believed bool   // the request's own came from who may assert it
}

// private are the header fields that make a request one to look at.
var private = [...]message.HeaderID{message.PAssertedIdentity, message.PPreferredIdentity, message.Privacy, message.ProxyRequire}

// Concerns tells whether something may have to be done to a request before it goes on: nearly all need nothing but this.
func (a *Asserted) Concerns(m *message.Message) bool {
	for _, h := range private {
		if m.Has(h) {
			return true
		}
	}
	return len(a.Value) > 0
}

// ScreenRequest edits sp, the copy of the request m that goes to somebody of level to.
func (a *Asserted) ScreenRequest(sp *message.Splice, m *message.Message, to Level) {
	trusted := to >= Peer
	if !a.Believed || !trusted && PrivacyOf(m).Private() {
		removeAll(sp, m, message.PAssertedIdentity) // RFC 3325 5, 7
	}
	removeAll(sp, m, message.PPreferredIdentity) // 6
	if trusted && !a.Believed && len(a.Value) > 0 {
		sp.AddHeader(message.PAssertedIdentity.String(), a.Value) // 5
	}
	if !trusted { // Validate has refused all other option tags.
		removeAll(sp, m, message.ProxyRequire) // RFC 3323 5
	}
}

// ScreenResponse edits sp, the copy of the response m; tells says whether its P-Asserted-Identity may go on.
func ScreenResponse(sp *message.Splice, m *message.Message, tells bool) {
	if !tells {
		removeAll(sp, m, message.PAssertedIdentity)
	}
	removeAll(sp, m, message.PPreferredIdentity)
}

// Provides tells whether an option tag is that of RFC 3323, and what the request asks for is what we provide: id, none.
func Provides(m *message.Message, tag []byte) bool {
	return bytes.EqualFold(tag, []byte("privacy")) && !PrivacyOf(m).Lacks()
}

// removeAll removes all lines of a header field, whatever they are spelled like.
func removeAll(sp *message.Splice, m *message.Message, id message.HeaderID) {
	for h, ok := m.First(id); ok; h, ok = m.After(h) {
		sp.Remove(h)
	}
}
