// Package redirect writes the answers of a redirect server (RFC 3261 8.3): a 3xx with the target set as Contacts, and 485
// (21.4.23) when an address stands for several users.
//
// Who is redirected is package target's decision, and package server keeps the transaction. It starts no goroutine.
package redirect
