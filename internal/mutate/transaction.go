package main

// transactionMutations are of server/transaction, file by file.
var transactionMutations = []mutation{
	{"server/proxy/token/branch.go", "dst = append(appendLower(dst, via.Branch), 0)", "", "stateless branches do not depend on the branch before"},
	{"server/transaction/cancel.go", "if !c.invite || c.cancelled || ", "if !c.invite || ", "a branch is cancelled twice"},
	{"server/transaction/cancel.go", "c.timers.life = s.tickAfter(timerB)", "", "a branch may be silent for ever after its CANCEL"},
	{"server/transaction/cancel.go", "if c.cancel != nil && c.cancel.state == idle {", "if c.cancel != nil {", "the final response to an INVITE ends the CANCEL that nobody has answered"},
	{"server/transaction/client.go", "return proceeding, sendRequest | slowE", "return proceeding, sendRequest | doubleE", "Timer E does not go to T2 at once in Proceeding"},
	{"server/transaction/client_transaction.go", "return m.Method() == message.INVITE\n", "return true\n", "a response with another method in CSeq answers an INVITE"},
	{"server/transaction/match.go", "m.FromTag(), m.CallID()} {", "m.CallID()} {", "the From tag does not tell requests of RFC 2543 apart"},

	{"server/transaction/client_transaction.go", "case ev == ev1xx:\n\t\ts.startCancel(c)", "case ev == ev2xx:\n\t\ts.startCancel(c)", "a CANCEL that waits for a provisional is never sent"},
	{"server/transaction/client_transaction.go", "if c.cancel == nil || c.cancel.state == idle {", "if c.cancel != nil {", "the answer to a CANCEL is nobody's"},
	{"server/transaction/invite_server.go", "return confirmed, stopA | startK", "return terminated, 0", "Timer I is zero"},
	{"server/transaction/invite_server.go", "return accepted, toUser", "return accepted, 0", "an ACK to a 2xx with the branch of its INVITE is lost"},

	{"server/transaction/machine.go", "timerB = 64 * T1", "timerB = 63 * T1", "Timers B, F, H, J, L and M are short of 64*T1"},
	{"server/transaction/machine.go", "timerD = 32 * time.Second", "timerD = 31 * time.Second", "Timer D is short of 32 s"},
	{"server/transaction/machine.go", "tryingOther = T1 + 2*T1 + 4*T1", "tryingOther = T1 + 2*T1", "a 100 to a non-INVITE goes before Timer E has reached T2"},
	{"server/transaction/match.go", "|| !hasMagicCookie(b)", "", "a branch without the cookie is believed to be unique"},
	{"server/transaction/match.go", "return appendLower(k, via.Branch)", "return append(k, via.Branch...)", "branches are compared with case"},
	{"server/transaction/match.go", "k = appendLower(k, via.Host)", "", "sent-by is no part of what identifies a transaction"},
	{"server/transaction/server.go", "return proceeding, resend", "return proceeding, 0", "a non-INVITE repeated after its 100 is not answered"},
	{"server/transaction/server_transaction.go", "case status == 408, status > 100", "case status > 100", "a 408 to a non-INVITE is sent"},
	{"server/transaction/shard.go", "t.life = s.tidyAfter(T4)", "t.life = s.tidyAfter(T1)", "Timers I and K are T1"},
}
