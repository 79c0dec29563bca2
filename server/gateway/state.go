package gateway

import (
	"fmt"
	"math/bits"
	"strings"
	"time"
)

// Condition is how a gateway is. Each is worse than those before.
type Condition uint8

// The conditions.
const (
	Up       Condition = iota
	Degraded           // it answers, but fails too many calls, answers late, or has asked to be left alone: after those that are up
	Down               // it does not answer: the last to be tried
	Drained            // the administrator wants no new calls there: never tried
)

// String returns the condition as `sipd gateway list` prints it.
func (c Condition) String() string { return [...]string{"up", "degraded", "down", "drained"}[c] }

const (
	// window is how many of the last calls are looked at: few enough that trouble shows within a minute of a busy trunk, enough
	// that one number that does not exist is not trouble.
	window = 16
	// windowTime is how long they count: what was an hour ago says nothing of now.
	windowTime = 5 * time.Minute
	// leastFailed of them must have failed before their share is looked at.
	leastFailed = 4

	// slow is an answer, of whatever class, that is late: a 100 is due after 200 ms (RFC 3261 17.2.1), and after T1, 500 ms, each
	// request is sent twice. fast is where it is well again.
	slow = time.Second
	fast = 500 * time.Millisecond
	// leastTimed answers make a trend; one of almost patience among them does not.
	leastTimed = 4

	// calm is how long a gateway stays degraded without further trouble. It gets few calls meanwhile, so that little would be learned by waiting for them.
	calm = time.Minute
	// maxRetryAfter bounds what a Retry-After can ask for: a slip of its administrator must not cost us a gateway.
	maxRetryAfter = 5 * time.Minute

	// probesToDown unanswered OPTIONS, each sent four times in probeTimeout, are no accident.
	probesToDown = 2
	// tryOut is how long after its last failure one call tries a gateway that is down, where no probe does it.
	tryOut = 30 * time.Second
	// maxReason bounds the bytes of what others make us say.
	maxReason = 200
)

// State is what is known of a gateway: a value, changed by Step alone. The zero value knows nothing, which counts as up.
type State struct {
	down, failing, slow, held, drained bool

	reason  string    // of its health, which goes on under a drain
	since   time.Time // likewise
	drainAt time.Time
	until   time.Time // failing, slow, held: it is over then, unless there is more of it. Down: a call may try it out from then on.

	results      uint32 // of the last calls, the latest in the lowest bit: 1 failed
	n            int8   // how many of them there are
	timed        int8   // answers in latency, at most leastTimed
	probesFailed int8   // in a row, at most probesToDown
	last         time.Time
	latency      time.Duration // of answers, smoothed
}

// EventKind is what can happen to a gateway.
type EventKind uint8

// The events.
const (
	Response      EventKind = iota // a call has had a response: Status, with the first of a call Latency, with a 503 RetryAfter
	Unreachable                    // the transport could not bring a call there: Text
	Silent                         // a call got no response at all for as long as one waits: Latency
	ProbeAnswered                  // a probe was answered, with whatever status: Latency
	ProbeFailed                    // a probe was not: Text
	Drain                          // by the administrator
	Undrain
)

// Event is something that happened to a gateway.
type Event struct {
	Kind       EventKind
	Status     int
	Latency    time.Duration
	RetryAfter time.Duration
	Text       string
}

// Failed tells whether a final response says that the gateway, not who was called, is why there is no call: the next one of its hunt
// group is tried then.
func Failed(status int) bool {
	switch status {
	case 408, 500, 502, 503, 504:
		return true
	}
	return false
}

// Is returns the condition at the time of the last Step or At.
func (s State) Is() Condition {
	if s.drained {
		return Drained
	}
	return s.health()
}

func (s State) health() Condition {
	switch {
	case s.down:
		return Down
	case s.failing || s.slow || s.held:
		return Degraded
	}
	return Up
}

// Reason says why it is what it is, "" for a gateway that has been up from the start.
func (s State) Reason() string {
	if s.drained {
		return "drained by the administrator"
	}
	return s.reason
}

// Since tells since when.
func (s State) Since() time.Time {
	if s.drained {
		return s.drainAt
	}
	return s.since
}

// At returns the state at now, to which time alone has brought it.
func (s State) At(now time.Time) State {
	if s.n > 0 && now.Sub(s.last) > windowTime {
		s.results, s.n = 0, 0
	}
	if !s.down && (s.failing || s.slow || s.held) && !now.Before(s.until) {
		over := s.until
		s.wipe()
		s.reason, s.since = "no more trouble", over
	}
	return s
}

// Step returns the state after an event at now.
func (s State) Step(e Event, now time.Time) State {
	s = s.At(now)
	before := s.health()
	switch e.Kind {
	case Response:
		s.alive("it answers calls")
		s.time(e.Latency, now)
		if e.Status >= 200 {
			s.result(e, now)
		}
	case ProbeAnswered:
		s.alive("it answers OPTIONS")
		s.time(e.Latency, now)
	case Unreachable:
		s.fall(now, "cannot be reached: "+e.Text)
	case Silent:
		s.fall(now, fmt.Sprintf("no answer to a call for %v", e.Latency.Round(time.Millisecond)))
	case ProbeFailed:
		s.probesFailed = min(s.probesFailed+1, probesToDown)
		if s.probesFailed == probesToDown {
			s.fall(now, "OPTIONS: "+e.Text)
		}
	case Drain:
		if !s.drained {
			s.drained, s.drainAt = true, now
		}
	case Undrain:
		if s.drained && before == Up {
			s.reason, s.since = "no longer drained", now
		}
		s.drained = false
	}
	if s.health() != before {
		s.since = now
	}
	return s
}

// wipe forgets what was held against it.
func (s *State) wipe() {
	*s = State{drained: s.drained, drainAt: s.drainAt, reason: s.reason, since: s.since}
}

// alive: it has said something.
func (s *State) alive(because string) {
	s.probesFailed = 0
	if s.down {
		s.wipe()
		s.reason = because
	}
}

// fall: it says nothing.
func (s *State) fall(now time.Time, because string) {
	failed := s.probesFailed
	s.wipe()
	s.down, s.probesFailed, s.until = true, failed, now.Add(tryOut)
	s.reason = strings.ToValidUTF8(because[:min(len(because), maxReason)], "")
}

// time adds how long an answer took; 0 is not known.
func (s *State) time(d time.Duration, now time.Time) {
	if d <= 0 {
		return
	}
	s.timed = min(s.timed+1, leastTimed)
	s.latency += (d - s.latency) / time.Duration(s.timed) // The mean of the first; from then on each counts a quarter.
	switch {
	case s.timed == leastTimed && s.latency >= slow, s.slow && s.latency > fast:
		s.slow = true
		why := s.reason
		if !s.failing && !s.held { // Those say more.
			why = fmt.Sprintf("answers take %v", s.latency.Round(10*time.Millisecond))
		}
		s.trouble(now.Add(calm), why)
	case s.slow:
		s.slow = false
		s.better("it answers in time again")
	}
}

// result adds how a call ended.
func (s *State) result(e Event, now time.Time) {
	s.last = now
	s.results <<= 1
	s.n = min(s.n+1, window)
	failed := Failed(e.Status)
	if failed {
		s.results |= 1
	}
	bad := bits.OnesCount32(s.results & (1<<window - 1))
	switch {
	case failed && bad >= leastFailed && 2*bad >= int(s.n):
		s.failing = true
		s.trouble(now.Add(calm), fmt.Sprintf("%d of %d calls failed, the last with %d", bad, s.n, e.Status))
	case s.failing && 4*bad < int(s.n):
		s.failing = false
		s.better("calls succeed again")
	}
	if e.Status == 503 && e.RetryAfter > 0 { // RFC 3261 21.5.4: it SHOULD NOT get requests for so long. Without Retry-After a 503 is as a 500.
		s.held = true
		d := min(e.RetryAfter, maxRetryAfter)
		s.trouble(now.Add(d), fmt.Sprintf("503, wants to be left alone for %v", d))
	}
}

// trouble makes it degraded until then at least.
func (s *State) trouble(until time.Time, because string) {
	if until.After(s.until) {
		s.until = until
	}
	s.reason = because
}

// better: one of its troubles is over.
func (s *State) better(because string) {
	if s.health() == Up {
		s.reason = because
	}
}
