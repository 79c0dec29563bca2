// Package server assembles the SIP core. It is the transport.Receiver: it indexes a message, enters the shard of its
// Call-ID, offers it to the transactions and takes what they leave through the pipeline of dispatch.go, where the order of
// all checks stands. Packages auth and target decide, proxy, redirect and registrar act; they meet here and nowhere else.
//
//	receive.go    from bytes to a message in its shard; the recover around each message
//	dispatch.go   the pipeline, in the order of RFC 3261 8.2 and 16.3 to 16.5
//	call.go       requests that package target decides about
//	register.go   REGISTER (10.3): registrar decides, location commits, the answer follows the commit
//	recurse.go    what package target decides about the contacts of a 3xx; Request-Disposition
//	numeric.go    redirections with addresses (HelpResolve)
//	trust.go      who is trusted with identities
//	reach.go      where responses and requests may go: LocalNets, AllowedNextHops
//	inquire.go    what no table says: calls that wait for an answer of ENUM or Locator
//	respond.go    answers of our own, with a transaction and without
//	probe.go      OPTIONS of our own to gateways (package gateway says when)
//	log.go        request log rows (BEHAVIOUR D)
//
// Its goroutines are the network's workers, the transactions' timers, what logs next hops that go and come, and what asks gateways
// whether they live; Run waits for all. A message is handled to its
// end by the goroutine that received it. What a commit answers comes from location's committer.
package server
