package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"sipd/location"
	"sipd/store"
)

// sqliteHot writes registrations with statements of the driver: database/sql costs as much as SQLite itself here, and
// placeholders with names cost a string each. Contexts that cannot be cancelled, see doc.go.
type sqliteHot struct {
	db   *sql.DB
	conn any // the driver's connection that stmts belong to; another one when it had to be opened again
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
		return nil, fmt.Errorf("%w: %w", location.ErrNotCommitted, err)
	}
	defer conn.Close()
	err = conn.Raw(func(c any) error {
		if err := h.prepare(c); err != nil {
			return err
		}
		// Without savepoints first: a set that fails is rare, and each savepoint costs two statements.
		if errs, err = h.write(sets, false); err != nil && len(sets) > 1 && !errors.Is(err, errFatal) {
			errs, err = h.write(sets, true)
		}
		return err
	})
	if err != nil {
		// SQLite reports a commit that has failed as such: the transaction is rolled back.
		return nil, fmt.Errorf("%w: %w", location.ErrNotCommitted, err)
	}
	return errs, nil
}

// errFatal marks what is no set's fault.
var errFatal = errors.New("the transaction")

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

// write is one attempt to write all sets.
func (h *sqliteHot) write(sets []location.RowSet, savepoints bool) (errs []error, err error) {
	for give := time.Now().Add(busyTimeout); ; {
		_, err := run(h.stmt.begin, nil)
		if err == nil {
			break
		}
		if !busy(err) || time.Now().After(give) {
			return nil, fmt.Errorf("%w: %w", errFatal, err)
		}
	}
	for i := range sets {
		err := h.writeSet(&sets[i], savepoints)
		switch {
		case err == nil:
		case len(sets) == 1:
			errs = []error{fmt.Errorf("contacts of %s: %w", sets[0].AOR, named(err))}
			_, err = run(h.stmt.rollback, nil)
			return errs, err
		case savepoints && !errors.Is(err, errFatal):
			if errs == nil {
				errs = make([]error, len(sets))
			}
			errs[i] = fmt.Errorf("contacts of %s: %w", sets[i].AOR, named(err))
		default:
			_, back := run(h.stmt.rollback, nil)
			if back != nil {
				err = fmt.Errorf("%w: %w", errFatal, errors.Join(err, back))
			}
			return nil, err
		}
	}
	if _, err := run(h.stmt.commit, nil); err != nil {
		_, back := run(h.stmt.rollback, nil)
		return nil, fmt.Errorf("%w: %w", errFatal, errors.Join(err, back))
	}
	return errs, nil
}

// named adds the sentinel that an error of the driver stands for.
func named(err error) error {
	if sentinel := classifySQLite(err); sentinel != nil {
		return fmt.Errorf("%w (%w)", sentinel, err)
	}
	return err
}

func (h *sqliteHot) writeSet(set *location.RowSet, savepoint bool) error {
	if !savepoint {
		return h.writeRows(set)
	}
	if _, err := run(h.stmt.savepoint, nil); err != nil {
		return fmt.Errorf("%w: %w", errFatal, err)
	}
	err := h.writeRows(set)
	if err != nil {
		if _, back := run(h.stmt.rollbackTo, nil); back != nil {
			return fmt.Errorf("%w: %w", errFatal, errors.Join(err, back))
		}
	}
	if _, end := run(h.stmt.release, nil); end != nil {
		return fmt.Errorf("%w: %w", errFatal, errors.Join(err, end))
	}
	return err
}

func (h *sqliteHot) writeRows(set *location.RowSet) error {
	for _, id := range set.Delete {
		h.args = append(h.args[:0], driver.NamedValue{Ordinal: 1, Value: id})
		if _, err := run(h.stmt.remove, h.args); err != nil {
			return err
		}
	}
	for _, b := range set.Upsert {
		if err := checkBinding(b); err != nil {
			return err
		}
		h.bind(set, b)
		if _, err := run(h.stmt.upsert, h.args); err != nil {
			return err
		}
	}
	return nil
}

func (h *sqliteHot) bind(set *location.RowSet, b *location.Binding) {
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
		add(sqliteText(b.Expires.Time()))
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
	add(sqliteText(b.Updated.Time()))
	add(b.ID)
}
