package testclock

import (
	"fmt"
	"time"
	"unsafe"
)

// reading is how package time lays out a Time that has a monotonic reading: a flag, 33 bits of seconds since 1885 and 30 bits of
// nanoseconds, then the monotonic reading.
type reading struct {
	wall uint64
	mono int64
	loc  *time.Location
}

const (
	hasMonotonic = 1 << 63
	nsecBits     = 30
)

// Step returns t, a result of time.Now, as it would read had the wall clock been set ahead by d, whole seconds, or back.
func Step(t time.Time, d time.Duration) time.Time {
	out := t
	r := (*reading)(unsafe.Pointer(&out))
	if unsafe.Sizeof(out) != unsafe.Sizeof(*r) || r.wall&hasMonotonic == 0 || d%time.Second != 0 {
		panic("testclock: needs a result of time.Now and whole seconds")
	}
	r.wall += uint64(int64(d/time.Second) << nsecBits)
	if got := out.Round(0).Sub(t.Round(0)); got != d || out.Sub(t) != 0 {
		panic(fmt.Sprintf("testclock: package time has another layout: the wall clock went %v, the monotonic %v", got, out.Sub(t)))
	}
	return out
}
