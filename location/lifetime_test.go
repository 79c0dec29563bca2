package location

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sipd/sipaddr"
)

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
		for i := range r.s.table.shard {
			n += r.s.table.shard[i].aors
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

// A connection is kept for as long as a binding is reached over it (BEHAVIOUR J).
func TestConnKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		r := newRig(t, f)
		defer r.stop()
		cseq := uint32(0)
		over := func(aor sipaddr.AOR, conn uint64, expires time.Duration) {
			t.Helper()
			cseq++
			c := change(aor, "sip:x@192.0.2.1;transport=tcp", "x", cseq)
			b := c.Set[0]
			b.Proto, b.Conn, b.ByFlow, b.Source, b.Expires = protoTCP, conn, true, addr("192.0.2.1:40000"), At(time.Now().Add(expires))
			if res := r.submit(c)(); res.Err != nil {
				t.Fatal(res.Err)
			}
		}
		kept := func(when string, want ...uint64) {
			t.Helper()
			var got []uint64
			r.kept.Range(func(k, _ any) bool { got = append(got, k.(uint64)); return true })
			if slices.Sort(got); !slices.Equal(got, want) {
				t.Errorf("%s: got %v kept, want %v", when, got, want)
			}
		}
		over(alice, 5, time.Hour)
		over(bob, 5, time.Hour)
		kept("two over one", 5)
		over(alice, 6, time.Hour)
		kept("one has moved", 5, 6)
		over(bob, 6, 2*time.Hour)
		kept("both have moved", 6)
		time.Sleep(time.Hour + 2*sweepEvery)
		synctest.Wait()
		kept("one has expired", 6)
		time.Sleep(time.Hour + 2*sweepEvery)
		synctest.Wait()
		kept("both have expired")
		over(alice, 7, time.Hour)
		over(bob, 8, time.Hour)
		r.s.ConnClosed(7)
		synctest.Wait()
		kept("one has closed", 8)
		f.set(func() { clear(f.rows) })
		r.s.Distrust()
		time.Sleep(probeEvery + time.Millisecond)
		synctest.Wait()
		kept("the rows are gone")
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

// A connection that closed before what registered over it was committed is as closed as any other.
func TestConnClosedBeforeTheCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.gate = make(chan struct{})
		r := newRig(t, f)
		defer r.stop()
		over := func(uri string, cseq uint32, conn uint64) func() Result {
			c := change(alice, uri, "x", cseq)
			b := c.Set[0]
			b.Proto, b.Conn, b.ByFlow, b.Source = protoTCP, conn, true, addr("192.0.2.1:40000")
			return r.submit(c)
		}
		first := over("sip:a@10.0.0.1;transport=tcp", 1, 5)
		synctest.Wait() // Its commit is under way.
		second := over("sip:a@10.0.0.2;transport=tcp", 2, 5)
		r.s.ConnClosed(5)
		r.s.ConnClosed(6)
		close(f.gate)
		first()
		second()
		synctest.Wait()
		late := over("sip:a@10.0.0.3;transport=tcp", 3, 6) // received before 6 closed, submitted after
		late()
		for _, b := range r.s.Bindings([]byte(alice)) {
			if b.Conn != 0 || !b.Suspended() {
				t.Errorf("%s: got Conn %d Suspended %v, want it suspended", b.URI, b.Conn, b.Suspended())
			}
		}
		if n := len(r.s.c.conns); n != 0 {
			t.Errorf("got %d connections indexed, want none", n)
		}
	})
}

// A user that was removed and added again is another user: he does not inherit where the former one was.
func TestFormerUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newFake())
		defer r.stop()
		r.owners.Store(alice, 7)
		r.owners.Store(bob, 7)
		r.submit(change(alice, "sip:a@192.0.2.1", "x", 1))()
		r.submit(change(bob, "sip:b@192.0.2.1", "x", 1))()

		again := change(alice, "sip:a@192.0.2.1", "x", 1)
		again.UserID = 8
		if res := r.submit(again)(); res.Err != nil || show(res.Bindings) != "3:a@192.0.2.1" || res.Bindings[0].UserID != 8 {
			t.Errorf("got %q, %v; want the new user's binding alone, in a row of its own", show(res.Bindings), res.Err)
		}
		r.owners.Delete(bob) // A row of users that cannot be used now may be mended: nothing is thrown away.
		r.owners.Store(alice, 8)
		time.Sleep(sweepEvery + time.Second)
		synctest.Wait()
		if r.bindings(alice) == "" || r.bindings(bob) == "" {
			t.Errorf("got alice %q bob %q, want both", r.bindings(alice), r.bindings(bob))
		}
		r.owners.Store(bob, 9)
		time.Sleep(sweepEvery)
		synctest.Wait()
		if r.bindings(bob) != "" || len(r.f.uris(bob)) != 0 {
			t.Errorf("got bob %q, stored %v, want nothing of the former user", r.bindings(bob), r.f.uris(bob))
		}
	})
}
