// Package registrar decides what a REGISTER does (RFC 3261 10.3) and writes its 200. Decide is a pure function that walks
// through the steps of 10.3 in their order; it ends with an Answer, a Challenge, a Fetch, or an Update that holds a
// location.Change. Package server acts: it submits the change, and when it is durable answers with AppendOK.
//
// A user registers for himself, and with ThirdPartyReg for those who let him (step 4, BEHAVIOUR A12).
//
// It is not the location service: matching contacts with bindings, the order of Call-ID and CSeq, and eviction are package
// location's. It verifies no credentials: package auth does, and hands over what it found.
//
// Also here: Path (RFC 3327), instances and reg-ids (RFC 5626 6), and which bindings are reached by the flow their
// REGISTER came by (BEHAVIOUR J). It never answers 6xx. It starts no goroutine.
package registrar
