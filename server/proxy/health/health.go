package health

import (
	"cmp"
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"sipd/server/transport"
)

const (
	// Time is how long a next hop that has failed is passed over when there are others.
	Time = 30 * time.Second
	// maxDownTime bounds what a Retry-After of a 503 can ask for.
	maxDownTime = 5 * time.Minute
	// maxDown bounds the hops that are remembered as down.
	maxDown = 4096
	// maxReason bounds the bytes a peer can make us say of it.
	maxReason = 200
	// maxChanges is how many changes wait for the log, tellMost how many of them it hears of in tellTime: a hop that comes and goes
	// with every call must not fill it.
	maxChanges = 64
	tellMost   = 20
	tellTime   = 10 * time.Second
)

// Down is a next hop that has failed lately.
type Down struct {
	Hop    transport.Flow // Proto and Remote
	Domain string         // whose look-up led there
	Reason string
	Since  time.Time // of the first failure in a row
	Until  time.Time // it is passed over until then
}

// Table remembers which next hops are down, so that only the first call to one waits for it. It refuses nothing: where there is
// no other hop, one that is down is tried.
type Table struct {
	trial   time.Duration
	changes chan change // for the log

	mu     sync.Mutex
	down   map[hopKey]*Down
	missed int // changes for which there was no room
}

// change is a hop that went down or came back, as the log hears of it.
type change struct {
	Down
	back time.Duration // how long it was down; 0: it went down
}

type hopKey struct {
	proto  transport.Proto
	domain transport.Domain
	remote netip.AddrPort
}

// New makes a table. trial is how long one request tries a hop out before another may.
func New(trial time.Duration) *Table {
	return &Table{trial: trial, changes: make(chan change, maxChanges), down: map[hopKey]*Down{}}
}

func keyOf(f transport.Flow) hopKey { return hopKey{f.Proto, f.Domain, f.Remote} }

// Failed notes that a hop did not serve, and for how long it is passed over.
func (h *Table) Failed(f transport.Flow, domain, reason string, now time.Time, d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	k := keyOf(f)
	e := h.down[k]
	first := e == nil
	if first {
		for old := range h.down { // Whichever: it is found out again at the cost of a call that waits.
			if len(h.down) < maxDown {
				break
			}
			delete(h.down, old)
		}
		e = &Down{Hop: transport.Flow{Proto: f.Proto, Domain: f.Domain, Remote: f.Remote}, Since: now}
		h.down[k] = e
	}
	e.Domain, e.Reason, e.Until = domain, reason, now.Add(min(d, maxDownTime))
	if first {
		h.changed(change{Down: *e})
	}
}

// Works notes that a hop has answered.
func (h *Table) Works(f transport.Flow, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.down) == 0 {
		return
	}
	k := keyOf(f)
	if e := h.down[k]; e != nil {
		delete(h.down, k)
		h.changed(change{Down: *e, back: max(now.Sub(e.Since), 1)})
	}
}

// changed passes a change on to report: whoever holds a shard does not wait for the log.
func (h *Table) changed(c change) {
	select {
	case h.changes <- c:
	default:
		h.missed++
	}
}

// Order puts the hops that are down behind the others; the order is kept otherwise. A hop whose time is over is tried by one
// request, which stands in the place of the others that then pass it over until it has answered, or the time of a trial is over. A
// request that nobody answers, an ACK, tries nothing out.
func (h *Table) Order(hops []transport.Flow, now time.Time, answered bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.down) == 0 || len(hops) < 2 {
		return
	}
	var behind []transport.Flow
	up := hops[:0]
	for _, f := range hops {
		if e := h.down[keyOf(f)]; e != nil && (now.Before(e.Until) || !answered) {
			behind = append(behind, f)
		} else {
			up = append(up, f)
		}
	}
	copy(hops[len(up):], behind)
	if e := h.down[keyOf(hops[0])]; e != nil && answered && !now.Before(e.Until) {
		e.Until = now.Add(h.trial)
	}
}

// List returns what is down.
func (h *Table) List(now time.Time) []Down {
	h.mu.Lock()
	all := []Down{}
	for _, e := range h.down {
		if now.Before(e.Until) {
			all = append(all, *e)
		}
	}
	h.mu.Unlock() // Calls need not wait for the order.
	slices.SortFunc(all, func(a, b Down) int {
		return cmp.Or(a.Hop.Remote.Compare(b.Hop.Remote), cmp.Compare(a.Hop.Proto, b.Hop.Proto), cmp.Compare(a.Domain, b.Domain))
	})
	return all
}

// Report logs which next hops go down and which are back, until ctx ends.
func (h *Table) Report(ctx context.Context, log *slog.Logger) {
	var begin time.Time
	told, suppressed := 0, 0
	for {
		select {
		case <-ctx.Done():
			return
		case c := <-h.changes:
			now := time.Now()
			if now.Sub(begin) >= tellTime {
				begin, told = now, 0
			}
			h.mu.Lock()
			suppressed += h.missed
			h.missed = 0
			h.mu.Unlock()
			if told++; told > tellMost {
				suppressed++
				continue
			}
			hop := c.Hop.Proto.Param() + ":" + c.Hop.Remote.String()
			if c.back > 0 {
				log.InfoContext(ctx, "next hop is back", "hop", hop, "domain", c.Domain, "dur", c.back.Round(time.Millisecond), "suppressed", suppressed)
			} else {
				log.InfoContext(ctx, "next hop is down", "hop", hop, "domain", c.Domain, "reason", c.Reason, "until", c.Until.UTC(), "suppressed", suppressed)
			}
			suppressed = 0
		}
	}
}

// Because writes why the transport did not reach a hop.
func Because(err error) string {
	text := "cannot be reached"
	if err != nil {
		text += ": " + err.Error()
	}
	return text[:min(len(text), maxReason)]
}
