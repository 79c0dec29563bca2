// Package transaction is the transaction layer: the client and server transactions of RFC 3261 17 with the corrections of
// RFC 6026 and RFC 4320, CANCEL (9), and the way of responses (18.2.2, RFC 3581). It has no policy: what is answered and
// where requests go is decided by the transaction user.
//
// The four machines are pure functions of (state, event) and stand in one file each, laid out like the figures of the RFC:
// invite_client.go, client.go, invite_server.go, server.go. client_transaction.go and server_transaction.go drive them:
// they keep the bytes, run the timers and send.
//
// All transactions of a Call-ID live in one Shard, which is one mutex, two slot arrays, a match table, a timer wheel and
// its pools. Whoever holds the mutex (between Enter and Leave) runs the machines to completion. Nothing blocks there,
// and nothing is sent there: messages are copied into the caller's transport.Out, which the caller flushes after Leave.
//
// The package has one goroutine, Table.Run: it sleeps until the next timer of any shard. There is none per transaction or
// message, and in steady state no allocation either. DESIGN.md tells why it is like this, and the life of its memory.
package transaction
