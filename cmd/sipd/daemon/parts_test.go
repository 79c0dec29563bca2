package daemon

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestGroupStopsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var order []string
		g := newGroup()
		ctx, cancel := context.WithCancel(t.Context())
		for i, name := range []string{"server", "location", "log"} {
			g.start(ctx, name, func(ctx context.Context) error {
				<-ctx.Done()
				time.Sleep(time.Duration(3-i) * time.Second) // the first takes longest
				mu.Lock()
				defer mu.Unlock()
				order = append(order, name)
				return ctx.Err()
			})
		}
		cancel()
		if err := g.wait(ctx); err != nil {
			t.Errorf("wait: got %v, want nil", err)
		}
		if err := g.stop(); err != nil {
			t.Errorf("stop: got %v, want nil", err)
		}
		if want := []string{"server", "location", "log"}; !slices.Equal(order, want) {
			t.Errorf("got order %v, want %v", order, want)
		}
	})
}

func TestGroupFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		g := newGroup()
		stopped := false
		g.start(t.Context(), "good", func(ctx context.Context) error { <-ctx.Done(); stopped = true; return errors.New("lost 3 rows") })
		g.start(t.Context(), "bad", func(context.Context) error { time.Sleep(time.Second); return broken })
		if err := g.wait(t.Context()); !errors.Is(err, broken) || err.Error() != "bad: broken" {
			t.Errorf("wait: got %v, want bad: broken", err)
		}
		if err := g.stop(); err == nil || err.Error() != "good: lost 3 rows" {
			t.Errorf("stop: got %v, want what the other part lost", err)
		}
		if !stopped {
			t.Error("the other part was not stopped")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		g := newGroup()
		g.start(t.Context(), "short", func(context.Context) error { return nil })
		if err := g.wait(t.Context()); err == nil || err.Error() != "short ended by itself" {
			t.Errorf("got %v, want an error about the end", err)
		}
	})
}
