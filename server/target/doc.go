// Package target determines where a request goes (RFC 3261 16.5): from the Request-URI, the caller and the tables to a
// Decision: proxy to these targets, redirect to them, reject, or challenge.
//
// Decide is a pure function of the routing tables, the bindings, the facts of the request and the time. It has no socket
// and no timer, and says why in a trace: sipd explain runs the same code as a call. It does not forward, write responses
// or verify credentials; packages proxy, redirect and auth do. It starts no goroutine.
package target
