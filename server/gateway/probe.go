package gateway

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

const (
	// DefaultProbe is how often a gateway gets OPTIONS: one that dies without a call is known within a minute, and a hundred of them
	// cost seven messages a second.
	DefaultProbe = 30 * time.Second
	// minProbe is the least: probes must not be what brings a gateway down.
	minProbe = 5 * time.Second
	// probeTimeout is how long an answer may take: as long as a call waits.
	probeTimeout = patience
	// retryProbe is when a probe that failed is sent again. The time doubles, up to maxRetry or what the gateway's row says.
	retryProbe = 2 * time.Second
	maxRetry   = 30 * time.Second
	// firstProbes is the time over which the first probes are spread when there are new gateways.
	firstProbes = 10 * time.Second
	// probeGap is the least time between two probes: never a burst, however many gateways there are.
	probeGap = 10 * time.Millisecond
	// tellTime is how often at most the log hears of one gateway: one that comes and goes must not fill it.
	tellTime = 10 * time.Second
)

// ErrNotSent says that a probe was not sent, for want of room here: nothing is learned of the gateway.
var ErrNotSent = errors.New("gateway: the probe was not sent")

// Sender sends probes; the server is one.
type Sender interface {
	// Probe sends OPTIONS to where the requests of a URI go. It does not wait, and calls done once at most, from any goroutine: with the
	// time until the first SIP response, whatever its status, or with why there is none. It need not say that there is no answer.
	Probe(uri string, done func(latency time.Duration, err error))
}

// probing is what Run knows of a gateway.
type probing struct {
	next     time.Time     // when the next probe is due; zero: never
	sent     time.Time     // when the one was sent that has neither been answered nor given up; zero: there is none
	serial   uint64        // of the probe sent last
	from     uint64        // probes before that one went to somewhere else
	retry    time.Duration // how long the next is waited for when one fails
	answered time.Time
	latency  time.Duration
}

// interval is the time between two probes while all is well, 0 for never.
func (c *Config) interval() time.Duration {
	switch {
	case c.Probe < 0:
		return 0
	case c.Probe == 0:
		return DefaultProbe
	}
	return max(c.Probe, minProbe)
}

// begin starts probing anew, at some time of the next seconds.
func (g *gateway) begin(cfg *Config, now time.Time, draw func(int) int) {
	g.probing = probing{serial: g.serial, from: g.serial + 1}
	if i := cfg.interval(); i > 0 {
		g.next = now.Add(time.Duration(draw(int(min(i, firstProbes)))))
	}
}

// hurry: the gateway is down, by what has become of a call. Whether it is back is asked sooner than usual.
func (g *gateway) hurry(now time.Time) {
	if next := now.Add(retryProbe); g.next.After(next) {
		g.next, g.retry = next, retryProbe
	}
}

// after plans the probe after one that was answered or not. Those of many gateways drift apart.
func (g *gateway) after(ok bool, now time.Time, draw func(int) int) {
	g.sent = time.Time{}
	interval := g.cfg.interval()
	switch {
	case interval == 0:
		g.next = time.Time{}
	case ok:
		g.retry = 0
		g.next = now.Add(interval - interval/10 + time.Duration(draw(int(interval/5))))
	default:
		g.retry = min(max(2*g.retry, retryProbe), maxRetry, interval)
		g.next = now.Add(g.retry)
	}
}

var errNoAnswer = errors.New("no answer")

// Run sends probes and logs what becomes of the gateways until ctx ends. It is called once.
func (t *Table) Run(ctx context.Context, send Sender, log *slog.Logger) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-t.wake:
		}
		turn := t.turn(time.Now())
		for _, s := range turn.news {
			log.InfoContext(ctx, "gateway", "gateway", s.Name, "state", s.Condition.String(), "reason", s.Reason, "calls", s.Calls)
		}
		if turn.uncounted > 0 {
			log.WarnContext(ctx, "calls to gateways are not counted: too many", "calls", turn.uncounted, "most", maxDialogs)
		}
		if turn.probe != nil {
			send.Probe(turn.uri, turn.probe)
		}
		timer.Reset(turn.wait)
	}
}

// turn is what Run has to do now.
type turn struct {
	uri       string // of the gateway that gets a probe
	probe     func(latency time.Duration, err error)
	news      []Status      // gateways whose condition the log does not know
	uncounted uint64        // calls since the last time
	wait      time.Duration // until the next turn
}

// turn gives up the probes that are overdue and finds what has to be done.
func (t *Table) turn(now time.Time) (do turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sweep(now) {
		do.uncounted, t.uncounted = t.uncounted, 0
	}
	var due *gateway
	next := now.Add(sweepTime)
	for _, g := range t.gateways {
		if !g.sent.IsZero() && now.Sub(g.sent) >= probeTimeout {
			t.settled(g, 0, errNoAnswer, now)
		}
		if g.gone {
			continue
		}
		if s := g.status(now); s.Condition != g.told {
			if again := g.toldAt.Add(tellTime); now.Before(again) {
				next = earlier(next, again)
			} else {
				g.told, g.toldAt = s.Condition, now
				do.news = append(do.news, s)
			}
		}
		switch {
		case !g.sent.IsZero():
			next = earlier(next, g.sent.Add(probeTimeout))
		case !g.next.IsZero() && (due == nil || g.next.Before(due.next)):
			due = g
		}
	}
	if due != nil {
		at := later(due.next, t.sent.Add(probeGap))
		if !now.Before(at) {
			due.sent, t.sent = now, now
			due.serial++
			g, serial := due, due.serial
			do.uri, do.probe = g.cfg.URI, func(latency time.Duration, err error) { t.settle(g, serial, latency, err) }
			at = now.Add(probeGap) // For the next one, if there is one.
		}
		next = earlier(next, at)
	}
	do.wait = next.Sub(now)
	return do
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// settle hears what became of a probe. An answer to one that was given up is one all the same, but says nothing of how fast it
// answers now: the gateway may have been away in between. A failure that is late was counted already.
func (t *Table) settle(g *gateway, serial uint64, latency time.Duration, err error) {
	now := time.Now()
	t.mu.Lock()
	look := false
	switch current := g.serial == serial && !g.sent.IsZero(); {
	case g.gone || serial < g.from:
	case current:
		look = true
		t.settled(g, latency, err, now)
	case err == nil:
		look = t.step(g, Event{Kind: ProbeAnswered}, now)
		g.answered, g.latency = now, latency
	}
	t.mu.Unlock()
	if look {
		t.rouse()
	}
}

// settled is settle for the probe that is out. The lock is held.
func (t *Table) settled(g *gateway, latency time.Duration, err error, now time.Time) {
	switch {
	case err == nil:
		t.step(g, Event{Kind: ProbeAnswered, Latency: latency}, now)
		g.answered, g.latency = now, latency
	case !errors.Is(err, ErrNotSent):
		t.step(g, Event{Kind: ProbeFailed, Text: err.Error()}, now)
	}
	g.after(err == nil, now, t.draw)
}
