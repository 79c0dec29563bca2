package main

// numberMutations are of what becomes of numbers, groups and forwards.
var numberMutations = []mutation{
	{"server/target/gateway.go", "case f.Trunk != nil:\n\t\treturn f.Trunk.Class", "case f.Trunk != nil:\n\t\treturn \"\"", "a gateway's own calls have no class"},
	{"server/target/gateway.go", "if t.Settings.GatewayClassOf == \"caller\" {", "if t.Settings.GatewayClassOf != \"caller\" {", "the class of the other counts for a forward"},
	{"server/target/gateway.go", "case !d.free && !known(t, f):", "case false:", "who is in a dialog gets out by the dial plan"},
	{"server/target/gateway.go", "if !g.Row.Enabled {\n\t\t\tskip(\"the gateway is disabled\")", "if false {\n\t\t\tskip(\"the gateway is disabled\")", "a gateway that is disabled is called"},
	{"server/target/callee.go", "case x.Rule != 0: //", "case false: //", "callers are redirected to gateways"},
	{"server/target/caller.go", "f.Verdict == Authenticated || f.Trunk != nil {", "f.Verdict == Authenticated {", "a gateway is asked for credentials"},
	{"server/target/emergency.go", "!t.Settings.OnCampus(f.Source) && !d.registered(t, f, now)", "!t.Settings.OnCampus(f.Source)", "a registered telephone is asked for credentials before an emergency call"},
	{"server/target/emergency.go", "b.Source.Addr().Unmap() == f.Source.Unmap()", "f.Source.IsValid()", "an emergency call needs no credentials from anywhere, in the name of who is registered"},
	{"server/target/forward.go", "case d.several: // The others", "case false: // The others", "the forwards of a member of a ring group count"},
	{"server/target/ring.go", "d.Targets[first+j].Group, d.Targets[first+j].Wait = group, wait\n\t\t}\n\t\td.row(\"aliases\", rows[i].ID, \"ring group\", string(u.Key), trace.Match, \"in turn\")",
		"d.Targets[first+j].Group, d.Targets[first+j].Wait = group, 0*wait\n\t\t}\n\t\td.row(\"aliases\", rows[i].ID, \"ring group\", string(u.Key), trace.Match, \"in turn\")", "a serial group takes TimeOut whatever its delays"},
	{"server/target/ring.go", "if delay >= 0 && rows[i].Delay > delay {", "if false {", "delays of a parallel group count for nothing"},
	{"server/target/number.go", "if is := d.ownerOf(t, dom); is != nobody {\n\t\treturn is\n\t}\n\treturn number", "return number", "what the dial plan makes of a number is not looked for among aliases"},
	{"server/proxy/fork.go", "parts++ // So does", "_ = 0 // So does", "there is no breadth left for whom a call is forwarded to"},
	{"server/proxy/fork.go", "if d := c.targets[c.next].Wait; d > 0 {", "if d := c.targets[c.next].Wait; d < 0 {", "all groups wait for TimeOut"},
	{"server/history/history.go", "req.Has(message.Privacy) && trust.PrivacyOf(req) != trust.None", "req.Has(message.Privacy) && trust.PrivacyOf(req) == trust.None", "a caller who wants privacy is told of"},
	{"server/history/history.go", "if by != nil && by.Status > 0 {", "if by != nil && by.Status < 0 {", "History-Info does not say why"},
	{"server/call.go", "case d.Warning == target.WarnClass:", "case false:", "a 403 does not name the class"},
}
