package server

import (
	"bytes"
	"hash/maphash"

	"sipd/server/message"
	"sipd/server/transaction"
)

// stateless answers without a transaction (RFC 3261 8.2.7): a retransmission is answered the same again, an ACK is dropped.
func (s *Server) stateless(sh *transaction.Shard, x *scratch, status int, fields []message.Field) {
	x.tag = s.appendTag(x.tag[:0], &x.msg)
	x.buf = message.AppendResponse(x.buf[:0], &x.msg, status, "", x.tag, fields, nil)
	sh.Send(transaction.ResponseFlow(&x.msg, x.from), x.buf)
}

// retryAfter is what a peer is asked to wait when we are full.
var retryAfter = []message.Field{{Name: "Retry-After", Value: []byte("5")}}

// busy answers 503: the transaction table or a queue is full.
func (s *Server) busy(sh *transaction.Shard, x *scratch) { s.stateless(sh, x, 503, retryAfter) }

// appendTag writes the To tag of stateless answers: the same for the retransmissions of a request, unguessable to others (19.3, 8.2.7).
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
