package gateway

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Config is a row of the table gateways, as far as it matters here.
type Config struct {
	ID     int64
	Name   string
	URI    string // where its requests go, sip or sips
	Weight int    // its share of a hunt group's calls where the rule gives none; 0 counts as 1
	// MaxCalls is how many calls may be in progress there at once; 0: any number.
	MaxCalls int
	// Probe is the time between two OPTIONS; 0: DefaultProbe; negative: none are sent.
	Probe   time.Duration
	Drained bool
}

// probed tells whether OPTIONS are sent there.
func (c *Config) probed() bool { return c.Probe >= 0 }

// gateway is a Config and what is known of it. Its table's lock guards it.
type gateway struct {
	cfg     Config
	state   State
	gone    bool // no row any more; it is kept for its calls
	legs    int  // calls on their way there
	dialogs int  // calls that were answered

	probing
	told   Condition // what the log has heard last
	toldAt time.Time
}

func (g *gateway) calls() int { return g.legs + g.dialogs }

// Table is the gateways now. Its methods may be called by several goroutines, also under a shard's lock: its own is a leaf, held for map
// operations only. A nil Table has no gateways.
type Table struct {
	wake chan struct{} // Run has something to look at
	draw func(n int) int
	held atomic.Int64 // len(dialogs)

	mu       sync.Mutex
	gateways map[int64]*gateway
	sent     time.Time // when the last probe was sent
	calls
}

// New makes a table without gateways. It starts nothing.
func New() *Table {
	return &Table{wake: make(chan struct{}, 1), draw: rand.IntN, gateways: map[int64]*gateway{}, calls: newCalls()}
}

// DrawBy makes the lots of Order fall as draw says, which returns a number below n: for who leaves nothing to chance. It is called before the
// table is used.
func (t *Table) DrawBy(draw func(n int) int) { t.draw = draw }

// Configure sets which gateways there are. What is known of one stays, unless its URI is another: then it is another gateway. Calls
// stay counted in any case.
func (t *Table) Configure(list []Config, now time.Time) {
	t.mu.Lock()
	for _, g := range t.gateways {
		g.gone = true
	}
	for _, cfg := range list {
		g := t.gateways[cfg.ID]
		if g == nil {
			g = &gateway{}
			t.gateways[cfg.ID] = g
		}
		if g.gone = false; g.cfg.URI != cfg.URI {
			g.state, g.told = State{since: now}, Up
			g.begin(&cfg, now, t.draw)
		} else if g.cfg.Probe != cfg.Probe {
			g.begin(&cfg, now, t.draw)
		}
		g.cfg = cfg
		if cfg.Drained {
			g.state = g.state.Step(Event{Kind: Drain}, now)
		} else {
			g.state = g.state.Step(Event{Kind: Undrain}, now)
		}
	}
	for _, g := range t.gateways {
		t.forget(g)
	}
	t.mu.Unlock()
	t.rouse()
}

// forget lets go of a gateway that is no row any more and has no calls.
func (t *Table) forget(g *gateway) {
	if g.gone && g.calls() == 0 && t.gateways[g.cfg.ID] == g {
		delete(t.gateways, g.cfg.ID)
	}
}

// rouse makes Run look.
func (t *Table) rouse() {
	select {
	case t.wake <- struct{}{}:
	default: // It will look anyway.
	}
}

// step changes the state of g. The lock is held. It reports whether Run should look at once.
func (t *Table) step(g *gateway, e Event, now time.Time) (look bool) {
	before := g.state.health()
	g.state = g.state.Step(e, now)
	after := g.state.health()
	if after == Down && before != Down {
		g.hurry(now)
	}
	return after != before
}

// happened is step for who does not hold the lock.
func (t *Table) happened(g *gateway, e Event, now time.Time) {
	t.mu.Lock()
	look := t.step(g, e, now)
	t.mu.Unlock()
	if look {
		t.rouse()
	}
}

// Status is a gateway as `sipd gateway list` shows it.
type Status struct {
	ID        int64
	Name      string
	URI       string
	Condition Condition
	Reason    string // "": nothing has happened
	Since     time.Time
	Calls     int           // in progress, as far as this process has seen them begin
	MaxCalls  int           // 0: any number
	Probe     time.Duration // how often it gets OPTIONS; 0: never
	Answered  time.Time     // the last answer to one; zero: none yet
	Latency   time.Duration // of that answer
}

// List returns the gateways by name.
func (t *Table) List(now time.Time) []Status {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []Status
	for _, g := range t.gateways {
		if g.gone {
			continue
		}
		list = append(list, g.status(now))
	}
	slices.SortFunc(list, func(a, b Status) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return list
}

// OnTheWay counts the Legs of calls that have not ended: a gauge for tests that look for leaks.
func (t *Table) OnTheWay() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, g := range t.gateways {
		n += g.legs
	}
	return n
}

func (g *gateway) status(now time.Time) Status {
	s := g.state.At(now)
	return Status{g.cfg.ID, g.cfg.Name, g.cfg.URI, s.Is(), s.Reason(), s.Since(), g.calls(), g.cfg.MaxCalls, g.cfg.interval(), g.answered, g.latency}
}
