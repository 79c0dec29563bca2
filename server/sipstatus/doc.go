// Package sipstatus has the error type that carries a SIP status to the peer, and the reason phrases of RFC 3261 21 and of
// the extensions sipd answers with. It decides nothing, and it turns no error into a response: server does that in one
// place. It starts no goroutine.
package sipstatus
