package registrar

import (
	"sipd/location"
	"sipd/server/message"
	"sipd/server/transport"
	"sipd/sipaddr"
	"sipd/trace"
)

// secureBinding refuses a sips contact whose way is not secure throughout (RFC 5630 5.2): the Request-URI, all Contacts and all Path
// values MUST be sips, or a secure resource would be bound to one that is not. For the same reason the REGISTER must have come by TLS,
// which its Request-URI promises. From and To may be sip. What removes a binding may come as it likes.
func (d *decision) secureBinding(set []*location.Binding) *Answer {
	live, secure := 0, 0
	for _, b := range set {
		if b.Live(d.Now) {
			live++
			if isSIPS(b.URI) {
				secure++
			}
		}
	}
	if secure == 0 {
		return nil
	}
	reason := ""
	switch {
	case d.m.RequestURI().Scheme != sipaddr.SIPS:
		reason = "A sips Contact Needs A sips Request-URI"
	case secure < live:
		reason = "sips And sip Contacts Cannot Be Registered Together"
	case !d.path.secure():
		reason = "A sips Contact Needs sips URIs In Path"
	case d.From.Proto != transport.TLS && d.From.Proto != transport.WSS:
		reason = "A sips Contact Is Registered Over TLS"
	default:
		return nil
	}
	d.step("registrar sips", "", trace.Deny, reason)
	return badContact(reason)
}

// secure tells whether all values are sips.
func (p *path) secure() bool {
	for _, v := range p.values {
		if a, err := message.ParseAddress(v); err != nil || a.URI.Scheme != sipaddr.SIPS {
			return false
		}
	}
	return true
}

func isSIPS(uri string) bool { return len(uri) > 5 && equalFold([]byte(uri[:5]), "sips:") }
