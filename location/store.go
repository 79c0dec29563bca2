package location

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sipd/sipaddr"
)

// Store keeps bindings durably. Only the committer of a Service and its Load call it, one call at a time.
type Store interface {
	// LoadBindings calls each for every row, also of expired ones; an error of each ends it and is returned. Rows that cannot be used
	// are left out and named in a *BadRowsError at the end.
	LoadBindings(ctx context.Context, each func(aor sipaddr.AOR, b *Binding) error) error
	// Commit writes sets in order in one transaction, each under a savepoint of its own, so that a bad set fails alone.
	// errs is nil when every set was written, else it has one entry a set: why that set alone was rolled back. err is about the whole
	// batch and wraps ErrNotCommitted when surely nothing was written, with ErrNotTried when the store took no change at all;
	// ErrUnknownOutcome when that is not known.
	Commit(ctx context.Context, sets []RowSet) (errs []error, err error)
	// DeleteExpired removes dynamic rows that expired before the time given.
	DeleteExpired(ctx context.Context, before time.Time) error
	// LoadAOR reads the rows of one AOR, in any order, without those that cannot be used; none is not an error.
	LoadAOR(ctx context.Context, aor sipaddr.AOR) ([]*Binding, error)
	// MaxID returns the highest id in use, 0 when there is none. It is also the probe whether the database answers and takes changes.
	MaxID(ctx context.Context) (int64, error)
}

// RowSet is the rows that one Change writes: all of it or nothing. Deletes are applied before upserts; an upsert inserts
// the whole row or replaces the row of the same ID.
type RowSet struct {
	AOR    sipaddr.AOR
	UserID int64
	Upsert []*Binding
	Delete []int64
}

// The errors of Store.Commit.
var (
	ErrNotCommitted   = errors.New("location: not committed")
	ErrNotTried       = errors.New("location: the database takes no change now")
	ErrUnknownOutcome = errors.New("location: outcome of the commit unknown")
)

// MaxBadRows is how many rows a BadRowsError lists: more tell an administrator nothing new.
const MaxBadRows = 100

// BadRowsError says that all rows were handed over but these.
type BadRowsError struct {
	Rows []error // what is wrong with each
}

// Error counts the rows and shows the first.
func (e *BadRowsError) Error() string {
	return fmt.Sprintf("%d rows cannot be used, the first: %v", len(e.Rows), e.Rows[0])
}

// Add notes a row.
func (e *BadRowsError) Add(err error) {
	if len(e.Rows) < MaxBadRows {
		e.Rows = append(e.Rows, err)
	}
}

// OrNil returns e when it names a row, else nil.
func (e *BadRowsError) OrNil() error {
	if len(e.Rows) == 0 {
		return nil
	}
	return e
}
