package location

import (
	"testing"
	"time"

	"sipd/internal/testclock"
)

// The wall clock is set by an hour while the process runs: bindings neither end nor live on, and rows say the moment in the
// time that everybody else has.
func TestClockIsSet(t *testing.T) {
	now := time.Now()
	b := &Binding{Expires: At(now.Add(30 * time.Minute)), Updated: At(now)}
	for _, step := range []time.Duration{0, time.Hour, -time.Hour} {
		before, after := testclock.Step(now.Add(29*time.Minute), step), testclock.Step(now.Add(31*time.Minute), step)
		if !b.Live(before) || b.Live(after) {
			t.Errorf("clock set by %v: live after 29 min %v, after 31 min %v; want true, false", step, b.Live(before), b.Live(after))
		}
		if got := b.Expires.Sub(before); got != time.Minute {
			t.Errorf("clock set by %v: %v left after 29 min, want 1m", step, got)
		}
		wall := b.Expires.Wall(before)
		if got := wall.Sub(before.Round(0)).Round(time.Millisecond); got != time.Minute { // The two clocks are not read at one instant.
			t.Errorf("clock set by %v: its row says it expires in %v, want 1m", step, got)
		}
		if got := FromWall(wall, before); got != b.Expires {
			t.Errorf("clock set by %v: read back %d, want %d", step, got, b.Expires)
		}
	}
	// What was registered after the step is compared with what was registered before.
	second := &Binding{Expires: At(testclock.Step(now.Add(time.Minute), -time.Hour)), Updated: At(testclock.Step(now.Add(time.Minute), -time.Hour))}
	if !older(b, second) || older(second, b) {
		t.Error("a binding of the time after the clock was set back counts as the older one")
	}
}

// A row survives being written and read: what differs between the two readings of the clock is no step.
func TestWallIsExact(t *testing.T) {
	written := time.Now()
	wall := time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC)
	x := FromWall(wall, written)
	for range 1000 {
		if got := x.Wall(time.Now()); !got.Equal(wall) {
			t.Fatalf("got %v, want %v", got, wall)
		}
	}
}
