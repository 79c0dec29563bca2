package resolve

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Limits of a Resolver.
const (
	// maxLookups is how many different look-ups are under way at most.
	maxLookups = 256
	// maxWaiting is how many callers wait for one of them at most.
	maxWaiting = 4096
	// lookupTime ends a look-up: NAPTR, SRV and addresses one after the other, of servers that are slow. The caller's phone
	// gives up after 32 s (Timer B).
	lookupTime = 10 * time.Second
)

// Config is what a Resolver is made of.
type Config struct {
	Servers []netip.AddrPort // asked in this order
	Support Support
	// Exchange carries a question to a server by udp or tcp and brings its answer; nil: sockets do. Tests in virtual time have none.
	Exchange func(ctx context.Context, network string, server netip.AddrPort, q *dns.Msg) (*dns.Msg, error)
}

// Resolver finds next hops. Its methods may be called by several goroutines.
type Resolver struct {
	servers []netip.AddrPort
	support Support
	carry   func(ctx context.Context, network string, server netip.AddrPort, q *dns.Msg) (*dns.Msg, error)
	try     time.Duration   // tryTime
	ctx     context.Context // ends the look-ups under way: Close
	cancel  context.CancelFunc
	group   sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	cache   cache
	silent  map[netip.AddrPort]time.Time // servers that gave no answer, and until when others go first
	flights map[question]*flight
	lookups map[Query]*lookup
}

// flight is a question that the servers are being asked.
type flight struct {
	done   chan struct{}
	answer Answer // readable when done is closed
	err    error
}

// lookup is who waits for a query.
type lookup struct {
	waiting []func([]Hop, error)
}

// New makes a Resolver. It starts nothing.
func New(cfg Config) *Resolver {
	r := &Resolver{
		servers: cfg.Servers, support: cfg.Support, carry: cfg.Exchange, try: tryTime, cache: cache{entries: map[question]*entry{}},
		silent: map[netip.AddrPort]time.Time{}, flights: map[question]*flight{}, lookups: map[Query]*lookup{},
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
	l := r.lookups[q]
	switch {
	case r.closed:
		return nil, ErrUnavailable, true
	case l != nil && len(l.waiting) >= maxWaiting, l == nil && len(r.lookups) >= maxLookups:
		return nil, ErrBusy, true
	case l == nil:
		l = &lookup{}
		r.lookups[q] = l
		r.group.Go(func() { r.answer(q, l) })
	}
	l.waiting = append(l.waiting, done)
	return nil, nil, false
}

// answer does a look-up and tells everybody who waits for it.
func (r *Resolver) answer(q Query, l *lookup) {
	ctx, cancel := context.WithTimeout(r.ctx, lookupTime)
	defer cancel()
	hops, err := r.look(q, r.asking(ctx)).find()
	r.mu.Lock()
	delete(r.lookups, q)
	r.mu.Unlock()
	for i, done := range l.waiting {
		if i > 0 && err == nil { // Each draws lots of his own.
			if own, err := r.look(q, r.cached).find(); err == nil {
				hops = own
			}
		}
		done(append([]Hop(nil), hops...), err)
	}
}

// Explain does a look-up and tells each step.
func (r *Resolver) Explain(ctx context.Context, q Query, steps func(string)) ([]Hop, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	l := r.look(q, r.asking(ctx))
	l.steps = steps
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
		r.mu.Lock()
		if a, err := r.cache.get(q, time.Now()); !errors.Is(err, errNotCached) {
			r.mu.Unlock()
			return a, err
		}
		f := r.flights[q]
		if f == nil {
			f = &flight{done: make(chan struct{})}
			r.flights[q] = f
			r.mu.Unlock()
			r.fly(ctx, q, f)
			return f.answer, f.err
		}
		r.mu.Unlock()
		select {
		case <-f.done:
			return f.answer, f.err
		case <-ctx.Done():
			return Answer{}, fmt.Errorf("%w: %s %s: %v", ErrUnavailable, clip(name), kind, ctx.Err())
		}
	}
}

// fly asks the servers and keeps what they say.
func (r *Resolver) fly(ctx context.Context, q question, f *flight) {
	a, ttl, err := r.exchange(ctx, q.name, q.kind)
	r.mu.Lock()
	if ctx.Err() != nil && err != nil {
		ttl = 0 // It was us who gave up.
	}
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
