package server

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"

	"sipd/config"
	"sipd/server/message"
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
		s.cancel(sh, x)
	case sh.Merged(&x.msg):
		s.stateless(x, 482, nil) // 8.2.2.2
	case s.refusedByDrain(x):
	case x.msg.Method() == message.REGISTER && x.local():
		s.register(sh, x) // 10.3
	case x.toServer():
		s.serve(x) // 8.2, 11.2
	case !s.validate(x): // 16.3
	case x.route.InDialog && !x.local():
		s.forward(sh, x, onward, nil) // By Route and Request-URI, never challenged.
	case x.route.More && !x.route.InDialog:
		s.stateless(x, 403, nil) // A stranger's Route to somewhere else: we are nobody's relay.
	default:
		s.route(sh, x) // 16.5
	}
}

// onward is the target of a request that goes where its Route and Request-URI say.
var onward = []target.Target{{}}

// preprocess does 16.4.
func (s *Server) preprocess(x *scratch) bool {
	s.proxy.Preprocess(&x.route, &x.msg, &x.tables.Settings.PrivateKey, x)
	return false
}

// Local is proxy.Locals: does a Route URI name this proxy. A host does when it is what we write there, and a host name also when it
// is ServerName or one of our domains, unless its port is none of ours.
func (x *scratch) Local(u sipaddr.URI) bool {
	set := x.tables.Settings
	if _, numeric := u.Addr(); numeric && !x.server.named(u.Host) {
		return x.ownURI(&u)
	}
	named := x.server.named(u.Host) || equalFold(u.Host, set.ServerName) || x.tables.Domain(u.Host) != nil
	return named && (!u.HasPort || listens(set, u.Port))
}

// ownURI tells whether a URI leads to a listener of ours: its maddr, else its host, and its port.
func (x *scratch) ownURI(u *sipaddr.URI) bool {
	to, ok := u.AddrPort()
	return ok && x.own(to)
}

// own is target.Tables.Own: does what is sent there come to us.
func (x *scratch) own(addr netip.AddrPort) bool {
	set := x.tables.Settings
	return x.server.net.Own(addr) || addr.Addr() == set.PublicAddress && listens(set, addr.Port())
}

// listens tells whether one of the listeners has this port.
func listens(set *config.Settings, port uint16) bool {
	return slices.ContainsFunc(set.Listen, func(l config.Listen) bool { return l.Addr.Port() == port })
}

// local tells whether the Request-URI to route by is in one of our domains.
func (x *scratch) local() bool {
	return target.Local(x.tables, &x.route.URI, x.ownURI(&x.route.URI))
}

// ack handles an ACK that no transaction took: the one to a 2xx goes on by its Route, and to whom the location service knows at a
// Request-URI of ours (16.5), if that is one; any other may belong to an INVITE that was forwarded statelessly, else it is dropped (17.2.1).
func (s *Server) ack(sh *transaction.Shard, x *scratch) {
	n, limited := x.msg.MaxForwards()
	forwarded := false
	switch {
	case limited && n == 0:
	case !x.route.InDialog:
		forwarded = s.tryStateless && s.likeItsInvite(sh, x)
	default:
		forwarded = x.local() && s.likeItsInvite(sh, x) || s.proxy.ForwardAck(sh, &x.msg, x.from, &x.route, s.ourRealm(x))
	}
	if !forwarded {
		s.dropped.Add(1)
	}
}

// cancel handles a CANCEL whose INVITE is not here (BEHAVIOUR J): it may have been forwarded statelessly (16.10).
func (s *Server) cancel(sh *transaction.Shard, x *scratch) {
	if !s.tryStateless || !s.likeItsInvite(sh, x) {
		s.stateless(x, 481, nil)
	}
}

// answered tells whether an ACK is that to an answer that we have given without a transaction: it has our tag.
func (s *Server) answered(x *scratch) bool {
	x.tag = s.appendTag(x.tag[:0], &x.msg)
	return x.msg.Method() == message.ACK && bytes.Equal(x.tag, x.msg.ToTag())
}

// likeItsInvite forwards a CANCEL or ACK where its INVITE went without a transaction, if it did (16.11): by the same questions in the
// same order. Nobody is asked for credentials: an INVITE that had to have some was given a transaction.
func (s *Server) likeItsInvite(sh *transaction.Shard, x *scratch) bool {
	if _, err := s.proxy.Validate(&x.msg, &x.route); err != nil || s.answered(x) {
		return false
	}
	targets, others := onward, []target.Target(nil)
	if !x.route.InDialog || x.local() {
		if x.toServer() || x.route.More && !x.route.InDialog {
			return false
		}
		s.ask(x)
		target.Decide(x.tables, &x.facts, x.now, &x.decision)
		if x.decision.Kind != target.Proxy {
			return false
		}
		targets, others = x.decision.Targets, x.decision.Redirect
	}
	plan := s.plan(x, targets, others)
	last := x.route.InDialog && x.msg.Method() == message.ACK
	return (last || s.needsNoState(x)) && s.proxy.ForwardStateless(sh, &x.msg, x.from, &plan)
}

// refusedByDrain answers 503 to what would begin something new while we stop.
func (s *Server) refusedByDrain(x *scratch) bool {
	if !s.draining.Load() || x.route.InDialog || x.msg.Method() == message.BYE {
		return false
	}
	s.stateless(x, 503, []message.Field{{Name: "Retry-After", Value: []byte("10")}})
	return true
}

// toServer tells whether a request is for the server itself: a Request-URI of ours without a user (11).
func (x *scratch) toServer() bool {
	return !x.route.URI.HasUser && !x.route.More && !x.route.InDialog && x.local()
}

// capabilities is what we answer to OPTIONS (11.2): as a proxy every method passes, these are the ones we act on.
var capabilities = []message.Field{
	{Name: "Allow", Value: []byte("INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER")},
	{Name: "Accept", Value: []byte(accepts)},
	{Name: "Accept-Encoding", Value: []byte("identity")},
	{Name: "Accept-Language", Value: []byte("en")},
	{Name: "Supported", Value: []byte("path")},
}

// accepts is the type of bodies that an OPTIONS may have.
const accepts = "application/sdp"

// allowed is what the server itself may be asked for (8.2.1).
var allowed = []message.Field{{Name: "Allow", Value: []byte("ACK, CANCEL, OPTIONS, REGISTER")}}

// serve acts as the UAS of a request for the server itself, in the order of 8.2. Nobody is challenged for it, and nothing is kept: a
// retransmission is answered the same again.
func (s *Server) serve(x *scratch) {
	switch x.msg.Method() {
	case message.OPTIONS:
	case message.Unknown:
		s.stateless(x, 501, allowed) // 21.5.2
		return
	default:
		s.stateless(x, 405, allowed) // 8.2.1
		return
	}
	if lacking := required(&x.msg); lacking != nil {
		s.stateless(x, 420, lacking) // 8.2.2.3
	} else if understood := x.msg.Unacceptable(accepts); understood != nil {
		s.stateless(x, 415, understood) // 8.2.3
	} else {
		s.stateless(x, 200, capabilities)
	}
}

// required returns an Unsupported header with the option tags of Require that we as a server lack, nil when we have all.
func required(m *message.Message) []message.Field {
	var lacking []byte
	tags := m.Values(message.Require)
	for tag, ok := tags.Next(); ok; tag, ok = tags.Next() {
		if !equalFold(tag, "path") {
			lacking = append(append(lacking, ", "[:min(2, len(lacking))]...), tag...)
		}
	}
	return unsupported(lacking)
}

// unsupported returns the header that belongs to a 420 (8.2.2.3, 16.3 step 5), nil for no tags.
func unsupported(tags []byte) []message.Field {
	if tags == nil {
		return nil
	}
	return []message.Field{{Name: "Unsupported", Value: tags}}
}

// validate does 16.3; what fails is answered without a transaction.
func (s *Server) validate(x *scratch) bool {
	tags, err := s.proxy.Validate(&x.msg, &x.route)
	if err == nil {
		return true
	}
	status := 500
	if e := (*sipstatus.Error)(nil); errors.As(err, &e) {
		status = e.Code
	}
	s.stateless(x, status, unsupported(tags))
	return false
}

// ourRealm is the realm whose Proxy-Authorization in the message at hand is for us.
func (s *Server) ourRealm(x *scratch) string {
	if !x.msg.Has(message.ProxyAuthorization) {
		return ""
	}
	return target.Realm(x.tables, &x.msg.FromAddress().URI, &x.route.URI, x.ownURI(&x.route.URI))
}
