package gateway

import (
	"encoding/binary"
	"sync"
	"testing"
	"time"
)

func dialog(callID, from, to string) Dialog { return Dialog{[]byte(callID), []byte(from), []byte(to)} }

// in returns the calls in progress at gateway 1.
func (t *Table) in() int { return t.gateways[1].calls() }

func TestCallsAreCounted(t *testing.T) {
	now := start
	d := dialog("c1", "caller", "callee")
	established := func(tab *Table, session time.Duration) {
		l, _ := tab.Begin(1, now)
		l.Established(d, session, now)
	}
	later := func(tab *Table, d time.Duration) { tab.turn(now.Add(d)) }
	for _, tt := range []struct {
		name string
		do   func(tab *Table)
		want int
	}{
		{"on its way", func(tab *Table) { tab.Begin(1, now) }, 1},
		{"failed", func(tab *Table) { l, _ := tab.Begin(1, now); l.Response(486, 0, now); l.End() }, 0},
		{"ended twice", func(tab *Table) { l, _ := tab.Begin(1, now); tab.Begin(1, now); l.End(); l.End() }, 1},
		{"answered", func(tab *Table) { established(tab, 0) }, 1},
		{"answered, and its Leg ended", func(tab *Table) { l, _ := tab.Begin(1, now); l.Established(d, 0, now); l.End() }, 1},
		{"the same twice", func(tab *Table) { established(tab, 0); established(tab, 0) }, 1},
		{"BYE of the caller", func(tab *Table) { established(tab, 0); tab.Bye(d) }, 0},
		{"BYE of the callee", func(tab *Table) { established(tab, 0); tab.Bye(dialog("c1", "callee", "caller")) }, 0},
		{"two BYEs", func(tab *Table) {
			established(tab, 0)
			tab.Begin(1, now)
			tab.Bye(d)
			tab.Bye(dialog("c1", "callee", "caller"))
		}, 1},
		{"BYE of another call", func(tab *Table) { established(tab, 0); tab.Bye(dialog("c2", "caller", "callee")) }, 1},
		{"BYE with another tag", func(tab *Table) { established(tab, 0); tab.Bye(dialog("c1", "caller", "x")) }, 1},
		{"BYE with tags cut otherwise", func(tab *Table) { established(tab, 0); tab.Bye(dialog("c1", "callerc", "allee")) }, 1},
		{"BYE, and no calls", func(tab *Table) { tab.Bye(d) }, 0},
		{"BYE is lost, not yet over", func(tab *Table) { established(tab, 0); later(tab, maxLife-time.Second) }, 1},
		{"BYE is lost", func(tab *Table) { established(tab, 0); later(tab, maxLife) }, 0},
		{"session timer", func(tab *Table) { established(tab, 30*time.Minute); later(tab, 30*time.Minute+sessionGrace-1) }, 1},
		{"session timer is over", func(tab *Table) { established(tab, 30*time.Minute); later(tab, 30*time.Minute+sessionGrace) }, 0},
		{"session of a second", func(tab *Table) { established(tab, time.Second); later(tab, time.Minute) }, 1},
		{"session of a year", func(tab *Table) { established(tab, 365*24*time.Hour); later(tab, maxLife) }, 0},
		{"refreshed", func(tab *Table) {
			established(tab, 30*time.Minute)
			tab.Refreshed(dialog("c1", "callee", "caller"), 30*time.Minute, now.Add(15*time.Minute))
			later(tab, 45*time.Minute)
		}, 1},
		{"refreshed, then over", func(tab *Table) {
			established(tab, 30*time.Minute)
			tab.Refreshed(d, 30*time.Minute, now.Add(15*time.Minute))
			later(tab, 46*time.Minute)
		}, 0},
		{"another is refreshed", func(tab *Table) {
			established(tab, 30*time.Minute)
			tab.Refreshed(dialog("c2", "a", "b"), time.Hour, now.Add(15*time.Minute))
			later(tab, 46*time.Minute)
		}, 0},
		{"no call at all", func(tab *Table) { l := tab.Watch(1, now); l.Response(200, 0, now); l.Established(d, 0, now) }, 0},
		{"the row changes", func(tab *Table) {
			established(tab, 0)
			tab.Configure([]Config{{ID: 1, URI: "sip:elsewhere"}}, now)
		}, 1},
		{"the row goes and comes back", func(tab *Table) {
			established(tab, 0)
			tab.Begin(1, now)
			tab.Configure(nil, now)
			tab.Configure(configs(1), now)
		}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tab := table(1)
			tt.do(tab)
			if got := tab.in(); got != tt.want {
				t.Errorf("got %d calls, want %d", got, tt.want)
			}
			if got := tab.List(now)[0].Calls; got != tt.want {
				t.Errorf("List: got %d calls, want %d", got, tt.want)
			}
			if tab.Any() != (len(tab.dialogs) > 0) {
				t.Errorf("got Any %v with %d dialogs", tab.Any(), len(tab.dialogs))
			}
		})
	}
}

func TestMaxCalls(t *testing.T) {
	tab := New()
	tab.Configure([]Config{{ID: 1, URI: "sip:a", MaxCalls: 2}, {ID: 2, URI: "sip:b", Drained: true}}, start)
	a, ok1 := tab.Begin(1, start)
	b, ok2 := tab.Begin(1, start)
	if _, ok := tab.Begin(1, start); !ok1 || !ok2 || ok {
		t.Fatalf("got %v %v %v, want the third refused", ok1, ok2, ok)
	}
	a.Established(dialog("c", "x", "y"), 0, start)
	if _, ok := tab.Begin(1, start); ok {
		t.Error("an answered call leaves room for another")
	}
	tab.Bye(dialog("c", "x", "y"))
	if _, ok := tab.Begin(1, start); !ok {
		t.Error("a call that is over leaves no room")
	}
	b.End()
	tab.Watch(1, start)
	if l, ok := tab.Begin(2, start); ok || l != (Leg{}) {
		t.Error("a drained gateway takes a call")
	}
	for _, id := range []int64{0, 99} {
		l, ok := tab.Begin(id, start)
		if !ok || l != (Leg{}) {
			t.Errorf("gateway %d: got %v %v, want a Leg that notes nothing", id, l, ok)
		}
		l.Response(200, 0, start)
		l.Silent(start)
		l.Unreachable("x", start)
		l.Established(dialog("c", "x", "y"), 0, start)
		l.End()
	}
	var none *Table
	if _, ok := none.Begin(1, start); !ok {
		t.Error("no table: the call is refused")
	}
	none.Watch(1, start)
	none.Bye(dialog("c", "x", "y"))
	none.Refreshed(dialog("c", "x", "y"), 0, start)
	if none.Any() || none.List(start) != nil {
		t.Error("no table: it has something")
	}
}

// A gateway that is no row any more is forgotten with its last call.
func TestGatewayGoes(t *testing.T) {
	tab := table(2)
	l, _ := tab.Begin(1, start)
	m, _ := tab.Begin(1, start)
	tab.Configure(nil, start)
	if got := tab.List(start); len(got) != 0 {
		t.Errorf("got %v, want none", got)
	}
	if k, ok := tab.Begin(1, start); !ok || k != (Leg{}) {
		t.Error("a call that begins now is counted")
	}
	l.Response(500, 0, start)
	l.End()
	m.Established(dialog("c", "x", "y"), 0, start)
	if len(tab.gateways) != 1 {
		t.Errorf("got %d gateways, want the one with a call", len(tab.gateways))
	}
	tab.Bye(dialog("c", "x", "y"))
	if len(tab.gateways) != 0 || tab.Any() {
		t.Errorf("got %d gateways, want none", len(tab.gateways))
	}
}

// So is one whose last call is counted for another gateway already.
func TestGatewayGoesWithoutACall(t *testing.T) {
	tab := table(2)
	a, _ := tab.Begin(1, start)
	b, _ := tab.Begin(2, start)
	a.Established(dialog("c", "x", "y"), 0, start)
	tab.Configure(configs(1), start)
	b.Established(dialog("c", "x", "y"), 0, start)
	if len(tab.gateways) != 1 || tab.in() != 1 {
		t.Errorf("got %d gateways with %d calls at the first, want one with one", len(tab.gateways), tab.in())
	}
}

// What is known of a gateway stays when other columns change, not when it is another gateway.
func TestConfigure(t *testing.T) {
	tab := table(1)
	tab.put(1, silent(1))
	is := func() Condition { return tab.List(start.Add(time.Minute))[0].Condition }
	for _, tt := range []struct {
		name string
		cfg  Config
		want Condition
	}{
		{"weight and name", Config{ID: 1, Name: "x", URI: "sip:192.0.2.1", Weight: 9}, Down},
		{"probes", Config{ID: 1, URI: "sip:192.0.2.1", Probe: time.Minute}, Down},
		{"drained", Config{ID: 1, URI: "sip:192.0.2.1", Drained: true}, Drained},
		{"no longer", Config{ID: 1, URI: "sip:192.0.2.1"}, Down},
		{"another place", Config{ID: 1, URI: "sip:192.0.2.2"}, Up},
	} {
		tab.Configure([]Config{tt.cfg}, start.Add(time.Minute))
		if got := is(); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

// There is a bound, and it is reached by calls that are not over only.
func TestDialogsAreBounded(t *testing.T) {
	tab := table(1)
	add := func(i int, now time.Time) {
		l, _ := tab.Begin(1, now)
		l.Established(Dialog{binary.BigEndian.AppendUint32(nil, uint32(i)), []byte("a"), []byte("b")}, time.Hour, now)
	}
	for i := range maxDialogs {
		add(i, start)
	}
	now := start.Add(30 * time.Minute)
	add(maxDialogs, now)
	if tab.in() != maxDialogs || tab.uncounted != 1 {
		t.Errorf("got %d calls and %d that are not counted, want %d and 1", tab.in(), tab.uncounted, maxDialogs)
	}
	swept := tab.swept
	add(maxDialogs, now.Add(sweepTime/2))
	if tab.swept != swept || tab.uncounted != 2 {
		t.Errorf("each call beyond the bound looks for those that are over: swept %v, then %v", swept, tab.swept)
	}
	if got := tab.turn(now.Add(sweepTime)).uncounted; got != 2 {
		t.Errorf("Run is told of %d calls that were not counted, want 2", got)
	}
	add(maxDialogs, now.Add(2*time.Hour))
	if tab.in() != 1 {
		t.Errorf("got %d calls after the others are over, want 1", tab.in())
	}
}

func TestLegsTellOfTheGateway(t *testing.T) {
	ms := func(n int) time.Time { return start.Add(time.Duration(n) * time.Millisecond) }
	tab := table(1)
	l, _ := tab.Begin(1, ms(0))
	if got := l.Patience(1); got != patience {
		t.Errorf("got patience %v, want %v", got, patience)
	}
	l.Silent(ms(4000))
	if s := tab.List(ms(4000))[0]; s.Condition != Down || s.Reason != "no answer to a call for 4s" {
		t.Errorf("silent: got %v (%s)", s.Condition, s.Reason)
	}
	other, _ := tab.Begin(1, ms(4500))
	if got := other.Patience(1); got != patienceDown {
		t.Errorf("it is down: got patience %v, want %v", got, patienceDown)
	}
	l.Response(180, 0, ms(5000))
	if s := tab.List(ms(5000))[0]; s.Condition != Up {
		t.Errorf("it rings: got %v (%s)", s.Condition, s.Reason)
	}
	l.Silent(ms(9000)) // It has said something: this is no silence.
	if s := tab.List(ms(9000))[0]; s.Condition != Up {
		t.Errorf("ringing for long: got %v (%s)", s.Condition, s.Reason)
	}
	latency := func() time.Duration { return tab.gateways[1].state.latency }
	if got := latency(); got != 0 {
		t.Errorf("got latency %v of an answer after a silence, want none", got)
	}
	other.Again(ms(6000))
	other.Response(100, 0, ms(6300))
	if got := latency(); got != 300*time.Millisecond {
		t.Errorf("got latency %v, want that since the last address was tried, 300ms", got)
	}
	other.Response(200, 0, ms(6900))
	if got := latency(); got != 300*time.Millisecond {
		t.Errorf("got latency %v, want that of the first response only", got)
	}
	other.Unreachable("broken pipe", ms(7000))
	if s := tab.List(ms(70_000))[0]; s.Condition != Down || s.Reason != "cannot be reached: broken pipe" {
		t.Errorf("got %v (%s)", s.Condition, s.Reason)
	}
	for range 2 {
		l.Response(503, 30*time.Second, ms(71_000))
	}
	if s := tab.List(ms(71_000))[0]; s.Condition != Degraded || s.Reason != "503, wants to be left alone for 30s" {
		t.Errorf("got %v (%s)", s.Condition, s.Reason)
	}
}

// Workers of all shards do this at once.
func TestTableIsShared(t *testing.T) {
	tab := table(3)
	var group sync.WaitGroup
	for w := range 8 {
		group.Go(func() {
			for i := range 300 {
				now := start.Add(time.Duration(i) * time.Millisecond)
				id := int64(1 + (w+i)%3)
				tab.Order(nil, members(1, 2, 3), now, nil)
				l, _ := tab.Begin(id, now)
				l.Response(100, 0, now)
				d := Dialog{binary.BigEndian.AppendUint32(nil, uint32(w<<16|i)), []byte("a"), []byte("b")}
				switch i % 3 {
				case 0:
					l.Silent(now)
					l.End()
				case 1:
					l.Established(d, 0, now)
					tab.Bye(d)
				default:
					l.Response(503, time.Second, now)
					l.End()
				}
				if i%50 == 0 {
					tab.Configure(configs(1+i%3), now)
					tab.Configure(configs(3), now)
					tab.List(now)
					tab.turn(now)
				}
			}
		})
	}
	group.Wait()
	for _, s := range tab.List(start) {
		if s.Calls != 0 {
			t.Errorf("%s: got %d calls, want none", s.Name, s.Calls)
		}
	}
	if tab.Any() {
		t.Error("some dialogs are left")
	}
}

func TestLegsAllocateNothing(t *testing.T) {
	tab := table(1)
	d := dialog("0123456789@192.0.2.1", "callertag", "calleetag")
	run := func() {
		l, _ := tab.Begin(1, start)
		l.Response(100, 0, start)
		l.Response(200, 0, start)
		l.Established(d, 0, start)
		tab.Bye(d)
	}
	run()
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func BenchmarkCall(b *testing.B) {
	tab := table(1)
	d := dialog("0123456789@192.0.2.1", "callertag", "calleetag")
	b.ReportAllocs()
	for b.Loop() {
		l, _ := tab.Begin(1, start)
		l.Response(100, 0, start)
		l.Response(200, 0, start)
		l.Established(d, 0, start)
		tab.Bye(d)
	}
}
