// Package auth says who is calling: it verifies digest credentials (RFC 3261 22, RFC 7616, RFC 8760) and writes challenges.
// Verify gives facts, it never decides: target.Decide and registrar.Decide say whether to challenge, refuse or go on. ACK and
// CANCEL are not for this package (RFC 3261 22.1), nor is a request that comes back in a spiral: it carries the same nc.
//
// Nonces are stateless: time, boot id and serial number under an HMAC of PrivateKey. All challenges of one response carry one
// nonce. It is good for five minutes. Which nonce counts (nc) were used is kept in a bounded table, from the first
// good use of a nonce until it is too old. Credentials whose secret is right are Stale, not Bad, when the nonce is too old, from before a restart or from somebody
// else, when it may have been used by credentials the full table has forgotten, and when nc was used: the client tries
// again with a fresh nonce and nobody is told that the password is wrong. A replay gets no further than that.
// Credentials without qop, of clients of RFC 2069, have no nc (RFC 3261 22.4 obliges us to take them): their nonce is good
// once, and the next request is challenged again, with stale=true.
//
// The package starts no goroutine; the table has mutexes of its own, leaves in the lock order.
package auth
