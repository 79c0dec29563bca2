package server

import (
	"strings"
	"time"

	"sipd/resolve"
	"sipd/server/calltrace"
	"sipd/server/message"
	"sipd/server/proxy/hop"
	"sipd/server/redirect"
	"sipd/server/target"
	"sipd/server/transaction"
	"sipd/server/transport"
)

const (
	// numericTimeout is how long a redirect waits for the addresses of its contacts; then they go out as names. A caller who
	// hears nothing for longer tries elsewhere.
	numericTimeout = 4 * time.Second
	// maxNumeric bounds the names that one redirect looks up; contacts behind them go out as names.
	maxNumeric = 16
)

// redirect answers 3xx. With HelpResolve its contacts are addresses, as far as they can be had (BEHAVIOUR B14).
func (s *Server) redirect(sh *transaction.Shard, x *scratch) {
	if !x.tables.Settings.HelpResolve || s.resolver == nil {
		s.contacts(sh, x)
		return
	}
	w := &lookingUp{server: s, status: x.decision.Status, targets: append([]target.Target(nil), x.decision.Targets...), started: x.now, call: x.call}
	w.lookUp(x.msg.CallID())
	if w.waiting == 0 {
		x.decision.Targets = append(x.decision.Targets[:0], w.targets...)
		s.contacts(sh, x)
		return
	}
	tx := x.tx
	if tx == nil {
		tx = sh.NewServer(&x.msg, x.from, nil)
	}
	if tx == nil {
		s.busy(x)
		return
	}
	tx.SetUser(w)
	w.ref = tx.Ref()
	if u := x.facts.User; u.Exists() {
		w.user = strings.Clone(string(u.Key)) // It goes into the log, and the key is part of something large.
	}
	w.timer.Fire = w.answer
	sh.Arm(&w.timer, numericTimeout)
	s.redirecting.Add(1)
	w.open = true
}

// lookingUp is a redirect that waits for the addresses of its contacts. Its shard's lock guards it.
type lookingUp struct {
	server  *Server
	ref     transport.Ref
	status  int
	targets []target.Target
	waiting int
	timer   transaction.Timer
	open    bool // it has a transaction, which has no final response
	user    string
	started time.Time
	call    calltrace.Ref
}

// lookUp asks for the addresses of the contacts that are names.
func (w *lookingUp) lookUp(callID []byte) {
	id := string(callID)
	asked := 0
	for i := range w.targets {
		q, ok := hop.NameOf(&w.targets[i])
		if !ok {
			continue
		}
		if asked++; asked > maxNumeric {
			return
		}
		hops, err, ready := w.server.resolver.Hops(q, func(hops []resolve.Hop, err error) {
			w.server.inShard([]byte(id), func(sh *transaction.Shard) { w.found(sh, i, hops, err) })
		})
		switch {
		case !ready:
			w.waiting++
		case err == nil:
			hop.Numeric(&w.targets[i], hops)
		}
	}
}

// found takes an answer, and answers the caller after the last one.
func (w *lookingUp) found(sh *transaction.Shard, i int, hops []resolve.Hop, err error) {
	if !w.open {
		return
	}
	if err == nil {
		hop.Numeric(&w.targets[i], hops)
	}
	if w.waiting--; w.waiting == 0 {
		w.answer(sh)
	}
}

// answer sends the redirect with what is known by now.
func (w *lookingUp) answer(sh *transaction.Shard) {
	w.final(sh, w.status, func(dst []byte, tx *transaction.Server) []byte {
		d := target.Decision{Status: w.status, Targets: w.targets}
		return redirect.Append(dst, tx.Request, &d, tx.Tag())
	})
}

// final ends it with what write appends, and logs that.
func (w *lookingUp) final(sh *transaction.Shard, status int, write func(dst []byte, tx *transaction.Server) []byte) {
	tx := sh.Server(w.ref)
	if !w.open || tx == nil || tx.Request == nil {
		return
	}
	s := w.server
	w.close(sh)
	x := s.scratch.Get().(*scratch)
	defer s.scratch.Put(x)
	x.buf = write(x.buf[:0], tx)
	sh.Respond(tx, status, x.buf)
	s.calls.Final(w.call, sh.Now(), status)
	if s.record != nil {
		row := logRow(tx.Request, status, tx.Tag())
		row.Time, row.Duration, row.AuthUser = w.started, sh.Now().Sub(w.started), w.user
		s.write(row)
	}
	tx.SetUser(nil)
	tx.ReleaseRequest()
}

// close notes that nothing is waited for any more.
func (w *lookingUp) close(sh *transaction.Shard) {
	if w.open {
		w.open = false
		sh.Disarm(&w.timer)
		w.server.redirecting.Add(-1)
	}
}

// Cancelled is transaction.ServerUser: the caller gave up (9.2).
func (w *lookingUp) Cancelled(sh *transaction.Shard, _ *transaction.Server, _ *message.Message) {
	w.final(sh, 487, func(dst []byte, tx *transaction.Server) []byte {
		return message.AppendResponse(dst, tx.Request, 487, "", tx.Tag(), nil, nil)
	})
}

// Ended is transaction.ServerUser.
func (w *lookingUp) Ended(sh *transaction.Shard, _ *transaction.Server) { w.close(sh) }
