// Package health remembers which next hops that were looked up (RFC 3263) have failed lately, so that only the first call to one waits
// for it, and tells the log of those that go down and come back.
//
// It refuses nothing: where there is no other hop, one that is down is tried. It sends nothing and has no timer; package proxy says what
// became of each. A Table has a lock of its own, which nothing is done under but map operations. Goroutines: none of its own; Report
// blocks in its caller's.
package health
