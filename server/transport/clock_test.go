package transport

import (
	"testing"
	"time"

	"sipd/internal/testclock"
)

// A clock that is set back silences no log.
func TestThrottleWhenTheClockIsSet(t *testing.T) {
	for _, step := range []time.Duration{time.Hour, -time.Hour} {
		var l throttle
		now := time.Now()
		if _, ok := l.allow(now); !ok {
			t.Fatal("the first line is held back")
		}
		if _, ok := l.allow(testclock.Step(now.Add(throttlePeriod/2), step)); ok {
			t.Errorf("clock set by %v: a second line within a period", step)
		}
		if n, ok := l.allow(testclock.Step(now.Add(throttlePeriod), step)); !ok || n != 1 {
			t.Errorf("clock set by %v: got %d held back, %v; want 1, true", step, n, ok)
		}
	}
}
