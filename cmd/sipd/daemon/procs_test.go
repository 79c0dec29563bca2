package daemon

import (
	"testing"
	"time"
)

func TestGovernor(t *testing.T) {
	g := governor{all: 4, procs: 4}
	now := time.Now()
	for i, step := range []struct {
		after time.Duration
		cores float64
		want  int
	}{
		{0, 0.1, 4}, // no judgement before it has been calm for a while
		{900 * time.Millisecond, 0.1, 4},
		{100 * time.Millisecond, 0.1, 1}, // calm for a second
		{time.Second, 0.6, 1},            // between the bounds nothing changes
		{100 * time.Millisecond, 0.8, 4}, // at once
		{500 * time.Millisecond, 0.1, 4},
		{400 * time.Millisecond, 0.55, 4}, // not calm: counted anew
		{900 * time.Millisecond, 0.1, 4},
		{100 * time.Millisecond, 0.1, 1},
		{100 * time.Millisecond, 3.9, 4},
	} {
		now = now.Add(step.after)
		if got := g.next(step.cores, now); got != step.want {
			t.Errorf("step %d: got %d, want %d", i, got, step.want)
		}
	}
}
