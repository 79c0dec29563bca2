package testclock_test

import (
	"testing"
	"time"

	"sipd/internal/testclock"
)

func TestStep(t *testing.T) {
	now := time.Now()
	for _, d := range []time.Duration{time.Hour, -time.Hour, 0, 400 * 24 * time.Hour} {
		set := testclock.Step(now, d)
		if got := set.Sub(now); got != 0 {
			t.Errorf("%v: the monotonic clock went %v, want nothing", d, got)
		}
		if got := set.Unix() - now.Unix(); got != int64(d/time.Second) {
			t.Errorf("%v: the wall clock went %d s", d, got)
		}
		if got := set.Add(time.Minute).Sub(now); got != time.Minute {
			t.Errorf("%v: a minute later is %v later", d, got)
		}
	}
}
