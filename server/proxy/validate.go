package proxy

import (
	"sipd/server/message"
	"sipd/server/sipstatus"
	"sipd/sipaddr"
)

// Validate checks a request as RFC 3261 16.3 asks before it is proxied. The error is a *sipstatus.Error; unsupported is
// the value for an Unsupported header, set with 420. Syntax (step 1) was checked when the message was indexed.
func (p *Proxy) Validate(m *message.Message) (unsupported []byte, err error) {
	// Step 2: URI scheme.
	switch m.RequestURI().Scheme {
	case sipaddr.SIP, sipaddr.SIPS, sipaddr.TEL:
	default:
		return nil, &sipstatus.Error{Code: 416}
	}
	// Step 3: Max-Forwards. OPTIONS for whoever comes last is answered by the caller of Validate.
	if n, ok := m.MaxForwards(); ok && n == 0 {
		return nil, &sipstatus.Error{Code: 483}
	}
	// RFC 5393 5.3.3: no breadth left, nobody may be asked.
	if n, ok := m.Seconds(message.MaxBreadth); ok && n == 0 {
		return nil, &sipstatus.Error{Code: 440}
	}
	// Step 4: loop.
	if m.Method() != message.ACK && p.looped(m) {
		return nil, &sipstatus.Error{Code: 482}
	}
	// Step 5: Proxy-Require. ACK and CANCEL carry copies and are never refused for it (8.2.2.3).
	if m.Method() != message.ACK && m.Method() != message.CANCEL && m.Has(message.ProxyRequire) {
		tags := m.Values(message.ProxyRequire)
		for tag, ok := tags.Next(); ok; tag, ok = tags.Next() {
			if len(tag) > 0 {
				unsupported = append(unsupported, ", "[:min(2, len(unsupported))]...)
				unsupported = append(unsupported, tag...)
			}
		}
		if len(unsupported) > 0 {
			return unsupported, &sipstatus.Error{Code: 420}
		}
	}
	// Step 6, Proxy-Authorization, is package auth's and package target's.
	return nil, nil
}
