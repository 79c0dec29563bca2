package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"sipd/location"
	"sipd/store"
)

// sqliteHot writes registrations with statements of the driver: database/sql costs as much as SQLite itself here, and
// placeholders with names cost a string each. Contexts that cannot be cancelled, see doc.go.
type sqliteHot struct {
	db   *sql.DB
	wait time.Duration // for another's lock
	conn any           // the driver's connection that stmts belong to; another one when it had to be opened again
	stmt sqliteStmts
	args []driver.NamedValue
}

type sqliteStmts struct {
	begin, commit, rollback, savepoint, release, rollbackTo, upsert, remove driver.Stmt
}

const (
	// A refresh leaves user_id alone: SQLite would rewrite the index on it.
	sqliteUpsert = `INSERT INTO contacts (` + contactColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET ` + refreshColumns
)

func (h *sqliteHot) commit(ctx context.Context, sets []location.RowSet) (errs []error, err error) {
	conn, err := h.db.Conn(ctx)
	if err != nil {
		return nil, notTried(err)
	}
	defer conn.Close()
	err = conn.Raw(func(c any) error {
		if err := h.prepare(c); err != nil {
			return err
		}
		if upserts, deletes := rows(sets); len(sets) == 1 && upserts+deletes == 1 {
			errs, err = h.writeOne(&sets[0])
			return err
		}
		// Without savepoints first: a set that fails is rare, and each savepoint costs two statements.
		if errs, err = h.write(sets, false); errors.Is(err, errOfSet) {
			errs, err = h.write(sets, true)
		}
		return err
	})
	if err != nil && !errors.Is(err, location.ErrUnknownOutcome) && !errors.Is(err, location.ErrNotCommitted) {
		err = fmt.Errorf("%w: %w", location.ErrNotCommitted, err)
	}
	return errs, err
}

// fence has nothing to wait for: a commit has ended when commit returns.
func (h *sqliteHot) fence(context.Context) error { return nil }

// errOfSet marks an error that is one set's own; every other ends the whole batch: no space left, a broken disk.
var errOfSet = errors.New("set refused")

// refused marks and names the error of a statement that is about the row it was to write.
func refused(err error) error {
	var e *sqlite.Error
	if errors.As(err, &e) {
		switch e.Code() & 0xff {
		case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH:
		default:
			return err
		}
		if sentinel := classifySQLite(err); sentinel != nil {
			return fmt.Errorf("%w: %w (%w)", errOfSet, sentinel, err)
		}
		return fmt.Errorf("%w: %w", errOfSet, err)
	}
	return err
}

// patient runs a statement that takes the lock, and asks again while another connection has it.
func (h *sqliteHot) patient(do func() error) error {
	for give := time.Now().Add(h.wait); ; {
		if err := do(); !busy(err) || time.Now().After(give) {
			return err
		}
	}
}

// writeOne writes a set of one row, which is a transaction by itself.
func (h *sqliteHot) writeOne(set *location.RowSet) ([]error, error) {
	err := h.patient(func() error { return h.writeRows(set) })
	switch {
	case err == nil:
		return nil, nil
	case errors.Is(err, errOfSet):
		return []error{setError(set, err)}, nil
	case busy(err), readOnly(err):
		return nil, notTried(err)
	}
	return nil, fmt.Errorf("%w: %w", location.ErrUnknownOutcome, err)
}

// notTried marks an error before the first change: the lock was another's all the time, or the file cannot be written.
func notTried(err error) error {
	return fmt.Errorf("%w: %w: %w", location.ErrNotCommitted, location.ErrNotTried, err)
}

func readOnly(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_READONLY
}

func setError(set *location.RowSet, err error) error {
	return fmt.Errorf("contacts of %s: %w", set.AOR, err)
}

func (h *sqliteHot) prepare(c any) error {
	if h.conn == c {
		return nil
	}
	p, ok := c.(driver.ConnPrepareContext)
	if !ok {
		return fmt.Errorf("the driver's connection is %T and cannot prepare", c)
	}
	h.conn = nil
	for _, s := range []struct {
		to   *driver.Stmt
		text string
	}{
		{&h.stmt.begin, "BEGIN IMMEDIATE"}, {&h.stmt.commit, "COMMIT"}, {&h.stmt.rollback, "ROLLBACK"},
		{&h.stmt.savepoint, "SAVEPOINT one"}, {&h.stmt.release, "RELEASE one"}, {&h.stmt.rollbackTo, "ROLLBACK TO one"},
		{&h.stmt.upsert, sqliteUpsert},
		{&h.stmt.remove, "DELETE FROM contacts WHERE id = ?"},
	} {
		stmt, err := p.PrepareContext(context.Background(), s.text)
		if err != nil {
			return err
		}
		*s.to = stmt
	}
	h.conn = c
	return nil
}

// run executes a statement and returns how many rows it changed.
func run(s driver.Stmt, args []driver.NamedValue) (int64, error) {
	res, err := s.(driver.StmtExecContext).ExecContext(context.Background(), args)
	if err != nil || res == nil {
		return 0, err
	}
	return res.RowsAffected()
}

// write is one attempt to write all sets. Without savepoints the first bad set ends it.
func (h *sqliteHot) write(sets []location.RowSet, savepoints bool) (errs []error, err error) {
	err = h.patient(func() error {
		_, err := run(h.stmt.begin, nil)
		return err
	})
	if err != nil {
		return nil, notTried(err)
	}
	for i := range sets {
		err := h.writeSet(&sets[i], savepoints)
		switch {
		case err == nil:
		case savepoints && errors.Is(err, errOfSet):
			if errs == nil {
				errs = make([]error, len(sets))
			}
			errs[i] = setError(&sets[i], err)
		default:
			return nil, h.rollback(err)
		}
	}
	if _, err := run(h.stmt.commit, nil); err != nil {
		// The frames may be in the WAL although the sync failed: a crash now could bring them back.
		return nil, fmt.Errorf("%w: %w", location.ErrUnknownOutcome, h.rollback(err))
	}
	return errs, nil
}

// rollback ends the transaction after err. SQLite may have done so already, so that its own error says nothing.
func (h *sqliteHot) rollback(err error) error {
	_, _ = run(h.stmt.rollback, nil)
	return err
}

func (h *sqliteHot) writeSet(set *location.RowSet, savepoint bool) error {
	if !savepoint {
		return h.writeRows(set)
	}
	if _, err := run(h.stmt.savepoint, nil); err != nil {
		return err
	}
	err := h.writeRows(set)
	if errors.Is(err, errOfSet) {
		if _, err := run(h.stmt.rollbackTo, nil); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	if _, err := run(h.stmt.release, nil); err != nil {
		return err
	}
	return err
}

func (h *sqliteHot) writeRows(set *location.RowSet) error {
	for _, id := range set.Delete {
		h.args = append(h.args[:0], driver.NamedValue{Ordinal: 1, Value: id})
		if _, err := run(h.stmt.remove, h.args); err != nil {
			return refused(err)
		}
	}
	for _, b := range set.Upsert {
		if err := checkBinding(b); err != nil {
			return fmt.Errorf("%w: %w", errOfSet, err)
		}
		h.bind(set, b)
		if _, err := run(h.stmt.upsert, h.args); err != nil {
			return refused(err)
		}
	}
	return nil
}

func (h *sqliteHot) bind(set *location.RowSet, b *location.Binding) {
	now := time.Now()
	h.args = h.args[:0]
	add := func(v driver.Value) {
		h.args = append(h.args, driver.NamedValue{Ordinal: len(h.args) + 1, Value: v})
	}
	text := func(s string) {
		if s == "" {
			add(nil)
			return
		}
		add(s)
	}
	add(set.UserID)
	add(b.URI)
	add(uriNorm(b.URI))
	add(clean(b.DisplayName))
	add(int64(b.Q))
	text(actionName(b))
	if b.Expires.IsZero() {
		add(nil)
	} else {
		add(sqliteText(b.Expires.Wall(now)))
	}
	add(b.CallID)
	add(int64(b.CSeq))
	text(b.InstanceID)
	if b.RegID == 0 {
		add(nil)
	} else {
		add(int64(b.RegID))
	}
	text(pathText(b.Path))
	text(store.AddrText(b.Source))
	text(store.FlowText(b.Proto, b.ByFlow))
	add(clean(b.UserAgent))
	add(clean(b.Methods))
	text(store.AddrText(b.Local))
	add(sqliteText(b.Updated.Wall(now)))
	add(b.ID)
}
