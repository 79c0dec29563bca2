package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"sipd/store"
)

// querier is what a database and a transaction have in common.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// inTx calls do in a transaction that may write. what names it in errors.
func (db *DB) inTx(ctx context.Context, what string, do func(tx *sql.Tx) error) error {
	tx, err := db.begin(ctx)
	if err != nil {
		return db.wrap(what, err)
	}
	if err := do(tx); err != nil {
		return db.wrap(what, errors.Join(err, ignoreDone(tx.Rollback())))
	}
	return db.wrap(what, tx.Commit())
}

// begin begins a transaction that may write.
func (db *DB) begin(ctx context.Context) (tx *sql.Tx, err error) {
	for give := time.Now().Add(busyTimeout); ; {
		tx, err = db.write.BeginTx(ctx, nil)
		if !busy(err) || time.Now().After(give) || ctx.Err() != nil {
			return tx, err
		}
	}
}

// inReadTx calls do in a transaction that sees one moment.
func (db *DB) inReadTx(ctx context.Context, what string, do func(tx *sql.Tx) error) error {
	tx, err := db.read.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return db.wrap(what, err)
	}
	return db.wrap(what, errors.Join(do(tx), ignoreDone(tx.Rollback())))
}

// ignoreDone drops the error of rolling back what the end of a context has rolled back.
func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}

// wrap says what was done when err happened and adds the sentinel it stands for. It wraps once.
func (db *DB) wrap(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("%s: %w", what, store.ErrNotFound)
	}
	if sentinel := db.d.classify(err); sentinel != nil && !errors.Is(err, sentinel) {
		return fmt.Errorf("%s: %w (%w)", what, sentinel, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// exec runs one statement that must change a row: none is store.ErrNotFound.
func (db *DB) exec(ctx context.Context, what, query string, args ...any) error {
	ctx, cancel := deadline(ctx)
	defer cancel()
	return db.inTx(ctx, what, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, query, args...)
		if err != nil {
			return err
		}
		return changedRow(res)
	})
}

// execAny runs one statement that may change any number of rows and returns how many.
func (db *DB) execAny(ctx context.Context, what, query string, args ...any) (n int64, err error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	err = db.inTx(ctx, what, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, query, args...)
		if err != nil {
			return err
		}
		n, err = res.RowsAffected()
		return err
	})
	return n, err
}

func changedRow(res sql.Result) error {
	n, err := res.RowsAffected()
	if err == nil && n == 0 {
		err = store.ErrNotFound
	}
	return err
}

// eachRow calls scan for every row of a query.
func eachRow(ctx context.Context, q querier, scan func(*sql.Rows) error, query string, args ...any) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	for rows.Next() {
		if err := scan(rows); err != nil {
			return errors.Join(err, rows.Close())
		}
	}
	return errors.Join(rows.Err(), rows.Close())
}

// when scans a time of either database: timestamptz or RFC 3339 text; null is the zero time.
type when struct{ t *time.Time }

// Scan implements sql.Scanner.
func (w when) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*w.t = time.Time{}
	case time.Time:
		*w.t = v.UTC()
	case string:
		t, err := time.Parse(time.RFC3339Nano, v)
		if err != nil {
			return fmt.Errorf("%q is not a time: write it as 2006-01-02T15:04:05Z", v)
		}
		*w.t = t.UTC()
	default:
		return fmt.Errorf("a time cannot be %T", v)
	}
	return nil
}

// orNull returns null for the zero value: optional columns have no empty text and no zero.
func orNull[T comparable](v T) any {
	var zero T
	if v == zero {
		return nil
	}
	return v
}

// enum scans the text of a column into a constant of package store; null is "".
type enum[T any] struct {
	to    *T
	parse func(string) (T, error)
}

// Scan implements sql.Scanner.
func (e enum[T]) Scan(v any) error {
	text, ok := v.(string)
	if !ok && v != nil {
		return fmt.Errorf("a name cannot be %T", v)
	}
	parsed, err := e.parse(text)
	if err == nil {
		*e.to = parsed
	}
	return err
}
