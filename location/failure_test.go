package location

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sipd/sipaddr"
)

// One bad set fails alone.
func TestSetFailsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.badAOR, f.gate = bob, make(chan struct{})
		r := newRig(t, f)
		defer r.stop()
		first := r.submit(change("first@example.com", "sip:f@192.0.2.1", "x", 1))
		synctest.Wait()
		a, b := r.submit(change(alice, "sip:a@192.0.2.1", "x", 1)), r.submit(change(bob, "sip:b@192.0.2.1", "x", 1))
		close(f.gate)
		first()
		if res := a(); res.Err != nil {
			t.Errorf("alice: %v", res.Err)
		}
		if res := b(); !errors.Is(res.Err, ErrNotCommitted) || !strings.Contains(res.Err.Error(), "constraint") {
			t.Errorf("bob: got %v, want ErrNotCommitted and the store's reason", res.Err)
		}
		if r.bindings(alice) == "" || r.bindings(bob) != "" {
			t.Errorf("got alice %q bob %q, want alice alone", r.bindings(alice), r.bindings(bob))
		}
		if r.s.away.Load() {
			t.Error("the database counts as away")
		}
	})
}

// The batch was surely not written, and the database answers: 500 this time, the next one succeeds.
func TestBatchFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		r := newRig(t, f)
		defer r.stop()
		r.submit(change(alice, "sip:a@192.0.2.1", "x", 1))()
		f.set(func() { f.fail = fmt.Errorf("%w: locked", ErrNotCommitted) })
		if res := r.submit(change(alice, "sip:a@192.0.2.2", "x", 2))(); !errors.Is(res.Err, ErrNotCommitted) || show(res.Bindings) != "1:a@192.0.2.1" {
			t.Errorf("got %v with %q, want ErrNotCommitted with the old binding", res.Err, show(res.Bindings))
		}
		f.set(func() { f.fail = nil })
		if res := r.submit(change(alice, "sip:a@192.0.2.2", "x", 3))(); res.Err != nil || len(res.Bindings) != 2 {
			t.Errorf("got %v with %q, want success", res.Err, show(res.Bindings))
		}
	})
}

// The database is away: Submit says so without a queue, reads go on, and after it is back so do changes.
func TestAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.gate = make(chan struct{})
		r := newRig(t, f)
		defer r.stop()
		first := r.submit(change(alice, "sip:a@192.0.2.1", "x", 1))
		synctest.Wait()
		second := r.submit(change(bob, "sip:b@192.0.2.1", "x", 1))
		f.set(func() { f.down = errors.New("connection refused") })
		close(f.gate)
		if res := first(); !errors.Is(res.Err, ErrNotCommitted) {
			t.Errorf("got %v, want ErrNotCommitted", res.Err)
		}
		if res := second(); !errors.Is(res.Err, ErrAway) {
			t.Errorf("waiting in the queue: got %v, want ErrAway", res.Err)
		}
		if err := r.s.Submit(change(alice, "sip:a@192.0.2.1", "x", 2)); !errors.Is(err, ErrAway) {
			t.Errorf("got %v, want ErrAway", err)
		}
		time.Sleep(10 * time.Second)
		if err := r.s.Submit(change(alice, "sip:a@192.0.2.1", "x", 2)); !errors.Is(err, ErrAway) {
			t.Errorf("after 10 s: got %v, want ErrAway", err)
		}
		f.set(func() { f.down = nil })
		time.Sleep(probeEvery + time.Millisecond)
		synctest.Wait()
		if res := r.submit(change(alice, "sip:a@192.0.2.1", "x", 3))(); res.Err != nil {
			t.Errorf("back again: %v", res.Err)
		}
		for _, want := range []string{"database is away", "database is back"} {
			if strings.Count(r.log.String(), want) != 1 {
				t.Errorf("log has %q %d times, want once:\n%s", want, strings.Count(r.log.String(), want), r.log)
			}
		}
	})
}

// Outcome unknown, rows readable: what they say is published and answered.
func TestUnknownOutcome(t *testing.T) {
	for _, written := range []bool{true, false} {
		t.Run(fmt.Sprintf("written %v", written), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				r := newRig(t, f)
				defer r.stop()
				with5 := change(alice, "sip:a@192.0.2.1", "x", 1)
				with5.Set[0].Conn, with5.Set[0].Proto, with5.Set[0].ByFlow, with5.Set[0].Source = 5, protoTCP, true, addr("192.0.2.1:999")
				r.submit(with5)()
				f.set(func() { f.fail, f.applied = fmt.Errorf("%w: connection reset", ErrUnknownOutcome), written })
				res := r.submit(change(alice, "sip:a@192.0.2.2", "x", 2))()
				f.set(func() { f.fail, f.applied = nil, false })
				if written && (res.Err != nil || len(res.Bindings) != 2) {
					t.Errorf("got %v with %q, want success with both", res.Err, show(res.Bindings))
				}
				if !written && (!errors.Is(res.Err, ErrNotCommitted) || errors.Is(res.Err, ErrUnknownOutcome)) {
					t.Errorf("got %v, want ErrNotCommitted: it is known now", res.Err)
				}
				if got, want := len(r.s.Bindings([]byte(alice))), len(f.uris(alice)); got != want {
					t.Errorf("memory has %d, the store %d", got, want)
				}
				for _, b := range r.s.Bindings([]byte(alice)) {
					if b.URI == "sip:a@192.0.2.1" && b.Conn != 5 {
						t.Error("an unchanged binding has lost its connection")
					}
				}
				if res := r.submit(change(alice, "sip:a@192.0.2.3", "x", 3))(); res.Err != nil {
					t.Errorf("afterwards: %v", res.Err)
				}
			})
		})
	}
}

// An error that says nothing about the outcome counts as unknown.
func TestForeignError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		r := newRig(t, f)
		defer r.stop()
		f.set(func() { f.fail, f.applied = errors.New("boom"), true })
		if res := r.submit(change(alice, "sip:a@192.0.2.2", "x", 2))(); res.Err != nil {
			t.Errorf("got %v, want success: the rows are there", res.Err)
		}
	})
}

// Outcome unknown and the database away: memory keeps what it had, and before anything else the rows are read.
func TestUnknownOutcomeAway(t *testing.T) {
	for _, written := range []bool{true, false} {
		t.Run(fmt.Sprintf("written %v", written), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				r := newRig(t, f)
				defer r.stop()
				r.submit(change(alice, "sip:a@192.0.2.1", "x", 1))()
				f.set(func() {
					f.fail, f.applied, f.down = fmt.Errorf("%w: connection reset", ErrUnknownOutcome), written, errors.New("connection refused")
				})
				if res := r.submit(change(alice, "sip:a@192.0.2.2", "x", 2))(); !errors.Is(res.Err, ErrUnknownOutcome) {
					t.Errorf("got %v, want ErrUnknownOutcome", res.Err)
				}
				if got := r.bindings(alice); got != "1:a@192.0.2.1" {
					t.Errorf("got %q, want the old binding until the truth is known", got)
				}
				f.set(func() { f.fail, f.applied, f.down = nil, false, nil })
				time.Sleep(probeEvery + time.Millisecond)
				synctest.Wait()
				if got, want := len(r.s.Bindings([]byte(alice))), len(f.uris(alice)); got != want {
					t.Errorf("back again: memory has %d, the store %d", got, want)
				}
				if res := r.submit(change(alice, "sip:a@192.0.2.2", "x", 3))(); res.Err != nil || len(res.Bindings) != 2 {
					t.Errorf("got %v with %q, want both bound", res.Err, show(res.Bindings))
				}
			})
		})
	}
}

// Rows that cannot be read keep their AOR closed for changes, nobody else's.
func TestDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		r := newRig(t, f)
		defer r.stop()
		f.set(func() { f.fail, f.applied, f.readErr = ErrUnknownOutcome, true, errors.New("bad row") })
		if res := r.submit(change(alice, "sip:a@192.0.2.1", "x", 1))(); !errors.Is(res.Err, ErrUnknownOutcome) {
			t.Errorf("got %v, want ErrUnknownOutcome", res.Err)
		}
		f.set(func() { f.fail = nil })
		if res := r.submit(change(alice, "sip:a@192.0.2.1", "x", 2))(); !errors.Is(res.Err, ErrAway) {
			t.Errorf("alice: got %v, want ErrAway", res.Err)
		}
		if res := r.submit(change(bob, "sip:b@192.0.2.1", "x", 1))(); res.Err != nil {
			t.Errorf("bob: %v", res.Err)
		}
		f.set(func() { f.readErr = nil })
		time.Sleep(probeEvery + time.Millisecond)
		synctest.Wait()
		if got := r.bindings(alice); got != "1:a@192.0.2.1" {
			t.Errorf("got %q, want what the store has", got)
		}
		if res := r.submit(change(alice, "sip:a@192.0.2.1", "x", 3))(); res.Err != nil {
			t.Errorf("alice again: %v", res.Err)
		}
	})
}

// Stopping is not held up by a database that others have locked: after one failed commit the rest is refused.
func TestStopWhileLocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.gate = make(chan struct{})
		r := newRig(t, f)
		var waits []func() Result
		for i := range 1000 {
			waits = append(waits, r.submit(change(sipaddr.AOR(fmt.Sprintf("u%d@example.com", i)), "sip:u@192.0.2.1", "x", 1)))
		}
		synctest.Wait()
		f.set(func() { f.fail = fmt.Errorf("%w: locked", ErrNotCommitted) })
		go func() {
			time.Sleep(time.Second)
			close(f.gate)
		}()
		r.stop()
		for i, wait := range waits {
			if res := wait(); res.Err == nil {
				t.Fatalf("change %d: got success", i)
			}
		}
		if n := len(f.batches); n > 2 {
			t.Errorf("got %d commits, want no more than the one under way and the next", n)
		}
	})
}

// An id that somebody else's row has is not given out again and again.
func TestForeignIDIsPassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		r := newRig(t, f)
		defer r.stop()
		f.set(func() {
			for id := range int64(5) {
				f.add(bob, *bound(id+1, "sip:static@192.0.2.9", "", 0))
			}
			f.badAOR = alice // as the table refuses to overwrite Bob's row
		})
		if res := r.submit(change(alice, "sip:a@192.0.2.1", "x", 1))(); !errors.Is(res.Err, ErrNotCommitted) {
			t.Errorf("got %v, want ErrNotCommitted", res.Err)
		}
		f.set(func() { f.badAOR = "" })
		if res := r.submit(change(alice, "sip:a@192.0.2.1", "x", 2))(); res.Err != nil || res.Bindings[0].ID != 6 {
			t.Errorf("got %q, %v; want the first id that is free", show(res.Bindings), res.Err)
		}
	})
}

func TestStatusAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		r := newRig(t, f)
		defer r.stop()
		if r.s.Away() {
			t.Error("away at the start")
		}
		f.set(func() { f.down = errors.New("connection refused") })
		r.submit(change(alice, "sip:a@192.0.2.1", "x", 1))()
		synctest.Wait()
		if !r.s.Away() {
			t.Error("not away although the database does not answer")
		}
	})
}
