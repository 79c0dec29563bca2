package server

import (
	"errors"
	"net/netip"

	"sipd/server/message"
	"sipd/server/proxy"
	"sipd/server/sipstatus"
	"sipd/server/target"
	"sipd/server/transaction"
	"sipd/sipaddr"
)

// request takes a request through the pipeline. Each line either ends it or lets it pass; the order is the RFC's.
func (s *Server) request(sh *transaction.Shard, x *scratch) {
	switch {
	case sh.Request(&x.msg, x.from): // 17.2.3: a retransmission, the ACK to a non-2xx; 9.2: a CANCEL of ours.
	case s.preprocess(x): // 16.4: never ends a request.
	case x.msg.Method() == message.ACK:
		s.ack(sh, x)
	case x.msg.Method() == message.CANCEL:
		s.reject(sh, x, 481, nil) // BEHAVIOUR J: its INVITE is not here.
	case s.refusedByDrain(sh, x):
	case s.foreignScheme(sh, x): // 8.2.2.1, 16.3 step 2.
	case x.msg.Method() == message.REGISTER && s.own(x):
		s.register(sh, x) // 10.3
	case s.toServer(x):
		s.options(sh, x) // 11.2
	case !s.validate(sh, x): // 16.3
	case x.route.InDialog && !s.own(x):
		s.forward(sh, x, onward, nil) // By Route and Request-URI, never challenged.
	case x.route.More && !x.route.InDialog:
		s.reject(sh, x, 403, nil) // A stranger's Route to somewhere else: we are nobody's relay.
	default:
		s.route(sh, x) // 16.5
	}
}

// onward is the target of a request that goes where its Route and Request-URI say.
var onward = []target.Target{{}}

// preprocess does 16.4.
func (s *Server) preprocess(x *scratch) bool {
	x.route = s.proxy.Preprocess(&x.msg, &x.tables.Settings.PrivateKey, x)
	return false
}

// Local is proxy.Locals: does a Route URI name this proxy. A host name does when it is ProxyName, ServerName or one of our domains, unless its
// port is none of ours.
func (x *scratch) Local(u *sipaddr.URI) bool {
	if _, numeric := u.Addr(); numeric {
		return x.server.ownAddress(u)
	}
	set := x.tables.Settings
	return equalFold(u.Host, set.ProxyName) || equalFold(u.Host, set.ServerName) || x.tables.Domain(u.Host) != nil
}

// ownAddress tells whether the URI's host and port are a listener of ours.
func (s *Server) ownAddress(u *sipaddr.URI) bool {
	addr, ok := u.Addr()
	if !ok {
		return false
	}
	port := u.Port
	if port == 0 {
		port = 5060
		if u.Scheme == sipaddr.SIPS {
			port = 5061
		}
	}
	return s.net.Own(netip.AddrPortFrom(addr, port))
}

// own tells whether the Request-URI to route by is in one of our domains.
func (s *Server) own(x *scratch) bool {
	return target.Local(x.tables, &x.route.URI, s.ownAddress(&x.route.URI))
}

// ack handles an ACK that no transaction took: the one to a 2xx goes on by its Route; any other is dropped (17.2.1).
func (s *Server) ack(sh *transaction.Shard, x *scratch) {
	if n, ok := x.msg.MaxForwards(); ok && n == 0 || !x.route.InDialog || !s.proxy.ForwardAck(sh, &x.msg, &x.route, s.ourRealm(x)) {
		s.dropped.Add(1)
	}
}

// refusedByDrain answers 503 to what would begin something new while we stop.
func (s *Server) refusedByDrain(sh *transaction.Shard, x *scratch) bool {
	if !s.draining.Load() || x.route.InDialog || x.msg.Method() == message.BYE {
		return false
	}
	s.stateless(sh, x, 503, []message.Field{{Name: "Retry-After", Value: []byte("10")}})
	return true
}

func (s *Server) foreignScheme(sh *transaction.Shard, x *scratch) bool {
	switch x.route.URI.Scheme {
	case sipaddr.SIP, sipaddr.SIPS, sipaddr.TEL:
		return false
	}
	s.stateless(sh, x, 416, nil)
	return true
}

// toServer tells whether an OPTIONS asks about us: a Request-URI of ours without a user (11).
func (s *Server) toServer(x *scratch) bool {
	return x.msg.Method() == message.OPTIONS && !x.route.URI.HasUser && !x.route.More && s.own(x)
}

// capabilities is what we answer to OPTIONS (11.2): as a proxy every method passes, these are the ones we act on.
var capabilities = []message.Field{
	{Name: "Allow", Value: []byte("INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER")},
	{Name: "Accept", Value: []byte("application/sdp")},
	{Name: "Supported", Value: []byte("path")},
}

// options answers 200, or 420 for an extension that we as a server do not have (8.2.2.3). Nobody is challenged for it.
func (s *Server) options(sh *transaction.Shard, x *scratch) {
	if unsupported := required(&x.msg); unsupported != nil {
		s.reject(sh, x, 420, []message.Field{{Name: "Unsupported", Value: unsupported}})
		return
	}
	s.reject(sh, x, 200, capabilities)
}

// required returns the option tags of Require that we as a server lack.
func required(m *message.Message) (unsupported []byte) {
	tags := m.Values(message.Require)
	for tag, ok := tags.Next(); ok; tag, ok = tags.Next() {
		if len(tag) > 0 && string(tag) != "path" {
			unsupported = append(append(unsupported, ", "[:2*min(1, len(unsupported))]...), tag...)
		}
	}
	return unsupported
}

// validate does 16.3; what fails is answered without a transaction.
func (s *Server) validate(sh *transaction.Shard, x *scratch) bool {
	unsupported, err := s.proxy.Validate(&x.msg)
	if err == nil {
		return true
	}
	var fields []message.Field
	if unsupported != nil {
		fields = []message.Field{{Name: "Unsupported", Value: unsupported}}
	}
	status := 500
	if e := (*sipstatus.Error)(nil); errors.As(err, &e) {
		status = e.Code
	}
	s.stateless(sh, x, status, fields)
	return false
}

func (s *Server) settings(x *scratch) proxy.Settings {
	set := x.tables.Settings
	return proxy.Settings{RecordRoute: set.RecordRoute, CancelOnTimeout: set.ForkOnTimeout == "cancel", TimeOut: set.TimeOut, Secret: &set.PrivateKey, Realm: s.ourRealm(x)}
}

// ourRealm is the realm whose Proxy-Authorization in the message at hand is for us.
func (s *Server) ourRealm(x *scratch) string {
	if !x.msg.Has(message.ProxyAuthorization) {
		return ""
	}
	return target.Realm(x.tables, &x.msg.FromAddress().URI, &x.route.URI, s.ownAddress(&x.route.URI))
}
