package main

// gatewayMutations are of calls to gateways: what they tell of them, and how they are counted.
var gatewayMutations = []mutation{
	{"server/proxy/gateway.go", "if !h.told {", "if false {", "the last gateway that is silent ends the call at once"},
	{"server/proxy/gateway.go", "s.Arm(&b.silence, max(end.Sub(s.Now()), 1))", "_ = end", "each gateway that says nothing has 32 s of its own"},
	{"server/proxy/gateway.go", "b.hunt.leg.Silent(s.Now())\n}", "}", "a gateway that is silent is not known to be down"},
	{"server/proxy/gateway.go", "again = retryAfter(m)", "again = 0", "Retry-After of a gateway counts for nothing"},
	{"server/proxy/gateway.go", "b.hunt.leg.Response(m.Status(), again, s.Now())", "_ = again", "gateways do not learn of their responses"},
	{"server/proxy/gateway.go", "b.hunt.leg.Established(dialogOf(m), session(m), s.Now())", "b.hunt.leg.End()", "answered calls are not counted"},
	{"server/proxy/gateway.go", "c.p.gateways.Refreshed(dialogOf(m), session(m), s.Now())", "_ = m", "a refresh does not move on the end of a call"},
	{"server/proxy/gateway.go", "if r.InDialog && m.Method() == message.BYE {", "if false {", "BYE frees no place"},
	{"server/proxy/gateway.go", "if from.hunt.leg.Counts() && from.target.Binding == b.target.Binding {", "if false {", "a machine that answers after all has no place for its call"},
	{"server/proxy/gateway.go", "b.hunt.since = s.Now() //", "_ = s //", "what gateways took to fail is taken from the time of those that say nothing"},
	{"server/proxy/lookup.go", "b.hunt.spent += s.Now().Sub(b.hunt.since)", "_ = s", "time spent on gateways that said nothing is forgotten when one says something"},
	{"server/proxy/further.go", "b.leave(s, m != nil)", "_ = m", "a gateway that failed keeps the place of the call"},
	{"server/proxy/gateway.go", "c.busy = true\n", "", "who finds the last place of a gateway taken is not told when to try again"},
	{"server/proxy/gateway.go", "(status == 481 || status == 408)", "status == 0", "a call of which its end knows nothing any more keeps its place"},
	{"server/proxy/stateless.go", "|| plan.Route.countsOn(m) {", "{", "a refresh without a transaction does not move on the end of a call"},
	{"server/proxy/gateway.go", "if b.target.Class == \"\" { //", "if false { //", "an emergency call is turned away by a count"},
	{"server/proxy/stateless.go", "p.hangUp(m, plan.Route)", "_ = m", "BYE without a transaction frees no place"},
	{"server/gateway/order.go", "case s.drained, most > 0 && calls >= most:", "case most > 0 && calls >= most:", "a gateway that is drained gets calls"},
	{"server/gateway/order.go", "d = patienceDown", "_ = d", "gateways that are known to be down are waited for as long as others"},
}
