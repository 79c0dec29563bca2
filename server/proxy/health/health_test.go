package health

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sipd/server/transport"
)

// trial is as package proxy has it.
const trial = 4 * time.Second

func udp(addr string) transport.Flow { return transport.Flow{Remote: netip.MustParseAddrPort(addr)} }

// TestHealth is the order in which a call tries the hops a, b and c after what has happened.
func TestHealth(t *testing.T) {
	a, b, c := udp("192.0.2.1:5060"), udp("192.0.2.2:5060"), udp("192.0.2.3:5060")
	names := map[transport.Flow]string{a: "a", b: "b", c: "c"}
	begin := time.Now()
	for _, tt := range []struct {
		name string
		do   []string // "a down 0", "a up 3", "order 5 abc", "ack 5 abc" at a second
	}{
		{"nothing has failed", []string{"order 0 abc"}},
		{"one has", []string{"a down 0", "order 0 bca", "order 29 bca"}},
		{"one in the middle", []string{"b down 0", "order 1 acb"}},
		{"two: their own order is kept", []string{"b down 0", "a down 1", "order 2 cab"}},
		{"all: tried in order all the same", []string{"c down 0", "b down 0", "a down 0", "order 1 abc"}},
		{"one call tries it when its time is over", []string{"a down 0", "order 30 abc", "order 30 bca", "order 33 bca"}},
		{"another one, when the first does not say how it went", []string{"a down 0", "order 30 abc", "order 34 abc", "order 34 bca"}},
		{"it fails again", []string{"a down 0", "order 30 abc", "a down 34", "order 40 bca", "order 63 bca", "order 64 abc"}},
		{"it answers", []string{"a down 0", "order 30 abc", "a up 31", "order 31 abc", "order 31 abc"}},
		{"it answers a call from before", []string{"a down 0", "a up 1", "order 1 abc"}},
		{"an ACK tries nothing out", []string{"a down 0", "ack 31 bca", "order 31 abc", "ack 31 bca"}},
		{"one further behind is not spent on a call that does not reach it", []string{"b down 0", "order 31 abc", "order 31 abc", "a down 31", "order 31 bca", "order 32 cab"}},
		{"others are not concerned", []string{"a down 0", "b up 1", "order 1 bca"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := New(trial)
			for _, step := range tt.do {
				f := strings.Fields(step)
				var seconds int
				if f[0] == "order" || f[0] == "ack" {
					fmt.Sscan(f[1], &seconds)
					hops := []transport.Flow{a, b, c}
					h.Order(hops, begin.Add(time.Duration(seconds)*time.Second), f[0] == "order")
					got := ""
					for _, hop := range hops {
						got += names[hop]
					}
					if got != f[2] {
						t.Fatalf("%s: got %s, want %s", step, got, f[2])
					}
					continue
				}
				fmt.Sscan(f[2], &seconds)
				now := begin.Add(time.Duration(seconds) * time.Second)
				hop := map[string]transport.Flow{"a": a, "b": b, "c": c}[f[0]]
				if f[1] == "down" {
					h.Failed(hop, "example.net", "no answer", now, Time)
				} else {
					h.Works(hop, now)
				}
			}
		})
	}
}

// TestHealthKeys: a hop is its transport, address and, over TLS, the domain whose certificate it must show.
func TestHealthKeys(t *testing.T) {
	h := New(trial)
	now := time.Now()
	tls := func(d transport.Domain) transport.Flow {
		return transport.Flow{Proto: transport.TLS, Domain: d, Remote: netip.MustParseAddrPort("192.0.2.1:5061")}
	}
	h.Failed(tls(1), "a.example", "cannot be reached", now, Time)
	hops := []transport.Flow{tls(1), tls(2), {Remote: tls(1).Remote}}
	h.Order(hops, now, true)
	if hops[0] != tls(2) || hops[2] != tls(1) {
		t.Errorf("got %v, want the hop for the other domain first", hops)
	}
}

func TestHealthList(t *testing.T) {
	h := New(trial)
	now := time.Now()
	a, b := udp("192.0.2.2:5060"), udp("192.0.2.1:5060")
	h.Failed(a, "example.net", "no answer", now, Time)
	h.Failed(a, "example.net", "503", now.Add(time.Second), time.Hour)
	h.Failed(b, "example.org", "503", now, 0) // Retry-After: 0
	want := []Down{{Hop: a, Domain: "example.net", Reason: "503", Since: now, Until: now.Add(time.Second + maxDownTime)}}
	if got := h.List(now.Add(time.Second)); len(got) != 1 || got[0] != want[0] {
		t.Errorf("got %+v, want %+v", got, want)
	}
	h.Failed(b, "example.org", "503", now, time.Minute)
	if got := h.List(now); len(got) != 2 || got[0].Hop != b {
		t.Errorf("got %+v, want both in the order of their addresses", got)
	}
	if got := h.List(now.Add(maxDownTime + time.Second)); got == nil || len(got) != 0 {
		t.Errorf("got %+v when their time is over, want an empty list", got)
	}
	for i := range 2 * maxDown {
		h.Failed(udp(fmt.Sprintf("10.1.%d.%d:5060", i>>8&255, i&255)), "x", "x", now, Time)
	}
	if len(h.down) > maxDown {
		t.Errorf("got %d hops remembered, want at most %d", len(h.down), maxDown)
	}
}

// TestReport: a line when a hop goes down, with the reason, one when it is back, and a bounded number of them.
func TestReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		h, log := New(trial), slog.New(slog.NewTextHandler(&text, nil))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan bool)
		go func() { h.Report(ctx, log); close(done) }()
		a := transport.Flow{Proto: transport.TCP, Remote: netip.MustParseAddrPort("192.0.2.1:5060")}
		h.Failed(a, "example.net", Because(errors.New("connection refused")), time.Now(), Time)
		h.Failed(a, "example.net", "no answer", time.Now(), Time) // Still down: nothing new.
		time.Sleep(90 * time.Second)
		h.Works(a, time.Now())
		h.Works(a, time.Now())
		synctest.Wait()
		for _, want := range []string{
			`level=INFO msg="next hop is down" hop=tcp:192.0.2.1:5060 domain=example.net reason="cannot be reached: connection refused" until=`,
			`level=INFO msg="next hop is back" hop=tcp:192.0.2.1:5060 domain=example.net dur=1m30s suppressed=0`,
		} {
			if strings.Count(text.String(), want) != 1 {
				t.Errorf("got %s, want once %s", &text, want)
			}
		}
		if got := strings.Count(text.String(), "\n"); got != 2 {
			t.Errorf("got %d lines, want 2", got)
		}
		text.Reset()
		time.Sleep(tellTime)
		const n = 500
		for range n { // A hop that comes and goes with every call.
			h.Failed(a, "example.net", "503", time.Now(), Time)
			h.Works(a, time.Now())
		}
		synctest.Wait()
		time.Sleep(tellTime)
		h.Failed(a, "example.net", "503", time.Now(), Time)
		synctest.Wait()
		if got := strings.Count(text.String(), "\n"); got != tellMost+1 {
			t.Errorf("got %d lines of %d changes in two periods, want %d", got, 2*n+1, tellMost+1)
		}
		told, suppressed := 0, 0
		for _, line := range strings.Split(strings.TrimSpace(text.String()), "\n") {
			var more int
			fmt.Sscan(line[strings.LastIndex(line, "=")+1:], &more)
			told, suppressed = told+1, suppressed+more
		}
		if told+suppressed != 2*n+1 {
			t.Errorf("got %d lines and %d suppressed, want %d in all", told, suppressed, 2*n+1)
		}
		cancel()
		<-done
	})
}

// TestReasonIsBounded: what a peer makes the transport say, as the names of its certificate, is not told without end.
func TestReasonIsBounded(t *testing.T) {
	if got := Because(errors.New(strings.Repeat("x", 10_000))); len(got) != maxReason {
		t.Errorf("got %d bytes, want %d", len(got), maxReason)
	}
	if got := Because(nil); got != "cannot be reached" {
		t.Errorf("got %q", got)
	}
}
