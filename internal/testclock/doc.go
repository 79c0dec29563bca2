// Package testclock makes readings of a clock that somebody has set: what time.Now returns after the wall clock was stepped while
// the monotonic clock went on. It is for tests, which cannot set the machine's clock.
//
// It is not a clock: code reads package time plainly, and is handed such a reading as its now. No goroutines, no RFC.
package testclock
