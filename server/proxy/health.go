package proxy

import (
	"slices"
	"sync"
	"time"

	"sipd/server/transport"
)

const (
	// downTime is how long a next hop that has failed is passed over when there are others.
	downTime = 30 * time.Second
	// maxDownTime bounds what a Retry-After of a 503 can ask for.
	maxDownTime = 5 * time.Minute
	// maxDown bounds the hops that are remembered as down.
	maxDown = 4096
)

// Down is a next hop that has failed lately.
type Down struct {
	Hop    transport.Flow // Proto and Remote
	Reason string
	Since  time.Time // of the first failure in a row
	Until  time.Time // it is passed over until then
}

// health remembers which next hops are down, so that only the first call to one waits for it.
type health struct {
	mu   sync.Mutex
	down map[hopKey]*Down
}

type hopKey struct {
	proto  transport.Proto
	domain transport.Domain
	remote string
}

func keyOf(f transport.Flow) hopKey {
	return hopKey{f.Proto, f.Domain, f.Remote.String()}
}

// failed notes that a hop did not serve, for how long it is passed over.
func (h *health) failed(f transport.Flow, reason string, now time.Time, d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	k := keyOf(f)
	e := h.down[k]
	if e == nil {
		if h.down == nil {
			h.down = map[hopKey]*Down{}
		}
		for old, v := range h.down { // What is over goes; else anything.
			if len(h.down) < maxDown {
				break
			}
			if len(h.down) >= maxDown || now.After(v.Until) {
				delete(h.down, old)
			}
		}
		e = &Down{Hop: transport.Flow{Proto: f.Proto, Domain: f.Domain, Remote: f.Remote}, Since: now}
		h.down[k] = e
	}
	e.Reason, e.Until = reason, now.Add(min(d, maxDownTime))
}

// works notes that a hop has answered.
func (h *health) works(f transport.Flow) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.down) > 0 {
		delete(h.down, keyOf(f))
	}
}

// order puts the hops that are down behind the others; the order is kept otherwise. A hop whose time is over is tried by one
// call: the others pass it over for hopTimeout more.
func (h *health) order(hops []transport.Flow, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.down) == 0 || len(hops) < 2 {
		return
	}
	probed := false
	isDown := func(f transport.Flow) int {
		e := h.down[keyOf(f)]
		switch {
		case e == nil:
			return 0
		case now.Before(e.Until):
			return 1
		}
		if !probed {
			probed = true
			e.Until = now.Add(hopTimeout)
		}
		return 0
	}
	state := make(map[hopKey]int, len(hops))
	for _, f := range hops {
		state[keyOf(f)] = isDown(f)
	}
	slices.SortStableFunc(hops, func(a, b transport.Flow) int { return state[keyOf(a)] - state[keyOf(b)] })
}

// list returns what is down.
func (h *health) list(now time.Time) []Down {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []Down
	for _, e := range h.down {
		if now.Before(e.Until) {
			all = append(all, *e)
		}
	}
	slices.SortFunc(all, func(a, b Down) int { return a.Hop.Remote.Compare(b.Hop.Remote) })
	return all
}
