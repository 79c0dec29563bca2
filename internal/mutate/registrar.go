package main

// registrarMutations are of server/registrar, file by file.
var registrarMutations = []mutation{
	{"server/registrar/answer.go", "+ time.Second - 1) / time.Second", ") / time.Second", "what is left of a binding's life is rounded down"},
	{"server/registrar/answer.go", "c == '\"' || c == '\\\\'", "c == '\\\\'", "a quote in a display name comes back bare"},
	{"server/registrar/answer.go", "if len(text) > at {\n\t\t\ttext", "if len(text) < at {\n\t\t\ttext", "the values of Path run together in the answer"},
	{"server/registrar/answer.go", "if b.Methods != \"\" {", "if b.Methods == \"*\" {", "the methods of a contact do not come back"},
	{"server/registrar/contact.go", "len(id) > maxInstance || !quotable(id)", "len(id) > maxInstance", "an instance with a quote in it is taken"},
	{"server/registrar/flow.go", "return !d.path.first.IsValid() || ", "return ", "a Path by name leads nowhere"},
	{"server/registrar/contact.go", "seconds = malformedExpires\n", "seconds = 0\n", "a malformed Expires removes the binding"},
	{"server/registrar/contact.go", "if d.direct || d.path.ob {", "if d.direct {", "reg-id counts for nothing behind an edge proxy"},
	{"server/registrar/decide.go", "if !d.OwnURI && (!isSIP(uri)", "if (!isSIP(uri)", "a REGISTER to our address is refused"},
	{"server/registrar/decide.go", "!d.m.HasToken(message.Supported, \"path\") && ", "", "Path is refused though the phone supports it"},
	{"server/registrar/contact.go", "if byReg && adding > 1 {", "if byReg && adding > 2 {", "two contacts with a reg-id are taken"},
	{"server/registrar/contact.go", "case values == 0:", "case values < 0:", "a Contact without a value is taken for a change"},
	{"server/registrar/decide.go", "len(rows) == 1 && rows[0].Kind", "len(rows) >= 1 && rows[0].Kind", "an ambiguous alias is registered for its first user"},
	{"server/registrar/decide.go", "if len(d.path.values) > 0 && ", "if len(d.path.values) > 1 && ", "a single Path that the phone has not asked for passes"},
	{"server/registrar/decide.go", "unsupported = append(unsupported, \", \"...)", "", "the option tags that are missing run together"},
	{"server/registrar/decide.go", " || u.Scheme == sipaddr.SIPS }", " }", "nobody has a sips address-of-record"},
	{"server/registrar/decide.go", "equalFold(tag, \"outbound\") && d.outbound()", "d.outbound()", "over a stream every option tag is supported"},
	{"server/registrar/flow.go", "case stream, ob:", "case stream, ob && stream:", "ob counts for nothing over UDP"},
	{"server/registrar/flow.go", "contact != source && via.Unmap() != source", "contact != source || via.Unmap() != source", "a phone that registers another address is taken for one behind a NAT"},
	{"server/registrar/flow.go", "case !alone || !numeric:", "case !numeric:", "several contacts at once are reached by one flow"},
}
