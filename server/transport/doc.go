// Package transport is the sockets of the server: RFC 3261 section 18 without the message format.
//
// It receives datagrams and stream messages and hands each, with the Flow it came by, to a Receiver; it sends what an Out
// holds. It reads no header but Content-Length on streams (message.Frame): received and rport are written by package
// message, where a response goes (18.2.2) is decided by package transaction, and whether UDP or TCP is right for a large
// request by package proxy.
//
// Goroutines, all owned by Sockets.Run, which waits for their end:
//
//   - one per UDP socket. On Linux a listener has GOMAXPROCS sockets (SO_REUSEPORT). A worker reads a batch of datagrams, runs
//     each to completion in Receiver.Receive and sends all answers in one batch.
//   - one per TCP listener (accept), one per stream connection (reader; it dials first and shakes hands where that is needed), and
//     one more while a connection has bytes to write that its peer does not take.
//   - one that refreshes the table of own addresses.
//
// Locks: table.mu (connections) and conn.mu (one connection's write queue) are leaves: neither is held while the other,
// or anything else, is taken, nor across a read, a write or a call to the Receiver.
//
// Sections: RFC 3261 18.1 to 18.4, RFC 5626 3.5.1 and 4.4.1 (CRLF keepalive), RFC 5923 (alias.go: a connection
// is reused for requests to the address and domain it leads to, one that a client opened as far as its certificate allows
// it), RFC 5922 7.3 (proven.go), RFC 3581 4 (an answer leaves from the address and port that the request came to).
//
// Deviates from RFC 3261 18.4 (SHOULD): ICMP errors on UDP are not reported, because who is not on the path can forge them and
// end calls; the timers of section 17 find a dead next hop. Errors of the send call itself are reported.
package transport
