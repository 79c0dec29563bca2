package server

import (
	"errors"
	"net/netip"
	"runtime/debug"
	"time"

	"sipd/config"
	"sipd/server/message"
	"sipd/server/target"
	"sipd/server/transport"
	"sipd/sipaddr"
)

// Receive is transport.Receiver: one message, handled to its end.
func (s *Server) Receive(out *transport.Out, from transport.Flow, raw []byte) {
	x := s.scratch.Get().(*scratch)
	defer s.scratch.Put(x)
	defer s.recovered(x)
	x.msg.Source = from.Remote
	x.out, x.from, x.now, x.call = out, from, time.Now(), 0
	if err := x.msg.Index(raw); err != nil {
		s.malformed(x, err)
		return
	}
	if !x.msg.IsRequest() && !s.inserts(x.msg.Top(), from.Local) {
		s.dropped.Add(1)
		return
	}
	if from.Proto == transport.TLS && x.msg.IsRequest() && x.msg.Top().Alias {
		s.net.Alias(from.Conn, x.msg.Top().Host, x.msg.Top().Port) // RFC 5923 8.2
	}
	sh := s.transactions.Shard(x.msg.CallID())
	sh.Enter(out, x.now)
	defer sh.Leave()
	if x.msg.IsRequest() {
		x.facts = target.Facts{}
		x.decision.Class = ""
		s.refresh(x)
		s.request(sh, x)
		return
	}
	if !sh.Response(&x.msg, from) && !(s.tryStateless && s.proxy.ForwardResponse(sh, &x.msg, from, &s.tables().Settings.PrivateKey)) {
		s.dropped.Add(1) // RFC 6026 8.9: a response without a transaction goes nowhere.
	}
}

// refresh takes the tables of now.
func (s *Server) refresh(x *scratch) {
	x.tables.Snapshot = s.tables()
	if s.asker != nil {
		x.tables.Enum = x.tables.Settings.EnumRoot != ""
		x.tables.Locator = x.tables.Settings.Locator != (config.Locator{})
	}
	if s.machine != nil {
		x.tables.Machine = s.machine()
	}
}

// inserts tells whether the sent-by of a response's topmost Via is one that we write (RFC 3261 18.1.2): our name or the address of a
// listener, and its port. local is where the response came to, most often just that.
func (s *Server) inserts(top *message.ViaValue, local netip.AddrPort) bool {
	port := top.Port
	if port == 0 { // 18.1.1
		port = 5060
		if proto, ok := transport.ParseProto(top.Transport); ok && proto == transport.TLS {
			port = 5061
		}
	}
	addr, ok := sipaddr.ParseIP(top.Host)
	if s.named(top.Host) {
		addr, ok = local.Addr(), true
	}
	sentBy := netip.AddrPortFrom(addr.Unmap(), port)
	return ok && (sentBy == local || s.net.Own(sentBy))
}

// named tells whether a host is the name that we write into Via and Record-Route; it may be an address.
func (s *Server) named(host []byte) bool {
	if n := len(host); n > 2 && host[0] == '[' && host[n-1] == ']' {
		host = host[1 : n-1]
	}
	return equalFold(host, s.name)
}

// recovered is the net around one message: a panic costs this request only, answers 500 unless a final response has gone out,
// and is counted. The shard has been left when it runs; it must be deferred directly.
func (s *Server) recovered(x *scratch) {
	fault := recover()
	if fault == nil {
		return
	}
	s.panicked("message", fault, "call_id", string(x.msg.CallID()), "src", x.from.Remote)
	if x.msg.IsRequest() && x.msg.Method() != message.ACK && !s.transactions.Answered(&x.msg) {
		s.stateless(x, 500, nil)
	}
}

// panicked logs and counts a fault of ours.
func (s *Server) panicked(doing string, fault any, attrs ...any) {
	s.panics.Add(1)
	s.log.With(attrs...).Error("panic", "doing", doing, "err", fault, "stack", string(debug.Stack()))
}

// malformed answers what can be answered (RFC 3261 16.3 step 1, 21.4.1), statelessly, and drops the rest.
func (s *Server) malformed(x *scratch, err error) {
	s.dropped.Add(1)
	var bad *message.Malformed
	if !errors.As(err, &bad) || bad.Status == 0 || !x.msg.IsRequest() || x.msg.Method() == message.ACK {
		return
	}
	s.statelessBecause(x, bad.Status, bad.What, nil)
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
