package location

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"sipd/sipaddr"
)

// The errors of a Change. ErrBusy and ErrAway mean that nothing was tried: the client may come again.
var (
	ErrOutOfOrder = errors.New("location: Call-ID known and CSeq not higher than the binding's")
	ErrTooMany    = errors.New("location: more contacts in one request than the user may have")
	ErrBusy       = errors.New("location: too many registrations are waiting")
	ErrAway       = errors.New("location: the database is away")
)

// Limits.
const (
	queueSize = 8192 // changes waiting: a third of a second of the measured 24-36 k commits/s, beyond it 503 is the better answer
	aorQueue  = 40   // of one AOR: twice the phones a user may have by default, all at once; more would keep others waiting
)

// Change is what one REGISTER asks for one AOR (RFC 3261 10.3 steps 6 and 7): all of it or nothing.
type Change struct {
	AOR    sipaddr.AOR
	UserID int64
	CallID string
	CSeq   uint32
	Now    time.Time
	Max    int        // most dynamic bindings of this AOR; 0: no limit
	Star   bool       // Contact: * with Expires: 0
	Set    []*Binding // to add or refresh; Expires not after Now removes. The Service owns them from Submit on
	Done   func(Result)
}

// Result is how a Change ended.
type Result struct {
	Bindings []*Binding // every binding of the AOR now
	Err      error      // nil, or one of the errors of this package, wrapped or not
}

// Config is what a Service is made of.
type Config struct {
	Store Store
	Flush func() // called after each batch of Done, from the committer's goroutine; may be nil
	// Owner returns the user whose key an AOR is now, 0 for none. A user who was removed and added again is another one: what
	// the former one left is dropped within a minute. May be nil: then only the new one's first registration drops it.
	Owner func(sipaddr.AOR) int64
	// Keep is told that bindings are reached over a stream connection, and when none is any more, from the committer's goroutine;
	// may be nil.
	Keep func(conn uint64, keep bool)
	Log  *slog.Logger
}

// Service is the location service.
type Service struct {
	store Store
	flush func()
	owner func(sipaddr.AOR) int64
	keep  func(conn uint64, keep bool)
	log   *slog.Logger

	table table

	queue    chan *Change
	wake     chan struct{} // something is in closing
	away     atomic.Bool
	distrust atomic.Bool   // all rows are to be read again
	version  atomic.Uint64 // counts what is published
	waiting  struct {
		mu   sync.Mutex
		n    int // changes taken and not yet answered: no more than queue holds
		aors map[sipaddr.AOR]int
	}
	closed struct {
		mu  sync.RWMutex
		yes bool // Run has ended or is draining: nothing is taken any more
	}
	closing struct {
		mu    sync.Mutex
		conns []uint64 // closed connections since the committer looked last, 8 bytes each
	}

	c committer // state of the committer's goroutine
}

// New makes an empty service. It starts nothing.
func New(cfg Config) (*Service, error) {
	if cfg.Store == nil {
		return nil, errors.New("location: Config.Store is nil")
	}
	s := &Service{store: cfg.Store, flush: cfg.Flush, owner: cfg.Owner, keep: cfg.Keep, log: cfg.Log}
	s.table.seed = maphash.MakeSeed()
	if s.flush == nil {
		s.flush = func() {}
	}
	if s.owner == nil {
		s.owner = func(sipaddr.AOR) int64 { return 0 }
	}
	if s.keep == nil {
		s.keep = func(uint64, bool) {}
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.queue = make(chan *Change, queueSize)
	s.waiting.aors = make(map[sipaddr.AOR]int)
	s.wake = make(chan struct{}, 1)
	s.c.taken = make(map[sipaddr.AOR]struct{}, batchRows)
	return s, nil
}

// Load fills an empty service from the store, before Run and before anybody reads. Rows that have expired are deleted first as far as that is quick;
// what is left of them is loaded too, so that the committer can reuse or sweep them.
func (s *Service) Load(ctx context.Context) error {
	quick, cancel := context.WithTimeout(ctx, quickDelete)
	err := s.store.DeleteExpired(quick, time.Now())
	cancel()
	if err != nil && ctx.Err() == nil {
		s.log.WarnContext(ctx, "expired bindings not deleted at start, the sweep will", "err", err)
	}
	fresh, err := s.collect(time.Time{}, func(each func(sipaddr.AOR, *Binding) error) error {
		return s.goodRows(s.store.LoadBindings(ctx, each))
	})
	if err != nil {
		return fmt.Errorf("load bindings: %w", err)
	}
	if s.c.lastID, err = s.store.MaxID(ctx); err != nil {
		return fmt.Errorf("load bindings: highest id: %w", err)
	}
	s.replace(fresh)
	s.c.loaded = true
	return nil
}

// Bindings returns the bindings of an AOR, highest q first, among equals the newest, unpacked for the caller. aor may be a receive
// buffer. It takes a read lock of one shard, for the time to read a pointer. Those that have expired may still be among them: the
// caller asks Binding.Live.
func (s *Service) Bindings(aor []byte) []*Binding {
	return list(&s.table, maphash.Bytes(s.table.seed, aor), aor)
}

// Submit queues a change; Done is called once, from the committer's goroutine, after the commit. The error (ErrBusy, ErrAway) means it was not
// taken and Done is not called. ErrBusy comes when too many changes wait, or too many of this AOR.
func (s *Service) Submit(c *Change) error {
	if s.away.Load() {
		return ErrAway
	}
	s.closed.mu.RLock()
	defer s.closed.mu.RUnlock()
	if s.closed.yes {
		return ErrAway
	}
	w := &s.waiting
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.n == queueSize || w.aors[c.AOR] == aorQueue {
		return ErrBusy
	}
	w.n++
	w.aors[c.AOR]++
	s.queue <- c // It has room for all that wait.
	return nil
}

// answered forgets a change that Submit took.
func (s *Service) answered(c *Change) {
	w := &s.waiting
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n--
	if w.aors[c.AOR]--; w.aors[c.AOR] == 0 {
		delete(w.aors, c.AOR)
	}
}

// Away tells whether the database does not answer, so that registrations are refused.
func (s *Service) Away() bool { return s.away.Load() }

// ConnClosed says that a stream connection is gone: what was reachable through it alone is suspended until it registers
// again, other bindings fall back to their Contact.
func (s *Service) ConnClosed(conn uint64) {
	if conn == 0 {
		return
	}
	s.closing.mu.Lock()
	s.closing.conns = append(s.closing.conns, conn)
	s.closing.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// list is Bindings for a string.
func (s *Service) list(aor sipaddr.AOR) []*Binding { return s.table.list(aor) }
