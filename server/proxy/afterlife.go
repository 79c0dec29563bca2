package proxy

import (
	"sipd/server/message"
	"sipd/server/transaction"
)

// afterlife is what is left of a context after a 2xx to an INVITE: every further one goes upstream (16.7 step 5, RFC 6026
// 8.5).
type afterlife struct {
	p    *Proxy
	tx   *transaction.Server // nil after it ended
	live int                 // client transactions that may bring one
}

// Cancelled is transaction.ServerUser: never called after a final response.
func (a *afterlife) Cancelled(*transaction.Shard, *transaction.Server, *message.Message) {}

// Ended is transaction.ServerUser.
func (a *afterlife) Ended(*transaction.Shard, *transaction.Server) {
	a.tx = nil
	a.recycle()
}

func (a *afterlife) recycle() {
	if a.tx == nil && a.live == 0 {
		p := a.p
		*a = afterlife{}
		p.afterlivesHeld.Add(-1)
		p.afterlives.Put(a)
	}
}

// lateBranch is a branch of an afterlife.
type lateBranch struct{ *afterlife }

// Response is transaction.ClientUser.
func (l lateBranch) Response(s *transaction.Shard, _ *transaction.Client, m *message.Message) {
	if vias(m) >= 2 && m.Status() >= 200 && m.Status() < 300 {
		l.p.forwardUp(s, l.tx, m, l.tx == nil || l.p.tells(m, s.From(), l.tx.Flow))
	}
}

// Failed is transaction.ClientUser: there was a final response already.
func (l lateBranch) Failed(*transaction.Shard, *transaction.Client, transaction.Failure, error) {}

// Ended is transaction.ClientUser.
func (l lateBranch) Ended(*transaction.Shard, *transaction.Client) {
	l.live--
	l.recycle()
}
