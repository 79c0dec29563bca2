package main

// proxyMutations are of server/proxy, file by file.
var proxyMutations = []mutation{
	{"server/proxy/afterlife.go", "if vias(m) >= 2 &&", "if vias(m) > 2 &&", "a second 2xx to an INVITE is not forwarded"},
	{"server/proxy/afterlife.go", "\ta.tx = nil\n", "", "a 2xx that comes when the caller's transaction is over goes out as the answer to another call"},

	{"server/proxy/token.go", "raw[n-macLen:n]) != 1", "raw[n-macLen:n]) > 1", "a forged token is believed"},
	{"server/proxy/best.go", "status == 420, status == 484:", "status == 420:", "a 484 is not preferred among the 4xx"},
	{"server/proxy/best.go", "\t\tr += 4 //", "\t\tr += 0 //", "a timeout hides what a phone has said"},
	{"server/proxy/best.go", "h.ID != message.WWWAuthenticate && ", "", "WWW-Authenticate of the other branches is not gathered"},
	{"server/proxy/best.go", "if ch.branch != x.branch {", "if ch.branch == x.branch {", "the best response's own challenges are doubled, the others are lost"},
	{"server/proxy/best.go", "status == 487, status == 503:", "status == 503:", "a 487 says as much as any other 4xx"},
	{"server/proxy/best.go", "case x.status < 600 && len(c.redirect)", "case x.status < 700 && len(c.redirect)", "redirect contacts are offered after a 6xx"},

	{"server/proxy/branch.go", "status = 487 //", "status = 500 //", "silence after CANCEL counts as a fault of the server"},
	{"server/proxy/branch.go", "status == 487 && b.late &&", "status == 487 &&", "a phone's own 487 becomes 408"},
	{"server/proxy/branch.go", "if status >= 600 {\n\t\tc.stop(s, causeReason(status)) // 16.7", "if status > 600 {\n\t\tc.stop(s, causeReason(status)) // 16.7", "a 600 does not end the search"},
	{"server/proxy/fork.go", "c.starting = true //", "c.starting = false //", "a target that fails at once ends the search before its group is out"},

	{"server/proxy/cancel.go", "b.late = true", "b.late = false", "a branch that we gave up counts as cancelled by the caller"},

	{"server/proxy/context.go", "if c.invite() && c.tx.Status() < 300 {", "if c.invite() && c.tx.Status() < 200 {", "nothing is left of a call after its 2xx"},
	{"server/proxy/context.go", "if !c.answered { // RFC 4320", "if c.answered { // RFC 4320", "a request that nobody answered in time is missing in the log"},
	{"server/proxy/context.go", "!p.net.Own(flow.Local) {", "p.net.Own(flow.Local) {", "Record-Route names a port that nobody listens on"},
	{"server/proxy/fork.go", "c.short = width > c.breadth", "c.short = width >= c.breadth", "a group that is all out counts as one that waits for breadth"},

	{"server/proxy/fork.go", "return max(1, min(n, defaultBreadth))", "return max(1, n)", "a Max-Breadth beyond 60 is believed"},
	{"server/proxy/fork.go", "width = min(width, c.breadth)", "", "a group is wider than its breadth"},
	{"server/proxy/fork.go", "if c.invite() {\n\t\t\tparts = ", "if !c.invite() {\n\t\t\tparts = ", "breadth is held back for groups that will not ring, and not for those that will"},
	{"server/proxy/fork.go", "\treturn started\n", "\treturn true\n", "a last group that cannot be reached leaves the caller without an answer"},

	{"server/proxy/recordroute.go", "t.callee.byFlow = !InReach(callee, caller) || ", "t.callee.byFlow = ", "a callee that the caller cannot reach is sent to by his Contact"},
	{"server/proxy/stateless.go", "stripCredentials(sp, m, realm)", "", "an ACK carries our credentials on"},
	{"server/proxy/stateless.go", "sp.SetMaxForwards(70)", "sp.SetMaxForwards(69)", "an ACK that comes without Max-Forwards gets too few"},
	{"server/proxy/forward.go", "dst = dst[:len(dst)-n-len(\"?\")]", "", "the headers of a Contact stand in the Request-URI"},
	{"server/proxy/forward.go", "if flow.Proto.Reliable() && !req.Has(message.ContentLength) {", "if flow.Proto.Reliable() && req.Has(message.ContentLength) {",
		"a request without Content-Length goes onto a stream"},
	{"server/proxy/forward.go", "b.c.trying-- //", "//", "a branch that took a second way is waited for twice"},

	{"server/proxy/loop.go", "message.Route, message.ProxyRequire,", "message.ProxyRequire,", "a request with another Route is taken for a loop"},
	{"server/proxy/nexthop.go", "if b.Static() || p.allowed(", "if p.allowed(", "what an administrator wrote is held to what strangers may"},
	{"server/proxy/nexthop.go", "!r.to.byFlow || r.More {", "!r.to.byFlow {", "in a dialog the flow of the token is preferred to the next Route"},
	{"server/proxy/recordroute.go", "t.caller, t.callee = c.route.from, c.route.to", "t.caller, t.callee = c.route.to, c.route.from", "the token of a target refresh has its ends the wrong way round"},
	{"server/proxy/recordroute.go", "t.callee = side{udp: flow.Proto == transport.UDP", "t.callee = side{udp: flow.Proto != transport.UDP", "a large request to the callee leaves UDP in mid-dialog"},

	{"server/proxy/response.go", "if status > 100 && status < 200 && c.invite()", "if status >= 100 && status < 200 && c.invite()", "a 100 sets Timer C back"},
	{"server/proxy/response.go", "case status < 300:", "case status <= 300:", "a 300 is taken for an answer"},
	{"server/proxy/response.go", "tx != nil && tx.Flow.Proto.Reliable() && ", "tx == nil && ", "a response without Content-Length goes onto a stream"},
	{"server/proxy/response.go", "\t\tb.final = true\n", "", "a phone that repeats its 2xx stands for another that has not answered"},
	{"server/proxy/route.go", "n-- // The last one", "// The last one", "the Request-URI of a strict router stays a Route"},
	{"server/proxy/timerc.go", "3*time.Minute + time.Second", "3*time.Minute - time.Second", "Timer C is shorter than three minutes"},
	{"server/proxy/validate.go", "case hops >= message.MaxVias:", "case hops > message.MaxVias:", "a copy may have one Via too many"},
	{"server/proxy/privacy.go", "m.Has(message.PAssertedIdentity) && p.level(from) == trust.Asserting", "m.Has(message.PAssertedIdentity) && p.level(from) >= trust.Peer", "a peer that may not assert identities is believed"},
	{"server/proxy/privacy.go", "id.believed && (trusted || !trust.PrivacyOf(m).Private())", "id.believed", "an identity that is private reaches everybody"},
	{"server/proxy/privacy.go", "if trusted && !id.believed && len(", "if !id.believed && len(", "a user's identity is told to who is not trusted"},
	{"server/proxy/privacy.go", "removeAll(sp, m, message.PPreferredIdentity) // 6", "", "P-Preferred-Identity goes on"},
	{"server/proxy/privacy.go", "(!trust.PrivacyOf(m).Private() || p.level(to) >= trust.Peer)", "true", "the identity of who answers is told though it is private"},
	{"server/proxy/privacy.go", "trust.PrivacyOf(m).Fails() && p.level(flow) == trust.Stranger", "trust.PrivacyOf(m).Fails()", "critical privacy is refused although a peer may provide it"},
	{"server/proxy/privacy.go", "&& !trust.PrivacyOf(m).Lacks()", "", "who requires privacy that we lack is not told"},
	{"server/proxy/sips.go", "isSIPS(contact) && r.URI.Scheme != sipaddr.SIPS {", "false {", "a sip request becomes a sips request on its way"},
	{"server/proxy/sips.go", "b.ended(s, 480, nil)", "b.ended(s, 503, nil)", "what would be a downgrade is our fault"},
	{"server/proxy/forward.go", "(c.set.RecordRoute || secured != secure(c.from.Proto))", "c.set.RecordRoute", "where security ends nobody stays in the way"},
	{"server/proxy/recordroute.go", "sips = sips && secure(flow.Proto)", "sips = false", "Record-Route of a sips call is a sip URI"},
	{"server/proxy/recordroute.go", "bind.ByFlow || isSIPS(bind.URI) &&", "bind.ByFlow || false &&", "a sips contact is called without TLS in mid-dialog"},
}
