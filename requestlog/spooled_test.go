package requestlog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sipd/requestlog"
)

// inOrder checks that the table has the rows 0 to n-1, once each and in order.
func (tb *table) inOrder(t *testing.T, n int) {
	t.Helper()
	tb.mu.Lock()
	defer tb.mu.Unlock()
	if len(tb.order) != n {
		t.Fatalf("got %d rows, want %d", len(tb.order), n)
	}
	for i, id := range tb.order {
		if id != fmt.Sprint(i) {
			t.Fatalf("got row %s in place %d", id, i)
		}
	}
}

func onDisk(t *testing.T, dir string) int {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "requestlog-*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

// The database is away: rows go to disk and come back in order, with those that come while they are read.
func TestRowsWaitOnDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		dir := t.TempDir()
		tb := &table{away: true}
		l, stop := run(t, tb, requestlog.Config{Dir: dir, Size: 100, Log: slog.New(slog.NewTextHandler(&out, nil))})
		n := 0
		for range 100 {
			for range 50 { // More than memory has room for, in all.
				l.Record(row(fmt.Sprint(n)))
				n++
			}
			time.Sleep(300 * time.Millisecond)
		}
		if waiting, written, dropped := l.Counts(); waiting != n || written != 0 || dropped != 0 {
			t.Errorf("away: got %d waiting, %d written, %d dropped; want all %d waiting", waiting, written, dropped, n)
		}
		if onDisk(t, dir) == 0 {
			t.Error("away: nothing is on disk")
		}
		tb.set(func(tb *table) { tb.away, tb.slow = false, 20*time.Millisecond })
		for range 20 {
			for range 50 {
				l.Record(row(fmt.Sprint(n)))
				n++
			}
			time.Sleep(300 * time.Millisecond)
		}
		time.Sleep(time.Second)
		tb.inOrder(t, n)
		if waiting, written, dropped := l.Counts(); waiting != 0 || written != uint64(n) || dropped != 0 || onDisk(t, dir) != 0 {
			t.Errorf("back: got %d waiting, %d written, %d dropped, %d files; want %d written and no files", waiting, written, dropped, onDisk(t, dir), n)
		}
		begin := time.Now()
		l.Record(row(fmt.Sprint(n)))
		time.Sleep(time.Second)
		tb.set(func(tb *table) {
			if d := tb.times[len(tb.times)-1].Sub(begin); d > 300*time.Millisecond {
				t.Errorf("back: a row took %v, want 250 ms and the append", d)
			}
		})
		if err := stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context canceled", err)
		}
		for _, want := range []string{"rows wait on disk", "is written again"} {
			if got := strings.Count(out.String(), want); got != 1 {
				t.Errorf("%d lines with %q, want 1:\n%s", got, want, out.String())
			}
		}
	})
}

// A stop during an outage loses nothing, and neither does a kill, but for the last quarter of a second.
func TestRestartDuringAnOutage(t *testing.T) {
	for _, kill := range []bool{false, true} {
		t.Run(fmt.Sprintf("kill %v", kill), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				tb := &table{away: true}
				n := 0
				for range 3 {
					l, stop := run(t, tb, requestlog.Config{Dir: dir})
					for range 1500 {
						l.Record(row(fmt.Sprint(n)))
						n++
					}
					if !kill {
						if err := stop(); !errors.Is(err, context.Canceled) {
							t.Errorf("got %v, want nothing lost", err)
						}
						continue
					}
					time.Sleep(2 * time.Second)
					killed := t.TempDir() // What a kill leaves is what is on disk now.
					if err := os.CopyFS(killed, os.DirFS(dir)); err != nil {
						t.Fatal(err)
					}
					dir = killed
					stop()
				}
				tb.set(func(tb *table) { tb.away = false })
				l, stop := run(t, tb, requestlog.Config{Dir: dir})
				time.Sleep(time.Second)
				l.Record(row(fmt.Sprint(n)))
				time.Sleep(time.Second)
				tb.inOrder(t, n+1)
				stop()
			})
		})
	}
}

// A database that hangs holds up nobody: rows are on disk soon, whether or not the hanging append wrote something.
func TestHangingAppend(t *testing.T) {
	for _, wrote := range []bool{false, true} {
		t.Run(fmt.Sprintf("written %v", wrote), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				tb := &table{slow: 9 * time.Second}
				if !wrote {
					tb.slow = time.Hour
				}
				l, stop := run(t, tb, requestlog.Config{Dir: dir, Size: 100})
				n := 0
				for range 40 {
					for range 10 {
						l.Record(row(fmt.Sprint(n)))
						n++
					}
					time.Sleep(250 * time.Millisecond)
				}
				if waiting, _, dropped := l.Counts(); dropped != 0 || !wrote && waiting != n {
					t.Errorf("got %d waiting, %d dropped; want none dropped of %d", waiting, dropped, n)
				}
				if onDisk(t, dir) == 0 {
					t.Error("nothing is on disk")
				}
				tb.set(func(tb *table) { tb.slow = 0 })
				time.Sleep(30 * time.Second)
				tb.inOrder(t, n)
				stop()
			})
		})
	}
}

// A folder that fails leaves the rows in memory until it works again.
func TestFolderFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		dir := filepath.Join(t.TempDir(), "gone")
		tb := &table{away: true}
		l, stop := run(t, tb, requestlog.Config{Dir: dir, Log: slog.New(slog.NewTextHandler(&out, nil))})
		for i := range 20 {
			l.Record(row(fmt.Sprint(i)))
		}
		time.Sleep(10 * time.Second)
		if waiting, _, dropped := l.Counts(); waiting != 20 || dropped != 0 {
			t.Errorf("got %d waiting, %d dropped; want 20 waiting", waiting, dropped)
		}
		if n := strings.Count(out.String(), "cannot be put on disk"); n != 1 {
			t.Errorf("%d lines about the folder, want 1:\n%s", n, out.String())
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if onDisk(t, dir) == 0 {
			t.Error("the folder is there again, and nothing is on disk")
		}
		tb.set(func(tb *table) { tb.away = false })
		time.Sleep(5 * time.Second)
		tb.inOrder(t, 20)
		tb.set(func(tb *table) { tb.away = true })
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		l.Record(row("lost"))
		var lost *requestlog.LostError
		if err := stop(); !errors.As(err, &lost) || lost.Rows != 1 {
			t.Errorf("got %v, want one lost row", err)
		}
	})
}
