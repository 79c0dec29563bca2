package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// peers are the gateways that probes go to.
type peers struct {
	mu    sync.Mutex
	sent  []sent
	reply func(uri string) (after time.Duration, err error) // 0: now; negative: never
}

type sent struct {
	uri string
	at  time.Time
}

func (p *peers) Probe(uri string, done func(time.Duration, error)) {
	p.mu.Lock()
	p.sent = append(p.sent, sent{uri, time.Now()})
	reply := p.reply
	p.mu.Unlock()
	after, err := reply(uri)
	switch {
	case after == 0:
		done(time.Millisecond, err)
	case after > 0:
		time.AfterFunc(after, func() { done(after, err) })
	}
}

func (p *peers) answer(f func(uri string) (time.Duration, error)) {
	p.mu.Lock()
	p.reply = f
	p.mu.Unlock()
}

// take returns what was sent since the last call, of uri, "" for all.
func (p *peers) take(uri string) (times []time.Time) {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.sent {
		if uri == "" || s.uri == uri {
			times = append(times, s.at)
		}
	}
	p.sent = nil
	return times
}

func after(d time.Duration, err error) func(string) (time.Duration, error) {
	return func(string) (time.Duration, error) { return d, err }
}

// bubble runs f beside Run in virtual time; log is what Run has logged.
func bubble(t *testing.T, f func(tab *Table, p *peers, log *bytes.Buffer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		tab, p, log := New(), &peers{reply: after(0, nil)}, &bytes.Buffer{}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			tab.Run(ctx, p, slog.New(slog.NewTextHandler(log, nil)))
		}()
		f(tab, p, log)
		stop()
		<-ended
	})
}

func (t *Table) is(id int64) Condition {
	synctest.Wait()
	for _, s := range t.List(time.Now()) {
		if s.ID == id {
			return s.Condition
		}
	}
	return Condition(99)
}

func one(probe time.Duration) []Config {
	return []Config{{ID: 1, Name: "gw", URI: "sip:gw", Probe: probe}}
}

func TestProbesAreSpread(t *testing.T) {
	bubble(t, func(tab *Table, p *peers, _ *bytes.Buffer) {
		tab.Configure(configs(200), time.Now())
		begin := time.Now()
		time.Sleep(firstProbes + 5*time.Second)
		all := p.take("")
		if len(all) != 200 {
			t.Fatalf("got %d probes in the first %v, want one for each of 200", len(all), firstProbes)
		}
		for i, at := range all[1:] {
			if gap := at.Sub(all[i]); gap < probeGap {
				t.Fatalf("got two probes within %v, want %v between them", gap, probeGap)
			}
		}
		perSecond := map[int]int{}
		for _, at := range all {
			perSecond[int(at.Sub(begin)/time.Second)]++
		}
		for s := range 10 {
			if n := perSecond[s]; n < 5 || n > 45 {
				t.Errorf("got %d probes in second %d, want about 20", n, s)
			}
		}
		time.Sleep(5 * time.Minute)
		if n := len(p.take("")); n < 1800 || n > 2250 {
			t.Errorf("got %d probes in 5 minutes, want about 2000", n)
		}
	})
}

func TestProbesFollowTheirInterval(t *testing.T) {
	for _, tt := range []struct {
		probe       time.Duration
		least, most int // in an hour
	}{{0, 108, 135}, {time.Minute, 54, 67}, {time.Second, 650, 800}, {-1, 0, 0}, {24 * time.Hour, 0, 1}} {
		bubble(t, func(tab *Table, p *peers, _ *bytes.Buffer) {
			tab.Configure(one(tt.probe), time.Now())
			time.Sleep(time.Hour)
			if n := len(p.take("")); n < tt.least || n > tt.most {
				t.Errorf("probe %v: got %d probes an hour, want %d to %d", tt.probe, n, tt.least, tt.most)
			}
		})
	}
}

func TestProbesFindOut(t *testing.T) {
	bubble(t, func(tab *Table, p *peers, log *bytes.Buffer) {
		tab.Configure(one(0), time.Now())
		time.Sleep(time.Minute)
		p.take("")
		if s := tab.List(time.Now())[0]; s.Condition != Up || s.Latency != time.Millisecond || s.Answered.IsZero() || s.Probe != DefaultProbe {
			t.Errorf("got %+v", s)
		}
		p.answer(after(-1, nil)) // It dies.
		died := time.Now()
		for tab.is(1) != Down {
			if time.Sleep(time.Second); time.Since(died) > time.Minute {
				t.Fatal("nobody notices that it is dead")
			}
		}
		if s := tab.List(time.Now())[0]; s.Reason != "OPTIONS: no answer" {
			t.Errorf("got the reason %q", s.Reason)
		}
		time.Sleep(30 * time.Minute) // A bounded backoff: it is asked on and on.
		sent := p.take("")
		for i, at := range sent[max(len(sent)-20, 1):] {
			if gap := at.Sub(sent[max(len(sent)-20, 1)+i-1]); gap > maxRetry+probeTimeout {
				t.Errorf("got %v between two probes of one that is down, want at most %v", gap, maxRetry+probeTimeout)
			}
		}
		p.answer(after(0, nil))
		time.Sleep(maxRetry + probeTimeout)
		if got := tab.is(1); got != Up {
			t.Errorf("it answers again: got %v, want up", got)
		}
		for p.take(""); len(p.take("")) == 0; {
			time.Sleep(time.Second)
		}
		p.answer(after(-1, nil)) // It dies again, which is found out as fast as before.
		time.Sleep(DefaultProbe*11/10 + probeTimeout + retryProbe + probeTimeout)
		if got := tab.is(1); got != Down {
			t.Errorf("it has died again: got %v, want down", got)
		}
		text := log.String()
		if strings.Count(text, "msg=gateway") != 3 || !strings.Contains(text, `state=down reason="OPTIONS: no answer"`) ||
			!strings.Contains(text, `state=up reason="it answers OPTIONS"`) {
			t.Errorf("got the log\n%s", text)
		}
	})
}

// A call finds it dead: it is asked at once, more often at first, whether it is back.
func TestProbesAfterACallFailed(t *testing.T) {
	bubble(t, func(tab *Table, p *peers, _ *bytes.Buffer) {
		tab.Configure(one(10*time.Minute), time.Now())
		time.Sleep(time.Minute)
		p.take("")
		p.answer(after(0, errors.New("connection refused")))
		l, _ := tab.Begin(1, time.Now())
		l.Unreachable("connection refused", time.Now())
		l.End()
		failed := time.Now()
		time.Sleep(2 * time.Minute)
		var got []time.Duration
		for _, at := range p.take("") {
			got = append(got, at.Sub(failed))
		}
		s := time.Second
		if want := []time.Duration{2 * s, 6 * s, 14 * s, 30 * s, 60 * s, 90 * s, 120 * s}; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got probes after %v, want %v", got, want)
		}
		p.answer(after(0, nil))
		time.Sleep(maxRetry)
		if got := tab.is(1); got != Up {
			t.Errorf("got %v, want up", got)
		}
		p.take("")
		time.Sleep(time.Hour)
		if n := len(p.take("")); n < 5 || n > 7 {
			t.Errorf("got %d probes an hour when it is well again, want 6", n)
		}
	})
}

func TestLateAnswerIsOne(t *testing.T) {
	bubble(t, func(tab *Table, p *peers, _ *bytes.Buffer) {
		p.answer(after(5*time.Second, nil)) // Later than probeTimeout.
		tab.Configure(one(0), time.Now())
		for range 600 {
			time.Sleep(time.Second)
			if got := tab.is(1); got == Down {
				t.Fatal("it answers, late, and is down")
			}
		}
		if s := tab.List(time.Now())[0]; s.Condition != Up || s.Latency != 5*time.Second {
			t.Errorf("got %+v, want up", s)
		}
	})
}

func TestSlowAnswers(t *testing.T) {
	bubble(t, func(tab *Table, p *peers, _ *bytes.Buffer) {
		p.answer(after(2*time.Second, nil))
		tab.Configure(one(0), time.Now())
		time.Sleep(5 * time.Minute)
		if s := tab.List(time.Now())[0]; s.Condition != Degraded || s.Reason != "answers take 2s" || s.Latency != 2*time.Second {
			t.Errorf("got %+v, want degraded", s)
		}
		p.answer(after(10*time.Millisecond, nil))
		time.Sleep(5 * time.Minute)
		if got := tab.is(1); got != Up {
			t.Errorf("it answers fast: got %v, want up", got)
		}
	})
}

// A gateway that comes back answers all that is still being sent to it: none of that makes it slow.
func TestBackAfterAnOutage(t *testing.T) {
	bubble(t, func(tab *Table, p *peers, _ *bytes.Buffer) {
		back := time.Now().Add(5 * time.Minute)
		p.answer(func(string) (time.Duration, error) {
			if d := time.Until(back); d < 32*time.Second {
				return max(d, time.Millisecond), nil
			}
			return -1, nil
		})
		tab.Configure(one(0), time.Now())
		time.Sleep(5*time.Minute + time.Second)
		for range 60 {
			if s := tab.List(time.Now())[0]; s.Condition != Up {
				t.Fatalf("it is back: got %+v, want up", s)
			}
			time.Sleep(time.Second)
		}
	})
}

// A failure that is told after the probe was given up is not another one.
func TestLateFailureIsNone(t *testing.T) {
	bubble(t, func(tab *Table, p *peers, _ *bytes.Buffer) {
		n := 0
		p.answer(func(string) (time.Duration, error) {
			if n++; n == 1 {
				return 5 * time.Second, errors.New("timeout") // Its transaction ends after it was given up.
			}
			return 0, nil
		})
		tab.Configure(one(0), time.Now())
		for range 60 {
			time.Sleep(time.Second)
			if got := tab.is(1); got != Up {
				t.Fatalf("one probe was lost: got %v, want up", got)
			}
		}
	})
}

func TestNotSentIsNoFailure(t *testing.T) {
	bubble(t, func(tab *Table, p *peers, _ *bytes.Buffer) {
		p.answer(after(0, fmt.Errorf("%w: too much to do", ErrNotSent)))
		tab.Configure(one(0), time.Now())
		time.Sleep(10 * time.Minute)
		if got, n := tab.is(1), len(p.take("")); got != Up || n < 15 || n > 60 {
			t.Errorf("got %v after %d probes that were not sent, want up, and that it is tried on", got, n)
		}
	})
}

func TestProbesFollowTheConfiguration(t *testing.T) {
	bubble(t, func(tab *Table, p *peers, _ *bytes.Buffer) {
		p.answer(after(-1, nil))
		tab.Configure(one(0), time.Now())
		time.Sleep(2 * time.Minute)
		if n := len(p.take("sip:gw")); n == 0 || tab.is(1) != Down {
			t.Fatalf("got %d probes and %v, want down", n, tab.is(1))
		}
		// Its answer comes when the URI is another: that says nothing of the new one.
		p.answer(after(6*time.Second, nil))
		for n := 0; n == 0; n = len(p.take("")) {
			time.Sleep(time.Second)
		}
		p.answer(after(-1, nil))
		cfg := one(0)
		cfg[0].URI = "sip:other"
		tab.Configure(cfg, time.Now())
		time.Sleep(8 * time.Second)
		if s := tab.List(time.Now())[0]; !s.Answered.IsZero() {
			t.Error("an answer of where it was counts for where it is")
		}
		time.Sleep(2 * time.Minute)
		if sent := p.take("sip:other"); len(sent) == 0 || tab.is(1) != Down {
			t.Errorf("got %d probes to its new place and %v, want down", len(sent), tab.is(1))
		}
		cfg[0].Drained = true
		tab.Configure(cfg, time.Now())
		time.Sleep(5 * time.Minute)
		if n := len(p.take("sip:other")); n < 5 || tab.is(1) != Drained {
			t.Errorf("drained: got %d probes and %v, want that it is looked after", n, tab.is(1))
		}
		cfg[0].Probe = -1
		tab.Configure(cfg, time.Now())
		p.take("")
		time.Sleep(time.Hour)
		if n := len(p.take("")); n != 0 {
			t.Errorf("probes are off: got %d", n)
		}
		tab.Configure(one(0), time.Now())
		tab.Configure(nil, time.Now())
		p.take("")
		time.Sleep(time.Hour)
		if n := len(p.take("")); n != 0 {
			t.Errorf("the gateway is gone: got %d probes", n)
		}
	})
}

// A gateway that comes and goes fills no log.
func TestLogIsBounded(t *testing.T) {
	bubble(t, func(tab *Table, p *peers, log *bytes.Buffer) {
		tab.Configure(one(-1), time.Now())
		for range 600 {
			l, _ := tab.Begin(1, time.Now())
			l.Unreachable("refused", time.Now())
			time.Sleep(50 * time.Millisecond)
			l.Response(200, 0, time.Now())
			l.End()
			time.Sleep(50 * time.Millisecond)
		}
		l, _ := tab.Begin(1, time.Now())
		l.Unreachable("refused", time.Now())
		l.End()
		time.Sleep(tellTime)
		synctest.Wait()
		if n := strings.Count(log.String(), "msg=gateway"); n < 2 || n > 8 {
			t.Errorf("got %d lines in 70 s, want at most one each %v", n, tellTime)
		}
		if text := strings.TrimSpace(log.String()); !strings.Contains(text[strings.LastIndexByte(text, '\n')+1:], "state=down") {
			t.Errorf("the last line is not how it is: down\n%s", text)
		}
	})
}

// Calls whose BYE was lost are forgotten though nobody asks.
func TestRunForgetsCalls(t *testing.T) {
	bubble(t, func(tab *Table, p *peers, _ *bytes.Buffer) {
		tab.Configure(one(-1), time.Now())
		l, _ := tab.Begin(1, time.Now())
		l.Established(dialog("c", "a", "b"), 0, time.Now())
		time.Sleep(maxLife - time.Minute)
		if got := tab.List(time.Now())[0].Calls; got != 1 {
			t.Errorf("got %d calls, want 1", got)
		}
		time.Sleep(2*time.Minute + sweepTime)
		if got := tab.List(time.Now())[0].Calls; got != 0 || tab.Any() {
			t.Errorf("got %d calls, want 0", got)
		}
	})
}
