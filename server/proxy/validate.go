package proxy

import (
	"sipd/server/message"
	"sipd/server/sipstatus"
	"sipd/sipaddr"
)

// addedLines is how many header lines a copy has more than its request at most: Via, two Record-Routes, Route, Max-Forwards,
// Max-Breadth, Content-Length.
const addedLines = 7

// Validate checks a request as RFC 3261 16.3 asks before it is proxied; r is what Preprocess made of it. The error is a
// *sipstatus.Error; unsupported is the value for an Unsupported header, set with 420. Syntax (step 1) was checked when the
// message was indexed; that what we add has room within the same limits is left.
func (p *Proxy) Validate(m *message.Message, r *Route) (unsupported []byte, err error) {
	if len(m.Headers()) > message.MaxHeaders-addedLines {
		return nil, &sipstatus.Error{Code: 513}
	}
	// Step 2: URI scheme.
	switch r.URI.Scheme {
	case sipaddr.SIP, sipaddr.SIPS, sipaddr.TEL:
	default:
		return nil, &sipstatus.Error{Code: 416}
	}
	// Step 3: Max-Forwards.
	if n, ok := m.MaxForwards(); ok && n == 0 {
		return nil, &sipstatus.Error{Code: 483}
	}
	// RFC 5393 5.3.3: no breadth left, nobody may be asked.
	if n, ok := m.Seconds(message.MaxBreadth); ok && n == 0 {
		return nil, &sipstatus.Error{Code: 440}
	}
	// Step 4: loop.
	switch hops, looped := p.hops(m); {
	case looped:
		return nil, &sipstatus.Error{Code: 482}
	case hops >= message.MaxVias:
		return nil, &sipstatus.Error{Code: 483}
	}
	// Step 5: Proxy-Require. We have none of its extensions.
	tags := m.Values(message.ProxyRequire)
	for tag, ok := tags.Next(); ok; tag, ok = tags.Next() {
		unsupported = append(unsupported, ", "[:min(2, len(unsupported))]...)
		unsupported = append(unsupported, tag...)
	}
	if unsupported != nil {
		return unsupported, &sipstatus.Error{Code: 420}
	}
	// Step 6, Proxy-Authorization, is package auth's and package target's.
	return nil, nil
}
