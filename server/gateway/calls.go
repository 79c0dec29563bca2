package gateway

import (
	"hash/maphash"
	"time"
)

// Bounds of what is counted.
const (
	// maxDialogs bounds the calls that are counted: more than a campus of 50,000 has with the outside at once. Each weighs some 60 bytes.
	maxDialogs = 1 << 16
	// maxLife is how long a call without session timer (RFC 4028) counts when no BYE is seen. A longer one is not counted to its
	// end; a BYE that was lost keeps a line busy no longer.
	maxLife = 4 * time.Hour
	// minSession and sessionGrace: whoever refreshes does so half a session before its end, or hangs up by its end (RFC 4028 10);
	// 90 s is the least that a session may ask for (4).
	minSession   = 90 * time.Second
	sessionGrace = 32 * time.Second
	// sweepTime is how often calls whose time is over are looked for.
	sweepTime = time.Minute
)

// Dialog names a call: what its BYE says again, from whichever side it comes (RFC 3261 12).
type Dialog struct {
	CallID, FromTag, ToTag []byte
}

// call is an answered call in progress.
type call struct {
	g    *gateway
	ends time.Time // when it is not counted any more, whatever has become of it
}

// calls are the answered ones by the hash of their Dialog.
type calls struct {
	seed      maphash.Seed
	dialogs   map[uint64]call
	uncounted uint64 // calls for which there was no room
	swept     time.Time
}

func newCalls() calls { return calls{seed: maphash.MakeSeed(), dialogs: map[uint64]call{}} }

// hash is one of a dialog as its caller names it. The seed is random: nobody can make two calls look like one.
func (c *calls) hash(callID, callerTag, calleeTag []byte) uint64 {
	var h maphash.Hash
	h.SetSeed(c.seed)
	h.Write(callID)
	h.WriteByte(0) // No token has one (25.1).
	h.Write(callerTag)
	h.WriteByte(0)
	h.Write(calleeTag)
	return h.Sum64()
}

// find returns the place of a call that one of its ends names.
func (c *calls) find(d Dialog) (at uint64, ok bool) {
	at = c.hash(d.CallID, d.FromTag, d.ToTag)
	if _, ok = c.dialogs[at]; !ok {
		at = c.hash(d.CallID, d.ToTag, d.FromTag)
		_, ok = c.dialogs[at]
	}
	return at, ok
}

// end is when a call that is answered or refreshed now stops counting; session is its Session-Expires, 0 for none.
func end(session time.Duration, now time.Time) time.Time {
	if session <= 0 {
		return now.Add(maxLife)
	}
	return now.Add(min(max(session, minSession)+sessionGrace, maxLife))
}

// answer counts a call. The lock is held.
func (t *Table) answer(g *gateway, d Dialog, session time.Duration, now time.Time) {
	defer t.forget(g)
	at := t.hash(d.CallID, d.FromTag, d.ToTag)
	if _, again := t.dialogs[at]; again {
		return
	}
	if len(t.dialogs) >= maxDialogs {
		t.sweep(now)
	}
	if len(t.dialogs) >= maxDialogs {
		t.uncounted++
		return
	}
	t.dialogs[at] = call{g, end(session, now)}
	g.dialogs++
	t.held.Store(int64(len(t.dialogs)))
}

// drop stops counting a call. The lock is held.
func (t *Table) drop(at uint64) {
	g := t.dialogs[at].g
	delete(t.dialogs, at)
	g.dialogs--
	t.forget(g)
	t.held.Store(int64(len(t.dialogs)))
}

// sweep drops the calls whose time is over, and tells whether it was time to look for them. The lock is held.
func (t *Table) sweep(now time.Time) bool {
	if now.Sub(t.swept) < sweepTime {
		return false
	}
	t.swept = now
	for at, c := range t.dialogs {
		if !now.Before(c.ends) {
			t.drop(at)
		}
	}
	return true
}

// Any tells whether some answered call is counted: else what passes inside of dialogs need not be looked at. It takes no lock.
func (t *Table) Any() bool { return t != nil && t.held.Load() > 0 }

// Bye ends a call: its BYE is being forwarded, or one of its ends has answered 481 or 408 to a request in it (RFC 3261 12.2.1.2).
func (t *Table) Bye(d Dialog) {
	if !t.Any() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if at, ok := t.find(d); ok {
		t.drop(at)
	}
}

// Refreshed notes a 2xx to an INVITE or UPDATE inside a call; session is its Session-Expires, 0 for none.
func (t *Table) Refreshed(d Dialog, session time.Duration, now time.Time) {
	if !t.Any() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if at, ok := t.find(d); ok {
		c := t.dialogs[at]
		c.ends = end(session, now)
		t.dialogs[at] = c
	}
}

// Leg is a request on its way to a gateway; the zero value is one to somewhere else, of which nothing is noted. It is kept by who sends
// the request, and must be ended, by Established or End. A copy of it is another Leg: one of the two must be forgotten.
type Leg struct {
	t       *Table
	g       *gateway
	began   time.Time
	down    bool // the gateway was, when it began
	heard   bool // there was a response
	counted bool // it is an INVITE
}

// Begin notes that an INVITE that begins a call goes to a gateway; ok false: there is no room for another call (max_calls), or
// it has been drained meanwhile. For a gateway that is no row the Leg is the zero value.
func (t *Table) Begin(id int64, now time.Time) (l Leg, ok bool) {
	if t == nil || id == 0 {
		return l, true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.gateways[id]
	if g == nil || g.gone {
		return l, true
	}
	if g.state.drained || g.cfg.MaxCalls > 0 && g.calls() >= g.cfg.MaxCalls {
		return l, false
	}
	g.legs++
	l = t.leg(g, now)
	l.counted = true
	return l, true
}

// Watch notes that some other request goes to a gateway. It is no call, and goes there whatever max_calls says.
func (t *Table) Watch(id int64, now time.Time) Leg {
	if t == nil || id == 0 {
		return Leg{}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.gateways[id]
	if g == nil || g.gone {
		return Leg{}
	}
	return t.leg(g, now)
}

func (t *Table) leg(g *gateway, now time.Time) Leg {
	if g.state.down && !now.Before(g.state.until) {
		g.state.until = now.Add(patience) // It is this one that tries it out; the others pass it over until it is known how it went.
	}
	return Leg{t: t, g: g, began: now, down: g.state.down}
}

// Counts tells whether the Leg is one to a gateway that is a row.
func (l *Leg) Counts() bool { return l.t != nil }

// Again restarts the clock: the request goes to another address of the same gateway.
func (l *Leg) Again(now time.Time) { l.began = now }

// Patience is how long to wait for a sign of life, when n gateways are tried one after the other.
func (l *Leg) Patience(n int) time.Duration {
	if l.down {
		return Patience(Down, n)
	}
	return Patience(Up, n)
}

// Response notes a response, provisional or final; retryAfter is what a 503 says, 0 for nothing.
func (l *Leg) Response(status int, retryAfter time.Duration, now time.Time) {
	if l.t == nil || l.heard && status < 200 {
		return
	}
	e := Event{Kind: Response, Status: status, RetryAfter: retryAfter}
	if d := now.Sub(l.began); !l.heard && d < patience { // Later, it has been away: that is no measure of how fast it answers.
		e.Latency = max(d, 1)
	}
	l.heard = true
	l.t.happened(l.g, e, now)
}

// Unreachable notes that the transport could not bring the request to any address of the gateway.
func (l *Leg) Unreachable(why string, now time.Time) {
	if l.t != nil {
		l.t.happened(l.g, Event{Kind: Unreachable, Text: why}, now)
	}
}

// Silent notes that no address of the gateway has said anything, for as long as Patience. The request may still be answered.
func (l *Leg) Silent(now time.Time) {
	if l.t != nil && !l.heard {
		l.t.happened(l.g, Event{Kind: Silent, Latency: now.Sub(l.began)}, now)
	}
}

// Established ends the Leg with a 2xx to the INVITE: the call counts until its BYE. session is the Session-Expires of the 2xx (RFC 4028), 0
// for none.
func (l *Leg) Established(d Dialog, session time.Duration, now time.Time) {
	if l.t != nil && l.counted {
		l.t.mu.Lock()
		l.g.legs--
		l.t.answer(l.g, d, session, now)
		l.t.mu.Unlock()
	}
	*l = Leg{}
}

// End ends the Leg: there is no call. To do so twice, or after Established, does nothing.
func (l *Leg) End() {
	if l.t != nil && l.counted {
		l.t.mu.Lock()
		l.g.legs--
		l.t.forget(l.g)
		l.t.mu.Unlock()
	}
	*l = Leg{}
}
