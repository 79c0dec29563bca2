package server

import (
	"sipd/config"
	"sipd/server/auth"
	"sipd/server/message"
	"sipd/server/proxy"
	"sipd/server/target"
	"sipd/server/transaction"
	"sipd/server/trust"
)

// route decides where a request goes (16.5), and acts on the decision.
func (s *Server) route(sh *transaction.Shard, x *scratch) {
	s.ask(x)
	if !x.route.InDialog && x.tables.Settings.AuthMethod != config.AuthNone {
		realm := target.Realm(x.tables, x.facts.From, x.facts.URI, x.facts.OwnURI)
		who := s.verifier.Verify(x.tables.Snapshot, &x.msg, realm, false, x.now)
		x.facts.Verdict = verdicts[who.Verdict]
		if who.Verdict == auth.Good {
			x.facts.User = who.User
		}
	}
	target.Decide(x.tables, &x.facts, x.now, &x.decision)
	s.act(sh, x)
}

// act does what was decided.
func (s *Server) act(sh *transaction.Shard, x *scratch) {
	d := &x.decision
	if d.Kind == target.Ask {
		s.inquire(sh, x)
		return
	}
	x.call = s.keep(x)
	switch d.Kind {
	case target.Challenge:
		s.challenge(x, d.Realm, d.Stale)
	case target.Reject:
		s.reject(sh, x)
	case target.Redirect:
		s.redirect(sh, x) // 8.3: whatever Require asks for.
	case target.Proxy:
		s.forward(sh, x, d.Targets, d.Redirect)
	}
}

// ask puts down what a decision may know of the request, but for the credentials.
func (s *Server) ask(x *scratch) {
	x.facts = target.Facts{
		Method: x.msg.MethodText(), URI: &x.route.URI, OwnURI: x.ownURI(&x.route.URI),
		From: &x.msg.FromAddress().URI, InDialog: x.route.InDialog, Source: x.from.Remote.Addr(),
	}
	if list := x.tables.Plan().Gateways(); len(list) > 0 && !x.route.InDialog {
		x.facts.Trunk = s.trunk(x.from, list)
	}
	if x.msg.Has(message.RequestDisposition) {
		x.facts.Disposition = disposition(&x.msg)
	}
}

// verdicts translates auth's words into target's: neither imports the other.
var verdicts = [...]target.Verdict{
	auth.None: target.NoCredentials, auth.Bad: target.BadCredentials,
	auth.Stale: target.StaleCredentials, auth.Good: target.Authenticated,
}

// challenge answers 407 without keeping anything (22.3): the nonce proves itself.
func (s *Server) challenge(x *scratch, realm string, stale bool) {
	s.stateless(x, 407, s.verifier.Challenge(x.tables.Snapshot, &x.msg, realm, false, stale, x.now))
}

// reject answers what Decide refuses. A stranger who wants something that is not ours has not been asked who he is, so
// nothing is kept of him, nothing retransmitted.
func (s *Server) reject(sh *transaction.Shard, x *scratch) {
	d := &x.decision
	switch {
	case d.Status == 485:
		s.contacts(sh, x)
	case x.facts.Canonical == nil && !x.facts.User.Exists():
		s.stateless(x, d.Status, message.WarningFields(d.Warning))
	case d.Warning == target.WarnClass:
		s.answer(sh, x, d.Status, "", warnClass(d.Class))
	case d.Status == 503:
		s.answer(sh, x, d.Status, "", retryAfter)
	default:
		s.answer(sh, x, d.Status, "", message.WarningFields(d.Warning))
	}
}

// warnClass tells a caller that his gateway class may not call a number (RFC 3261 20.43).
func warnClass(class string) []message.Field {
	text := []byte(`399 sipd "callers without a gateway class may not call this number"`)
	if class != "" {
		text = []byte(`399 sipd "gateway class `)
		for i := range len(class) {
			if class[i] == '"' || class[i] == '\\' {
				text = append(text, '\\')
			}
			text = append(text, class[i])
		}
		text = append(text, ` may not call this number"`...)
	}
	return []message.Field{{Name: "Warning", Value: text}}
}

// forward hands the request to the proxy; others are contacts to redirect to when all else fails.
func (s *Server) forward(sh *transaction.Shard, x *scratch, ts, others []target.Target) {
	plan := s.plan(x, ts, others)
	if s.needsNoState(x) && s.proxy.ForwardStateless(sh, &x.msg, x.from, &plan) {
		return
	}
	if !s.proxy.Forward(sh, &x.msg, x.from, &plan) {
		s.busy(x)
	}
}

// plan says what the proxy is to do with the request.
func (s *Server) plan(x *scratch, ts, others []target.Target) proxy.Plan {
	set := x.tables.Settings
	plan := proxy.Plan{Route: &x.route, Targets: ts, Redirect: others, Settings: proxy.Settings{
		RecordRoute: set.RecordRoute, CancelOnTimeout: set.ForkOnTimeout == "cancel", TimeOut: set.TimeOut,
		Secret: &set.PrivateKey, Realm: s.ourRealm(x), HelpResolve: set.HelpResolve,
		Trunk: x.facts.Trunk != nil,
	}}
	if x.facts.Canonical != nil && !x.route.InDialog { // 16.5: no targets are added for a domain that is not ours.
		plan.Settings.Disposition = x.decision.Disposition
		plan.Waiting = x.decision.Waiting
		if plan.Waiting.User != "" {
			plan.Next = s.further
		}
		if set.ProxyRecursion {
			plan.Recurse = s.recursion
		}
	}
	plan.Transaction, plan.Began, plan.Call = x.tx, x.now, x.call
	if s.record != nil && x.facts.User.Exists() {
		plan.User = x.facts.User
	}
	if u := x.facts.User; u.Exists() && len(x.tables.TrustedPeers()) > 0 && !x.route.InDialog {
		plan.Asserted.Value = trust.Identity(x.tables.Snapshot, u, &x.msg) // RFC 3325 5
	}
	return plan
}

// needsNoState tells whether a request may be tried without a transaction, as far as that is not the proxy's to say. What brings
// credentials needs one: a nonce count is good once, and a retransmission would be challenged. So does what says how it is to be
// handled (RFC 3841): its CANCEL does not repeat it. So does what somebody was asked about, who may say something else the next time.
func (s *Server) needsNoState(x *scratch) bool {
	return s.tryStateless && x.facts.Verdict == target.NoCredentials && len(x.facts.Answers) == 0 && !x.msg.Has(message.RequestDisposition)
}
