package gateway

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"sipd/trace"
)

// table makes one of gateways 1 to n at start, whose lots are always 0: the first that is left.
func table(n int) *Table {
	t := New()
	t.draw = func(int) int { return 0 }
	t.Configure(configs(n), start)
	return t
}

func configs(n int) (list []Config) {
	for i := 1; i <= n; i++ {
		list = append(list, Config{ID: int64(i), Name: fmt.Sprintf("gw%d", i), URI: fmt.Sprintf("sip:192.0.2.%d", i)})
	}
	return list
}

func members(ids ...int64) (list []Member) {
	for _, id := range ids {
		list = append(list, Member{Gateway: id})
	}
	return list
}

// put makes something happen to a gateway.
func (t *Table) put(id int64, e ...at) {
	for _, e := range e {
		t.happened(t.gateways[id], e.Event, e.time())
	}
}

func TestOrder(t *testing.T) {
	tab := table(7)
	list := configs(7)
	list[6].MaxCalls = 1
	list[5].Drained = true
	list[3].Probe = -1
	tab.Configure(list, start)
	tab.put(2, silent(1))
	tab.put(3, times(4, answer(1, 500))...)
	tab.put(4, unreachable(1))
	tab.put(5, refuses(1, time.Minute))
	leg, ok := tab.Begin(7, start)
	if !ok {
		t.Fatal("the first call is refused")
	}
	for _, tt := range []struct {
		name  string
		group []Member
		s     float64
		want  []int
		notes []string
	}{
		{"none", nil, 2, nil, nil},
		{"one", members(1), 2, []int{0}, []string{"match up"}},
		{"hosts that are no gateways", members(0, 0, 99), 2, []int{0, 1, 2}, nil},
		{"up, degraded, refusing, down", members(2, 5, 3, 1), 2, []int{3, 2, 1, 0}, []string{
			"match down since 2030-01-02T03:04:06Z: no answer to a call for 4s", "match degraded since 2030-01-02T03:04:06Z: 503, wants to be left alone for 1m0s", "match degraded since 2030-01-02T03:04:06Z: 4 of 4 calls failed, the last with 500", "match up"}},
		{"nothing is known of another host", members(2, 0), 2, []int{1, 0}, []string{"match down since 2030-01-02T03:04:06Z: no answer to a call for 4s"}},
		{"down, and nobody else", members(2), 2, []int{0}, []string{"match down since 2030-01-02T03:04:06Z: no answer to a call for 4s"}},
		{"drained, and nobody else", members(6), 2, nil, []string{"skip drained by the administrator"}},
		{"full, and nobody else", members(7), 2, nil, []string{"skip has as many calls as max_calls allows"}},
		{"drained, full, down", members(6, 7, 2), 2, []int{2}, []string{"skip drained by the administrator",
			"skip has as many calls as max_calls allows", "match down since 2030-01-02T03:04:06Z: no answer to a call for 4s"}},
		{"calm again", members(5, 3), 100, []int{0, 1}, []string{"match up", "match up"}},
		{"down, without probes", members(4, 1), 30.5, []int{1, 0}, []string{"match down since 2030-01-02T03:04:06Z: cannot be reached: connection refused", "match up"}},
		{"a call may find out", members(4, 1), 31, []int{0, 1}, []string{"match down for long enough that this call may find out whether it still is", "match up"}},
		{"probes find out", members(2, 1), 31, []int{1, 0}, []string{"match down since 2030-01-02T03:04:06Z: no answer to a call for 4s", "match up"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var tr trace.Trace
			if got := tab.Order(nil, tt.group, at{s: tt.s}.time(), &tr); !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			var notes []string
			for _, s := range tr.Steps() {
				if s.Table != "gateways" || s.Row == 0 || s.Subject != fmt.Sprintf("gw%d", s.Row) {
					t.Errorf("got the step %+v", s)
				}
				notes = append(notes, s.Verdict.String()+" "+s.Note)
			}
			if !slices.Equal(notes, tt.notes) {
				t.Errorf("got the reasons %q, want %q", notes, tt.notes)
			}
		})
	}
	leg.End()
	if got := tab.Order(nil, members(7), start, nil); len(got) != 1 {
		t.Errorf("the call is over: got %v, want gateway 7", got)
	}
	var none *Table
	if got := none.Order(nil, []Member{{5, 0}, {6, 3}}, start, nil); len(got) != 2 {
		t.Errorf("no table: got %v, want both", got)
	}
}

// One call tries out a gateway without probes; those that come while it waits pass it over.
func TestOneCallTriesOut(t *testing.T) {
	tab := New()
	tab.Configure([]Config{{ID: 1, URI: "sip:a", Probe: -1}, {ID: 2, URI: "sip:b"}}, start)
	tab.draw = func(int) int { return 0 }
	tab.put(1, silent(0))
	order := func(s float64) []int { return tab.Order(nil, members(1, 2), at{s: s}.time(), nil) }
	if got := order(31); got[0] != 0 {
		t.Fatalf("got %v, want 1 first", got)
	}
	leg, _ := tab.Begin(1, at{s: 31}.time())
	if got := leg.Patience(2); got != patienceDown {
		t.Errorf("it is waited for for %v, want %v", got, patienceDown)
	}
	if got := order(32); got[0] != 1 {
		t.Errorf("while a call tries it: got %v, want 2 first", got)
	}
	leg.Silent(at{s: 33}.time())
	leg.End()
	if got := order(62); got[0] != 1 {
		t.Errorf("when it has failed again: got %v, want 2 first", got)
	}
	if got := order(63); got[0] != 0 {
		t.Errorf("when its time is over again: got %v, want 1 first", got)
	}
	leg, _ = tab.Begin(1, at{s: 63}.time())
	leg.Response(100, 0, at{s: 63.1}.time())
	leg.End()
	if got := order(63.2); got[0] != 0 {
		t.Errorf("it is back: got %v, want 1 first", got)
	}
}

// Lots are drawn as RFC 2782 has it: the first in proportion to the weights, the next in proportion to those that are left.
func TestWeights(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	list := []standing{{first, 1}, {first, 3}, {first, 6}, {second, 50}, {second, 50}}
	const rounds = 100_000
	firsts, seconds := map[int]float64{}, map[int]float64{}
	for range rounds {
		got := order(nil, list, random.IntN)
		firsts[got[0]]++
		if got[0] == 2 {
			seconds[got[1]]++
		}
		firsts[got[3]]++
	}
	for i, want := range []float64{0.1, 0.3, 0.6, 0.5, 0.5} {
		if got := firsts[i] / rounds; math.Abs(got-want) > 0.01 {
			t.Errorf("member %d is the first of its rank in %.3f of all, want %.3f", i, got, want)
		}
	}
	for i, want := range map[int]float64{0: 0.25, 1: 0.75} {
		if got := seconds[i] / firsts[2]; math.Abs(got-want) > 0.01 {
			t.Errorf("member %d is the second behind 2 in %.3f of all, want %.3f", i, got, want)
		}
	}
	// Rows: the weight of the rule counts, else the gateway's, else 1.
	tab := table(2)
	tab.Configure([]Config{{ID: 1, URI: "sip:a", Weight: 7}, {ID: 2, URI: "sip:b"}}, start)
	for _, tt := range []struct {
		m    Member
		want int
	}{{Member{1, 0}, 7}, {Member{1, 3}, 3}, {Member{2, 0}, 1}, {Member{2, 9}, 9}, {Member{0, 0}, 1}, {Member{0, 4}, 4}} {
		if got := tab.standing(tt.m, start, nil).weight; got != tt.want {
			t.Errorf("%+v: got weight %d, want %d", tt.m, got, tt.want)
		}
	}
}

// Whatever has happened: nobody is drawn twice, no drained or full one at all, and everybody else, in the order of the ranks.
func TestOrderByChance(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 2000 {
		n := 1 + random.IntN(12)
		tab, now := New(), start
		list := configs(n)
		for i := range list {
			list[i].Drained = random.IntN(4) == 0
			list[i].MaxCalls = random.IntN(3)
			list[i].Weight = random.IntN(5)
			list[i].Probe = time.Duration(random.IntN(2) - 1)
		}
		tab.Configure(list, now)
		calls := map[int64]int{}
		for range random.IntN(60) {
			id := int64(1 + random.IntN(n))
			now = now.Add(time.Duration(random.Int64N(int64(10 * time.Second))))
			switch random.IntN(5) {
			case 0:
				if _, ok := tab.Begin(id, now); ok {
					calls[id]++
				}
			case 1:
				tab.happened(tab.gateways[id], Event{Kind: Silent}, now)
			case 2:
				tab.happened(tab.gateways[id], Event{Kind: Unreachable}, now)
			default:
				tab.happened(tab.gateways[id], Event{Kind: Response, Status: []int{200, 500, 503}[random.IntN(3)],
					RetryAfter: time.Duration(random.IntN(2)) * 10 * time.Second}, now)
			}
		}
		var group []Member
		var want []int
		for range 1 + random.IntN(20) {
			id := int64(random.IntN(n + 1))
			if id == 0 || !list[id-1].Drained && (list[id-1].MaxCalls == 0 || calls[id] < list[id-1].MaxCalls) {
				want = append(want, len(group))
			}
			group = append(group, Member{id, random.IntN(4)})
		}
		got := tab.Order(nil, group, now, nil)
		worst := Up
		for _, i := range got {
			g := tab.gateways[group[i].Gateway]
			is := Up
			if g != nil {
				if is = g.state.At(now).Is(); is == Down && g.cfg.Probe < 0 && !now.Before(g.state.until) {
					is = Up // It may be tried out.
				}
			}
			if is < worst {
				t.Fatalf("%v: member %d is %v, behind one that is %v", got, i, is, worst)
			}
			worst = is
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v of %v", got, want, group)
		}
	}
}

func TestPatience(t *testing.T) {
	for _, tt := range []struct {
		c    Condition
		n    int
		want time.Duration
	}{{Up, 0, 4 * time.Second}, {Up, 1, 4 * time.Second}, {Degraded, 8, 4 * time.Second}, {Up, 9, 32 * time.Second / 9}, {Up, 32, time.Second},
		{Down, 1, 2 * time.Second}, {Down, 16, 2 * time.Second}, {Down, 32, time.Second}} {
		if got := Patience(tt.c, tt.n); got != tt.want {
			t.Errorf("%v, one of %d: got %v, want %v", tt.c, tt.n, got, tt.want)
		}
	}
	for n := 1; n <= maxMembers; n++ {
		if got := time.Duration(n) * Patience(Up, n); got > PatienceInAll {
			t.Errorf("%d silent gateways cost %v, want at most %v", n, got, PatienceInAll)
		}
	}
}

func TestOrderAllocatesNothing(t *testing.T) {
	tab := table(8)
	group, dst := members(1, 2, 3, 4, 5, 6, 7, 8), make([]int, 0, 8)
	tab.put(3, silent(1))
	tab.draw = rand.IntN
	if n := testing.AllocsPerRun(100, func() { dst = tab.Order(dst[:0], group, start, nil) }); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func BenchmarkOrder(b *testing.B) {
	tab := table(4)
	tab.draw = rand.IntN
	group, dst := members(1, 2, 3, 4), make([]int, 0, 4)
	b.ReportAllocs()
	for b.Loop() {
		dst = tab.Order(dst[:0], group, start, nil)
	}
}
