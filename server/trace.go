package server

import (
	"sipd/server/calltrace"
	"sipd/server/message"
)

// keep puts a decision about a call that is being set up where `sipd explain --call` finds it.
func (s *Server) keep(x *scratch) calltrace.Ref {
	if s.calls == nil || x.msg.Method() != message.INVITE || x.route.InDialog {
		return 0
	}
	q := calltrace.Request{
		At: x.now, CallID: x.msg.CallID(), URI: x.route.URI.Text, From: x.msg.FromAddress().URI.Text, Tag: x.msg.FromTag(), CSeq: uint32(x.msg.CSeq()),
		Source: x.from.Remote, Proto: x.from.Proto.String(), User: string(x.facts.User.Key), Answers: len(x.facts.Answers),
	}
	if top := x.msg.Top(); top != nil {
		q.Branch = top.Branch
	}
	return s.calls.Add(&q, &x.decision)
}
