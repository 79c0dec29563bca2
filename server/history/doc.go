// Package history writes into the copy of a forwarded call by whom it was forwarded, and why: Diversion (RFC 5806) for the gateways and voice
// mail of yesterday, History-Info (RFC 7044) for those of today.
//
// Write edits a copy; what there is to say stands in the target (package target). A call that nobody has forwarded is left alone. It
// keeps nothing, and starts no goroutine.
package history
