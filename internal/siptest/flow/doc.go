// Package flow reads call flows: text files that say who sends what, what must arrive, and at which second (docs/flows.md has their
// grammar). Package siptest plays them; this one knows no network and no server.
//
// It starts no goroutine.
package flow
