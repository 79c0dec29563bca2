// Package token makes and reads the token in our Record-Route URI (adr/0010): it proves that we routed a dialog's first request, and
// says by which flows its ends are reached (RFC 5626 5.2). It keeps no state, knows no sockets and starts no goroutine.
package token
