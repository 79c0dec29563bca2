// Package soak is a crowd of telephones for tests that load a real server for long: they register, call, ring, answer, refuse, give up,
// disappear and send nonsense, over UDP and TCP, at a rate that the test sets. An Account keeps what became of every
// request, to be compared with the request log.
//
// It builds and reads messages with code of its own. It is not for programs and no benchmark: it spends about as much processor
// time as the server does.
//
// A Crowd has a goroutine for each of its sockets, one that starts what is due, and one for each call, registration or message
// under way; all have ended when Run and Close have returned. What it shows of the server: RFC 3261 8, 9, 10, 12, 13, 16, 17, 18, 22.
package soak
