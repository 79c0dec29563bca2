// Package token makes and reads what we write into messages to know it again, and remember nothing for: the token in our Record-Route
// URI (adr/0010), which proves that we routed a dialog's first request and says by which flows its ends are reached (RFC 5626 5.2), and the
// branch of requests that are forwarded without state (RFC 3261 16.11). It knows no sockets and starts no goroutine.
package token
