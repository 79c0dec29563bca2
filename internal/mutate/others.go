package main

// otherMutations are of the decisions and of what the server does with them, file by file.
var otherMutations = []mutation{
	{"server/target/target.go", "if has && !own && t.Domain(maddr) == nil {", "if has && own && t.Domain(maddr) == nil {", "a maddr somewhere else is ours, one of ours is not"},
	{"server/dispatch.go", "port = 5061", "port = 5060", "a sips URI of our address is ours at the port of sip"},
	{"server/target/callee.go", "group = group && a.Kind == store.Group", "group = a.Kind == store.Group", "the last row of an alias says whether it is a group"},
	{"server/target/callee.go", "case d.sips && !isSIPS(b.URI):", "case d.sips && isSIPS(b.URI):", "a sips request goes to sip contacts"},
	{"server/target/callee.go", "best-q > groupSpan {", "best-q >= groupSpan {", "contacts exactly 0.05 apart are two groups"},
	{"server/target/callee.go", "group, best = group+1, q", "group = group+1", "every group is anchored at the first one's q"},
	{"server/target/callee.go", "if a := x.Owner.DefaultAction; a != store.NoAction {", "if a := x.Owner.DefaultAction; a == store.Proxy {", "default_action redirect of a user counts for nothing"},
	{"server/dispatch.go", "if !equalFold(tag, \"path\") {", "if !equalFold(tag, \"outbound\") {", "an OPTIONS that requires path is refused"},
	{"server/dispatch.go", "case x.route.InDialog:\n\t\tforwarded", "default:\n\t\tforwarded", "an ACK without a token is forwarded"},
	{"server/dispatch.go", "return named && (!u.HasPort || listens(set, u.Port))", "return named", "a Route to our name with another port is ours"},
	{"server/auth/nonce.go", "nonceLife = 5 * time.Minute", "nonceLife = 6 * time.Minute", "a nonce lives longer than five minutes"},
	{"server/dispatch.go", "!x.route.More && !x.route.InDialog && x.local()", "!x.route.InDialog && x.local()", "an OPTIONS with a Route elsewhere is answered here"},
	{"server/dispatch.go", "named := equalFold(u.Host, set.ProxyName)", "named := !equalFold(u.Host, set.ProxyName)", "whatever name a Route has, it is ours"},
	{"server/receive.go", "x.facts = target.Facts{}", "_ = target.Facts{}", "the log gives a request in a dialog the user of the request before"},
	{"server/auth/auth.go", "!sameResource(s, c.URI, m.RequestURI())", "false", "the digest uri is not compared"},
	{"location/apply.go", "if old.Static() {", "if old.Static() && c.Star {", "a REGISTER changes a static contact"},
	{"location/apply.go", "old.CallID == c.CallID && old.CSeq >= c.CSeq", "old.CallID == c.CallID && old.CSeq > c.CSeq", "a REGISTER with the CSeq of the last one changes its binding"},
	{"location/apply.go", "b.CallID == c.CallID && b.CSeq >= c.CSeq", "b.CallID == c.CallID && b.CSeq > c.CSeq+99", "an old Contact * removes a newer binding"},
	{"server/message/source.go", "case v.hasRport || !sameHost(", "case !sameHost(", "rport does not bring received along"},
	{"server/redirect/redirect.go", "range d.AORs {\n\t\tif i > 0 {", "range d.AORs {\n\t\tif i < 0 {", "the candidates of an ambiguous alias run together"},
}
