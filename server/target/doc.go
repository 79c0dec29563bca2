// Package target determines where a request goes (RFC 3261 16.5): from the Request-URI, the caller and the tables to a
// Decision: proxy to these targets, redirect to them, reject, or challenge.
//
//	target.go       the order of the questions
//	caller.go       who is calling; foreign.go when it is for somebody else's domain; disposition.go what he wishes (RFC 3841)
//	emergency.go    ahead of all: calls that are never refused
//	number.go       who is called: users, aliases, names.go of the machine, dial plan
//	callee.go       and where he is: contacts, groups of q; ring.go ring groups; forward.go forwards, at once and by Next
//	gateway.go      numbers that nobody here has: classes and hunt groups
//	fence.go        URIs that lead to a gateway past the gateway map
//	lead.go         what a user leads on to; recurse.go by a 3xx
//	ask.go          what no table says
//
// Decide is a pure function of the routing tables, the bindings, the facts of the request and the time. It has no socket
// and no timer, and says why in a trace: sipd explain runs the same code as a call. It does not forward, write responses
// or verify credentials; packages proxy, redirect and auth do. It starts no goroutine.
package target
