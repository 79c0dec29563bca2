package server

import (
	"errors"
	"runtime/debug"
	"time"

	"sipd/server/message"
	"sipd/server/target"
	"sipd/server/transaction"
	"sipd/server/transport"
)

// Receive is transport.Receiver: one message, handled to its end.
func (s *Server) Receive(out *transport.Out, from transport.Flow, raw []byte) {
	x := s.scratch.Get().(*scratch)
	defer s.scratch.Put(x)
	x.msg.Source = from.Remote
	x.from, x.now = from, time.Now()
	if err := x.msg.Index(raw); err != nil {
		s.malformed(out, x, err)
		return
	}
	sh := s.transactions.Shard(x.msg.CallID())
	sh.Enter(out, x.now)
	defer sh.Leave()
	defer s.recovered(sh, x)
	if x.msg.IsRequest() {
		x.facts = target.Facts{}
		x.tables = target.Tables{Snapshot: s.tables(), Location: s.location}
		s.request(sh, x)
		return
	}
	if !sh.Response(&x.msg, from) {
		s.dropped.Add(1) // RFC 6026 8.9: a response without a transaction goes nowhere.
	}
}

// recovered is the net around one message: a panic costs this request only, answers 500 and is counted.
func (s *Server) recovered(sh *transaction.Shard, x *scratch) {
	fault := recover()
	if fault == nil {
		return
	}
	s.panics.Add(1)
	s.log.Error("panic while handling a message", "panic", fault, "call_id", string(x.msg.CallID()), "src", x.from.Remote, "stack", string(debug.Stack()))
	if x.msg.IsRequest() && x.msg.Method() != message.ACK {
		s.stateless(sh, x, 500, nil)
	}
}

// malformed answers what can be answered (RFC 3261 16.3 step 1, 21.4.1), statelessly, and drops the rest.
func (s *Server) malformed(out *transport.Out, x *scratch, err error) {
	s.dropped.Add(1)
	var bad *message.Malformed
	if !errors.As(err, &bad) || bad.Status == 0 || !x.msg.IsRequest() || x.msg.Method() == message.ACK {
		return
	}
	x.tag = s.appendTag(x.tag[:0], &x.msg)
	x.buf = message.AppendResponse(x.buf[:0], &x.msg, bad.Status, bad.What, x.tag, nil, nil)
	out.Send(transaction.ResponseFlow(&x.msg, x.from), x.buf, 0)
}

// SendFailed is transport.Receiver.
func (s *Server) SendFailed(out *transport.Out, ref transport.Ref, err error) {
	sh := s.transactions.ShardOf(ref)
	if sh == nil {
		return
	}
	sh.Enter(out, time.Now())
	defer sh.Leave()
	sh.SendFailed(ref, err)
}

// FlowClosed is transport.Receiver: bindings that only this connection reaches are suspended.
func (s *Server) FlowClosed(_ *transport.Out, flow transport.Flow) {
	s.location.ConnClosed(uint64(flow.Conn))
}
