package daemon

import (
	"errors"
	"fmt"
	"testing"

	"sipd/config"
	"sipd/store"
)

func TestGCPercent(t *testing.T) {
	for _, c := range []struct {
		live uint64
		want int
	}{{0, 12800}, {1 << 20, 12800}, {16 << 20, 800}, {32 << 20, 400}, {128 << 20, 400}, {256 << 20, 200}, {350 << 20, 146}, {512 << 20, 100}, {4 << 30, 100}} {
		if got := gcPercent(c.live); got != c.want {
			t.Errorf("gcPercent(%d): got %d, want %d", c.live, got, c.want)
		}
	}
}

func TestAsConfig(t *testing.T) {
	_, bad := config.New(map[string]string{"TimeOut": "x"}, nil)
	for _, c := range []struct {
		err  error
		want bool
	}{{bad, true}, {fmt.Errorf("load: %w", store.ErrNotFound), true}, {errors.New("connection refused"), false}} {
		if got := errors.Is(asConfig(c.err), ErrConfig); got != c.want {
			t.Errorf("asConfig(%v): got %v, want %v", c.err, got, c.want)
		}
		if asConfig(c.err).Error() != c.err.Error() {
			t.Errorf("asConfig(%v) changed the message to %v", c.err, asConfig(c.err))
		}
	}
}
