package location

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sipd/sipaddr"
)

// How the committer works.
const (
	batchRows     = 256              // rows a commit (docs/performance.md); a longer transaction delays everybody's 200
	commitTimeout = 10 * time.Second // a commit that takes longer has an unknown outcome; a client waits 32 s (Timer F)
	readTimeout   = 2 * time.Second  // of reading one AOR again, and of a probe
	probeEvery    = time.Second      // while the database is away
	quickDelete   = 2 * time.Second  // how long a start waits for the deletion of expired rows
	sweepEvery    = time.Minute      // expired bindings are invisible anyway; this only frees their memory and rows
	maxClosed     = 1 << 16          // closed connections remembered in an interval: more close only under attack
	worksAgain    = 5 * time.Second  // without a failure before the log says that changes work again
	sweepMax      = 1 << 16          // AORs looked at again in one sweep: bounds the list, the rest waits a minute
)

// committer is what the committer's goroutine owns.
type committer struct {
	loaded   bool
	stale    bool      // what is published did not come from the store: it is read before any change is taken
	failing  bool      // changes fail although the database answers, and the log has said so
	failedAt time.Time // when one did so last
	lastID   int64

	waiting []*Change                           // taken from the queue, not yet in a batch: an earlier change of their AOR was
	conns   map[uint64]map[sipaddr.AOR]struct{} // which AORs have a binding with this Conn
	// Connections that closed in this interval of the sweep and in the one before. What registers over one of them was received
	// before it closed and comes too late; no registration is under way for longer (Timer F).
	closed, closedBefore map[uint64]struct{}
	stopping             bool // what is queued is committed, or refused after the first commit that fails

	doubt   map[sipaddr.AOR]struct{} // AORs whose rows must be read before memory can be believed
	expired []sipaddr.AOR            // found by the sweep, not yet deleted
	swept   int                      // the shard that the sweep looked at last

	// One batch: work[i] belongs to sets[i].
	taken map[sipaddr.AOR]struct{} // the AORs that are in it
	sets  []RowSet
	work  []work
	done  []finished
	cause error // why the batch as a whole was not committed
}

// work is one row set of a batch: of a change, or of the sweep when change is nil.
type work struct {
	change *Change
	plan   plan
}

// finished is a change whose result is known.
type finished struct {
	change *Change
	result Result
}

// Run commits changes and drops what has expired, until ctx ends and the queue is drained.
func (s *Service) Run(ctx context.Context) error {
	if !s.c.loaded {
		return errors.New("location: Run before Load: ids of new bindings are not known")
	}
	sweep := time.NewTicker(sweepEvery / shards)
	defer sweep.Stop()
	probe := time.NewTicker(probeEvery)
	defer probe.Stop()
	calls := context.WithoutCancel(ctx) // Stopping must not cut a commit short: its outcome would be unknown. Each call has its own deadline.
	for ctx.Err() == nil {
		// A nil channel is never ready: while there is work left over, nothing here waits.
		var rest chan struct{}
		if len(s.c.waiting) > 0 || len(s.c.expired) > 0 && !s.away.Load() {
			rest = closedChan
		}
		select {
		case <-ctx.Done():
		case c := <-s.queue:
			s.c.waiting = append(s.c.waiting, c)
			s.batch(calls)
		case <-rest:
			s.batch(calls)
		case <-s.wake:
			s.suspend()
		case <-sweep.C:
			s.findExpired(time.Now())
		case <-probe.C:
			if s.away.Load() || len(s.c.doubt) > 0 {
				s.probe(calls)
			}
		}
	}
	s.closed.mu.Lock()
	s.closed.yes = true
	s.closed.mu.Unlock()
	s.c.expired, s.c.stopping = nil, true
	for len(s.queue) > 0 || len(s.c.waiting) > 0 {
		s.batch(calls)
	}
	return ctx.Err()
}

var closedChan = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// batch commits what is waiting, at most batchRows rows and one change an AOR, publishes it and tells everybody.
func (s *Service) batch(ctx context.Context) {
	s.gather()
	if len(s.c.sets) > 0 {
		s.commit(ctx)
	}
	for _, f := range s.c.done {
		s.answered(f.change)
		f.change.Done(f.result)
	}
	if len(s.c.done) > 0 {
		s.flush()
	}
	switch {
	case s.c.cause == nil:
	case s.c.stopping:
		s.away.Store(true) // A database that others have locked answers questions: each batch would wait again.
	default: // After the answers: the question may take its time.
		s.lost(ctx, s.c.cause)
	}
	clear(s.c.work)
	clear(s.c.sets)
	clear(s.c.done)
	s.c.work, s.c.sets, s.c.done, s.c.cause = s.c.work[:0], s.c.sets[:0], s.c.done[:0], nil
}

// gather fills the batch. The order of an AOR's changes is kept: only its first one is taken, the others wait for the next
// batch, so that each is judged against what has been published and a set that fails drags no other along.
func (s *Service) gather() {
	rows := 0
	taken := s.c.taken
	clear(taken)
	take := func(c *Change) bool {
		if _, ok := taken[c.AOR]; ok {
			return false
		}
		taken[c.AOR] = struct{}{}
		rows += s.plan(c)
		return true
	}
	full := func() bool { return rows >= batchRows || len(taken) >= batchRows }
	kept := s.c.waiting[:0]
	for _, c := range s.c.waiting {
		if full() || !take(c) {
			kept = append(kept, c)
		}
	}
	clear(s.c.waiting[len(kept):])
	s.c.waiting = kept
drain:
	for !full() {
		select {
		case c := <-s.queue:
			if !take(c) {
				s.c.waiting = append(s.c.waiting, c)
			}
		default:
			break drain
		}
	}
	// Room that is left takes expired rows along.
	for !full() && len(s.c.expired) > 0 && !s.away.Load() {
		n := len(s.c.expired) - 1
		aor := s.c.expired[n]
		s.c.expired = s.c.expired[:n]
		if _, ok := taken[aor]; ok {
			continue // Its change has taken them.
		}
		taken[aor] = struct{}{}
		if p, ok := expired(aor, s.list(aor), s.owner(aor), time.Now()); ok {
			s.c.work = append(s.c.work, work{plan: p})
			s.c.sets = append(s.c.sets, p.rows)
			rows += len(p.rows.Delete)
		}
	}
}

// plan judges a change against what is published and puts it into the batch, or among the finished when it needs no
// commit. It returns the rows it writes.
func (s *Service) plan(c *Change) int {
	if _, doubtful := s.c.doubt[c.AOR]; doubtful || s.away.Load() {
		s.finish(c, Result{Err: ErrAway})
		return 0
	}
	before := s.list(c.AOR)
	first := s.c.lastID
	p, err := apply(before, c, func() int64 { s.c.lastID++; return s.c.lastID })
	if err != nil {
		s.c.lastID = first
		s.finish(c, Result{Bindings: before, Err: err})
		return 0
	}
	n := len(p.rows.Upsert) + len(p.rows.Delete)
	if n == 0 {
		s.finish(c, Result{Bindings: before})
		return 0
	}
	for _, b := range p.rows.Upsert {
		b.UserID = c.UserID
		if s.hasClosed(b.Conn) {
			b.Conn = 0
		}
		b.prepare()
	}
	s.c.work = append(s.c.work, work{change: c, plan: p})
	s.c.sets = append(s.c.sets, p.rows)
	return n
}

// finish notes a result; Done is called when the whole batch is through.
func (s *Service) finish(c *Change, r Result) {
	s.c.done = append(s.c.done, finished{c, r})
}

// commit writes the batch and publishes what was written.
func (s *Service) commit(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, commitTimeout)
	errs, err := s.store.Commit(limited, s.c.sets)
	cancel()
	switch {
	case err == nil:
		refused := false
		for i, w := range s.c.work {
			if i < len(errs) && errs[i] != nil {
				s.failed(w, errs[i])
				refused = true
				continue
			}
			if len(w.plan.rows.Upsert) > 0 { // Rows can be deleted where none can be written.
				s.canWrite()
			}
			s.publish(w.plan.rows.AOR, w.plan.after)
			s.succeeded(w)
		}
		if refused { // Perhaps somebody else has written rows with the next ids.
			if top, err := s.top(ctx); err == nil {
				s.c.lastID = max(s.c.lastID, top)
			}
		}
	case errors.Is(err, ErrNotCommitted):
		s.c.cause = err
		for _, w := range s.c.work {
			s.failed(w, err)
		}
	default:
		// The connection was lost in the commit, or the store cannot say: what the rows say now is the truth.
		s.settle(ctx, err)
	}
}

func (s *Service) succeeded(w work) {
	if w.change != nil {
		s.finish(w.change, Result{Bindings: w.plan.after})
	}
}

// failed is a set that surely was not written: memory stays as it is. One that was not even tried may come again.
func (s *Service) failed(w work, err error) {
	switch {
	case errors.Is(err, ErrNotTried):
		err = fmt.Errorf("%w: %w", ErrAway, err)
	case !errors.Is(err, ErrNotCommitted):
		err = fmt.Errorf("%w: %w", ErrNotCommitted, err)
	}
	if w.change == nil {
		if s.c.cause == nil && !s.c.failing { // Else the log hears of the cause, once.
			s.log.Warn("expired bindings not deleted", "aor", w.plan.rows.AOR, "err", err)
		}
		return
	}
	s.finish(w.change, Result{Bindings: s.list(w.change.AOR), Err: err})
}

// settle reads the rows of each AOR of the batch again and believes them. The AORs that cannot be read stay in doubt: they
// take no change until they have been read.
func (s *Service) settle(ctx context.Context, cause error) {
	if !errors.Is(cause, ErrUnknownOutcome) {
		cause = fmt.Errorf("%w: %w", ErrUnknownOutcome, cause)
	}
	if !s.c.failing {
		s.log.Warn("commit without an answer, reading the rows again", "sets", len(s.c.sets), "err", cause)
	}
	for _, w := range s.c.work {
		aor := w.plan.rows.AOR
		rows, err := s.read(ctx, aor)
		if err != nil {
			s.lost(ctx, err) // Once it is known to be away, read asks no more.
			if s.c.doubt == nil {
				s.c.doubt = make(map[sipaddr.AOR]struct{})
			}
			s.c.doubt[sipaddr.AOR(strings.Clone(string(aor)))] = struct{}{}
			if w.change != nil {
				s.finish(w.change, Result{Bindings: s.list(aor), Err: cause})
			}
			continue
		}
		if written(rows, &w.plan.rows) {
			s.publish(aor, w.plan.after)
			s.succeeded(w)
			continue
		}
		s.believe(aor, rows)
		s.cannotWrite(cause)
		s.failed(w, fmt.Errorf("%w: its rows were not there when read again", ErrNotCommitted))
	}
}

// cannotWrite tells the log, once, that changes fail although the database answers: a disk that is full.
func (s *Service) cannotWrite(cause error) {
	s.c.failedAt = time.Now()
	if !s.c.failing {
		s.c.failing = true
		s.log.Error("the database does not take registrations, they fail until it does", "err", cause)
	}
}

// canWrite tells the log that they work again. On a disk that is full some rows still find room: it waits until none has failed for a while.
func (s *Service) canWrite() {
	if s.c.failing && time.Since(s.c.failedAt) >= worksAgain {
		s.c.failing = false
		s.log.Info("registrations are written again")
	}
}

// read reads the rows of an AOR.
func (s *Service) read(ctx context.Context, aor sipaddr.AOR) ([]*Binding, error) {
	if s.away.Load() {
		return nil, ErrAway
	}
	limited, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := s.store.LoadAOR(limited, aor)
	if err != nil {
		return nil, fmt.Errorf("read bindings of %s again: %w", aor, err)
	}
	return rows, nil
}

// written tells whether rows show that set was committed.
func written(rows []*Binding, set *RowSet) bool {
	at := func(id int64) int { return slices.IndexFunc(rows, func(b *Binding) bool { return b.ID == id }) }
	for _, b := range set.Upsert {
		if i := at(b.ID); i < 0 || rows[i].CallID != b.CallID || rows[i].CSeq != b.CSeq || rows[i].URI != b.URI {
			return false
		}
	}
	for _, id := range set.Delete {
		if at(id) >= 0 {
			return false
		}
	}
	return true
}

// believe publishes what the store says of an AOR. A row that memory has in the same version keeps its connection.
func (s *Service) believe(aor sipaddr.AOR, rows []*Binding) {
	for _, b := range rows {
		b.Conn = 0
		b.prepare()
	}
	keepKnown(s.list(aor), rows)
	order(rows)
	s.publish(aor, rows)
}

// keepKnown puts the known binding in the place of a row of the same version: it has a connection.
func keepKnown(known, rows []*Binding) {
	for i, b := range rows {
		if j := slices.IndexFunc(known, func(o *Binding) bool {
			return o.ID == b.ID && o.CallID == b.CallID && o.CSeq == b.CSeq && o.URI == b.URI
		}); j >= 0 {
			rows[i] = known[j]
		}
	}
}

// goodRows logs the rows that LoadBindings left out; any other error is returned.
func (s *Service) goodRows(err error) error {
	var bad *BadRowsError
	if !errors.As(err, &bad) {
		return err
	}
	for _, row := range bad.Rows {
		s.log.Warn("a row of contacts cannot be used and is left out", "err", row)
	}
	return nil
}

// lost asks the database once whether it is there, after it failed; if it does not answer it is away: Submit says so until
// a probe succeeds.
func (s *Service) lost(ctx context.Context, cause error) {
	if s.away.Load() {
		return
	}
	_, err := s.top(ctx)
	switch {
	case err != nil:
		s.away.Store(true)
		s.log.Error("database is away, registrations are refused until it is back", "err", cause)
	case !errors.Is(cause, ErrNotTried): // It had no time for us then, and has it now.
		s.cannotWrite(cause)
	}
}

// top is the probe.
func (s *Service) top(ctx context.Context) (int64, error) {
	limited, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return s.store.MaxID(limited)
}

// probe asks whether the database is back, and then reads the AORs in doubt.
func (s *Service) probe(ctx context.Context) {
	top, err := s.top(ctx)
	if err != nil {
		return
	}
	s.c.lastID = max(s.c.lastID, top)
	if s.distrust.Swap(false) {
		s.c.stale = true
	}
	if s.c.stale {
		if err := s.reload(ctx); err != nil {
			s.log.Warn("database is back, but bindings are not what it says", "err", err)
			return
		}
		s.c.stale = false
	}
	if s.away.Swap(false) {
		s.log.Info("database is back")
	}
	if s.distrust.Load() { // Asked for meanwhile.
		s.away.Store(true)
	}
	for aor := range s.c.doubt {
		rows, err := s.read(ctx, aor)
		if err != nil {
			s.log.Warn("bindings still in doubt", "err", err)
			return
		}
		s.believe(aor, rows)
		delete(s.c.doubt, aor)
	}
}

// publish makes list what Bindings returns for aor. Only the committer and Load call it.
func (s *Service) publish(aor sipaddr.AOR, list []*Binding) {
	s.index(aor, s.list(aor), list)
	s.version.Add(1)
	s.table.put(aor, list)
}

// index keeps conns: an AOR is under each Conn its published bindings have.
func (s *Service) index(aor sipaddr.AOR, before, after []*Binding) {
	has := func(list []*Binding, conn uint64) bool {
		return slices.ContainsFunc(list, func(b *Binding) bool { return b.Conn == conn })
	}
	for _, b := range before {
		if b.Conn != 0 && !has(after, b.Conn) {
			delete(s.c.conns[b.Conn], aor)
			if len(s.c.conns[b.Conn]) == 0 {
				delete(s.c.conns, b.Conn)
				s.keep(b.Conn, false)
			}
		}
	}
	for _, b := range after {
		if b.Conn == 0 || has(before, b.Conn) {
			continue
		}
		if s.c.conns == nil {
			s.c.conns = make(map[uint64]map[sipaddr.AOR]struct{})
		}
		if s.c.conns[b.Conn] == nil {
			s.c.conns[b.Conn] = make(map[sipaddr.AOR]struct{}, 1)
			s.keep(b.Conn, true)
		}
		s.c.conns[b.Conn][sipaddr.AOR(strings.Clone(string(aor)))] = struct{}{} // The given string may be part of something large.
	}
}

// suspend publishes the bindings of closed connections again, without the connection.
func (s *Service) suspend() {
	s.closing.mu.Lock()
	conns := s.closing.conns
	s.closing.conns = nil
	s.closing.mu.Unlock()
	for _, conn := range conns {
		if len(s.c.closed) >= maxClosed {
			s.forgetClosed()
		}
		if s.c.closed == nil {
			s.c.closed = make(map[uint64]struct{})
		}
		s.c.closed[conn] = struct{}{}
		for aor := range s.c.conns[conn] {
			list := s.list(aor)
			for _, b := range list {
				if b.Conn == conn {
					b.Conn = 0
					b.prepare()
				}
			}
			s.publish(aor, list)
		}
		delete(s.c.conns, conn)
	}
}

// forgetClosed begins a new interval of closed connections.
func (s *Service) forgetClosed() { s.c.closed, s.c.closedBefore = nil, s.c.closed }

func (s *Service) hasClosed(conn uint64) bool {
	_, now := s.c.closed[conn]
	_, before := s.c.closedBefore[conn]
	return now || before
}

// over tells whether b is to go: it has expired, or was a former user's. An AOR without a user keeps its bindings, because a
// row of users that cannot be used now may be mended.
func (b *Binding) over(owner int64, now time.Time) bool {
	return !b.Live(now) || owner != 0 && b.UserID != owner
}

// findExpired lists the AORs of one shard after the other that have bindings which are over: all of them in sweepEvery.
func (s *Service) findExpired(now time.Time) {
	if s.away.Load() || len(s.c.expired) >= sweepMax {
		return
	}
	s.c.swept = (s.c.swept + 1) % shards
	var b Binding
	s.table.shard[s.c.swept].each(func(aor sipaddr.AOR, u unpacker) bool {
		owner, over := s.owner(aor), false
		for range u.uvarint() {
			u.binding(&b)
			over = over || b.over(owner, now)
		}
		if over {
			s.c.expired = append(s.c.expired, aor)
		}
		return len(s.c.expired) < sweepMax
	})
	if s.c.swept == 0 {
		s.forgetClosed()
	}
}
