package server

import (
	"strings"
	"time"

	"sipd/server/message"
	"sipd/server/proxy"
	"sipd/server/transaction"
	"sipd/store"
	"sipd/store/cache"
)

// finished logs the end of a proxied request (BEHAVIOUR D). It is proxy.Config.Finished.
func (s *Server) finished(_ *transaction.Shard, f proxy.Finished) {
	if s.record == nil {
		return
	}
	row := logRow(f.Request, f.Status, f.Tag)
	if user, ok := f.User.(cache.User); ok {
		row.AuthUser = strings.Clone(string(user.Key)) // The row may wait long, and the key is part of something large.
	}
	if f.NextHop.Remote.IsValid() {
		row.NextHop = f.NextHop.Remote.String()
	}
	row.Class = strings.Clone(f.Class)
	row.Duration = f.Took
	row.Time = time.Now().Add(-f.Took)
	s.write(row)
}

// cancelled logs a CANCEL that its transaction has answered. It is transaction.Config.Cancelled.
func (s *Server) cancelled(cancel *message.Message, tag []byte) {
	if s.record == nil {
		return
	}
	row := logRow(cancel, 200, tag)
	row.Time = time.Now()
	s.write(row)
}

// logFinal logs an answer of our own to the message in hand.
func (s *Server) logFinal(x *scratch, status int, tag []byte) {
	if s.record == nil {
		return
	}
	row := logRow(&x.msg, status, tag)
	row.Time, row.Class = x.now, strings.Clone(x.decision.Class)
	if x.tx != nil { // It has waited for an answer.
		row.Duration = x.shard.Now().Sub(x.now)
	}
	if u := x.facts.User; u.Exists() {
		row.AuthUser = strings.Clone(string(u.Key))
	}
	s.write(row)
}

func (s *Server) write(row store.LogRow) {
	row.Server = s.tables().Settings.ServerName
	s.record(row)
}

// logRow takes the columns a message has. A challenge or another stateless answer is never logged.
func logRow(m *message.Message, status int, tag []byte) store.LogRow {
	if to := m.ToTag(); to != nil {
		tag = to
	}
	return store.LogRow{
		Method: string(m.MethodText()), Status: status, RequestURL: string(m.RequestURI().Text), CallID: string(m.CallID()),
		From: string(m.FromAddress().URI.Text), To: string(m.ToAddress().URI.Text),
		CSeq: m.CSeq(), FromTag: string(m.FromTag()), ToTag: string(tag), Source: m.Source.String(),
	}
}
