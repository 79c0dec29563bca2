package server

import (
	"sipd/config"
	"sipd/server/auth"
	"sipd/server/message"
	"sipd/server/redirect"
	"sipd/server/target"
	"sipd/server/transaction"
)

// route decides where a request goes (16.5), and acts on the decision.
func (s *Server) route(sh *transaction.Shard, x *scratch) {
	own := s.ownAddress(&x.route.URI)
	x.facts = target.Facts{
		Method: x.msg.MethodText(), URI: &x.route.URI, OwnURI: own,
		From: &x.msg.FromAddress().URI, InDialog: x.route.InDialog,
	}
	if !x.route.InDialog && x.tables.Settings.AuthMethod != config.AuthNone {
		realm := target.Realm(x.tables, x.facts.From, x.facts.URI, own)
		who := s.verifier.Verify(x.tables.Snapshot, &x.msg, realm, false, x.now)
		x.facts.Verdict, x.facts.User = verdicts[who.Verdict], who.User
	}
	d := &x.decision
	target.Decide(x.tables, &x.facts, x.now, d)
	switch d.Kind {
	case target.Challenge:
		s.challenge(sh, x, d.Realm, d.Stale)
	case target.Reject, target.Redirect:
		if d.Status == 485 || d.Kind == target.Redirect {
			s.redirect(sh, x)
			return
		}
		s.reject(sh, x, d.Status, nil)
	case target.Proxy:
		s.forward(sh, x, d.Targets, d.Redirect)
	}
}

// verdicts translates auth's words into target's: neither imports the other.
var verdicts = [...]target.Verdict{auth.None: target.NoCredentials, auth.Bad: target.BadCredentials, auth.Stale: target.StaleCredentials, auth.Good: target.Authenticated}

// forward hands the request to the proxy.
func (s *Server) forward(sh *transaction.Shard, x *scratch, ts, others []target.Target) {
	var user any
	if s.record != nil {
		user = x.facts.User
	}
	if !s.proxy.Forward(sh, &x.msg, x.from, &x.route, ts, others, s.settings(x), user) {
		s.busy(sh, x)
	}
}

// redirect answers with Contacts; the answer keeps a transaction and no 100 precedes it (8.3).
func (s *Server) redirect(sh *transaction.Shard, x *scratch) {
	tx := sh.NewAnswered(&x.msg, x.from)
	if tx == nil {
		s.busy(sh, x)
		return
	}
	x.buf = redirect.Append(x.buf[:0], &x.msg, &x.decision, tx.Tag())
	sh.Respond(tx, x.decision.Status, x.buf)
	s.logFinal(x, x.decision.Status, tx.Tag())
}

// challenge answers 407 without keeping anything (22.3): the nonce proves itself.
func (s *Server) challenge(sh *transaction.Shard, x *scratch, realm string, stale bool) {
	fields := s.verifier.Challenge(x.tables.Snapshot, &x.msg, realm, false, stale, x.now)
	s.stateless(sh, x, 407, fields)
}

// reject answers with a final response of ours and keeps a transaction for its retransmissions.
func (s *Server) reject(sh *transaction.Shard, x *scratch, status int, fields []message.Field) {
	s.answer(sh, x, status, "", fields)
}

func (s *Server) answer(sh *transaction.Shard, x *scratch, status int, reason string, fields []message.Field) {
	tx := sh.NewAnswered(&x.msg, x.from)
	if tx == nil {
		s.busy(sh, x)
		return
	}
	x.buf = message.AppendResponse(x.buf[:0], &x.msg, status, reason, tx.Tag(), fields, nil)
	sh.Respond(tx, status, x.buf)
	s.logFinal(x, status, tx.Tag())
}
