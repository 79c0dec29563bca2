// Package proxy is the stateful forking proxy of RFC 3261 section 16. Its files follow that section's contents:
//
//	validate.go   16.3  is the request fit to be forwarded
//	route.go      16.4  route information preprocessing; package token says which routes are ours
//	fork.go       16.6  which targets when: groups of q, Max-Breadth (RFC 5393 5)
//	forward.go          one copy for one target, steps 1 to 11
//	recordroute.go      step 4: Record-Route, and whom a token names
//	nexthop.go          step 7: address, port and transport; what is refused
//	lookup.go           step 7, by name: RFC 3263, one hop after the other; package health says which of them are down
//	loop.go             step 8: the second part of a branch; loop detection (16.3 step 4, RFC 5393 4.2)
//	response.go   16.7  steps 1 to 5, 9 and 10: a response comes
//	recurse.go          step 4: the contacts of a 3xx become targets
//	further.go          forwards on busy and no answer; the other gateways of a hunt group
//	gateway.go          what calls to gateways tell package gateway, and how long those that say nothing are waited for
//	best.go             steps 6 and 7: the best one goes upstream
//	numeric.go          addresses for the names in our own 302
//	timerc.go     16.8  Timer C
//	branch.go     16.9  what becomes of a copy; transport errors
//	cancel.go     16.10 CANCEL, downstream and from upstream
//	stateless.go  16.11 what needs no transaction: the ACK to a 2xx, and with TryStateless whole calls
//	context.go    16.2  the response context, which ties a server transaction to its branches
//	privacy.go          identities and privacy (RFC 3325, 3323), as package trust says
//	sips.go             what a sips URI promises (RFC 5630)
//	afterlife.go        what is left of a context after a 2xx
//
// 16.4 and 16.6 step 6 (postprocessing) are two halves of route.go. 16.5 (the target set) is package target's, and so is
// which contacts of a 3xx join it. docs/rfc.txt has a row for each clause, with the test that shows it. The package has no goroutine
// (Report blocks in the caller's), and no lock but that of package health: everything runs under the lock of the call's shard (package
// transaction). It never challenges and never decides whether somebody may call.
package proxy
