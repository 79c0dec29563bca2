package proxy

import (
	"bytes"

	"sipd/server/message"
	"sipd/server/proxy/token"
	"sipd/sipaddr"
)

// Route is what route information preprocessing (RFC 3261 16.4) made of a request. It is valid as long as the message.
type Route struct {
	URI      sipaddr.URI // the Request-URI to route by
	InDialog bool        // a Route value with a token of ours: we routed this dialog's first request
	More     bool        // Route values remain behind ours

	next      message.Address // the first of them
	malformed bool            // it cannot be read, or the one that is the Request-URI cannot
	strict    bool            // the previous hop was a strict router: the last Route value is the Request-URI
	pop       int             // topmost Route values to remove: ours
	to        token.Side      // the end that receives the request
	from      token.Side      // the end that sent it
	secret    *[32]byte       // of our tokens and stateless branches
	gateway   bool            // the token says that one of the ends is a gateway
	ends      bool            // it is an ACK or BYE, which begin nothing
}

// Locals tells whether a URI of a Route header names this proxy.
type Locals interface {
	Local(u sipaddr.URI) bool
}

// Preprocess does 16.4 for a request and fills r. It changes nothing in m; forwarding applies what it found.
//
// That a maddr of ours counts for nothing is target.Local's and target.Decide's: whether the Request-URI leads to us is asked
// of maddr, port and transport before the host. The port is held against all our listeners, so a request that names another one
// than it came by is not sent to ourselves, but handled as if it had come there.
func (p *Proxy) Preprocess(r *Route, m *message.Message, secret *[32]byte, locals Locals) {
	*r = Route{URI: *m.RequestURI(), secret: secret}
	if r.URI.HasUser && m.Has(message.Route) && locals.Local(r.URI) {
		// First paragraph: a Request-URI that we placed into a Record-Route. The sender is a strict router: the last Route
		// value MUST become the Request-URI.
		if _, ok := token.Parse(r.URI.User, secret, m.CallID()); ok {
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
	// Last paragraph: a first value that indicates us MUST go. The one behind it is first then: with two Record-Routes (RFC 5658)
	// both are ours.
	routes = m.Values(message.Route)
	for i := 0; i < n; i++ {
		text, _ := routes.Next()
		a, err := message.ParseAddress(text)
		if err != nil || !locals.Local(a.URI) {
			r.More, r.next = true, a
			r.malformed = r.malformed || err != nil
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
		r.malformed = true
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
	t, ok := token.Parse(user, secret, m.CallID())
	if !ok {
		return
	}
	r.gateway, r.ends = t.Gateway, m.Method() == message.ACK || m.Method() == message.BYE
	switch t.CallerTag {
	case token.TagHash(m.FromTag()):
		r.InDialog, r.from, r.to = true, t.Caller, t.Callee
	case token.TagHash(m.ToTag()):
		r.InDialog, r.from, r.to = true, t.Callee, t.Caller
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

// postprocess does 16.6 step 6 for a copy of m whose Request-URI stands in x.uri, in angle brackets: what 16.4 found is taken out,
// path is pushed ahead of what is left (RFC 3327 5.3), and a strict router gets what it understands.
func (r *Route) postprocess(x *scratch, m *message.Message, path []string) {
	sp := &x.splice
	uri := x.uri[1 : len(x.uri)-1]
	// The URI in the first Route value MUST be inspected.
	var first message.Address
	switch {
	case len(path) > 0:
		first, _ = message.ParseAddress([]byte(path[0]))
	case r.More:
		first = r.next
	}
	pop := r.pop
	if _, loose := first.URI.Param("lr"); !loose && (len(path) > 0 || r.More) {
		// It has no lr: the Request-URI MUST become the last Route value, and the first one the Request-URI.
		sp.AppendRoute(x.uri)
		if uri = first.URI.Text; len(path) > 0 {
			path = path[1:]
		} else {
			pop++
		}
	}
	if !bytes.Equal(uri, m.RequestURI().Text) {
		sp.RequestURI(uri)
	}
	if pop > 0 {
		sp.PopRoute(pop)
	}
	if r.strict {
		sp.PopLastRoute()
	}
	if len(path) > 0 { // Ahead of any existing values.
		x.route = x.route[:0]
		for i, hop := range path {
			x.route = append(append(x.route, ", "[:min(2, 2*i)]...), hop...)
		}
		sp.PushRoute(x.route)
	}
}
