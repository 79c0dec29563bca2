package resolve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Limits of a Resolver.
const (
	// maxLookups is how many look-ups ask servers at once, each from a socket; those beyond wait for their turn.
	maxLookups = 256
	// maxWaiting is how many callers wait in all: a call that waits weighs some 10 KB. Whoever comes then gets ErrBusy at once.
	maxWaiting = 10_000
	// maxOfZone is how many look-ups, under way or waiting, may be of names below the same two labels: whoever invents names in a zone
	// whose servers are slow gets ErrBusy himself, and leaves most of maxLookups to others.
	maxOfZone = maxLookups / 4
	// queueTime is how long a look-up may wait for its turn; then its callers get ErrBusy, too.
	queueTime = 4 * time.Second
	// lookupTime ends a look-up: NAPTR, SRV and addresses one after the other, of servers that are slow. The caller's phone
	// gives up after 32 s (Timer B).
	lookupTime = 10 * time.Second
)

// Config is what a Resolver is made of.
type Config struct {
	Servers []netip.AddrPort // asked in this order
	Support Support
	Log     *slog.Logger // nil: nothing is said
	// Exchange carries a question to a server by udp or tcp and brings its answer; nil: sockets do. Tests in virtual time have none.
	Exchange func(ctx context.Context, network string, server netip.AddrPort, q *dns.Msg) (*dns.Msg, error)
}

// Resolver finds next hops. Its methods may be called by several goroutines.
type Resolver struct {
	support Support
	log     *slog.Logger
	carry   func(ctx context.Context, network string, server netip.AddrPort, q *dns.Msg) (*dns.Msg, error)
	try     time.Duration   // tryTime
	ctx     context.Context // ends the look-ups under way: Close
	cancel  context.CancelFunc
	group   sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	servers []nameServer
	cache   cache
	flights map[question]*flight
	lookups map[wanted]*lookup // that have callers waiting
	zones   map[string]int     // and how many of them are of which zone
	queue   []*lookup          // those that wait for their turn
	running int                // look-ups under way, at most maxLookups
	waiting int                // callers, at most maxWaiting
	refused uint64             // callers that were one too many, or waited too long
	panics  int64
	toldOf  uint64    // refused when the log last heard of it
	told    time.Time // and when that was
}

// flight is a question that the servers are being asked.
type flight struct {
	done   chan struct{}
	answer Answer // readable when done is closed
	err    error
	gaveUp bool // who asked had no more time
}

// wanted is what a look-up is to find: the hops of a query, or the targets of a number.
type wanted struct {
	query  Query
	number enumQuery // none when query is one
}

// lookup is who waits for what is wanted: one of the lists has them.
type lookup struct {
	wanted
	since   time.Time
	hops    []func([]Hop, error)
	targets []func([]EnumTarget, error)
}

// New makes a Resolver. It starts nothing.
func New(cfg Config) *Resolver {
	r := &Resolver{
		support: cfg.Support, log: cfg.Log, carry: cfg.Exchange, try: tryTime, cache: cache{entries: map[question]*entry{}},
		flights: map[question]*flight{}, lookups: map[wanted]*lookup{}, zones: map[string]int{},
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	for _, addr := range cfg.Servers {
		r.servers = append(r.servers, nameServer{addr: addr})
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// SystemServers reads the name servers of this machine (resolv.conf(5)).
func SystemServers(file string) ([]netip.AddrPort, error) {
	c, err := dns.ClientConfigFromFile(file)
	if err != nil {
		return nil, fmt.Errorf("resolve: %w", err)
	}
	var list []netip.AddrPort
	for _, text := range c.Servers {
		if addr, err := netip.ParseAddr(text); err == nil {
			list = append(list, netip.AddrPortFrom(addr, 53))
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("resolve: %s names no server", file)
	}
	return list, nil
}

// Hops finds where a request may go. When nobody must be asked it returns the hops, or an error, and ready; else ready is
// false, and done is called later, once, by another goroutine. The hops are the caller's.
func (r *Resolver) Hops(q Query, done func([]Hop, error)) (hops []Hop, err error, ready bool) {
	hops, err = r.look(q, r.cached).find()
	if !errors.Is(err, errNotCached) {
		return hops, err, true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	l, err := r.join(wanted{query: q}, time.Now())
	if err != nil {
		return nil, err, true
	}
	l.hops = append(l.hops, done)
	return nil, nil, false
}

// join finds or begins a look-up that one more caller waits for. r.mu is held.
func (r *Resolver) join(w wanted, now time.Time) (*lookup, error) {
	if r.closed {
		return nil, ErrUnavailable
	}
	l, z := r.lookups[w], zoneOf(w.query.Host)
	if r.waiting >= maxWaiting || l == nil && r.zones[z] >= maxOfZone {
		r.refused++ // work tells of it: here nobody may wait for the log.
		return nil, ErrBusy
	}
	if l == nil {
		l = &lookup{wanted: w, since: now}
		r.lookups[w] = l
		if z != "" {
			r.zones[z]++
		}
		if r.running < maxLookups {
			r.running++
			r.group.Go(func() { r.work(l) })
		} else {
			r.queue = append(r.queue, l)
		}
	}
	r.waiting++
	return l, nil
}

// zoneOf is what is taken for the domain that a name belongs to: its last two labels. A number has none.
func zoneOf(name string) string {
	last := max(0, strings.LastIndexByte(name, '.'))
	return name[strings.LastIndexByte(name[:last], '.')+1:]
}

// work does one look-up after the other while there are some.
func (r *Resolver) work(l *lookup) {
	for ; l != nil; l = r.next() {
		r.answer(l)
		r.tell(time.Now())
	}
}

// tell logs now and then that callers are refused.
func (r *Resolver) tell(now time.Time) {
	r.mu.Lock()
	refused := r.refused - r.toldOf
	due := refused > 0 && now.Sub(r.told) >= tellEvery
	if due {
		r.told, r.toldOf = now, r.refused
	}
	r.mu.Unlock()
	if due {
		r.log.Warn("too many calls wait for name servers, others were refused", "refused", refused)
	}
}

func (r *Resolver) next() (l *lookup) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.queue) == 0 {
		r.queue = nil
		r.running--
		return nil
	}
	l, r.queue[0] = r.queue[0], nil
	r.queue = r.queue[1:]
	return l
}

// answer does a look-up and tells everybody who waits for it.
func (r *Resolver) answer(l *lookup) {
	late := time.Since(l.since) >= queueTime
	if l.number != (enumQuery{}) {
		r.answerNumber(l, late)
		return
	}
	var hops []Hop
	err := ErrBusy
	if !late {
		hops, err = r.find(l.query)
	}
	r.leave(l, err)
	for i, done := range l.hops {
		r.guarded(func() {
			if i > 0 && err == nil { // Each draws lots of his own.
				if own, err := r.look(l.query, r.cached).find(); err == nil {
					hops = own
				}
			}
			done(append([]Hop(nil), hops...), err)
		})
	}
}

// guarded tells somebody who waits. A fault of his is his own: the others are told, too.
func (r *Resolver) guarded(tell func()) {
	var fault error
	defer r.recovered(&fault)
	tell()
}

// leave ends a look-up: nobody joins any more.
func (r *Resolver) leave(l *lookup, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.lookups, l.wanted)
	if z := zoneOf(l.query.Host); r.zones[z] > 1 {
		r.zones[z]--
	} else {
		delete(r.zones, z)
	}
	n := len(l.hops) + len(l.targets)
	r.waiting -= n
	if errors.Is(err, ErrBusy) {
		r.refused += uint64(n)
	}
}

// find does a look-up that may ask servers.
func (r *Resolver) find(q Query) (hops []Hop, err error) {
	ctx, cancel := context.WithTimeout(r.ctx, lookupTime)
	defer cancel()
	defer r.recovered(&err)
	return r.look(q, r.asking(ctx)).find()
}

// recovered makes an error of a panic: what strangers send ends no more than one look-up. It must be deferred directly.
func (r *Resolver) recovered(err *error) {
	fault := recover()
	if fault == nil {
		return
	}
	r.mu.Lock()
	r.panics++
	r.mu.Unlock()
	r.log.Error("panic", "doing", "look-up", "err", fault, "stack", string(debug.Stack()))
	*err = fmt.Errorf("%w: a fault of ours", ErrAnswer)
}

// Explain does a look-up and tells each step. Where lots are drawn the likeliest comes first.
func (r *Resolver) Explain(ctx context.Context, q Query, steps func(Step)) ([]Hop, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	l := r.look(q, r.asking(ctx))
	l.steps, l.draw = steps, nil
	return l.find()
}

func (r *Resolver) look(q Query, ask records) *look {
	return &look{query: q, support: r.support, ask: ask, draw: rand.IntN}
}

// cached answers from the cache alone.
func (r *Resolver) cached(name string, kind Kind) (Answer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cache.get(question{name, kind}, time.Now())
}

// asking answers from the cache, or asks the servers, together with whoever asks the same.
func (r *Resolver) asking(ctx context.Context) records {
	return func(name string, kind Kind) (Answer, error) {
		q := question{name, kind}
		for {
			now := time.Now()
			r.mu.Lock()
			if a, err := r.cache.get(q, now); !errors.Is(err, errNotCached) {
				r.mu.Unlock()
				return a, err
			}
			if a, ok := r.cache.stale(q, now); ok && r.allSilent(now) {
				r.renew(q)
				r.mu.Unlock()
				return a, nil
			}
			f := r.flights[q]
			if f == nil {
				f = r.takeOff(q)
				r.mu.Unlock()
				r.fly(ctx, q, f)
				return f.answer, f.err
			}
			r.mu.Unlock()
			select {
			case <-f.done:
				if f.gaveUp && ctx.Err() == nil {
					continue
				}
				return f.answer, f.err
			case <-ctx.Done():
				return Answer{}, fmt.Errorf("%w: %s %s: %w", ErrUnavailable, clip(name), kind, ctx.Err())
			}
		}
	}
}

// takeOff notes that a question is being asked. r.mu is held.
func (r *Resolver) takeOff(q question) *flight {
	f := &flight{done: make(chan struct{})}
	r.flights[q] = f
	return f
}

// renew asks a question for which nobody waits: silent servers are tried with it again, or whoever makes them look silent, by names of
// a zone that is slow, would keep what has expired in force. It is asked again after retryTime. r.mu is held.
func (r *Resolver) renew(q question) {
	if r.closed || r.flights[q] != nil || len(r.flights) >= maxLookups {
		return
	}
	f := r.takeOff(q)
	r.group.Go(func() { r.fly(r.ctx, q, f) })
}

// allSilent tells whether no server has answered lately. Then what has expired serves without a wait (RFC 8767 5): a look-up
// asks four questions or more, one after the other. r.mu is held.
func (r *Resolver) allSilent(now time.Time) bool {
	for i := range r.servers {
		if !now.Before(r.servers[i].silent) {
			return false
		}
	}
	return len(r.servers) > 0
}

// fly asks the servers and keeps what they say.
func (r *Resolver) fly(ctx context.Context, q question, f *flight) {
	a, err := func() (a Answer, err error) {
		defer r.recovered(&err)
		return r.exchange(ctx, q.name, q.kind)
	}()
	ttl := a.ttl
	switch {
	case err != nil && ctx.Err() != nil:
		ttl = 0 // It was us who gave up.
	case err != nil:
		ttl = failedTTL
	}
	r.mu.Lock()
	f.gaveUp = err != nil && ctx.Err() != nil
	f.answer, f.err = r.cache.put(q, a, err, ttl, time.Now())
	delete(r.flights, q)
	r.mu.Unlock()
	close(f.done)
}

// Close ends what is under way, which then fails, and waits for it.
func (r *Resolver) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.cancel()
	r.group.Wait()
}
