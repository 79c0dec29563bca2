package proxy

import (
	"strconv"

	"sipd/server/message"
	"sipd/server/sipstatus"
	"sipd/server/transaction"
)

// Cancelled is transaction.ServerUser: the caller sent CANCEL, which has been answered (RFC 3261 16.10). All pending
// branches are cancelled with the caller's own Reason; the responses they bring decide.
func (c *Context) Cancelled(s *transaction.Shard, _ *transaction.Server, cancel *message.Message) {
	c.cancelled = true
	c.p.calls.Cancelled(c.call, s.Now())
	c.stop(s, cancel.Value(message.Reason))
	c.settle(s)
}

// Abort ends the request from this side, at the end of a drain: pending branches are cancelled, and the caller is answered
// 503 at once (16.7 step 10).
func (c *Context) Abort(s *transaction.Shard) { c.abort(s, 503) }

func (c *Context) abort(s *transaction.Shard, status int) {
	if c.tx == nil || c.answered {
		return
	}
	c.stop(s, causeReason(status))
	c.respondLocal(s, status)
}

// cancel cancels a pending INVITE branch (9.1); reason is the value of a Reason header (RFC 3326), may be nil. A non-INVITE
// cannot be cancelled (9.1: SHOULD NOT).
func (b *branch) cancel(s *transaction.Shard, reason []byte) {
	if b.final && b.heir == nil || b.client == nil || !b.c.invite() {
		return
	}
	var fields [1]message.Field
	n := 0
	if len(reason) > 0 {
		fields[0] = message.Field{Name: "Reason", Value: reason}
		n = 1
	}
	s.Cancel(b.client, fields[:n])
}

// giveUp cancels a branch that rang too long. Its user goes on with settle: nothing comes back of one that still waits for a look-up.
func (b *branch) giveUp(s *transaction.Shard) {
	b.forgo(s, 408)
	if !b.final || b.heir != nil {
		b.late = true
		b.cancel(s, causeReason(408))
	}
}

// forgo ends b, as status, when it waits for a look-up: nothing was sent yet, nothing has to be cancelled.
func (b *branch) forgo(s *transaction.Shard, status int) {
	if b.waiting {
		b.waiting = false
		b.over(s)
		b.c.best.add(b.c.p, status, nil, b)
	}
}

// completedElsewhere is the Reason of a CANCEL after another phone answered, so that this one logs no missed call.
var completedElsewhere = []byte(`SIP;cause=200;text="Call completed elsewhere"`)

// causeReason is the value of a Reason header with a status (RFC 3326 2).
func causeReason(status int) []byte {
	b := append(make([]byte, 0, 64), "SIP;cause="...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, `;text="`...)
	b = append(b, sipstatus.Reason(status)...)
	return append(b, '"')
}
