// Package certs is who we are and who a peer is over TLS: the server's certificate, read again when its files change, and
// the SIP domain identities of a peer's certificate (RFC 5922).
//
// It is not the connections (package server/transport), nor the decision what an identity may do.
//
// Goroutines: none of its own; Watch blocks in the caller's.
package certs
