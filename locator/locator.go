package locator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// Limits of a Locator.
const (
	// maxRunning is how many questions are asked at once: each may be a process.
	maxRunning = 64
	// maxWaiting is how many callers wait in all; whoever comes then gets ErrBusy at once.
	maxWaiting = 1000
	// askTime is how long one question may take, queueTime how long one may wait for its turn: together less than callers take for a
	// server that does not answer.
	askTime   = 2 * time.Second
	queueTime = 2 * time.Second
	// maxQuery is how many bytes of names a question has.
	maxQuery = 1000
)

// Errors of a question.
var (
	// ErrUnavailable: there is no useful answer, and may be one in a moment.
	ErrUnavailable = errors.New("locator: no answer")
	// ErrBusy: too many questions are under way.
	ErrBusy = errors.New("locator: too many questions")
	// ErrQuery: the names are too long, or hold what names do not.
	ErrQuery = errors.New("locator: not asked")
)

// Config is what a Locator is made of. One of Program and URL says who is asked.
type Config struct {
	Program string       // absolute path
	URL     string       // http or https
	Log     *slog.Logger // nil: nothing is said
}

// Query is what is asked.
type Query struct {
	AOR    string // who is called: "bob@example.com"
	Caller string // who has proven to be calling, "" for nobody
	Method string // of the request
}

// String writes the query as people read it.
func (q Query) String() string {
	text := fmt.Sprintf("%s %q", q.Method, q.AOR)
	if q.Caller != "" {
		text += fmt.Sprintf(" by %q", q.Caller)
	}
	return text
}

func (q Query) check() error {
	text := q.AOR + q.Caller + q.Method
	switch {
	case q.AOR == "":
		return fmt.Errorf("%w: nobody is called", ErrQuery)
	case len(text) > maxQuery:
		return fmt.Errorf("%w: names of %d bytes, at most %d", ErrQuery, len(text), maxQuery)
	case !utf8.ValidString(text), strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c >= 0x7f && c < 0xa0 }):
		return fmt.Errorf("%w: %s has characters that no name has", ErrQuery, q)
	}
	return nil
}

// Locator asks. Its methods may be called by several goroutines.
type Locator struct {
	source source
	limit  time.Duration // askTime
	log    *slog.Logger
	ctx    context.Context // ends the questions under way: Close
	cancel context.CancelFunc
	group  sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	cache   cache
	asks    map[Query]*ask // that have callers waiting
	queue   []*ask         // those that wait for their turn
	running int            // being asked, at most maxRunning
	waiting int            // callers, at most maxWaiting
	refused uint64         // callers that were one too many, or waited too long
	panics  int64
	health  health
	notes   notes
}

// source is who is asked.
type source interface {
	// ask returns what was written, at most maxOutput bytes.
	ask(ctx context.Context, q Query) ([]byte, error)
	// close lets go of what is kept for the next question.
	close()
}

// ask is a question and who waits for its answer.
type ask struct {
	query   Query
	since   time.Time
	trial   bool // the one that is let through while it keeps failing
	waiting []func([]Contact, error)
}

// New makes a Locator. It starts nothing.
func New(cfg Config) (*Locator, error) {
	l := &Locator{limit: askTime, log: cfg.Log, cache: cache{entries: map[Query]*entry{}}, asks: map[Query]*ask{}}
	switch {
	case cfg.Program != "" && cfg.URL != "":
		return nil, errors.New("locator: a program and a URL; one of them is asked")
	case cfg.Program != "":
		if !filepath.IsAbs(cfg.Program) {
			return nil, fmt.Errorf("locator: %q is not an absolute path", cfg.Program)
		}
		l.source = program{cfg.Program}
	default:
		s, err := newService(cfg.URL)
		if err != nil {
			return nil, err
		}
		l.source = s
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l, nil
}

// Find finds the contacts of a user, the most wanted first. When nobody must be asked it returns them, or an error, and ready; else ready
// is false, and done is called later, once, by another goroutine. No contact and no error means that nobody knows of any. The contacts
// are shared: nobody may change them.
func (l *Locator) Find(q Query, done func([]Contact, error)) (contacts []Contact, err error, ready bool) {
	if err := q.check(); err != nil {
		return nil, err, true
	}
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.cache.get(q, now); e != nil {
		return e.contacts, e.err, true
	}
	if l.closed {
		return nil, ErrUnavailable, true
	}
	if l.waiting >= maxWaiting {
		l.refused++
		return nil, ErrBusy, true
	}
	a := l.asks[q]
	if a == nil {
		trial, err := l.health.lets(now)
		if err != nil {
			return nil, err, true
		}
		a = &ask{query: q, since: now, trial: trial}
		l.asks[q] = a
		if l.running < maxRunning {
			l.running++
			l.group.Go(func() { l.work(a) })
		} else {
			l.queue = append(l.queue, a)
		}
	}
	a.waiting = append(a.waiting, done)
	l.waiting++
	return nil, nil, false
}

// work asks one question after the other while there are some.
func (l *Locator) work(a *ask) {
	for ; a != nil; a = l.next() {
		l.answer(a)
	}
}

func (l *Locator) next() (a *ask) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		l.queue = nil
		l.running--
		return nil
	}
	a, l.queue[0] = l.queue[0], nil
	l.queue = l.queue[1:]
	return a
}

// answer asks a question and tells everybody who waits for it.
func (l *Locator) answer(a *ask) {
	ans, err := l.turn(a)
	now := time.Now()
	ttl := ans.TTL
	if err != nil {
		ttl = failedTTL
	}
	l.mu.Lock()
	if l.ctx.Err() == nil && !errors.Is(err, ErrBusy) && !errors.Is(err, errDown) { // They say nothing of this question.
		l.cache.put(a.query, &entry{contacts: ans.Contacts, err: err, until: now.Add(ttl)}, now)
	}
	delete(l.asks, a.query) // Nobody joins any more.
	l.waiting -= len(a.waiting)
	if errors.Is(err, ErrBusy) {
		l.refused += uint64(len(a.waiting))
	}
	lines := l.notes.due(l.refused, now)
	l.mu.Unlock()
	for _, n := range lines {
		l.log.Log(l.ctx, n.level, n.text, n.args...)
	}
	for _, done := range a.waiting {
		l.guarded(func() { done(ans.Contacts, err) })
	}
}

// guarded tells somebody who waits. A fault of his is his own: the others are told, too.
func (l *Locator) guarded(tell func()) {
	var fault error
	defer l.recovered(&fault)
	tell()
}

// turn asks, unless it is too late for that, or of no use.
func (l *Locator) turn(a *ask) (Answer, error) {
	now := time.Now()
	if now.Sub(a.since) >= queueTime {
		return Answer{}, ErrBusy
	}
	if !a.trial {
		l.mu.Lock()
		err := l.health.down(now)
		l.mu.Unlock()
		if err != nil {
			return Answer{}, err
		}
	}
	ans, err := l.Ask(l.ctx, a.query)
	if l.ctx.Err() != nil { // It was us who ended it.
		return ans, err
	}
	now = time.Now()
	l.mu.Lock()
	l.health.heard(err, now)
	l.notes.heard(a.query, ans.Faults, err)
	l.mu.Unlock()
	return ans, err
}

// Ask asks now, whatever the cache has, and waits.
func (l *Locator) Ask(ctx context.Context, q Query) (ans Answer, err error) {
	if err := q.check(); err != nil {
		return ans, err
	}
	ctx, cancel := context.WithTimeout(ctx, l.limit)
	defer cancel()
	defer l.recovered(&err)
	text, err := l.source.ask(ctx, q)
	if err == nil {
		ans, err = parse(text)
	}
	if err != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = fmt.Errorf("not within %v", l.limit)
		}
		return Answer{Faults: ans.Faults}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return ans, nil
}

// recovered makes an error of a panic: what strangers write ends no more than one question. It must be deferred directly.
func (l *Locator) recovered(err *error) {
	fault := recover()
	if fault == nil {
		return
	}
	l.mu.Lock()
	l.panics++
	l.mu.Unlock()
	l.log.Error("panic", "doing", "locator", "err", fault, "stack", string(debug.Stack()))
	*err = fmt.Errorf("%w: a fault of ours", ErrUnavailable)
}

// Close ends what is under way, which then fails, and waits for it.
func (l *Locator) Close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.cancel()
	l.group.Wait()
	l.source.close()
}
