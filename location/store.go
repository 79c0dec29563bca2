package location

import (
	"context"
	"errors"
	"time"

	"sipd/sipaddr"
)

// Store keeps bindings durably. Only the committer of a Service and its Load call it, one call at a time.
type Store interface {
	// LoadBindings calls each for every row, also of expired ones; an error of each ends it and is returned.
	LoadBindings(ctx context.Context, each func(aor sipaddr.AOR, b *Binding) error) error
	// Commit writes sets in order in one transaction, each under a savepoint of its own, so that a bad set fails alone.
	// errs is nil when every set was written, else it has one entry a set: why that set alone was rolled back. err is about the whole
	// batch and wraps ErrNotCommitted when surely nothing was written, ErrUnknownOutcome when that is not known.
	Commit(ctx context.Context, sets []RowSet) (errs []error, err error)
	// DeleteExpired removes dynamic rows that expired before the time given.
	DeleteExpired(ctx context.Context, before time.Time) error
	// LoadAOR reads the rows of one AOR, in any order; none is not an error.
	LoadAOR(ctx context.Context, aor sipaddr.AOR) ([]*Binding, error)
	// MaxID returns the highest id in use, 0 when there is none. It is also the probe whether the database answers.
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
	ErrUnknownOutcome = errors.New("location: outcome of the commit unknown")
)
