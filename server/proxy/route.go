package proxy

import (
	"sipd/server/message"
	"sipd/sipaddr"
)

// Route is what route information preprocessing (RFC 3261 16.4) made of a request. It is valid as long as the message.
type Route struct {
	URI      sipaddr.URI // the Request-URI to route by
	InDialog bool        // a Route value with a token of ours: we routed this dialog's first request
	More     bool        // Route values remain behind ours

	next   message.Address // the first of them
	strict bool            // the previous hop was a strict router: the last Route value is the Request-URI
	pop    int             // topmost Route values to remove: ours
	to     side            // the end that receives the request
	from   side            // the end that sent it
}

// Locals tells whether a URI of a Route header names this proxy.
type Locals interface {
	Local(u sipaddr.URI) bool
}

// Preprocess does 16.4 for a request and fills r. It changes nothing in m; forwarding applies what it found.
func (p *Proxy) Preprocess(r *Route, m *message.Message, secret *[32]byte, locals Locals) {
	*r = Route{URI: *m.RequestURI()}
	if r.URI.HasUser && m.Has(message.Route) && locals.Local(r.URI) {
		// "a value this proxy previously placed into a Record-Route header field": the sender is a strict router.
		if _, ok := parseToken(r.URI.User, secret, m.CallID()); ok {
			p.unstrict(m, r, secret)
		}
	}
	if !m.Has(message.Route) {
		return
	}
	routes := m.Values(message.Route)
	n := 0
	for _, ok := routes.Next(); ok; _, ok = routes.Next() {
		n++
	}
	if r.strict {
		n-- // The last one is the Request-URI now.
	}
	routes = m.Values(message.Route)
	for i := 0; i < n; i++ {
		text, _ := routes.Next()
		a, err := message.ParseAddress(text)
		if err != nil || !locals.Local(a.URI) { // What cannot be read is nobody's: nextHop refuses it.
			r.More, r.next = true, a
			break
		}
		r.pop++
		r.take(m, a.URI.User, secret)
	}
}

// unstrict takes the last Route value as Request-URI and the token out of the received one.
func (p *Proxy) unstrict(m *message.Message, r *Route, secret *[32]byte) {
	var last []byte
	routes := m.Values(message.Route)
	for text, ok := routes.Next(); ok; text, ok = routes.Next() {
		last = text
	}
	a, err := message.ParseAddress(last)
	if err != nil {
		return
	}
	user := r.URI.User
	r.URI, r.strict = a.URI, true
	r.take(m, user, secret)
}

// take reads a token. Only a request inside a dialog may use it: with a To tag, or an ACK.
func (r *Route) take(m *message.Message, user []byte, secret *[32]byte) {
	if r.InDialog || len(user) == 0 || len(m.ToTag()) == 0 {
		return
	}
	t, ok := parseToken(user, secret, m.CallID())
	if !ok {
		return
	}
	switch t.callerTag {
	case tagHash(m.FromTag()):
		r.InDialog, r.from, r.to = true, t.caller, t.callee
	case tagHash(m.ToTag()):
		r.InDialog, r.from, r.to = true, t.callee, t.caller
	}
}

// rebase points the route into the copy of its message.
func (r *Route) rebase(m *message.Message) {
	r.URI = *m.RequestURI()
	if r.strict {
		var last []byte
		routes := m.Values(message.Route)
		for text, ok := routes.Next(); ok; text, ok = routes.Next() {
			last = text
		}
		if a, err := message.ParseAddress(last); err == nil {
			r.URI = a.URI
		}
	}
	if r.More {
		routes := m.Values(message.Route)
		for range r.pop {
			routes.Next()
		}
		text, _ := routes.Next()
		r.next, _ = message.ParseAddress(text)
	}
}

// popOwn removes the Route values that were ours, and the one that is the Request-URI.
func (r *Route) popOwn(sp *message.Splice) {
	if r.pop > 0 {
		sp.PopRoute(r.pop)
	}
	if r.strict {
		sp.PopLastRoute()
	}
}

// apply writes Request-URI and Route of a copy that goes on by its own route (16.4, 16.6 step 6). When the next hop is a
// strict router the Request-URI becomes the last Route value, and the first one the Request-URI.
func (r *Route) apply(x *scratch) {
	sp := &x.splice
	if _, loose := r.next.URI.Param("lr"); !r.More || loose {
		if r.strict {
			sp.RequestURI(r.URI.Text)
		}
		r.popOwn(sp)
		return
	}
	x.uri = append(append(append(x.uri[:0], '<'), r.URI.Text...), '>')
	sp.AppendRoute(x.uri)
	sp.PopRoute(r.pop + 1)
	if r.strict {
		sp.PopLastRoute()
	}
	sp.RequestURI(r.next.URI.Text)
}
