// Package siptest plays call flows in virtual time: texts that say who sends what, what must arrive, and at which second
// (docs/flows.md; package flow reads them).
//
// Net is an in-memory network that stands in for the sockets (transport.Network). Hosts on it are the phones and the strangers;
// a host owns one address, reachable by UDP, TCP and TLS (without cryptography, but with certificates that are verified). NameServer
// stands in for the name servers of package resolve. Run plays a flow in a testing/synctest bubble
// against the server that the caller's start function brings up on the network: package siptest itself knows no server, so that
// every package may test with it.
//
// The scripted phones build and read messages with code of their own, from the RFCs, so that a fault of the server's parser or
// writer shows. Whatever a flow does not say is checked nevertheless: a forwarded request is the sent one but for
// what RFC 3261 16.6 changes, a response carries the Vias, From, To, Call-ID and CSeq of its request (8.2.6.2), a CANCEL and the
// ACK of a failed INVITE match their INVITE (9.1, 17.1.1.3), branches are not repeated (8.1.1.7), and each message that nobody
// expects fails the flow.
//
// It starts no goroutine.
package siptest
