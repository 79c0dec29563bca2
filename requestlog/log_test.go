package requestlog_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"sipd/requestlog"
	"sipd/store"
)

// table is a requestlog table that can be away, slow, or lose the answer of a commit.
type table struct {
	mu      sync.Mutex
	rows    map[string]store.LogRow
	order   []string
	batches []int
	times   []time.Time
	calls   int
	away    bool          // nothing is written
	lose    int           // so many appends are written but answered with an error
	slow    time.Duration // each append takes this long
}

func (tb *table) append(ctx context.Context, rows []store.LogRow) error {
	tb.mu.Lock()
	slow, away := tb.slow, tb.away
	tb.calls++
	tb.mu.Unlock()
	if slow > 0 {
		select {
		case <-time.After(slow):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if away {
		return errors.New("connection refused")
	}
	tb.mu.Lock()
	defer tb.mu.Unlock()
	if tb.rows == nil {
		tb.rows = map[string]store.LogRow{}
	}
	for _, r := range rows {
		if _, there := tb.rows[r.EventID]; there {
			continue
		}
		tb.rows[r.EventID] = r
		tb.order = append(tb.order, r.CallID)
	}
	tb.batches = append(tb.batches, len(rows))
	tb.times = append(tb.times, time.Now())
	if tb.lose > 0 {
		tb.lose--
		return errors.New("connection lost in commit")
	}
	return nil
}

func (tb *table) set(f func(tb *table)) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	f(tb)
}

// run starts a Log on tb; stop ends it and returns Run's error.
func run(t *testing.T, tb *table, cfg requestlog.Config) (l *requestlog.Log, stop func() error) {
	t.Helper()
	cfg.Append = tb.append
	l, err := requestlog.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	synctest.Wait()
	return l, func() error { cancel(); return <-done }
}

func row(callID string) store.LogRow {
	return store.LogRow{Method: "INVITE", Status: 200, CallID: callID}
}

func TestBatchAfterWaitOrWhenFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb := &table{}
		l, stop := run(t, tb, requestlog.Config{})
		start := time.Now()
		l.Record(row("a"))
		time.Sleep(100 * time.Millisecond)
		l.Record(row("b"))
		time.Sleep(time.Second)
		for range 2500 {
			l.Record(row("c"))
		}
		synctest.Wait()
		tb.set(func(tb *table) {
			if len(tb.batches) == 0 || tb.batches[0] != 2 {
				t.Fatalf("got batches %v, want the first of 2 rows", tb.batches)
			}
			if d := tb.times[0].Sub(start); d != 250*time.Millisecond {
				t.Errorf("first batch after %v, want 250ms", d)
			}
			if len(tb.batches) < 2 || tb.batches[1] != 1000 || tb.times[1].Sub(start) != 1100*time.Millisecond {
				t.Errorf("got batches %v at %v, want 1000 rows at once", tb.batches, tb.times)
			}
		})
		time.Sleep(time.Second)
		tb.set(func(tb *table) {
			if len(tb.rows) != 2502 {
				t.Errorf("got %d rows, want 2502", len(tb.rows))
			}
		})
		if err := stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context canceled", err)
		}
	})
}

func TestAwayKeepsTheOldestAndCountsDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		tb := &table{away: true}
		l, stop := run(t, tb, requestlog.Config{Size: 10, Log: slog.New(slog.NewTextHandler(&out, nil))})
		for i := range 15 {
			l.Record(row(string(rune('a' + i))))
		}
		time.Sleep(30 * time.Second)
		if waiting, written, dropped := l.Counts(); waiting != 10 || written != 0 || dropped != 5 {
			t.Errorf("got %d waiting, %d written, %d dropped, want 10, 0, 5", waiting, written, dropped)
		}
		tb.set(func(tb *table) {
			if tb.calls > 120 {
				t.Errorf("%d tries in 30 s, want at most four a second", tb.calls)
			}
			tb.away = false
		})
		time.Sleep(300 * time.Millisecond) // As soon as at any time.
		tb.set(func(tb *table) {
			if got := strings.Join(tb.order, ""); got != "abcdefghij" {
				t.Errorf("got rows %s, want the oldest: abcdefghij", got)
			}
		})
		if err := stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context canceled", err)
		}
		if n := strings.Count(out.String(), "rows were dropped"); n != 1 {
			t.Errorf("%d lines about dropped rows, want 1:\n%s", n, out.String())
		}
		if !strings.Contains(out.String(), "rows=5") {
			t.Errorf("the log does not count 5 rows:\n%s", out.String())
		}
	})
}

func TestRecordNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		tb := &table{slow: 5 * time.Second}
		l, stop := run(t, tb, requestlog.Config{Size: 100, Log: slog.New(slog.NewTextHandler(&out, nil))})
		start := time.Now()
		for range 10 {
			for range 1000 {
				l.Record(row("x"))
			}
			if time.Since(start) != 0 {
				t.Fatalf("Record took %v", time.Since(start))
			}
			time.Sleep(10 * time.Second)
			start = time.Now()
		}
		if err := stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context canceled", err)
		}
		waiting, written, dropped := l.Counts()
		if waiting != 0 || written+dropped != 10000 || written < 1000 {
			t.Errorf("got %d waiting, %d written, %d dropped, want 10000 in all", waiting, written, dropped)
		}
		if n := strings.Count(out.String(), "rows were dropped"); n == 0 || n > 100 {
			t.Errorf("%d lines about dropped rows, want at most one a second", n)
		}
	})
}

func TestUnknownOutcomeWritesNothingTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb := &table{lose: 3}
		l, stop := run(t, tb, requestlog.Config{})
		for range 7 {
			l.Record(row("x"))
		}
		l.Record(store.LogRow{CallID: "mine", EventID: "event-1"})
		time.Sleep(10 * time.Second)
		stop()
		tb.set(func(tb *table) {
			if len(tb.rows) != 8 || len(tb.order) != 8 {
				t.Errorf("got %d rows, want 8", len(tb.rows))
			}
			if tb.rows["event-1"].CallID != "mine" {
				t.Error("a given EventID was not kept")
			}
		})
		if _, written, _ := l.Counts(); written != 8 {
			t.Errorf("got %d written, want 8", written)
		}
	})
}

func TestEventIDsDifferBetweenRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb := &table{}
		for range 3 {
			l, stop := run(t, tb, requestlog.Config{})
			l.Record(row("x"))
			l.Record(row("y"))
			stop()
		}
		tb.set(func(tb *table) {
			if len(tb.rows) != 6 {
				t.Errorf("got %d rows, want 6", len(tb.rows))
			}
		})
	})
}

func TestStopDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb := &table{}
		l, stop := run(t, tb, requestlog.Config{})
		for range 3500 {
			l.Record(row("x"))
		}
		if err := stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context canceled", err)
		}
		tb.set(func(tb *table) {
			if len(tb.rows) != 3500 {
				t.Errorf("got %d rows after the stop, want 3500", len(tb.rows))
			}
		})
	})
}

func TestStopEndsAlthoughTheDatabaseIsAway(t *testing.T) {
	for _, tc := range []struct {
		name string
		tb   *table
	}{
		{"refused", &table{away: true}},
		{"hanging", &table{slow: time.Hour}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, stop := run(t, tc.tb, requestlog.Config{Drain: 3 * time.Second})
				for range 5 {
					l.Record(row("x"))
				}
				time.Sleep(time.Second)
				start := time.Now()
				err := stop()
				var lost *requestlog.LostError
				if !errors.As(err, &lost) || lost.Rows != 5 {
					t.Errorf("got %v, want 5 lost rows", err)
				}
				if d := time.Since(start); d > 3*time.Second {
					t.Errorf("the stop took %v, want at most 3s", d)
				}
			})
		})
	}
}

func TestRowsNoDatabaseRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb := &table{}
		l, stop := run(t, tb, requestlog.Config{})
		l.Record(store.LogRow{CallID: "nul\x00\xff", From: strings.Repeat("ü", 4000), EventID: "e"})
		stop()
		tb.set(func(tb *table) {
			r := tb.rows["e"]
			if r.CallID != "nul\uFFFD\uFFFD" {
				t.Errorf("got Call-ID %q, want NUL and broken UTF-8 replaced", r.CallID)
			}
			if len(r.From) > 4200 || !utf8.ValidString(r.From) {
				t.Errorf("got From of %d bytes, want it cut and valid", len(r.From))
			}
		})
	})
}

func TestTextIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb := &table{away: true}
		l, stop := run(t, tb, requestlog.Config{Drain: time.Second})
		long := strings.Repeat("x", 60_000)
		for range 2000 {
			l.Record(store.LogRow{CallID: long})
		}
		if waiting, _, dropped := l.Counts(); waiting > 1200 || dropped < 800 {
			t.Errorf("got %d rows of 60 kB waiting, %d dropped: want 64 MiB at most", waiting, dropped)
		}
		stop()
	})
}

func TestNewRefuses(t *testing.T) {
	for _, tc := range []struct {
		name string
		cfg  requestlog.Config
	}{
		{"no Append", requestlog.Config{}},
		{"negative size", requestlog.Config{Append: (&table{}).append, Size: -1}},
		{"negative drain", requestlog.Config{Append: (&table{}).append, Drain: -1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := requestlog.New(tc.cfg); err == nil {
				t.Error("got no error, want one")
			}
		})
	}
}

func BenchmarkRecord(b *testing.B) {
	l, err := requestlog.New(requestlog.Config{Append: func(context.Context, []store.LogRow) error { return nil }})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	r := row("x")
	b.ReportAllocs()
	for b.Loop() {
		l.Record(r)
	}
	cancel()
	<-done
}
