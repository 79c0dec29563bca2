//go:build !race

package cache_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"sipd/store"
	"sipd/store/cache"
)

const raceEnabled = false

// A million users must fit: at most 600 bytes each, a change of one in less than 5 ms.
func TestSizeAndDeltaOfAUser(t *testing.T) {
	const n = 100_000
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	m := &fixed{tables: many(n)}
	c, err := cache.New(cache.Config{Store: m})
	check(t, err)
	check(t, c.Refresh(t.Context()))
	u := m.tables.Users[n/2]
	m.tables = store.Tables{}
	if per := (heap() - before) / n; per > 600 {
		t.Errorf("got %d bytes a user, want at most 600", per)
	} else {
		t.Logf("%d bytes a user", per)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = c.Run(ctx) })
	best := time.Hour
	for i := range 20 {
		u.DisplayName = fmt.Sprint("changed ", i)
		from := time.Now()
		m.change(u)
		c.Wake()
		for c.Snapshot().UserByID(u.ID).DisplayName != u.DisplayName {
			runtime.Gosched()
		}
		best = min(best, time.Since(from))
	}
	cancel()
	wg.Wait()
	t.Logf("a change in %v", best)
	if best > 5*time.Millisecond {
		t.Errorf("got %v for a change of one row, want less than 5ms", best)
	}
}

// fixed is a store of rows that lie in memory.
type fixed struct {
	tables store.Tables
	mu     sync.Mutex
	seq    int64
	user   store.User
}

func (f *fixed) Load(_ context.Context, _ string, into store.Sink) (store.Server, int64, error) {
	f.tables.Feed(into)
	return store.Server{ID: 1}, 0, nil
}

func (f *fixed) change(u store.User) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.user = u
	f.seq++
}

func (f *fixed) Delta(context.Context, int64, int64) (*store.Delta, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return &store.Delta{Seq: f.seq, UserIDs: []int64{f.user.ID}, Users: []store.User{f.user}}, nil
}

func (f *fixed) Watch(ctx context.Context, notify func()) error {
	<-ctx.Done()
	return ctx.Err()
}

func (f *fixed) TrimChanges(context.Context, time.Time) error { return nil }
