package gateway

import (
	"math/rand/v2"
	"time"

	"sipd/trace"
)

// Member is one of a hunt group.
type Member struct {
	Gateway int64 // Config.ID; 0: a host that is no row of gateways, of which nothing is known
	Weight  int   // its rule's; 0: the gateway's
}

// standing is what the order of a member depends on.
type standing struct {
	rank   rank
	weight int
}

// rank is which members are tried before which others.
type rank uint8

const (
	first  rank = iota // up
	second             // degraded
	third              // has asked not to be called for a while
	last               // down
	never              // drained, or has as many calls as it may have
)

// rankOf places a gateway. calls are in progress there, most is Config.MaxCalls. probed tells that somebody else finds out whether one that
// is down lives; else a call has to, now and then.
func rankOf(s State, calls, most int, probed bool, now time.Time) rank {
	s = s.At(now)
	switch {
	case s.drained, most > 0 && calls >= most:
		return never
	case s.down && !probed && !now.Before(s.until):
		return first
	case s.down:
		return last
	case s.held:
		return third
	case s.health() == Degraded:
		return second
	}
	return first
}

// order appends the places of the members in the order in which they are tried: by rank, and within a rank by lots drawn as
// for SRV records (RFC 2782): each is the next with a chance of its share of the weights that are left. draw returns a random
// number below n. Nobody is left out but those of rank never: what we remember may be wrong.
func order(dst []int, list []standing, draw func(n int) int) []int {
	for r := first; r < never; r++ {
		begin := len(dst)
		total := 0
		for i, m := range list {
			if m.rank == r {
				dst = append(dst, i)
				total += m.weight
			}
		}
		for rest := dst[begin:]; len(rest) > 1; rest = rest[1:] {
			lot := draw(total)
			i := 0
			for ; lot >= list[rest[i]].weight; i++ {
				lot -= list[rest[i]].weight
			}
			rest[0], rest[i] = rest[i], rest[0]
			total -= list[rest[0]].weight
		}
	}
	return dst
}

const (
	// patience is how long a gateway may say nothing at all, not even 100, before the next one is tried beside it: it has got
	// four copies of the request by then, and answers one within 200 ms when it lives (RFC 3261 17.2.1).
	patience = 4 * time.Second
	// patienceDown is that for one that is down: three copies.
	patienceDown = 2 * time.Second
	// PatienceInAll is the time of one transaction (Timer B), in which the last of a hunt group has its turn even if nobody answers.
	PatienceInAll = 32 * time.Second
)

// Patience is how long to wait for a sign of life from a gateway of condition c, one of n that are tried one after the other.
func Patience(c Condition, n int) time.Duration {
	d := patience
	if c == Down {
		d = patienceDown
	}
	return min(d, PatienceInAll/time.Duration(max(n, 1)))
}

// maxMembers is how many members an order has room for without allocation; a hunt group has at most 32 (package gatewaymap).
const maxMembers = 32

// Order appends to dst the places in group of those to try, in the order in which to try them; none when all are drained or have as many
// calls as they may have. It changes nothing. A nil Table knows nothing of any gateway.
func (t *Table) Order(dst []int, group []Member, now time.Time, tr *trace.Trace) []int {
	var room [maxMembers]standing
	list := room[:0]
	if t == nil {
		for _, m := range group {
			list = append(list, standing{weight: max(m.Weight, 1)})
		}
		return order(dst, list, rand.IntN)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, m := range group {
		list = append(list, t.standing(m, now, tr))
	}
	return order(dst, list, t.draw)
}

// notes are for ranks that need no reason.
var notes = [...]string{first: "up", second: "degraded", third: "degraded", last: "down", never: "has as many calls as max_calls allows"}

// standing is what is known of a member. The lock is held.
func (t *Table) standing(m Member, now time.Time, tr *trace.Trace) standing {
	g := t.gateways[m.Gateway]
	if g == nil {
		return standing{weight: max(m.Weight, 1)}
	}
	weight := m.Weight
	if weight <= 0 {
		weight = g.cfg.Weight
	}
	st := g.state.At(now)
	s := standing{rankOf(st, g.calls(), g.cfg.MaxCalls, g.cfg.probed(), now), max(weight, 1)}
	if tr == nil {
		return s
	}
	step := trace.Step{Rule: "gateway", Subject: g.cfg.Name, Table: "gateways", Row: g.cfg.ID, Note: notes[s.rank]}
	switch {
	case st.drained:
		step.Verdict, step.Note = trace.Skip, st.Reason() // Since when is the start, for who has just begun to look at it.
	case s.rank == never:
		step.Verdict = trace.Skip
	case s.rank == first && st.down:
		step.Note = "down for long enough that this call may find out whether it still is"
	case s.rank != first:
		step.Note += " since " + st.since.UTC().Format(time.RFC3339) + ": " + st.reason
	}
	tr.Add(step)
	return s
}
