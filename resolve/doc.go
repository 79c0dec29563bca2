// Package resolve finds the next hops of a SIP URI whose host is a name: NAPTR, SRV, AAAA and A, in the order of RFC 3263,
// with the weights of RFC 2782. And it finds the SIP addresses of a telephone number: ENUM, RFC 6116.
//
// Answers come from a cache that keeps records for their time to live, and what does not exist for the time its zone says
// (RFC 2308). What is not there is asked for by a bounded pool, before which look-ups queue for a while; look-ups of the same name
// share one question. A caller that must not wait gets the hops at once when the cache has them, else later, from a goroutine of
// this package, or ErrBusy when too many wait.
//
// It is not the place that sends requests, remembers which hops are down, or verifies certificates: a Hop only names what the
// certificate must carry (RFC 5922). Whether a number is one of E.164, and who may call it, is for others to say.
//
// Goroutines: one for each look-up under way, at most maxLookups; Close waits for them.
package resolve
