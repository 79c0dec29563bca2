package server

import (
	"strings"
	"time"

	"sipd/config"
	"sipd/location"
	"sipd/server/auth"
	"sipd/server/message"
	"sipd/server/registrar"
	"sipd/server/transaction"
	"sipd/server/transport"
)

// register handles REGISTER (RFC 3261 10.3): registrar decides, location commits, the answer follows the commit.
func (s *Server) register(sh *transaction.Shard, x *scratch) {
	in := registrar.Input{
		Tables: x.tables.Snapshot, Request: &x.msg, OwnURI: x.ownURI(x.msg.RequestURI()),
		From: x.from, Now: x.now, Trace: &x.decision.Trace,
	}
	in.Trace.Reset()
	believed := x.tables.Settings.AuthMethod == config.AuthNone
	if !believed {
		if realm := registrar.Realm(in.Tables, &x.msg, in.OwnURI); realm != "" {
			who := s.verifier.Verify(in.Tables, &x.msg, realm, true, x.now)
			in.Verdict, in.User = registerVerdicts[who.Verdict], who.User
			if who.Verdict == auth.Good {
				x.facts.User, believed = who.User, true
			}
		}
	}
	switch out := registrar.Decide(&in).(type) {
	case registrar.Challenge:
		s.stateless(x, 401, s.verifier.Challenge(in.Tables, &x.msg, out.Realm, true, out.Stale, x.now))
	case registrar.Answer:
		if !believed { // Nothing is kept of strangers.
			s.statelessBecause(x, out.Status, out.Reason, out.Fields)
			return
		}
		s.answer(sh, x, out.Status, out.Reason, out.Fields)
	case registrar.Fetch:
		s.bindings(sh, x, s.location.Bindings([]byte(out.AOR)))
	case registrar.Update:
		s.update(sh, x, out)
	}
}

// registerVerdicts translates auth's words into registrar's: neither imports the other.
var registerVerdicts = [...]registrar.Verdict{
	auth.None: registrar.NoCredentials, auth.Bad: registrar.BadCredentials,
	auth.Stale: registrar.StaleCredentials, auth.Good: registrar.Authenticated,
}

// bindings answers 200 with what is registered.
func (s *Server) bindings(sh *transaction.Shard, x *scratch, list []*location.Binding) {
	s.final(sh, x, 200, func(dst, tag []byte) []byte {
		return registrar.AppendOK(dst, &x.msg, tag, list, false, x.now)
	})
}

// update hands the change to location. Its transaction stays open until the commit has an outcome.
func (s *Server) update(sh *transaction.Shard, x *scratch, up registrar.Update) {
	tx := sh.NewServer(&x.msg, x.from, nil)
	if tx == nil {
		s.busy(x)
		return
	}
	job := &registration{server: s, ref: tx.Ref(), outbound: up.Outbound, started: x.now}
	if u := x.facts.User; u.Exists() {
		job.user = strings.Clone(string(u.Key)) // It goes into the log, and the key is part of something large.
	}
	up.Change.Done = job.done
	s.registering.Add(1)
	if err := s.location.Submit(up.Change); err != nil {
		s.registering.Add(-1)
		a := registrar.Failure(err, x.now)
		x.buf = message.AppendResponse(x.buf[:0], &x.msg, a.Status, a.Reason, tx.Tag(), a.Fields, nil)
		sh.Respond(tx, a.Status, x.buf)
		tx.ReleaseRequest()
		s.logFinal(x, a.Status, tx.Tag())
	}
}

// registration is a REGISTER that waits for its commit.
type registration struct {
	server   *Server
	ref      transport.Ref
	outbound bool
	user     string
	started  time.Time
}

// done answers it, in the committer's goroutine. What it queues leaves with Server.Flush. A transaction that is gone by now
// (Timer F of the client has fired) gets no answer; the binding stands.
func (r *registration) done(res location.Result) {
	s := r.server
	defer s.registering.Add(-1)
	defer func() {
		if fault := recover(); fault != nil {
			s.panicked("registration", fault)
		}
	}()
	sh := s.transactions.ShardOf(r.ref)
	now := time.Now()
	sh.Enter(s.commits, now)
	defer sh.Leave()
	tx := sh.Server(r.ref)
	if tx == nil || tx.Request == nil {
		return
	}
	x := s.scratch.Get().(*scratch)
	defer s.scratch.Put(x)
	status := 200
	if res.Err != nil {
		a := registrar.Failure(res.Err, now)
		status = a.Status
		x.buf = message.AppendResponse(x.buf[:0], tx.Request, status, a.Reason, tx.Tag(), a.Fields, nil)
	} else {
		x.buf = registrar.AppendOK(x.buf[:0], tx.Request, tx.Tag(), res.Bindings, r.outbound, now)
	}
	sh.Respond(tx, status, x.buf)
	if s.record != nil {
		row := logRow(tx.Request, status, tx.Tag())
		row.Time, row.Duration, row.AuthUser = r.started, now.Sub(r.started), r.user
		s.write(row)
	}
	tx.ReleaseRequest()
}
