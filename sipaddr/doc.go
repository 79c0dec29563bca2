// Package sipaddr parses and compares the addresses of SIP: sip, sips and tel URIs (RFC 3261 19.1 and 25.1, RFC 3966,
// RFC 5954), addresses-of-record in their canonical form, telephone numbers and q values.
//
// It is pure: no I/O, no state, no goroutines. Parsing allocates nothing; a URI is a view of the text it was parsed from
// and is valid as long as that text does not change. What a URI means (who is responsible for it, where it leads to) is
// not decided here.
package sipaddr
