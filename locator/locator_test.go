package locator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// fake is a source that answers what a function says.
type fake struct {
	asked  atomic.Int32
	answer func(ctx context.Context, q Query) (string, error)
}

func (f *fake) ask(ctx context.Context, q Query) ([]byte, error) {
	f.asked.Add(1)
	text, err := f.answer(ctx, q)
	return []byte(text), err
}

func (f *fake) close() {}

// hang is an answer that does not come.
func hang(ctx context.Context, _ Query) (string, error) {
	<-ctx.Done()
	return "", ctx.Err()
}

// faked is a Locator, and what its log says.
func faked(t *testing.T, answer func(ctx context.Context, q Query) (string, error)) (*Locator, *fake, *log) {
	said := &log{}
	l := locator(t, Config{Program: "/bin/true", Log: slog.New(slog.NewTextHandler(said, nil))})
	f := &fake{answer: answer}
	l.source = f
	return l, f, said
}

// log is what was logged.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), what)
}

// find waits for an answer.
func (l *Locator) find(q Query) string {
	done := make(chan string, 1)
	contacts, err, ready := l.Find(q, func(c []Contact, err error) { done <- listed(c, err) })
	if ready {
		return listed(contacts, err)
	}
	return <-done
}

func TestFind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, f, said := faked(t, func(_ context.Context, q Query) (string, error) {
			switch user, _, _ := strings.Cut(q.AOR, "@"); user {
			case "bob":
				return "sip:bob@192.0.2.1 0.5\nsip:" + q.Method + "@192.0.2.2\n", nil
			case "brief":
				return "ttl 0\nsip:brief@192.0.2.1\n", nil
			case "long":
				return "ttl 100\nsip:long@192.0.2.1\n", nil
			case "fails":
				return "", errors.New("oh")
			case "panics":
				panic("oh")
			case "faulty":
				return "sip:faulty@192.0.2.1\nbob\n", nil
			case "bad":
				return "bob\n", nil
			}
			return "", nil
		})
		for _, c := range []struct {
			name  string
			wait  time.Duration
			aor   string
			want  string
			asked int32
		}{
			{"first", 0, "bob@example.com", "sip:INVITE@192.0.2.2=1000 sip:bob@192.0.2.1=500", 1},
			{"from the cache", foundTTL - 1, "bob@example.com", "sip:INVITE@192.0.2.2=1000 sip:bob@192.0.2.1=500", 0},
			{"its time is over", 1, "bob@example.com", "sip:INVITE@192.0.2.2=1000 sip:bob@192.0.2.1=500", 1},
			{"not kept", 0, "brief@example.com", "sip:brief@192.0.2.1=1000", 1},
			{"nor the second time", 0, "brief@example.com", "sip:brief@192.0.2.1=1000", 1},
			{"kept longer", 0, "long@example.com", "sip:long@192.0.2.1=1000", 1},
			{"still", 99 * time.Second, "long@example.com", "sip:long@192.0.2.1=1000", 0},
			{"no longer", time.Second, "long@example.com", "sip:long@192.0.2.1=1000", 1},
			{"nobody", 0, "none@example.com", "", 1},
			{"nobody, from the cache", emptyTTL - 1, "none@example.com", "", 0},
			{"nobody, again", 1, "none@example.com", "", 1},
			{"it fails", 0, "fails@example.com", "locator: no answer: oh", 1},
			{"from the cache", failedTTL - 1, "fails@example.com", "locator: no answer: oh", 0},
			{"again", 1, "fails@example.com", "locator: no answer: oh", 1},
			{"a fault of ours", 0, "panics@example.com", "locator: no answer: a fault of ours", 1},
			{"a fault of its", 0, "faulty@example.com", "sip:faulty@192.0.2.1=1000", 1},
			{"nothing of use", 0, "bad@example.com", `locator: no answer: the answer cannot be used: line 1: "bob": URI does not start with a scheme such as sip: (byte 4)`, 1},
			{"a line of its own", 0, "a\nb@example.com", `locator: not asked: INVITE "a\nb@example.com" has characters that no name has`, 0},
			{"no text", 0, "a\xff@example.com", `locator: not asked: INVITE "a\xff@example.com" has characters that no name has`, 0},
			{"nobody is called", 0, "", "locator: not asked: nobody is called", 0},
			{"a long name", 0, strings.Repeat("x", maxQuery), "locator: not asked: names of 1006 bytes, at most 1000", 0},
		} {
			time.Sleep(c.wait)
			before := f.asked.Load()
			if got := l.find(Query{AOR: c.aor, Method: "INVITE"}); got != c.want {
				t.Errorf("%s: got %s, want %s", c.name, got, c.want)
			}
			if got := f.asked.Load() - before; got != c.asked {
				t.Errorf("%s: got %d questions, want %d", c.name, got, c.asked)
			}
		}
		before := f.asked.Load()
		for _, q := range []Query{{"bob@example.com", "", "INVITE"}, {"bob@example.com", "", "MESSAGE"}, {"bob@example.com", "alice@example.com", "INVITE"}} {
			l.find(q)
		}
		if got := f.asked.Load() - before; got != 3 {
			t.Errorf("got %d questions, want 3: by whom and for what makes a difference", got)
		}
		synctest.Wait() // Who asks is told before the next question is looked for.
		if s := l.Status(time.Now()); s.Panics != 1 || s.Failed != 4 || s.Answered != 12 || s.Waiting != 0 || s.Running != 0 || s.Entries == 0 {
			t.Errorf("got %+v", s)
		}
		for what, want := range map[string]int{"does not answer": 1, "answers again": 1, "has faults": 1, "level=ERROR": 1} {
			if got := said.count(what); got != want {
				t.Errorf("got %d lines %q, want %d:\n%s", got, what, want, &said.text)
			}
		}
	})
}

// TestMerged: whoever asks for the same at the same time shares a question.
func TestMerged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		l, f, _ := faked(t, func(context.Context, Query) (string, error) { <-release; return "sip:bob@192.0.2.1", nil })
		var told atomic.Int32
		for range 100 {
			if _, _, ready := l.Find(bob, func(c []Contact, err error) {
				if err == nil && len(c) == 1 {
					told.Add(1)
				}
			}); ready {
				t.Error("got an answer at once, want it later")
			}
		}
		synctest.Wait()
		if s := l.Status(time.Now()); s.Running != 1 || s.Waiting != 100 {
			t.Errorf("got %+v, want one question for 100", s)
		}
		close(release)
		synctest.Wait()
		if told.Load() != 100 || f.asked.Load() != 1 {
			t.Errorf("got %d answers of %d questions, want 100 of 1", told.Load(), f.asked.Load())
		}
	})
}

// TestFaultOfACaller: one who panics when he is told takes nobody with him.
func TestFaultOfACaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _, said := faked(t, func(context.Context, Query) (string, error) { return "sip:bob@192.0.2.1", nil })
		var told atomic.Int32
		for i := range 3 {
			l.Find(bob, func([]Contact, error) {
				told.Add(1)
				if i == 0 {
					panic("oh")
				}
			})
		}
		synctest.Wait()
		if s := l.Status(time.Now()); told.Load() != 3 || s.Panics != 1 || s.Running != 0 || said.count("level=ERROR") != 1 {
			t.Errorf("got %d told and %+v, want 3 told and one panic", told.Load(), s)
		}
	})
}

// TestBusy: while it hangs a bounded number waits, for a bounded time; those that are one too many are refused at once.
func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, f, said := faked(t, hang)
		var late, silent, down atomic.Int32
		begin := time.Now()
		for i := range maxWaiting {
			if _, err, ready := l.Find(Query{AOR: fmt.Sprintf("u%d@example.com", i), Method: "INVITE"}, func(_ []Contact, err error) {
				switch {
				case errors.Is(err, ErrBusy):
					late.Add(1)
				case errors.Is(err, errDown):
					down.Add(1)
				case errors.Is(err, ErrUnavailable):
					silent.Add(1)
				}
			}); ready {
				t.Fatalf("caller %d: got %v at once, want to wait", i, err)
			}
		}
		synctest.Wait()
		if s := l.Status(time.Now()); s.Running != maxRunning || s.Queued != maxWaiting-maxRunning || f.asked.Load() != maxRunning {
			t.Errorf("got %+v and %d questions, want %d at once", s, f.asked.Load(), maxRunning)
		}
		for _, aor := range []string{"more@example.com", "u0@example.com"} {
			if _, err, ready := l.Find(Query{AOR: aor, Method: "INVITE"}, nil); !ready || !errors.Is(err, ErrBusy) {
				t.Errorf("%s: got %v, want ErrBusy at once", aor, err)
			}
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if silent.Load() != maxRunning || late.Load()+down.Load() != maxWaiting-maxRunning || f.asked.Load() != maxRunning {
			t.Errorf("got %d without an answer, %d too late, %d left alone, %d questions; want %d, the others not asked", silent.Load(), late.Load(), down.Load(), f.asked.Load(), maxRunning)
		}
		if s := l.Status(time.Now()); s.Running != 0 || s.Queued != 0 || s.Waiting != 0 || s.Refused != uint64(2+late.Load()) {
			t.Errorf("got %+v, want nothing left", s)
		}
		if took := time.Since(begin); took > 12*time.Second {
			t.Errorf("took %v", took)
		}
		if said.count("does not answer") != 1 || said.count("too many calls wait") != 1 {
			t.Errorf("got %s, want a line each", &said.text)
		}
	})
}

// TestDown: when it keeps failing it is left alone, and one question after the other is let through until there is an answer.
func TestDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var well atomic.Bool
		l, f, said := faked(t, func(ctx context.Context, q Query) (string, error) {
			if well.Load() {
				return "sip:x@192.0.2.1", nil
			}
			return hang(ctx, q)
		})
		n := 0
		next := func() Query { n++; return Query{AOR: fmt.Sprintf("u%d@example.com", n), Method: "INVITE"} }
		for range failsUntilDown {
			if got := l.find(next()); got != "locator: no answer: not within 2s" {
				t.Errorf("got %s, want no answer", got)
			}
		}
		begin := time.Now()
		for range 100 {
			if got := l.find(next()); got != errDown.Error() {
				t.Errorf("got %s, want %v", got, errDown)
			}
		}
		if s := l.Status(time.Now()); time.Since(begin) != 0 || f.asked.Load() != failsUntilDown || !s.Down || s.Failed != failsUntilDown || s.Err == nil {
			t.Errorf("got %+v and %d questions after %v, want it left alone", s, f.asked.Load(), time.Since(begin))
		}
		time.Sleep(restTime)
		var trial atomic.Pointer[string]
		if _, err, ready := l.Find(next(), func(c []Contact, err error) { s := listed(c, err); trial.Store(&s) }); ready {
			t.Fatalf("got %v at once, want that one is let through", err)
		}
		if got := l.find(next()); got != errDown.Error() {
			t.Errorf("beside the trial: got %s, want %v", got, errDown)
		}
		time.Sleep(askTime)
		synctest.Wait()
		if got := trial.Load(); got == nil || *got != "locator: no answer: not within 2s" {
			t.Errorf("the trial: got %v, want no answer", got)
		}
		if got := l.find(next()); got != errDown.Error() {
			t.Errorf("after the trial: got %s, want %v", got, errDown)
		}
		well.Store(true)
		time.Sleep(restTime)
		for range 10 {
			if got := l.find(next()); got != "sip:x@192.0.2.1=1000" {
				t.Errorf("got %s, want a contact", got)
			}
		}
		if s := l.Status(time.Now()); s.Down || s.Answered != 10 {
			t.Errorf("got %+v, want it well", s)
		}
		if said.count("does not answer") != 1 || said.count("answers again") != 1 {
			t.Errorf("got %s, want a line each", &said.text)
		}
	})
}

// TestClose: what is under way ends, and whoever waits is told.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, f, said := faked(t, hang)
		var told atomic.Int32
		for i := range maxRunning + 10 {
			l.Find(Query{AOR: fmt.Sprintf("u%d@example.com", i), Method: "INVITE"}, func(_ []Contact, err error) {
				if errors.Is(err, ErrUnavailable) {
					told.Add(1)
				}
			})
		}
		synctest.Wait()
		begin := time.Now()
		l.Close()
		if told.Load() != maxRunning+10 || time.Since(begin) != 0 {
			t.Errorf("got %d told after %v, want %d at once", told.Load(), time.Since(begin), maxRunning+10)
		}
		if got := l.find(Query{AOR: "x@example.com", Method: "INVITE"}); got != ErrUnavailable.Error() {
			t.Errorf("afterwards: got %s, want %v", got, ErrUnavailable)
		}
		if s := l.Status(time.Now()); s.Failed != 0 || s.Entries != 0 || said.count("does not answer") != 0 || f.asked.Load() < maxRunning {
			t.Errorf("got %+v and %s, want that nothing is held against it", s, &said.text)
		}
	})
}

// TestCloseProgram: a program that is running when the server ends does not outlive it.
func TestCloseProgram(t *testing.T) {
	l := locator(t, Config{Program: script(t, "exec sleep 60")})
	l.limit = time.Minute
	told := make(chan error, 1)
	if _, err, ready := l.Find(bob, func(_ []Contact, err error) { told <- err }); ready {
		t.Fatal(err)
	}
	for l.Status(time.Now()).Running == 0 {
		time.Sleep(time.Millisecond)
	}
	l.Close()
	if err := <-told; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was ended", err)
	}
}

// BenchmarkFind is what a call pays for an answer from the cache; BenchmarkProgram for one of a program.
func BenchmarkFind(b *testing.B) {
	l, err := New(Config{Program: "/bin/true"})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	l.cache.put(bob, &entry{contacts: []Contact{{"sip:bob@192.0.2.1", 1000}}, until: time.Now().Add(time.Hour)}, time.Now())
	b.ReportAllocs()
	for b.Loop() {
		if _, err, ready := l.Find(bob, nil); err != nil || !ready {
			b.Fatal(err)
		}
	}
}

func BenchmarkProgram(b *testing.B) {
	l, err := New(Config{Program: "/bin/true"})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	for b.Loop() {
		if _, err := l.Ask(b.Context(), bob); err != nil {
			b.Fatal(err)
		}
	}
}
