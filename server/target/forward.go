package target

import (
	"time"

	"sipd/sipaddr"
	"sipd/store"
	"sipd/store/cache"
	"sipd/trace"
)

// maxForwards bounds a chain of forwards: a longer one is a mistake of somebody.
const maxForwards = 8

// Diversion is a call that a user has forwarded.
type Diversion struct {
	From   sipaddr.AOR // who forwards
	To     string      // the URI that he forwards to
	Reason string      // as in Diversion (RFC 5806): unconditional, user-busy, no-answer, unavailable
	Status int         // that his telephones ended with, 0: they were not asked
	Before *Diversion  // by which the call came to him, nil for none
}

// Depth counts a diversion and those before it.
func (v *Diversion) Depth() (n int) {
	for ; v != nil; v = v.Before {
		n++
	}
	return n
}

// Waiting is whose forwards are asked when his telephones fail (Next). Its zero value is nobody's.
type Waiting struct {
	User     sipaddr.AOR
	Diverted *Diversion    // how the call came to him
	NoAnswer time.Duration // how long they may ring; 0: as long as they want
	Class    string        // of the caller
}

// Failure is a search that nobody is left to answer.
type Failure struct {
	Waiting
	URI         *sipaddr.URI // the Request-URI of the request
	Status      int          // the best response; 408 when it is NoAnswer that is over
	Set         []Target     // the target set until now
	Disposition Disposition  // as in the Decision that began the search
}

// call collects where a user is reached: where he has all his calls forwarded to, else his contacts, else where calls go while he has none.
func (d *Decision) call(t Tables, u cache.User, now time.Time, depth int) {
	if depth > maxDepth || !d.enter(u) {
		d.step("location", string(u.Key), trace.Skip, "visited already")
		return
	}
	first, forwards := len(d.Targets), len(t.Forwards(u)) > 0
	if forwards {
		if fw := t.Forward(u, store.ForwardAll); fw != nil {
			d.divert(t, u, fw, now, depth)
			return
		}
	}
	d.collect(t, u, now, depth)
	if d.several && len(d.Targets) == first {
		d.step("location", string(u.Key), trace.NoMatch, "no live contact") // The others may have some: who wonders why he does not ring finds it here.
	}
	switch {
	case !forwards:
	case d.several: // The others of the group are there.
	case len(d.Targets) > first:
		d.await(t, u)
	default:
		if fw := t.Forward(u, store.ForwardOffline); fw != nil {
			d.divert(t, u, fw, now, depth)
		}
	}
}

// await notes that the forwards of u are asked when his telephones fail.
func (d *Decision) await(t Tables, u cache.User) {
	fw := t.Forward(u, store.ForwardNoAnswer)
	if fw == nil && t.Forward(u, store.ForwardBusy) == nil && t.Forward(u, store.ForwardOffline) == nil {
		return
	}
	d.Waiting = Waiting{User: u.Key, Diverted: d.via, Class: d.class}
	if fw != nil {
		if d.Waiting.NoAnswer = time.Duration(fw.Timeout) * time.Second; fw.Timeout == 0 {
			d.Waiting.NoAnswer = t.Settings.TimeOut
		}
	}
}

// reasons are those of Diversion (RFC 5806).
var reasons = [store.ForwardKinds]string{
	store.ForwardAll: "unconditional", store.ForwardBusy: "user-busy", store.ForwardNoAnswer: "no-answer", store.ForwardOffline: "unavailable",
}

// divert collects where a forward of u leads to. It is u who pays.
func (d *Decision) divert(t Tables, u cache.User, fw *store.Forward, now time.Time, depth int) {
	uri, err := sipaddr.Parse([]byte(fw.Target))
	if err != nil || d.via.Depth() >= maxForwards {
		d.row("forwards", u.ID, "forward", fw.Target, trace.Skip, "forwarded too often, or no URI")
		return
	}
	d.row("forwards", u.ID, "forward", fw.Target, trace.Match, fw.Kind.String())
	before := d.via
	d.via = &Diversion{From: u.Key, To: fw.Target, Reason: reasons[fw.Kind], Status: d.failed, Before: before}
	d.failed = 0
	d.lead(t, &uri, fw.Target, u, now, depth+1)
	d.via = before
}

// Next decides who is tried after all have failed: as the forwards on busy and no answer of who was called say. d is as for Decide.
func Next(t Tables, q *Failure, now time.Time, d *Decision) {
	d.reset()
	u := t.User([]byte(q.User))
	if !u.Exists() || u.Disabled {
		d.step("forward", string(q.User), trace.Skip, "the user is unknown or disabled")
		return
	}
	d.set, d.sips, d.Disposition, d.class = q.Set, q.URI.Scheme == sipaddr.SIPS, q.Disposition, q.Class
	d.via, d.failed = q.Diverted, q.Status
	d.visited = append(d.visited, u.Key)
	for v := q.Diverted; v != nil; v = v.Before {
		d.visited = append(d.visited, v.From)
	}
	for i := range q.Set {
		d.visited = append(d.visited, q.Set[i].Owner.Key)
	}
	fw := t.forwardAfter(u, q.Status)
	if fw == nil {
		d.step("forward", string(u.Key), trace.NoMatch, "no row of forwards for this failure")
		return
	}
	d.divert(t, u, fw, now, 0)
	if len(d.Targets) == 0 {
		return
	}
	d.Kind = Proxy
	d.order()
	d.split(t, &Facts{URI: q.URI})
	d.group()
}

// forwardAfter finds the forward for what the telephones have said: busy; not answered; out of reach, which is as good as not answered when
// there is no forward for it. After 6xx nobody else is asked (RFC 3261 16.7 step 5).
func (t Tables) forwardAfter(u cache.User, status int) *store.Forward {
	switch {
	case status == 486:
		return t.Forward(u, store.ForwardBusy)
	case status == 408, status == 480:
		return t.Forward(u, store.ForwardNoAnswer)
	case status >= 600:
		return nil
	}
	if fw := t.Forward(u, store.ForwardOffline); fw != nil {
		return fw
	}
	return t.Forward(u, store.ForwardNoAnswer)
}
