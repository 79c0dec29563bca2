package location

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sipd/sipaddr"
)

// restored is a service that started from a file while f was away, and runs.
func restored(t *testing.T, f *fakeStore, saved map[sipaddr.AOR][]Binding) *rig {
	t.Helper()
	r := &rig{t: t, f: f, log: new(bytes.Buffer)}
	s, err := New(Config{Store: f, Log: r.logger()})
	if err != nil {
		t.Fatal(err)
	}
	r.s = s
	err = s.Restore(func(each func(sipaddr.AOR, *Binding) error) error {
		for aor, list := range saved {
			for _, b := range list {
				if err := each(aor, &b); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	r.run()
	return r
}

// A server that starts without its database answers from what was saved and refuses changes. When the database is there, what it
// says is in force before the first change is taken.
func TestRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		f := newFake()
		f.down = errors.New("connection refused")
		alone := *bound(3, "sip:alone@192.0.2.3", "x", 1)
		alone.Expires = At(now.Add(time.Hour))
		a := *bound(1, "sip:a@192.0.2.1", "x", 1)
		a.Expires = At(now.Add(time.Hour))
		old := *bound(2, "sip:old@192.0.2.2", "x", 1)
		old.Expires = At(now.Add(-time.Second))
		newer := a
		newer.CSeq, newer.URI, newer.Expires = 7, "sip:a@192.0.2.77", At(now.Add(2*time.Hour))
		f.add(alice, newer)
		other := *bound(9, "sip:b@192.0.2.9", "y", 1)
		other.Expires = At(now.Add(time.Hour))
		f.add(bob, other)
		r := restored(t, f, map[sipaddr.AOR][]Binding{alice: {a, old}, "carol@example.com": {alone}})
		defer r.stop()
		if got := r.bindings(alice); got != "1:a@192.0.2.1" {
			t.Errorf("from the file: got %q, want the one that has not expired", got)
		}
		if err := r.s.Submit(change(alice, "sip:a@192.0.2.1", "x", 2)); !errors.Is(err, ErrAway) || !r.s.Away() {
			t.Errorf("without a database: got %v, want ErrAway", err)
		}
		time.Sleep(10 * time.Second)
		if got := r.bindings("carol@example.com"); got == "" || len(f.batches) > 0 {
			t.Errorf("after 10 s: got %q and %d commits, want what was saved and none", got, len(f.batches))
		}
		f.set(func() { f.down = nil })
		time.Sleep(probeEvery + time.Millisecond)
		synctest.Wait()
		if got := r.bindings(alice); got != "1:a@192.0.2.77" {
			t.Errorf("database back: got %q, want its version", got)
		}
		if r.bindings(bob) == "" || r.bindings("carol@example.com") != "" {
			t.Errorf("database back: got Bob %q, Carol %q; want Bob alone", r.bindings(bob), r.bindings("carol@example.com"))
		}
		if res := r.submit(change(alice, "sip:new@192.0.2.1", "z", 1))(); res.Err != nil || res.Bindings[0].ID != 10 && res.Bindings[1].ID != 10 {
			t.Errorf("database back: got %q, %v; want a binding with the next id", show(res.Bindings), res.Err)
		}
	})
}

// What was saved cannot be read: nothing of it is used, and the service works when the database comes.
func TestRestoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		s, err := New(Config{Store: f})
		if err != nil {
			t.Fatal(err)
		}
		broken := errors.New("damaged")
		err = s.Restore(func(each func(sipaddr.AOR, *Binding) error) error {
			b := bound(1, "sip:a@192.0.2.1", "x", 1)
			b.Expires = 0
			if err := each(alice, b); err != nil {
				return err
			}
			return broken
		})
		if !errors.Is(err, broken) || s.Bindings([]byte(alice)) != nil {
			t.Errorf("got %v and %d bindings, want the error and none", err, len(s.Bindings([]byte(alice))))
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		time.Sleep(probeEvery + time.Millisecond)
		synctest.Wait()
		if s.Away() {
			t.Error("away although the database is there")
		}
		cancel()
		<-done
	})
}

// Others may have changed the rows: all are read again, and what is the same keeps its connection.
func TestDistrust(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		r := newRig(t, f)
		defer r.stop()
		c := change(alice, "sip:a@192.0.2.1;transport=tcp", "x", 1)
		c.Set[0].Conn, c.Set[0].Proto, c.Set[0].ByFlow, c.Set[0].Source = 5, protoTCP, true, addr("192.0.2.1:999")
		r.submit(c)()
		r.submit(change(bob, "sip:b@192.0.2.1", "x", 1))()
		r.s.Distrust()
		if err := r.s.Submit(change(bob, "sip:b@192.0.2.1", "x", 2)); !errors.Is(err, ErrAway) {
			t.Errorf("got %v, want ErrAway until the rows are read", err)
		}
		f.set(func() {
			for id, row := range f.rows {
				if row.aor == bob {
					delete(f.rows, id)
				}
			}
		})
		time.Sleep(probeEvery + time.Millisecond)
		synctest.Wait()
		if list := r.s.Bindings([]byte(alice)); len(list) != 1 || list[0].Conn != 5 {
			t.Errorf("got %q, want Alice's with its connection", show(list))
		}
		if r.bindings(bob) != "" {
			t.Errorf("got %q, want what the database says", r.bindings(bob))
		}
		r.s.ConnClosed(5) // The index of connections is made anew, too.
		synctest.Wait()
		if list := r.s.Bindings([]byte(alice)); len(list) != 1 || list[0].Conn != 0 {
			t.Errorf("got %q, want it without the connection", show(list))
		}
	})
}

func TestAllAndVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newFake())
		defer r.stop()
		before := r.s.Version()
		for i := range 200 {
			r.submit(change(sipaddr.AOR(fmt.Sprintf("u%03d@example.com", i)), "sip:u@192.0.2.1", "x", 1))()
		}
		if r.s.Version() == before {
			t.Error("the version stays although there are new bindings")
		}
		before = r.s.Version()
		var got []string
		for aor, list := range r.s.All() {
			if len(list) == 1 {
				got = append(got, string(aor))
			}
		}
		slices.Sort(got)
		if len(got) != 200 || got[0] != "u000@example.com" || got[199] != "u199@example.com" {
			t.Errorf("got %d addresses, want 200", len(got))
		}
		n := 0
		for range r.s.All() {
			if n++; n == 3 {
				break
			}
		}
		if n != 3 || r.s.Version() != before {
			t.Errorf("got %d, version changed %v; want 3 and no change", n, r.s.Version() != before)
		}
	})
}

// A store that has no time for a change leaves it untried: 503, and the log is silent about registrations that failed.
func TestNotTriedIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		r := newRig(t, f)
		defer r.stop()
		f.set(func() { f.fail = fmt.Errorf("%w: %w: locked", ErrNotCommitted, ErrNotTried) })
		if res := r.submit(change(alice, "sip:a@192.0.2.1", "x", 1))(); !errors.Is(res.Err, ErrAway) {
			t.Errorf("got %v, want ErrAway", res.Err)
		}
		if strings.Contains(r.log.String(), "does not take registrations") {
			t.Errorf("got the log %s, want nothing about failed changes", r.log)
		}
		f.set(func() { f.fail = nil })
		if res := r.submit(change(alice, "sip:a@192.0.2.1", "x", 2))(); res.Err != nil {
			t.Errorf("afterwards: %v", res.Err)
		}
	})
}

// A full disk: each change is tried and fails, and the log says so once when it begins and once when it ends.
func TestLogOfAFullDisk(t *testing.T) {
	for _, fail := range []error{fmt.Errorf("%w: disk full", ErrNotCommitted), fmt.Errorf("%w: disk full", ErrUnknownOutcome)} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			r := newRig(t, f)
			defer r.stop()
			f.set(func() { f.fail = fail })
			for i := range uint32(20) {
				if res := r.submit(change(alice, "sip:a@192.0.2.1", "x", i+1))(); !errors.Is(res.Err, ErrNotCommitted) || errors.Is(res.Err, ErrAway) {
					t.Fatalf("got %v, want ErrNotCommitted", res.Err)
				}
			}
			// Some rows still find room: that is not the end.
			for i := range uint32(20) {
				f.set(func() { f.fail = nil })
				if res := r.submit(change(alice, "sip:a@192.0.2.1", "x", 30+2*i))(); res.Err != nil {
					t.Errorf("with room: %v", res.Err)
				}
				f.set(func() { f.fail = fail })
				if res := r.submit(change(alice, "sip:a@192.0.2.1", "x", 31+2*i))(); !errors.Is(res.Err, ErrNotCommitted) {
					t.Fatalf("got %v, want ErrNotCommitted", res.Err)
				}
			}
			time.Sleep(worksAgain)
			f.set(func() { f.fail = nil })
			if res := r.submit(change(alice, "sip:a@192.0.2.1", "x", 100))(); res.Err != nil {
				t.Errorf("with room: %v", res.Err)
			}
			synctest.Wait()
			for _, want := range []string{"does not take registrations", "written again"} {
				if n := strings.Count(r.log.String(), want); n != 1 {
					t.Errorf("%v: log has %q %d times, want once:\n%s", fail, want, n, r.log)
				}
			}
			if n := strings.Count(r.log.String(), "\n"); n > 3 {
				t.Errorf("%v: got %d lines, want at most 3:\n%s", fail, n, r.log)
			}
		})
	}
}

// A row that somebody mistyped is named, and the others are loaded.
func TestBadRowsDoNotStopTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		b := *bound(1, "sip:a@192.0.2.1", "x", 1)
		b.Expires = 0
		f.add(alice, b)
		f.bad = &BadRowsError{}
		f.bad.Add(errors.New("contacts, id 2: tomorrow"))
		r := newRig(t, f)
		defer r.stop()
		if r.bindings(alice) == "" || !strings.Contains(r.log.String(), "id 2: tomorrow") {
			t.Errorf("got %q and the log %s, want Alice's binding and the bad row named", r.bindings(alice), r.log)
		}
	})
}
