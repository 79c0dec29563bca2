package location

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
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
	owners  sync.Map // user ids by AOR, as Config.Owner answers
	kept    sync.Map // connections that Config.Keep was told to keep
	stop    func()   // ends Run and waits for it
}

func newRig(t *testing.T, f *fakeStore) *rig {
	t.Helper()
	r := &rig{t: t, f: f, log: new(bytes.Buffer)}
	owner := func(aor sipaddr.AOR) int64 {
		id, _ := r.owners.Load(aor)
		n, _ := id.(int)
		return int64(n)
	}
	keep := func(conn uint64, keep bool) {
		if keep {
			r.kept.Store(conn, true)
		} else {
			r.kept.Delete(conn)
		}
	}
	s, err := New(Config{Store: f, Flush: func() { r.flushes.Add(1) }, Owner: owner, Keep: keep, Log: r.logger()})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.s = s
	r.run()
	return r
}

func (r *rig) logger() *slog.Logger { return slog.New(slog.NewTextHandler(r.log, nil)) }

// run starts the service.
func (r *rig) run() {
	ctx, cancel := context.WithCancel(r.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.s.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			r.t.Errorf("Run: got %v, want context.Canceled", err)
		}
	})
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

func TestQueueFull(t *testing.T) {
	s, err := New(Config{Store: newFake()})
	if err != nil {
		t.Fatal(err)
	}
	for i := range queueSize {
		if err := s.Submit(change(sipaddr.AOR(fmt.Sprintf("u%d@example.com", i)), "sip:a@192.0.2.1", "x", 1)); err != nil {
			t.Fatalf("change %d: %v", i, err)
		}
	}
	if err := s.Submit(change(alice, "sip:a@192.0.2.1", "x", 1)); !errors.Is(err, ErrBusy) {
		t.Errorf("got %v, want ErrBusy", err)
	}
}

// One who floods us with REGISTERs is refused, and nobody waits for him.
func TestFloodOfOneAOR(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.gate = make(chan struct{})
		r := newRig(t, f)
		defer r.stop()
		submit := func(aor sipaddr.AOR, cseq int) (func() Result, error) {
			c, done := change(aor, "sip:u@192.0.2.1", "x", uint32(cseq)), make(chan Result, 1)
			c.Done = func(res Result) { done <- res }
			err := r.s.Submit(c)
			return func() Result { return <-done }, err
		}
		// Twenty who flood, each with as much as he may.
		var waits []func() Result
		for cseq := range aorQueue {
			for who := range 20 {
				wait, err := submit(sipaddr.AOR(fmt.Sprintf("flood%d@example.com", who)), cseq+1)
				if err != nil {
					t.Fatalf("change %d of flood%d: got %v", cseq, who, err)
				}
				waits = append(waits, wait)
			}
		}
		if _, err := submit("flood0@example.com", aorQueue+1); !errors.Is(err, ErrBusy) {
			t.Errorf("one more: got %v, want ErrBusy", err)
		}
		alone, err := submit(alice, 1)
		if err != nil {
			t.Fatalf("another: got %v", err)
		}
		synctest.Wait()
		close(f.gate)
		alone()
		r.f.mu.Lock()
		n := slices.IndexFunc(r.f.batches, func(sets []RowSet) bool {
			return slices.ContainsFunc(sets, func(s RowSet) bool { return s.AOR == alice })
		})
		r.f.mu.Unlock()
		if n > 1 { // The first has what had come when it began.
			t.Errorf("another was in commit %d, want the second", n+1)
		}
		for _, wait := range waits {
			if res := wait(); res.Err != nil {
				t.Fatal(res.Err)
			}
		}
		if wait, err := submit("flood0@example.com", aorQueue+1); err != nil || wait().Err != nil {
			t.Errorf("when his are through: got %v", err)
		}
		r.s.waiting.mu.Lock()
		defer r.s.waiting.mu.Unlock()
		if r.s.waiting.n != 0 || len(r.s.waiting.aors) != 0 {
			t.Errorf("%d of %d AORs are still counted", r.s.waiting.n, len(r.s.waiting.aors))
		}
	})
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
