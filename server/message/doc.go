// Package message is the wire message of SIP: an index over the received bytes, views of single header fields made on
// demand, and writers that copy what they did not have to touch byte for byte.
//
// Index reads a message once: it finds the header lines and checks what a proxy needs to be well-formed (RFC 3261 16.3
// step 1): start line, topmost Via, From, To, Call-ID, CSeq, Max-Forwards, Content-Length and, of a REGISTER, the
// Contacts. Everything else is looked at when somebody asks, and forwarded unchanged whatever it holds. Frame cuts
// messages out of a stream. Splice writes a changed copy (forwarding), AppendResponse, AppendAck and AppendCancel write
// the messages that follow from a request. In the steady state none of these allocates.
//
// The package does not know what a message is for: no transactions, no routing, no authentication, no sockets, no
// goroutines. A Message is not safe for concurrent use: its views are made on first use.
//
// RFC 3261 7, 8.1.1, 8.2.6, 9.1, 16.6, 17.1.1.3, 18.2.1, 18.3, 20, 25; RFC 3581; RFC 4475; RFC 5118; RFC 8217.
package message
