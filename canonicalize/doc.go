// Package canonicalize finds the name by which the tables know a callee. After the classic it has four transformations, in this order,
// each of which may be switched off, and the first that changes the URI ends the run:
//
//	database     the tables of users and aliases, which package target looks into; sip and tel
//	alias file   the machine's mail aliases: user and, when the alias says so, host change; sip
//	names        full names of the machine's users: Alice.Liddell becomes alice; sip
//	dial plan    telephone numbers, and what looks like one: the rule says what becomes of them; sip and tel
//
// Here are the last three, as tables in memory, and Number, which says what number a URI is about: one number, however it is
// spelled, so that no spelling leads round a rule. The files are read by who has their names; nothing is read during a call.
// Values are immutable and may be shared. The package starts no goroutine. Sections: RFC 3261 19.1.6, RFC 3966 3 and 5.
package canonicalize
