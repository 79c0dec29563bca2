package server

import (
	"strings"
	"time"

	"sipd/server/message"
	"sipd/server/target"
	"sipd/server/transaction"
	"sipd/server/transport"
)

// Asker answers what no table says. It never waits: done is called later, once, by another goroutine, unless ready.
type Asker interface {
	Ask(q target.Question, done func([]target.Found)) (found []target.Found, ready bool)
}

// inquiryTimeout is how long a call waits for an answer; then nobody knows. It is what Locator takes at most; DNS may take longer.
const inquiryTimeout = 4 * time.Second

// inquire asks what a decision has to know, and decides again: at once when it is known, else when it is answered.
func (s *Server) inquire(sh *transaction.Shard, x *scratch) {
	var w *inquiry
	for x.decision.Kind == target.Ask {
		q := x.decision.Question
		if w == nil {
			w = &inquiry{server: s, from: x.from, began: x.now}
		}
		callID := string(x.msg.CallID())
		found, ready := s.asker.Ask(q, func(found []target.Found) {
			s.inShard([]byte(callID), func(sh *transaction.Shard) { w.answered(sh, found) })
		})
		if !ready {
			w.wait(sh, x)
			return
		}
		x.facts.Answers = append(x.facts.Answers, target.Answer{Question: q, Found: found})
		target.Decide(x.tables, &x.facts, sh.Now(), &x.decision)
	}
	s.act(sh, x)
}

// inquiry is a request that waits for an answer. Its shard's lock guards it.
type inquiry struct {
	server   *Server
	from     transport.Flow
	ref      transport.Ref
	facts    target.Facts // who calls; what points into the message is found anew
	question target.Question
	timer    transaction.Timer
	open     bool
	began    time.Time // when the request came
}

// wait keeps the request until the answer comes.
func (w *inquiry) wait(sh *transaction.Shard, x *scratch) {
	tx := x.tx
	if tx == nil {
		tx = sh.NewServer(&x.msg, x.from, nil)
	}
	if tx == nil {
		w.server.busy(x)
		return
	}
	tx.SetUser(w)
	w.ref, w.question, w.open = tx.Ref(), x.decision.Question, true
	w.facts = target.Facts{Verdict: x.facts.Verdict, User: x.facts.User, Trunk: x.facts.Trunk, Answers: x.facts.Answers}
	w.timer.Fire = func(sh *transaction.Shard) { w.answered(sh, nil) }
	sh.Arm(&w.timer, inquiryTimeout)
	w.server.redirecting.Add(1)
}

// answered decides again. The tables may be others by now.
func (w *inquiry) answered(sh *transaction.Shard, found []target.Found) {
	tx := sh.Server(w.ref)
	if !w.open || tx == nil || tx.Request == nil {
		return
	}
	s := w.server
	s.redirecting.Add(1) // Until it is decided: between two questions, too, a server that stops has to wait for it.
	defer s.redirecting.Add(-1)
	w.close(sh)
	done := false
	defer func() {
		if u := tx.User(); !done && tx.Status() < 200 && (u == nil || u == transaction.ServerUser(w)) {
			w.refuse(sh, tx, 500) // A panic: an INVITE without a final response would wait for one without end.
		}
	}()
	x := s.scratch.New().(*scratch) // Its message lives as long as the transaction is being decided about.
	if err := x.msg.Index(tx.Request.Raw()); err != nil {
		return // 500: it could be read when it came.
	}
	x.msg.Source = tx.Request.Source
	x.from, x.now, x.tx, x.shard = w.from, sh.Now(), tx, sh
	s.refresh(x)
	s.preprocess(x)
	s.ask(x)
	x.facts.Verdict, x.facts.User, x.facts.Trunk = w.facts.Verdict, w.facts.User, w.facts.Trunk
	x.facts.Answers = append(w.facts.Answers, target.Answer{Question: w.question, Found: found})
	target.Decide(x.tables, &x.facts, x.now, &x.decision)
	tx.SetUser(nil)
	x.now = w.began
	s.act(sh, x)
	done = true
}

// close notes that nothing is waited for any more.
func (w *inquiry) close(sh *transaction.Shard) {
	if w.open {
		w.open = false
		sh.Disarm(&w.timer)
		w.server.redirecting.Add(-1)
	}
}

// Cancelled is transaction.ServerUser: the caller gave up (9.2).
func (w *inquiry) Cancelled(sh *transaction.Shard, tx *transaction.Server, _ *message.Message) {
	if w.open {
		w.close(sh)
		w.refuse(sh, tx, 487)
	}
}

// abort ends the wait because the server stops.
func (w *inquiry) abort(sh *transaction.Shard, tx *transaction.Server) {
	if w.open {
		w.close(sh)
		w.refuse(sh, tx, 503)
	}
}

// refuse answers what has not gone anywhere.
func (w *inquiry) refuse(sh *transaction.Shard, tx *transaction.Server, status int) {
	if tx.Request == nil {
		return
	}
	s := w.server
	x := s.scratch.Get().(*scratch)
	defer s.scratch.Put(x)
	x.buf = message.AppendResponse(x.buf[:0], tx.Request, status, "", tx.Tag(), nil, nil)
	sh.Respond(tx, status, x.buf)
	if s.record != nil {
		row := logRow(tx.Request, status, tx.Tag())
		row.Time, row.Duration = w.began, sh.Now().Sub(w.began)
		if u := w.facts.User; u.Exists() {
			row.AuthUser = strings.Clone(string(u.Key)) // It goes into the log, and the key is part of something large.
		}
		s.write(row)
	}
	tx.SetUser(nil)
	tx.ReleaseRequest()
}

// Ended is transaction.ServerUser.
func (w *inquiry) Ended(sh *transaction.Shard, _ *transaction.Server) { w.close(sh) }
