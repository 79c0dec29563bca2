package daemon

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"sipd/config"
	"sipd/location"
	"sipd/migrations"
	"sipd/sipaddr"
	"sipd/store"
	"sipd/store/provision"
	"sipd/store/sqlstore"
)

// database is the database as the parts of the server see it: it may not have been reached yet, and it is shut while its tables are
// those of a newer program.
type database struct {
	db    atomic.Pointer[sqlstore.DB] // nil: not reached since the start
	there chan struct{}               // closed when db is set
	// current tells that the tables in memory came from it: before that no binding may.
	current atomic.Bool
	shut    atomic.Pointer[error]
}

var (
	_ store.Reader   = (*database)(nil)
	_ location.Store = (*database)(nil)
)

var errNotReached = errors.New("the database has not been reached since the start")

func newDatabase() *database { return &database{there: make(chan struct{})} }

func (b *database) reached(db *sqlstore.DB) {
	b.db.Store(db)
	close(b.there)
}

// use returns the database for a call.
func (b *database) use() (*sqlstore.DB, error) {
	if why := b.shut.Load(); why != nil {
		return nil, *why
	}
	if db := b.db.Load(); db != nil {
		return db, nil
	}
	return nil, errNotReached
}

// useBindings is use for what must agree with the tables.
func (b *database) useBindings() (*sqlstore.DB, error) {
	if !b.current.Load() {
		return nil, errNotReached
	}
	return b.use()
}

// Load implements store.Reader.
func (b *database) Load(ctx context.Context, server string, into store.Sink) (store.Server, int64, error) {
	db, err := b.use()
	if err != nil {
		return store.Server{}, 0, err
	}
	return db.Load(ctx, server, into)
}

// Delta implements store.Reader.
func (b *database) Delta(ctx context.Context, server, seq int64) (*store.Delta, error) {
	db, err := b.use()
	if err != nil {
		return nil, err
	}
	return db.Delta(ctx, server, seq)
}

// Watch implements store.Reader. It waits for the database to be there.
func (b *database) Watch(ctx context.Context, notify func()) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-b.there:
	}
	return b.db.Load().Watch(ctx, notify)
}

// TrimChanges implements store.Reader.
func (b *database) TrimChanges(ctx context.Context, before time.Time) error {
	db, err := b.use()
	if err != nil {
		return err
	}
	return db.TrimChanges(ctx, before)
}

// AppendLog writes rows of the request log.
func (b *database) AppendLog(ctx context.Context, rows []store.LogRow) error {
	db, err := b.use()
	if err != nil {
		return err
	}
	return db.AppendLog(ctx, rows)
}

// LoadBindings implements location.Store.
func (b *database) LoadBindings(ctx context.Context, each func(sipaddr.AOR, *location.Binding) error) error {
	db, err := b.useBindings()
	if err != nil {
		return err
	}
	return db.LoadBindings(ctx, each)
}

// Commit implements location.Store.
func (b *database) Commit(ctx context.Context, sets []location.RowSet) ([]error, error) {
	db, err := b.useBindings()
	if err != nil {
		return nil, fmt.Errorf("%w: %w: %w", location.ErrNotCommitted, location.ErrNotTried, err)
	}
	return db.Commit(ctx, sets)
}

// DeleteExpired implements location.Store.
func (b *database) DeleteExpired(ctx context.Context, before time.Time) error {
	db, err := b.useBindings()
	if err != nil {
		return err
	}
	return db.DeleteExpired(ctx, before)
}

// LoadAOR implements location.Store.
func (b *database) LoadAOR(ctx context.Context, aor sipaddr.AOR) ([]*location.Binding, error) {
	db, err := b.useBindings()
	if err != nil {
		return nil, err
	}
	return db.LoadAOR(ctx, aor)
}

// MaxID implements location.Store.
func (b *database) MaxID(ctx context.Context) (int64, error) {
	db, err := b.useBindings()
	if err != nil {
		return 0, err
	}
	return db.MaxID(ctx)
}

// How a server without its database behaves.
const (
	// startWait is how long a start waits for the database when there is a copy of its tables to start from: a database that is
	// there answers at once.
	startWait = 5 * time.Second
	// reconnectMin and reconnectMax bound the pause between two attempts to reach it: phones that were refused wait for it.
	reconnectMin = 250 * time.Millisecond
	reconnectMax = time.Second
	// versionEvery is how often a server looks whether the tables have become newer than it is, versionWait how long that may take.
	versionEvery = 2 * time.Second
	versionWait  = 2 * time.Second
)

// connection is a database that is open, up to date, and this server's alone.
type connection struct {
	db     *sqlstore.DB
	unlock func()
	err    error
}

// attempt connects in a goroutine of its own, which ends soon after ctx: the result is always sent.
func (d *daemon) attempt(ctx context.Context) <-chan connection {
	result := make(chan connection, 1)
	go func() { result <- d.connect(ctx) }()
	return result
}

// connect opens the database, brings its tables up to date and takes the lock.
func (d *daemon) connect(ctx context.Context) (c connection) {
	open := sqlstore.Open
	if d.copy != nil && d.copy.there {
		open = sqlstore.OpenExisting // A file that has been there before and is gone is no new installation.
	}
	db, err := open(ctx, d.cfg.Database)
	if err != nil {
		return connection{err: err}
	}
	defer func() {
		if c.err != nil {
			c.err = errors.Join(c.err, db.Close())
		}
	}()
	applied, err := db.Migrate(ctx)
	if err != nil {
		return connection{err: err}
	}
	if applied > 0 {
		d.log.InfoContext(ctx, "tables brought up to date", "migrations", applied)
	}
	if err := db.Init(ctx); err != nil {
		return connection{err: err}
	}
	record, err := provision.Pick(ctx, db, d.cfg.Server)
	if err != nil {
		return connection{err: asConfig(err)}
	}
	unlock, err := d.lock(ctx, db, record.ID)
	return connection{db: db, unlock: unlock, err: err}
}

// lock makes this the only server on the database.
func (d *daemon) lock(ctx context.Context, db *sqlstore.DB, server int64) (unlock func(), err error) {
	for end := time.Now().Add(lockWait); ; {
		unlock, err := db.LockServer(ctx, server, func(err error) { d.locked <- err })
		if err == nil {
			return unlock, nil
		}
		if !errors.Is(err, store.ErrLocked) {
			return nil, err
		}
		if time.Now().After(end) {
			return nil, configError{err}
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(lockPoll):
		}
	}
}

func (d *daemon) adopt(c connection) {
	d.store, d.unlock = c.db, c.unlock
	d.db.reached(c.db)
}

// load fills the memory: from the database when it answers, else from the copy on disk.
func (d *daemon) load(ctx context.Context) error {
	err := d.loadDatabase(ctx)
	if err == nil || ctx.Err() != nil || d.copy == nil || !d.copy.there || errors.Is(err, ErrConfig) || errors.Is(err, store.ErrLocked) {
		return err
	}
	if d.cache.Snapshot() == nil {
		if failed := d.copy.restoreTables(ctx, d.cache, err); failed != nil {
			return errors.Join(err, failed)
		}
	}
	if failed := d.copy.restoreBindings(d.location); failed != nil {
		d.log.ErrorContext(ctx, "no registrations are known until the database is there", "err", failed)
	}
	d.log.ErrorContext(ctx, "started without the database: calls are served with what was known, registrations are refused with 503 until it is there",
		"tables_of", d.cache.Status().Current.UTC(), "age", time.Since(d.cache.Status().Current).Round(time.Second), "err", err)
	return nil
}

// loadDatabase connects and reads everything. When there is a copy to start from, it does not wait long; the attempt goes on, and
// followDatabase takes it over.
func (d *daemon) loadDatabase(ctx context.Context) error {
	connecting, stop := context.WithCancel(ctx)
	d.stopConnecting = stop
	d.pending = d.attempt(connecting)
	var patience <-chan time.Time
	if d.copy != nil && d.copy.there {
		t := time.NewTimer(startWait)
		defer t.Stop()
		patience = t.C
	}
	select {
	case c := <-d.pending:
		d.pending = nil
		if c.err != nil {
			return c.err
		}
		d.adopt(c)
	case <-patience:
		return fmt.Errorf("the database does not answer within %v", startWait)
	}
	if err := d.cache.Refresh(ctx); err != nil {
		return asConfig(err)
	}
	d.db.current.Store(true)
	return d.location.Load(ctx)
}

// followDatabase reaches the database when the server has started without, and watches for tables that become newer than it is.
func (d *daemon) followDatabase(ctx context.Context) error {
	if d.pending == nil && d.store == nil {
		d.pending = d.attempt(ctx)
	}
	if err := d.reach(ctx); err != nil {
		return err
	}
	if err := d.renew(ctx); err != nil {
		return err
	}
	tick := time.NewTicker(versionEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			d.checkVersion(ctx)
		}
	}
}

// reach tries to connect until it works. Another server on the database ends this one, as when that one took the lock while the connection
// was lost.
func (d *daemon) reach(ctx context.Context) error {
	said := ""
	for pause := reconnectMin; d.store == nil; pause = min(2*pause, reconnectMax) {
		if d.pending == nil {
			d.pending = d.attempt(ctx)
		}
		select {
		case <-ctx.Done():
			return ctx.Err() // close waits for the attempt.
		case c := <-d.pending:
			d.pending = nil
			switch {
			case c.err == nil:
				d.adopt(c)
				return nil
			case errors.Is(c.err, store.ErrLocked):
				return c.err
			case c.err.Error() != said && ctx.Err() == nil:
				said = c.err.Error()
				d.log.WarnContext(ctx, "the database cannot be used yet", "err", c.err)
			}
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
	return nil
}

// renew reads the tables when those in memory are not the database's.
func (d *daemon) renew(ctx context.Context) error {
	for pause := reconnectMin; !d.db.current.Load(); pause = min(2*pause, reconnectMax) {
		err := d.cache.Refresh(ctx)
		if err == nil || errors.As(err, new(*config.Error)) { // The last good settings stay in force, the other tables are new.
			d.db.current.Store(true)
			d.log.InfoContext(ctx, "the database is there, its tables are in force", "users", d.cache.Status().Users, "domains", d.cache.Status().Domains)
			return nil
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
	return nil
}

// checkVersion shuts the database when its tables have become newer than this program, and opens it again when they are not any more. What a
// newer program means by its tables is not known here: nothing is written, and nothing read.
func (d *daemon) checkVersion(ctx context.Context) {
	short, cancel := context.WithTimeout(ctx, versionWait)
	defer cancel()
	err := d.store.CheckVersion(short)
	newer := errors.Is(err, migrations.ErrNewer)
	switch {
	case newer && d.db.shut.Load() == nil:
		d.db.shut.Store(&err)
		d.location.Distrust()
		d.log.ErrorContext(ctx, "the tables were changed by a newer sipd: nothing is read or written any more, calls go on with what is known, registrations are refused with 503; install the newer program", "err", err)
	case err == nil && d.db.shut.Load() != nil:
		d.db.shut.Store(nil)
		d.log.InfoContext(ctx, "the tables are this program's again")
		if err := d.cache.Refresh(ctx); err != nil {
			d.log.WarnContext(ctx, "tables not read yet", "err", err)
		}
	}
}

// sleep waits, but not longer than ctx.
func sleep(ctx context.Context, pause time.Duration) error {
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
