package main

// proxyMutations are of server/proxy, file by file.
var proxyMutations = []mutation{
	{"server/proxy/afterlife.go", "if vias(m) >= 2 {", "if vias(m) > 2 {", "a second 2xx to an INVITE is not forwarded"},

	{"server/proxy/best.go", "case status >= 600:", "case status >= 700:", "a 6xx is not chosen first"},
	{"server/proxy/best.go", "case status == 401, status == 407:", "case status == 401:", "a 407 is not preferred among the 4xx"},
	{"server/proxy/best.go", "status == 420, status == 484:", "status == 420:", "a 484 is not preferred among the 4xx"},
	{"server/proxy/best.go", "\t\tr += 4 //", "\t\tr += 0 //", "a timeout hides what a phone has said"},
	{"server/proxy/best.go", "h.ID != message.WWWAuthenticate && ", "", "WWW-Authenticate of the other branches is not gathered"},
	{"server/proxy/best.go", "if ch.branch != x.branch {", "if ch.branch == x.branch {", "the best response's own challenges are doubled, the others are lost"},
	{"server/proxy/best.go", "case x.status == 503:", "case x.status == 502:", "a 503 goes upstream"},
	{"server/proxy/best.go", "case x.status < 600 && len(c.redirect)", "case x.status < 700 && len(c.redirect)", "redirect contacts are offered after a 6xx"},

	{"server/proxy/branch.go", "status := 408 //", "status := 480 //", "Timer B counts as 480"},
	{"server/proxy/branch.go", "status == 487 && b.late &&", "status == 487 &&", "a phone's own 487 becomes 408"},
	{"server/proxy/branch.go", "if status >= 600 {", "if status > 600 {", "a 600 does not end the search"},
	{"server/proxy/branch.go", "c.breadth += b.share", "", "the breadth of a branch that has ended is lost"},

	{"server/proxy/cancel.go", "c.cancelled = true", "c.cancelled = false", "nobody remembers that the caller has cancelled"},
	{"server/proxy/cancel.go", "c.stop(s, cancel.Value(message.Reason))", "c.stop(s, nil)", "the caller's Reason is lost"},
	{"server/proxy/cancel.go", "b.late = true", "b.late = false", "a branch that we gave up counts as cancelled by the caller"},

	{"server/proxy/context.go", "if c.invite() && c.tx.Status() < 300 {", "if c.invite() && c.tx.Status() < 200 {", "nothing is left of a call after its 2xx"},
	{"server/proxy/context.go", "return c.method == message.INVITE", "return c.method != message.ACK", "every request is treated as an INVITE"},

	{"server/proxy/fork.go", "return max(1, min(n, defaultBreadth))", "return max(1, n)", "a Max-Breadth beyond 60 is believed"},
	{"server/proxy/fork.go", "width = min(width, c.breadth)", "", "a group is wider than its breadth"},
	{"server/proxy/fork.go", "if c.invite() {\n\t\t\tparts = ", "if !c.invite() {\n\t\t\tparts = ", "breadth is held back for groups that will not ring, and not for those that will"},
	{"server/proxy/fork.go", "if c.set.CancelOnTimeout {", "if !c.set.CancelOnTimeout {", "TimeOut cancels when it should not"},
	{"server/proxy/fork.go", "if c.trying == 0 {\n\t\ts.Disarm", "if c.trying <= 1 {\n\t\ts.Disarm", "the best response goes upstream while one branch rings"},
	{"server/proxy/fork.go", "\tc.stopped = true\n", "", "a 6xx or a CANCEL does not keep later groups from starting"},

	{"server/proxy/forward.go", "sp.SetMaxForwards(70)", "sp.SetMaxForwards(69)", "a Max-Forwards that is added is 69"},
	{"server/proxy/forward.go", " && !c.keepsUDP(b) {", " {", "a large request leaves UDP although the phone registered over it"},
	{"server/proxy/forward.go", "if c.set.RecordRoute && makesDialog", "if makesDialog", "the setting RecordRoute is not asked"},
	{"server/proxy/forward.go", "string(c.Realm) == realm {", "string(c.Realm) != realm {", "credentials for others are removed, ours go on"},
	{"server/proxy/forward.go", "dst = dst[:len(dst)-n-len(\"?\")]", "", "the headers of a Contact stand in the Request-URI"},
	{"server/proxy/forward.go", "if flow.Proto.Reliable() && !req.Has(message.ContentLength) {", "if flow.Proto.Reliable() && req.Has(message.ContentLength) {",
		"a request without Content-Length goes onto a stream"},

	{"server/proxy/loop.go", "if h == hash {", "if h != hash {", "a spiral is taken for a loop, a loop for none"},
	{"server/proxy/nexthop.go", "if b.Static() || p.allowed(", "if p.allowed(", "what an administrator wrote is held to what strangers may"},
	{"server/proxy/nexthop.go", "!r.to.byFlow || r.More {", "!r.to.byFlow {", "in a dialog the flow of the token is preferred to the next Route"},
	{"server/proxy/nexthop.go", "return !a.IsMulticast() && ", "return ", "strangers may send to multicast"},
	{"server/proxy/recordroute.go", "case message.INVITE, message.SUBSCRIBE,", "case message.INVITE,", "SUBSCRIBE records no route"},
	{"server/proxy/recordroute.go", "if !c.p.sameSide(c.from, flow) {", "if c.p.sameSide(c.from, flow) {", "two Record-Routes where one will do, and one where two are needed"},

	{"server/proxy/response.go", "if status > 100 && status < 200 && c.invite()", "if status >= 100 && status < 200 && c.invite()", "a 100 sets Timer C back"},
	{"server/proxy/route.go", "n-- // The last one", "// The last one", "the Request-URI of a strict router stays a Route"},
	{"server/proxy/timerc.go", "3*time.Minute + time.Second", "3*time.Minute - time.Second", "Timer C is shorter than three minutes"},
	{"server/proxy/validate.go", "case hops >= message.MaxVias:", "case hops > message.MaxVias:", "a copy may have one Via too many"},
}
