package location

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"sipd/sipaddr"
)

// fakeStore is a Store in memory that fails on demand.
type fakeStore struct {
	mu      sync.Mutex
	rows    map[int64]fakeRow
	batches [][]RowSet
	gate    chan struct{} // when not nil a commit waits for it

	badAOR  sipaddr.AOR // sets of this AOR fail alone
	fail    error       // what Commit returns
	applied bool        // a failing Commit has written all the same
	down    error       // what the reading methods return; Commit too, when fail is not set
	readErr error       // what LoadAOR alone returns
	cleaned time.Time   // the last DeleteExpired
	reads   int         // calls of LoadAOR
	bad     *BadRowsError
}

type fakeRow struct {
	aor sipaddr.AOR
	b   Binding
}

func newFake() *fakeStore { return &fakeStore{rows: map[int64]fakeRow{}} }

// set changes what fails, under the lock.
func (f *fakeStore) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fakeStore) add(aor sipaddr.AOR, b Binding) { f.rows[b.ID] = fakeRow{aor, b} }

func (f *fakeStore) LoadBindings(_ context.Context, each func(sipaddr.AOR, *Binding) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.rows {
		b := r.b
		if err := each(r.aor, &b); err != nil {
			return err
		}
	}
	if f.bad != nil {
		return f.bad
	}
	return f.down
}

func (f *fakeStore) Commit(ctx context.Context, sets []RowSet) ([]error, error) {
	f.mu.Lock()
	gate := f.gate
	f.mu.Unlock()
	if gate != nil {
		<-gate
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f.batches = append(f.batches, slices.Clone(sets))
	err := f.fail
	if err == nil && f.down != nil {
		err = errors.Join(ErrNotCommitted, f.down)
	}
	if err != nil && !f.applied {
		return nil, err
	}
	var errs []error
	for i, set := range sets {
		if set.AOR == f.badAOR {
			if errs == nil {
				errs = make([]error, len(sets))
			}
			errs[i] = errors.New("constraint")
			continue
		}
		for _, id := range set.Delete {
			delete(f.rows, id)
		}
		for _, b := range set.Upsert {
			row := *b
			row.Conn = 0
			f.rows[b.ID] = fakeRow{set.AOR, row}
		}
	}
	return errs, err
}

func (f *fakeStore) DeleteExpired(_ context.Context, before time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cleaned = before
	return f.down
}

func (f *fakeStore) LoadAOR(_ context.Context, aor sipaddr.AOR) ([]*Binding, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads++
	if err := errors.Join(f.down, f.readErr); err != nil {
		return nil, err
	}
	var list []*Binding
	for _, r := range f.rows {
		if r.aor == aor {
			b := r.b
			list = append(list, &b)
		}
	}
	return list, nil
}

func (f *fakeStore) MaxID(context.Context) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var top int64
	for id := range f.rows {
		top = max(top, id)
	}
	return top, f.down
}

// uris returns the stored URIs of an AOR, sorted.
func (f *fakeStore) uris(aor sipaddr.AOR) (uris []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.rows {
		if r.aor == aor {
			uris = append(uris, r.b.URI)
		}
	}
	slices.Sort(uris)
	return uris
}
