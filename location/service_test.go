package location

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sipd/sipaddr"
)

func addr(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// rig is a Service that runs in a synctest bubble.
type rig struct {
	t       *testing.T
	s       *Service
	f       *fakeStore
	log     *bytes.Buffer
	flushes atomic.Int32
	stop    func() // ends Run and waits for it
}

func newRig(t *testing.T, f *fakeStore) *rig {
	t.Helper()
	r := &rig{t: t, f: f, log: new(bytes.Buffer)}
	s, err := New(Config{Store: f, Flush: func() { r.flushes.Add(1) }, Log: slog.New(slog.NewTextHandler(r.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.s = s
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: got %v, want context.Canceled", err)
		}
	})
	return r
}

// change is a REGISTER of one contact for an hour from now.
func change(aor sipaddr.AOR, uri, call string, cseq uint32) *Change {
	now := time.Now()
	return &Change{AOR: aor, UserID: 7, CallID: call, CSeq: cseq, Now: now, Max: 20,
		Set: []*Binding{{URI: uri, CallID: call, CSeq: cseq, Q: 1000, Expires: At(now.Add(time.Hour)), Updated: At(now)}}}
}

// submit submits c; the returned function waits for the result.
func (r *rig) submit(c *Change) func() Result {
	r.t.Helper()
	got := make(chan Result, 2)
	c.Done = func(res Result) { got <- res }
	if err := r.s.Submit(c); err != nil {
		r.t.Fatalf("Submit: %v", err)
	}
	return func() Result {
		res := <-got
		synctest.Wait()
		if len(got) > 0 {
			r.t.Error("Done was called twice")
		}
		return res
	}
}

func (r *rig) bindings(aor sipaddr.AOR) string { return show(r.s.Bindings([]byte(aor))) }

const alice, bob sipaddr.AOR = "alice@example.com", "bob@example.com"

// The order is: store, memory, Done, Flush.
func TestDurableBeforeDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newFake())
		defer r.stop()
		c := change(alice, "sip:a@192.0.2.1", "x", 1)
		done := make(chan struct{})
		c.Done = func(res Result) {
			if res.Err != nil || show(res.Bindings) != "1:a@192.0.2.1" {
				t.Errorf("got %q, %v", show(res.Bindings), res.Err)
			}
			if got := r.f.uris(alice); len(got) != 1 {
				t.Errorf("stored when Done is called: %v, want one row", got)
			}
			if got := r.bindings(alice); got != "1:a@192.0.2.1" {
				t.Errorf("published when Done is called: %q", got)
			}
			if n := r.flushes.Load(); n != 0 {
				t.Errorf("got %d flushes before Done, want 0", n)
			}
			close(done)
		}
		if err := r.s.Submit(c); err != nil {
			t.Fatal(err)
		}
		<-done
		synctest.Wait()
		if n := r.flushes.Load(); n != 1 {
			t.Errorf("got %d flushes, want 1", n)
		}
		b := r.s.Bindings([]byte(alice))[0]
		if b.UserID != 7 || b.Next != addr("192.0.2.1:5060") {
			t.Errorf("got user %d next %v, want 7 and the contact's address", b.UserID, b.Next)
		}
	})
}

// What comes while a commit runs is committed together, one change an AOR, in their order.
func TestBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.gate = make(chan struct{})
		r := newRig(t, f)
		defer r.stop()
		waits := []func() Result{r.submit(change("first@example.com", "sip:f@192.0.2.1", "x", 1))}
		synctest.Wait() // The first commit is under way.
		for i := range 300 {
			waits = append(waits, r.submit(change(sipaddr.AOR(fmt.Sprintf("u%d@example.com", i)), "sip:u@192.0.2.1", "x", 1)))
		}
		for cseq := uint32(1); cseq <= 3; cseq++ {
			waits = append(waits, r.submit(change(alice, "sip:a@192.0.2.1", "y", cseq)))
		}
		close(f.gate)
		for i, wait := range waits {
			if res := wait(); res.Err != nil {
				t.Errorf("change %d: %v", i, res.Err)
			}
		}
		if got := r.s.Bindings([]byte(alice))[0].CSeq; got != 3 {
			t.Errorf("got CSeq %d, want 3: the order of an AOR's changes is kept", got)
		}
		for i, batch := range f.batches {
			rows, seen := 0, map[sipaddr.AOR]bool{}
			for _, set := range batch {
				rows += len(set.Upsert) + len(set.Delete)
				if seen[set.AOR] {
					t.Errorf("batch %d has %s twice", i, set.AOR)
				}
				seen[set.AOR] = true
			}
			if rows > batchRows {
				t.Errorf("batch %d has %d rows, want at most %d", i, rows, batchRows)
			}
		}
		if n := len(f.batches); n < 4 || n > 6 {
			t.Errorf("got %d commits for 304 changes, want about 5", n)
		}
		if got, want := int(r.flushes.Load()), len(f.batches); got != want {
			t.Errorf("got %d flushes, want one a batch: %d", got, want)
		}
	})
}

// A change that breaks a rule, or changes nothing, is answered without a commit.
func TestRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newFake())
		defer r.stop()
		r.submit(change(alice, "sip:a@192.0.2.1", "x", 5))()
		commits := len(r.f.batches)
		res := r.submit(change(alice, "sip:a@192.0.2.1", "x", 5))()
		if !errors.Is(res.Err, ErrOutOfOrder) || show(res.Bindings) != "1:a@192.0.2.1" {
			t.Errorf("got %v with %q, want ErrOutOfOrder with what is bound", res.Err, show(res.Bindings))
		}
		many := change(alice, "sip:a@192.0.2.2", "x", 6)
		many.Max = 1
		many.Set = append(many.Set, change(alice, "sip:a@192.0.2.3", "x", 6).Set...)
		if res := r.submit(many)(); !errors.Is(res.Err, ErrTooMany) {
			t.Errorf("got %v, want ErrTooMany", res.Err)
		}
		if res := r.submit(&Change{AOR: bob, CallID: "x", CSeq: 1, Now: time.Now(), Star: true})(); res.Err != nil {
			t.Errorf("* without bindings: got %v", res.Err)
		}
		if len(r.f.batches) != commits {
			t.Error("the store was asked for nothing")
		}
		if res := r.submit(change(bob, "sip:b@192.0.2.1", "x", 1))(); res.Bindings[0].ID != 2 {
			t.Errorf("got id %d, want 2: ids of failed changes are used again", res.Bindings[0].ID)
		}
	})
}

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

func TestQueueFull(t *testing.T) {
	s, err := New(Config{Store: newFake()})
	if err != nil {
		t.Fatal(err)
	}
	for i := range queueSize {
		if err := s.Submit(change(alice, "sip:a@192.0.2.1", "x", uint32(i))); err != nil {
			t.Fatalf("change %d: %v", i, err)
		}
	}
	if err := s.Submit(change(alice, "sip:a@192.0.2.1", "x", 1)); !errors.Is(err, ErrBusy) {
		t.Errorf("got %v, want ErrBusy", err)
	}
}

// Stopping finishes what was taken, takes nothing more, and cuts no commit short.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.gate = make(chan struct{})
		r := newRig(t, f)
		var waits []func() Result
		for i := range 600 {
			waits = append(waits, r.submit(change(sipaddr.AOR(fmt.Sprintf("u%d@example.com", i%300)), "sip:u@192.0.2.1", "x", uint32(i+1))))
		}
		synctest.Wait()
		go func() {
			time.Sleep(time.Second)
			close(f.gate)
		}()
		r.stop()
		for i, wait := range waits {
			if res := wait(); res.Err != nil {
				t.Fatalf("change %d: %v", i, res.Err)
			}
		}
		if err := r.s.Submit(change(alice, "sip:a@192.0.2.1", "x", 1)); !errors.Is(err, ErrAway) {
			t.Errorf("after the end: got %v, want ErrAway", err)
		}
	})
}

func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		r := newRig(t, f)
		defer r.stop()
		short := change(alice, "sip:a@192.0.2.1", "x", 1)
		short.Set[0].Expires = At(time.Now().Add(90 * time.Second))
		r.submit(short)()
		r.submit(change(alice, "sip:a@192.0.2.2", "x", 2))()
		r.submit(change(bob, "sip:b@192.0.2.1", "x", 1))()
		time.Sleep(91 * time.Second)
		live := 0
		for _, b := range r.s.Bindings([]byte(alice)) {
			if b.Live(time.Now()) {
				live++
			}
		}
		if live != 1 {
			t.Errorf("got %d live bindings after 91 s, want 1", live)
		}
		time.Sleep(sweepEvery)
		synctest.Wait()
		if got := r.bindings(alice); got != "2:a@192.0.2.2" {
			t.Errorf("swept: got %q, want the one that lives", got)
		}
		if got := f.uris(alice); len(got) != 1 {
			t.Errorf("swept: the store has %v, want one", got)
		}
		time.Sleep(time.Hour + sweepEvery)
		synctest.Wait()
		n := 0
		for i := range r.s.shard {
			n += len(r.s.shard[i].aors)
		}
		if n != 0 || len(f.rows) != 0 {
			t.Errorf("all expired: got %d AORs and %d rows, want none", n, len(f.rows))
		}
	})
}

// A mass expiry is deleted in bounded commits, and a failing store does not lose it.
func TestExpiryOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		for i := range int64(1000) {
			b := *bound(i+1, "sip:u@192.0.2.1", "x", 1)
			b.Expires = At(time.Now().Add(-time.Hour))
			f.add(sipaddr.AOR(fmt.Sprintf("u%d@example.com", i)), b)
		}
		r := newRig(t, f)
		defer r.stop()
		if f.cleaned.IsZero() {
			t.Error("Load did not delete what has expired")
		}
		f.set(func() { f.badAOR = "u5@example.com" })
		time.Sleep(sweepEvery + time.Second)
		synctest.Wait()
		if n := len(f.rows); n != 1 {
			t.Errorf("got %d rows, want the one that could not be deleted", n)
		}
		for _, batch := range f.batches {
			if len(batch) > batchRows {
				t.Errorf("got %d rows in one commit, want at most %d", len(batch), batchRows)
			}
		}
		f.set(func() { f.badAOR = "" })
		time.Sleep(sweepEvery)
		synctest.Wait()
		if n := len(f.rows); n != 0 {
			t.Errorf("got %d rows a minute later, want none", n)
		}
	})
}

func TestLoad(t *testing.T) {
	f := newFake()
	now := time.Now()
	for i, b := range []Binding{
		{URI: "sip:a@192.0.2.1", Q: 500, Expires: At(now.Add(time.Hour)), Updated: At(now), CallID: "x", CSeq: 1},
		{URI: "sip:a@192.0.2.2", Q: 1000, Expires: 0},
		{URI: "sip:a@10.0.0.3;transport=tcp", Q: 1000, Expires: At(now.Add(time.Hour)), Updated: At(now), Proto: protoTCP, ByFlow: true, Conn: 77, Source: addr("192.0.2.3:40000")},
	} {
		b.ID = int64(i + 40)
		f.add(alice, b)
	}
	s, err := New(Config{Store: f})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context()); err == nil {
		t.Error("Run before Load: got no error")
	}
	if err := s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := show(s.Bindings([]byte(alice))), "42:a@10.0.0.3;transport=tcp 41:a@192.0.2.2 40:a@192.0.2.1"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if b := s.Bindings([]byte(alice))[0]; b.Conn != 0 || !b.Suspended() {
		t.Errorf("got Conn %d Suspended %v: no connection survives a restart", b.Conn, b.Suspended())
	}
	if s.c.lastID != 42 {
		t.Errorf("got last id %d, want 42", s.c.lastID)
	}
	f.down = errors.New("no such table")
	s, _ = New(Config{Store: f})
	if err := s.Load(t.Context()); err == nil || !strings.Contains(err.Error(), "no such table") {
		t.Errorf("got %v, want the store's error", err)
	}
	if _, err := New(Config{}); err == nil {
		t.Error("New without a Store: got no error")
	}
}

// What was acknowledged is there after a restart, what was not is not.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		r := newRig(t, f)
		acknowledged := map[sipaddr.AOR]string{}
		for i := range 60 {
			f.set(func() {
				f.fail, f.applied = nil, false
				switch i % 4 {
				case 1:
					f.fail = ErrNotCommitted
				case 2:
					f.fail, f.applied = ErrUnknownOutcome, true
				case 3:
					f.fail = ErrUnknownOutcome
				}
			})
			aor := sipaddr.AOR(fmt.Sprintf("u%d@example.com", i%7))
			uri := fmt.Sprintf("sip:u@192.0.2.%d", i)
			c := change(aor, uri, "x", uint32(i+1))
			c.Max = 1
			if res := r.submit(c)(); res.Err == nil {
				acknowledged[aor] = uri
			}
		}
		r.stop()
		f.set(func() { f.fail = nil })
		again := newRig(t, f)
		defer again.stop()
		for aor, uri := range acknowledged {
			if list := again.s.Bindings([]byte(aor)); len(list) != 1 || list[0].URI != uri {
				t.Errorf("%s: got %q, want %s", aor, show(list), uri)
			}
		}
		if len(acknowledged) != 7 {
			t.Errorf("got %d AORs, want 7", len(acknowledged))
		}
	})
}

func TestConnClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newFake())
		defer r.stop()
		over := func(aor sipaddr.AOR, uri string, cseq uint32, conn uint64) {
			t.Helper()
			c := change(aor, uri, "x", cseq)
			b := c.Set[0]
			b.Proto, b.Conn, b.ByFlow, b.Source = protoTCP, conn, true, addr("192.0.2.1:40000")
			if res := r.submit(c)(); res.Err != nil {
				t.Fatal(res.Err)
			}
		}
		over(alice, "sip:a@10.0.0.1;transport=tcp", 1, 5)
		over(alice, "sip:a@192.0.2.1;transport=tcp", 2, 5)
		over(alice, "sip:a@10.0.0.2;transport=tcp", 3, 6)
		over(bob, "sip:b@10.0.0.1;transport=tcp", 1, 5)
		before := slices.Clone(r.s.Bindings([]byte(alice)))
		r.s.ConnClosed(0)
		r.s.ConnClosed(99)
		r.s.ConnClosed(5)
		synctest.Wait()
		for _, tt := range []struct {
			aor       sipaddr.AOR
			uri       string
			conn      uint64
			flow, sus bool
		}{
			{alice, "sip:a@10.0.0.1;transport=tcp", 0, true, true},
			{alice, "sip:a@192.0.2.1;transport=tcp", 0, false, false},
			{alice, "sip:a@10.0.0.2;transport=tcp", 6, true, false},
			{bob, "sip:b@10.0.0.1;transport=tcp", 0, true, true},
		} {
			list := r.s.Bindings([]byte(tt.aor))
			i := slices.IndexFunc(list, func(b *Binding) bool { return b.URI == tt.uri })
			if i < 0 {
				t.Errorf("%s is gone", tt.uri)
				continue
			}
			if b := list[i]; b.Conn != tt.conn || b.ByFlow != tt.flow || b.Suspended() != tt.sus {
				t.Errorf("%s: got Conn %d ByFlow %v Suspended %v, want %d %v %v", tt.uri, b.Conn, b.ByFlow, b.Suspended(), tt.conn, tt.flow, tt.sus)
			}
		}
		for _, b := range before {
			if b.Conn == 0 {
				t.Error("a published binding was changed in place")
			}
		}
		over(alice, "sip:a@10.0.0.1;transport=tcp", 4, 7)
		if list := r.s.Bindings([]byte(alice)); slices.ContainsFunc(list, (*Binding).Suspended) {
			t.Error("still suspended after a new registration")
		}
		over(alice, "sip:a@10.0.0.2;transport=tcp", 5, 7)
		r.s.ConnClosed(6)
		r.s.ConnClosed(7)
		synctest.Wait()
		if n := len(r.s.c.conns); n != 0 {
			t.Errorf("got %d connections indexed, want none", n)
		}
	})
}

// Many clients register, refresh, fetch and remove at once; what each last got acknowledged is what memory and store have.
func TestConcurrent(t *testing.T) {
	f := newFake()
	s, err := New(Config{Store: f})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { s.Run(ctx); close(ended) }()
	var clients sync.WaitGroup
	const users, rounds = 16, 60
	for u := range users {
		clients.Go(func() {
			aor := sipaddr.AOR(fmt.Sprintf("u%d@example.com", u))
			for i := range rounds {
				c := change(aor, fmt.Sprintf("sip:u@192.0.2.%d", i%3), "x", uint32(i+1))
				if i%5 == 4 {
					c.Set[0].Expires = At(c.Now)
				}
				c.Set[0].Conn = uint64(i%4 + 1)
				got := make(chan Result, 1)
				c.Done = func(r Result) { got <- r }
				if err := s.Submit(c); err != nil {
					t.Errorf("%s: %v", aor, err)
					return
				}
				for len(got) == 0 {
					for _, b := range s.Bindings([]byte(aor)) {
						if b.URI == "" || !b.Next.IsValid() {
							t.Errorf("%s: half a binding: %+v", aor, b)
						}
					}
					s.ConnClosed(uint64(i % 4))
					runtime.Gosched()
				}
				if r := <-got; r.Err != nil {
					t.Errorf("%s: %v", aor, r.Err)
				}
			}
		})
	}
	clients.Wait()
	cancel()
	<-ended
	for u := range users {
		aor := sipaddr.AOR(fmt.Sprintf("u%d@example.com", u))
		var memory []string
		for _, b := range s.Bindings([]byte(aor)) {
			memory = append(memory, b.URI)
		}
		slices.Sort(memory)
		if stored := f.uris(aor); !slices.Equal(memory, stored) || len(stored) != 2 {
			t.Errorf("%s: memory has %v, the store %v, want the same two", aor, memory, stored)
		}
	}
}

func loaded(tb testing.TB, n int) (*Service, [][]byte) {
	tb.Helper()
	f := newFake()
	s, err := New(Config{Store: f})
	if err != nil {
		tb.Fatal(err)
	}
	keys := make([][]byte, n)
	for i := range keys {
		aor := sipaddr.AOR(fmt.Sprintf("user%07d@example.com", i))
		keys[i] = []byte(aor)
		b := Binding{
			ID: int64(i + 1), URI: fmt.Sprintf("sip:user%07d@192.0.2.1:5060;transport=udp", i), CallID: fmt.Sprintf("%032x@192.0.2.1", i), CSeq: 1, Q: 1000,
			InstanceID: fmt.Sprintf("<urn:uuid:%08x-0000-1000-8000-000a95a0e128>", i), UserAgent: "baresip v1.0.0 (x86_64/linux)",
			Expires: At(t0), Updated: At(t0), Source: addr("192.0.2.1:5060"), Local: addr("192.0.2.200:5060"),
		}
		b.pack()
		b.prepare()
		s.publish(aor, []*Binding{&b})
	}
	return s, keys
}

func TestBindingsAllocatesNothing(t *testing.T) {
	s, keys := loaded(t, 10)
	if n := testing.AllocsPerRun(100, func() {
		if len(s.Bindings(keys[3])) != 1 {
			t.Fatal("not found")
		}
	}); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

// A million contacts are to fit into 600 bytes each, all in all.
func TestMemory(t *testing.T) {
	const n = 40_000
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	s, keys := loaded(t, n)
	clear(keys)
	keys = nil
	each := int64(heap()-before) / n
	if each > 600 {
		t.Errorf("got %d bytes a binding, want at most 600", each)
	}
	t.Logf("%d bytes a binding", each)
	runtime.KeepAlive(s)
	runtime.KeepAlive(keys)
}

func BenchmarkBindings(b *testing.B) {
	s, keys := loaded(b, 100_000)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if s.Bindings(keys[i*7919%len(keys)]) == nil {
				b.Fatal("not found")
			}
		}
	})
}

// BenchmarkApply is the rules for one refresh.
func BenchmarkApply(b *testing.B) {
	before := []*Binding{bound(1, "sip:alice@192.0.2.1:5060;transport=udp", "x", 1)}
	b.ReportAllocs()
	for b.Loop() {
		c := Change{CallID: "y", CSeq: 2, Now: t0, Max: 20, Set: []*Binding{bound(0, "sip:alice@192.0.2.1:5060;transport=udp", "y", 2)}}
		if _, err := apply(before, &c, func() int64 { return 5 }); err != nil {
			b.Fatal(err)
		}
	}
}
