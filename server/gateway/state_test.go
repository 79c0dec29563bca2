package gateway

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var start = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// at is an event a while after start.
type at struct {
	s float64
	Event
}

func (a at) time() time.Time { return start.Add(time.Duration(a.s * float64(time.Second))) }

// answer is the final response of a call, which came soon.
func answer(s float64, status int) at {
	return at{s, Event{Kind: Response, Status: status, Latency: 20 * time.Millisecond}}
}

func unreachable(s float64) at { return at{s, Event{Kind: Unreachable, Text: "connection refused"}} }
func silent(s float64) at      { return at{s, Event{Kind: Silent, Latency: patience}} }
func unanswered(s float64) at {
	return at{s, Event{Kind: ProbeFailed, Text: "no answer"}}
}

func probed(s float64, d time.Duration) at { return at{s, Event{Kind: ProbeAnswered, Latency: d}} }

func refuses(s float64, after time.Duration) at {
	return at{s, Event{Kind: Response, Status: 503, Latency: time.Millisecond, RetryAfter: after}}
}

func times(n int, a at) (list []at) {
	for i := range n {
		b := a
		b.s += float64(i) / 100
		list = append(list, b)
	}
	return list
}

func run(s State, events ...at) State {
	for _, e := range events {
		s = s.Step(e.Event, e.time())
	}
	return s
}

func TestStates(t *testing.T) {
	late := func(s float64) at { return probed(s, 1500*time.Millisecond) }
	for _, tt := range []struct {
		name   string
		events []at
		look   float64 // when it is looked at
		want   Condition
		reason string
		since  float64
	}{
		{"nothing is known", nil, 1000, Up, "", 0},
		{"a call succeeds", []at{answer(1, 180), answer(2, 200)}, 3, Up, "", 0},
		{"busy, not found and declined are no failures", append(append(times(9, answer(1, 486)), times(9, answer(2, 404))...), times(9, answer(3, 603))...), 4, Up, "", 0},

		{"the first transport error", []at{unreachable(5)}, 6, Down, "cannot be reached: connection refused", 5},
		{"the first silence", []at{answer(1, 200), silent(5)}, 6, Down, "no answer to a call for 4s", 5},
		{"another reason, the same time", []at{silent(5), unreachable(9)}, 10, Down, "cannot be reached: connection refused", 5},
		{"it does not come back by itself", []at{silent(5)}, 1e6, Down, "no answer to a call for 4s", 5},
		{"a call is answered", []at{silent(5), answer(7, 200)}, 8, Up, "it answers calls", 7},
		{"a call rings", []at{silent(5), answer(7, 180)}, 8, Up, "it answers calls", 7},
		{"a call fails, but it lives", []at{silent(5), answer(7, 500)}, 8, Up, "it answers calls", 7},
		{"a probe is answered", []at{silent(5), probed(7, time.Millisecond)}, 8, Up, "it answers OPTIONS", 7},

		{"one probe is lost", []at{unanswered(5)}, 6, Up, "", 0},
		{"two probes are", []at{unanswered(5), unanswered(7)}, 8, Down, "OPTIONS: no answer", 7},
		{"two probes, an answer between", []at{unanswered(5), probed(6, time.Millisecond), unanswered(7)}, 8, Up, "", 0},
		{"two probes, a call between", []at{unanswered(5), answer(6, 100), unanswered(7)}, 8, Up, "", 0},
		{"probes fail while it is down", []at{silent(3), unanswered(5)}, 6, Down, "no answer to a call for 4s", 3},
		{"two fail while it is down", []at{silent(3), unanswered(5), unanswered(7)}, 8, Down, "OPTIONS: no answer", 3},

		{"three failures are too few", times(3, answer(1, 500)), 2, Up, "", 0},
		{"four calls fail", []at{answer(1, 500), answer(2, 502), answer(3, 408), answer(4, 504)}, 5, Degraded, "4 of 4 calls failed, the last with 504", 4},
		{"four of nine", append(times(5, answer(1, 200)), times(4, answer(2, 503))...), 3, Up, "", 0},
		{"half of ten", append(times(5, answer(1, 200)), times(5, answer(2, 503))...), 3, Degraded, "5 of 10 calls failed, the last with 503", 2.04},
		{"a success among failures", append(times(8, answer(1, 503)), answer(2, 200)), 3, Degraded, "8 of 8 calls failed, the last with 503", 1.03},
		{"only the last 16", append(times(20, answer(1, 200)), times(8, answer(2, 500))...), 3, Degraded, "8 of 16 calls failed, the last with 500", 2.07},
		{"they succeed again", append(times(4, answer(1, 500)), times(13, answer(2, 200))...), 3, Up, "calls succeed again", 2.12},
		{"calm for a minute", times(4, answer(1, 500)), 61.5, Up, "no more trouble", 61.03},
		{"not quite a minute", times(4, answer(1, 500)), 61, Degraded, "4 of 4 calls failed, the last with 500", 1.03},
		{"failures of long ago", append(times(3, answer(1, 500)), times(3, answer(302, 500))...), 303, Up, "", 0},
		{"failures of a while ago", append(times(3, answer(1, 500)), answer(290, 500)), 291, Degraded, "4 of 4 calls failed, the last with 500", 290},
		{"a provisional is not the end of a call", times(9, at{1, Event{Kind: Response, Status: 100}}), 2, Up, "", 0},
		{"then it is silent", append(times(4, answer(1, 500)), silent(9)), 1000, Down, "no answer to a call for 4s", 9},
		{"then silent, then back", append(times(4, answer(1, 500)), silent(9), probed(11, 1)), 12, Up, "it answers OPTIONS", 11},

		{"late three times", times(3, late(1)), 2, Up, "", 0},
		{"late four times", times(4, late(1)), 2, Degraded, "answers take 1.5s", 1.03},
		{"late once", []at{probed(1, 1), late(2), probed(3, 1), probed(4, 1), probed(5, 1)}, 6, Up, "", 0},
		{"late at first", []at{probed(1, 3900*time.Millisecond), probed(2, 1), probed(3, 1), probed(4, 1), probed(5, 1)}, 6, Up, "", 0},
		{"late, then calm", times(4, late(1)), 62, Up, "no more trouble", 61.03},
		{"late, then in time", append(times(4, late(1)), times(5, probed(2, 10*time.Millisecond))...), 3, Up, "it answers in time again", 2.03},
		{"late calls", times(4, at{1, Event{Kind: Response, Status: 100, Latency: 3 * time.Second}}), 2, Degraded, "answers take 3s", 1.03},

		{"503 with Retry-After", []at{refuses(1, 20*time.Second)}, 20.9, Degraded, "503, wants to be left alone for 20s", 1},
		{"its time is over", []at{refuses(1, 20*time.Second)}, 21, Up, "no more trouble", 21},
		{"a probe does not end it", []at{refuses(1, 20*time.Second), probed(2, 1)}, 20, Degraded, "503, wants to be left alone for 20s", 1},
		{"Retry-After of a year", []at{refuses(1, 365*24*time.Hour)}, 302, Up, "no more trouble", 301},
		{"refused for long, then failing", append([]at{refuses(1, 4*time.Minute)}, times(4, answer(2, 500))...), 200, Degraded, "5 of 5 calls failed, the last with 500", 1},
		{"503 without it", []at{answer(1, 503)}, 2, Up, "", 0},
		{"Retry-After of others", []at{{1, Event{Kind: Response, Status: 480, RetryAfter: time.Minute}}}, 2, Up, "", 0},
		{"refused, then one trouble less", append(append(times(4, late(1)), refuses(1.5, time.Minute)), times(12, probed(2, 1))...), 3, Degraded, "503, wants to be left alone for 1m0s", 1.03},

		{"drained", []at{{4, Event{Kind: Drain}}}, 5, Drained, "drained by the administrator", 4},
		{"drained for long", []at{{4, Event{Kind: Drain}}, {9, Event{Kind: Drain}}}, 1e6, Drained, "drained by the administrator", 4},
		{"a drained one answers", []at{{4, Event{Kind: Drain}}, answer(6, 200), probed(7, 1)}, 8, Drained, "drained by the administrator", 4},
		{"a drained one is silent", []at{{4, Event{Kind: Drain}}, silent(6)}, 8, Drained, "drained by the administrator", 4},
		{"no longer drained", []at{{4, Event{Kind: Drain}}, {9, Event{Kind: Undrain}}}, 10, Up, "no longer drained", 9},
		{"no longer drained, and dead", []at{{4, Event{Kind: Drain}}, silent(6), {9, Event{Kind: Undrain}}}, 10, Down, "no answer to a call for 4s", 6},
		{"it was not drained", []at{{9, Event{Kind: Undrain}}}, 10, Up, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := run(State{since: start}, tt.events...).At(at{s: tt.look}.time())
			if s.Is() != tt.want || s.Reason() != tt.reason {
				t.Errorf("got %v (%s), want %v (%s)", s.Is(), s.Reason(), tt.want, tt.reason)
			}
			if got := s.Since().Sub(start).Seconds(); got < tt.since-0.001 || got > tt.since+0.001 {
				t.Errorf("got since %v s, want %v", got, tt.since)
			}
		})
	}
}

func TestFailed(t *testing.T) {
	var got []int
	for status := 100; status < 700; status++ {
		if Failed(status) {
			got = append(got, status)
		}
	}
	if want := []int{408, 500, 502, 503, 504}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Whatever happens: what is told is consistent, and Step leaves the state that it was given alone.
func TestStatesByChance(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		s, now, drained := State{since: start}, start, false
		for range 200 {
			e := Event{Kind: EventKind(random.IntN(int(Undrain) + 1)), Status: []int{100, 180, 200, 408, 486, 500, 503}[random.IntN(7)],
				Latency: time.Duration(random.Int64N(int64(3 * time.Second))), Text: strings.Repeat("é", random.IntN(300))}
			if random.IntN(4) == 0 {
				e.RetryAfter = time.Duration(random.Int64N(int64(time.Hour)))
			}
			now = now.Add(time.Duration(random.Int64N(int64(40 * time.Second))))
			before := s
			next := s.Step(e, now)
			if s != before {
				t.Fatal("Step changes what it is given")
			}
			switch e.Kind {
			case Drain:
				drained = true
			case Undrain:
				drained = false
			}
			is := next.Is()
			switch {
			case (is == Drained) != drained:
				t.Fatalf("after %+v: got %v, drained is %v", e, is, drained)
			case (e.Kind == Unreachable || e.Kind == Silent) && next.health() != Down:
				t.Fatalf("after %+v: got %v, want down", e, next.health())
			case (e.Kind == Response || e.Kind == ProbeAnswered) && next.health() == Down:
				t.Fatalf("after %+v: it is down", e)
			case is != Up && next.Reason() == "":
				t.Fatalf("after %+v: %v without a reason", e, is)
			case next.Since().After(now):
				t.Fatalf("after %+v: since %v, which is to come", e, next.Since())
			case len(next.Reason()) > maxReason || !utf8.ValidString(next.Reason()):
				t.Fatalf("got the reason %q", next.Reason())
			case is == Degraded && next.until.Sub(now) > max(calm, maxRetryAfter):
				t.Fatalf("after %+v: degraded until %v from now", e, next.until.Sub(now))
			case next.At(now) != next:
				t.Fatalf("after %+v: At the same time changes it", e)
			}
			s = next
		}
		if s = s.Step(Event{Kind: Undrain}, now).Step(Event{Kind: ProbeAnswered, Latency: time.Millisecond}, now).At(now.Add(maxRetryAfter)); s.Is() != Up {
			t.Fatalf("it answers, and after %v it is %v: %s", maxRetryAfter, s.Is(), s.Reason())
		}
	}
}
