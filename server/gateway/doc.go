// Package gateway knows how the gateways are: up, degraded, down or drained, why and since when; and how many calls are in progress at
// each. It has no policy: which number goes to which hunt group, and who may call it, is package
// gatewaymap's, and what becomes of a call that no gateway took is package target's and proxy's.
//
//	state.go    what happens to a gateway and what it makes of it: (state, event, now) -> state
//	order.go    which of a hunt group are tried in which order, and how long a silent one is waited for
//	calls.go    calls in progress (max_calls, adr/0022): a Leg for each request on its way, a Dialog for each answered call
//	probe.go    OPTIONS (RFC 3261 11), their pace, and what the log hears
//	table.go    the gateways of the configuration with what is known of each
//
// Rules. A transport error, or silence after a call, makes a gateway down; so do two unanswered probes in a row. Any SIP response makes it alive,
// also a 404 to OPTIONS. Calls that fail with 408, 500, 502, 503 or 504, too many of the last, make it degraded, and so do late
// answers, and a 503 with Retry-After (21.5.4). What is remembered only puts a gateway behind others: when nobody else is left, one
// that is down is tried. So a dead gateway costs the calls that find it out Patience each, and none after that as long as another one answers.
//
// How it is used:
//
//   - the server makes one Table, calls Configure at the start and after each change of the rows (Server.Follow), and runs Run with itself as the Sender.
//   - Who decides on targets (16.5) turns what gatewaymap.Find returns into Members, in its order, with the weight of the rule and the id of
//     the row of gateways whose name is the host of the target (0: no such row), and takes those that Order names, in that order,
//     one target group for each. An empty order is answered 503. Order changes nothing, so `sipd explain` may ask it.
//   - Who forwards keeps a Leg with each branch (the zero value for targets that are no gateway). When it sends an INVITE outside a dialog to
//     a gateway it calls Begin; not ok counts as a 503, and the next target is tried. For other methods it calls Watch. Then
//     Response for each response; Again before the request goes to another address of the same gateway; Unreachable when the last of its
//     addresses could not be reached; Silent when nothing has come for Leg.Patience(how many targets there are), upon which the next target is
//     tried beside it; those that all say nothing are given up after PatienceInAll. A branch that ends calls Established at its first 2xx to the INVITE, else End. Failed tells
//     which final responses make it go on to the next gateway.
//   - The route of a call to a gateway is recorded whatever RecordRoute says: else its BYE would not pass. If Any, each BYE in a dialog is
//     told by Bye, each 2xx to an INVITE or UPDATE in one by Refreshed.
//
// Goroutines: none of its own; Run blocks in one of its caller's.
package gateway
