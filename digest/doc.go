// Package digest is Digest access authentication (RFC 7616, RFC 2617, RFC 2069) as SIP uses it (RFC 3261 22.4, RFC 8760):
// HA1, the response for qop=auth and without qop, credentials and challenges as header values, both sides.
//
// It is pure: no sockets, no clock, no nonces of its own, no users. Basic is not here: servers must neither accept nor ask
// for it (RFC 3261 22). Not offered and not taken: qop=auth-int (a proxy changes no body, but others on the way may), the
// -sess algorithms, and hashed or encoded user names (userhash and username* of RFC 7616, which nobody is invited to send).
//
// Parsing and verifying allocate nothing for values of usual length. The package starts no goroutine.
package digest
