package proxy

import (
	"sipd/server/message"
	"sipd/server/sipstatus"
	"sipd/server/trust"
	"sipd/sipaddr"
)

// addedLines is how many header lines a copy has more than its request at most: Via, two Record-Routes, Route, Max-Forwards,
// Max-Breadth, Content-Length, P-Asserted-Identity.
const addedLines = 8

// Validate checks a request as RFC 3261 16.3 asks before it is proxied, in the order of its steps; r is what Preprocess made of
// it. The error is a *sipstatus.Error; unsupported is the value for an Unsupported header, set with 420.
//
// A merged request (8.2.2.2) is no error here: a proxy MUST NOT take it for one, the phones resolve the merge.
func (p *Proxy) Validate(m *message.Message, r *Route) (unsupported []byte, err error) {
	// Step 1: reasonable syntax. What every request needs was checked when the message was indexed. What forwarding reads
	// besides MUST be well-formed too: the Route values it goes by, Max-Breadth. All other header fields are nobody's business
	// here, malformed or unknown. What we add must have room within the same limits.
	if len(m.Headers()) > message.MaxHeaders-addedLines {
		return nil, &sipstatus.Error{Code: 513}
	}
	breadth, hasBreadth := m.Seconds(message.MaxBreadth)
	if r.malformed || m.Has(message.MaxBreadth) && !hasBreadth {
		return nil, &sipstatus.Error{Code: 400}
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
	if hasBreadth && breadth == 0 {
		return nil, &sipstatus.Error{Code: 440}
	}
	// Step 4: loop detection, for each request: RFC 5393 4.1 obliges whoever forks it, and that is not known yet.
	switch hops, looped := p.hops(m, r.secret); {
	case looped:
		return nil, &sipstatus.Error{Code: 482}
	case hops >= message.MaxVias:
		return nil, &sipstatus.Error{Code: 483}
	}
	// Step 5: Proxy-Require. All of its option tags that we lack are named in Unsupported.
	tags := m.Values(message.ProxyRequire)
	for tag, ok := tags.Next(); ok; tag, ok = tags.Next() {
		if trust.Provides(m, tag) {
			continue
		}
		unsupported = append(unsupported, ", "[:min(2, len(unsupported))]...)
		unsupported = append(unsupported, tag...)
	}
	if unsupported != nil {
		return unsupported, &sipstatus.Error{Code: 420}
	}
	// Step 6, Proxy-Authorization, follows in server.route: package auth inspects the credentials, target.Decide says whether
	// there must be some.
	return nil, nil
}
