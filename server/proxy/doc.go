// Package proxy is the stateful forking proxy of RFC 3261 section 16. Its files follow that section's contents:
//
//	validate.go   16.3  is the request fit to be forwarded
//	route.go      16.4  route information preprocessing; token.go says which routes are ours
//	forward.go    16.6  one copy for one target; branch.go is the copy's fate
//	recordroute.go      its step 4: Record-Route, and whom a token names
//	nexthop.go          its step 7: address, port and transport; what is refused
//	fork.go       16.6  which targets when: groups of q, Max-Breadth (RFC 5393 5)
//	response.go   16.7  responses; best.go chooses among them
//	timerc.go     16.8  Timer C
//	cancel.go     16.10 CANCEL, downstream and from upstream
//	stateless.go  16.11 the ACK to a 2xx, which has no transaction
//	context.go          the response context, which ties a server transaction to its branches
//	afterlife.go        what is left of a context after a 2xx
//	loop.go             loop detection (RFC 5393 4.2)
//
// 16.5 (the target set) is package target's. The package has no goroutine and no lock: everything runs under the lock of
// the call's shard (package transaction). It never challenges and never decides whether somebody may call.
package proxy
