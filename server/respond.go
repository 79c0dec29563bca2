package server

import (
	"bytes"
	"hash/maphash"

	"sipd/server/message"
	"sipd/server/redirect"
	"sipd/server/transaction"
)

// answer sends a final response of ours in a transaction, which keeps it for retransmissions of the request, and logs it.
func (s *Server) answer(sh *transaction.Shard, x *scratch, status int, reason string, fields []message.Field) {
	s.final(sh, x, status, func(dst, tag []byte) []byte {
		return message.AppendResponse(dst, &x.msg, status, reason, tag, fields, nil)
	})
}

// contacts answers with what the decision names as Contacts. No 100 precedes it (8.3).
func (s *Server) contacts(sh *transaction.Shard, x *scratch) {
	s.final(sh, x, x.decision.Status, func(dst, tag []byte) []byte {
		return redirect.Append(dst, &x.msg, &x.decision, tag)
	})
}

// final sends what write appends, with the transaction's To tag, and logs it.
func (s *Server) final(sh *transaction.Shard, x *scratch, status int, write func(dst, tag []byte) []byte) {
	tx := x.tx
	if tx == nil {
		tx = sh.NewAnswered(&x.msg, x.from)
	}
	if tx == nil {
		s.busy(x)
		return
	}
	done := false
	defer func() {
		if !done { // A panic: an INVITE without a final response would wait for one without end.
			x.buf = message.AppendResponse(x.buf[:0], &x.msg, 500, "", tx.Tag(), nil, nil)
			sh.Respond(tx, 500, x.buf)
		}
	}()
	x.buf = write(x.buf[:0], tx.Tag())
	sh.Respond(tx, status, x.buf)
	s.calls.Final(x.call, x.now, status)
	done = true
	s.logFinal(x, status, tx.Tag())
	if x.tx != nil {
		x.tx.ReleaseRequest()
	}
}

// stateless answers without a transaction (RFC 3261 8.2.7): a retransmission is answered the same again, an ACK is dropped.
func (s *Server) stateless(x *scratch, status int, fields []message.Field) {
	s.statelessBecause(x, status, "", fields)
}

// statelessBecause is stateless with a reason phrase of its own.
func (s *Server) statelessBecause(x *scratch, status int, reason string, fields []message.Field) {
	s.calls.Final(x.call, x.now, status)
	if x.tx != nil { // It has waited for an answer.
		x.buf = message.AppendResponse(x.buf[:0], &x.msg, status, reason, x.tx.Tag(), fields, nil)
		x.shard.Respond(x.tx, status, x.buf)
		x.tx.ReleaseRequest()
		return
	}
	x.tag = s.appendTag(x.tag[:0], &x.msg)
	x.buf = message.AppendResponse(x.buf[:0], &x.msg, status, reason, x.tag, fields, nil)
	x.out.Send(s.transactions.ResponseFlow(&x.msg, x.from), x.buf, 0)
}

// retryAfter is what a peer is asked to wait when we are full.
var retryAfter = []message.Field{{Name: "Retry-After", Value: []byte("5")}}

// busy answers 503: the transaction table or a queue is full.
func (s *Server) busy(x *scratch) { s.stateless(x, 503, retryAfter) }

// appendTag writes the To tag of stateless answers: the same for the retransmissions of a request, unguessable to others
// (19.3, 8.2.7).
func (s *Server) appendTag(dst []byte, m *message.Message) []byte {
	var h maphash.Hash
	h.SetSeed(s.seed)
	if top := m.Top(); top != nil {
		h.Write(top.Branch)
	}
	h.WriteByte(0)
	h.Write(m.CallID())
	h.WriteByte(0)
	h.Write(m.FromTag())
	sum := h.Sum64()
	for range 13 { // 64 bits in base 32
		dst = append(dst, "0123456789abcdefghijklmnopqrstuv"[sum&31])
		sum >>= 5
	}
	return dst
}

func equalFold(b []byte, s string) bool {
	return len(s) > 0 && len(b) == len(s) && bytes.EqualFold(b, []byte(s))
}
