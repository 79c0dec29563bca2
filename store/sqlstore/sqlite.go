package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"sipd/migrations"
	"sipd/store"
)

const (
	// quiet is how long nobody commits, or reads, before the pages that were kept for him are given back.
	quiet = time.Minute
	// sqliteReaders is how many connections read: the cache, a command, pages.
	sqliteReaders = 4
	// busyTimeout is how long a connection waits for another's lock, such as an import's merge, before it gives up.
	busyTimeout = 8 * time.Second
	// busyPoll is how long SQLite itself waits on the connections that write. Its pauses grow to 100 ms, and a server that
	// commits without a break would starve a command for seconds: begin asks again and again instead, every few ms.
	busyPoll = 10 * time.Millisecond
	// watchEvery is how often Watch looks; a look costs 5 us.
	watchEvery = 200 * time.Millisecond
	// sqliteTime compares as text: always UTC, always milliseconds.
	sqliteTime = "2006-01-02T15:04:05.000Z"
)

// sqliteText formats a time for SQLite.
func sqliteText(t time.Time) string { return t.UTC().Format(sqliteTime) }

// Pragmas of every connection, and of those that write or read.
//
// WAL and synchronous FULL: a commit is on disk when it returns. A checkpoint writes the pages of many commits once; with
// 4000 pages (16 MB) hot pages are written some hundred times less often than committed, and the file stays small.
var (
	sqlitePragmas = []string{
		fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()), "foreign_keys(1)", "temp_store(MEMORY)",
	}
	writerPragmas = []string{"journal_mode(WAL)", "synchronous(FULL)", "wal_autocheckpoint(4000)", "cache_size(-32000)"}
	readerPragmas = []string{"query_only(1)", "cache_size(-8000)"}
)

func openSQLite(ctx context.Context, path string) (*DB, error) {
	if path == "" || strings.ContainsRune(path, 0) {
		return nil, errors.New("sqlite: names no file: write sqlite:/var/lib/sipd/sipd.db")
	}
	if path == ":memory:" {
		return nil, errors.New("sqlite: every connection would have a memory of its own: write sqlite:PATH")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	if _, err := os.Stat(filepath.Dir(path)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("sqlite: there is no folder %s for the database: write `mkdir -p %s`", filepath.Dir(path), filepath.Dir(path))
	}
	// SQLite would make the file readable for everybody, and it holds what passwords are checked with. Its WAL follows it.
	// Only a new one is opened here: closing a file drops the locks that SQLite holds on it in this process.
	if f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600); err == nil {
		if err := f.Close(); err != nil {
			return nil, fmt.Errorf("open sqlite:%s: %w", path, err)
		}
	}
	db := &DB{path: path, d: dialect{
		migrations: migrations.SQLite,
		time:       func(t time.Time) any { return sqliteText(t) },
		classify:   classifySQLite,
	}}
	if db.write, err = db.openSQLitePool(1, writerPragmas, "&_txlock=immediate"); err != nil {
		return nil, fmt.Errorf("open sqlite:%s: %w", path, err)
	}
	// The writer first: it makes the file and puts it into WAL mode, which readers cannot.
	ctx, cancel := deadline(ctx)
	defer cancel()
	if err := reach(ctx, db.write); err != nil {
		return nil, fmt.Errorf("open sqlite:%s: %w", path, errors.Join(err, db.write.Close()))
	}
	if err := pollLocks(ctx, db.write); err != nil {
		return nil, fmt.Errorf("open sqlite:%s: %w", path, errors.Join(err, db.write.Close()))
	}
	if db.read, err = db.openSQLitePool(sqliteReaders, readerPragmas, ""); err != nil {
		return nil, fmt.Errorf("open sqlite:%s: %w", path, errors.Join(err, db.write.Close()))
	}
	db.d.appendLog = sqliteLog{db}
	db.hot = &sqliteHot{db: db.write, wait: busyTimeout}
	return db, nil
}

// openSQLitePool prepares connections with pragmas besides the common ones; extra is more of the URL's query.
func (db *DB) openSQLitePool(conns int, pragmas []string, extra string) (*sql.DB, error) {
	q := url.Values{"_pragma": append(slices.Clone(sqlitePragmas), pragmas...)}
	u := url.URL{Scheme: "file", Path: db.path, RawQuery: q.Encode() + extra}
	pool, err := sql.Open("sqlite", u.String())
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	if conns > 1 { // Readers give back their pages; the one writer has settings of its own (pollLocks) and stays.
		pool.SetConnMaxIdleTime(quiet)
	}
	return pool, nil
}

// reach makes the first connection of a pool. Of programs that put one new file into WAL mode at once each holds what the
// others need: SQLite tells them that it is busy without waiting, whatever busy_timeout says.
func reach(ctx context.Context, pool *sql.DB) error {
	for {
		err := pool.PingContext(ctx)
		if !busy(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(busyPoll):
		}
	}
}

// pollLocks turns the only connection of a pool from waiting for locks to giving up after busyPoll.
func pollLocks(ctx context.Context, pool interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}) error {
	_, err := pool.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", busyPoll.Milliseconds()))
	return err
}

// busy tells whether another connection has the lock.
func busy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_BUSY
}

func classifySQLite(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return nil
	}
	switch e.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID:
		return store.ErrExists
	case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
		return store.ErrNotFound
	case sqlite3.SQLITE_CONSTRAINT_CHECK, sqlite3.SQLITE_CONSTRAINT_NOTNULL:
		return store.ErrInvalid
	case sqlite3.SQLITE_ERROR:
		if strings.Contains(e.Error(), "no such table") || strings.Contains(e.Error(), "no such column") {
			return store.ErrNotMigrated
		}
	}
	return nil
}

// watchSQLite looks at data_version on a connection of its own: it changes with every commit of another connection. Only
// a new row of changes is worth a word: registrations and the log commit all the time.
func (db *DB) watchSQLite(ctx context.Context, notify func()) error {
	conn, err := db.read.Conn(ctx)
	if err != nil {
		return db.wrap("watch", err)
	}
	defer conn.Close()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var version, seq int64
	changed, kept := time.Now(), true // when the last commit was seen; whether the writer keeps pages
	for first := true; ; first = false {
		v, s := version, seq
		// Statements of 5 us: a context that can be cancelled would cost more than they do.
		background := context.Background()
		if err := conn.QueryRowContext(background, "PRAGMA data_version").Scan(&v); err != nil {
			return db.wrap("watch", err)
		}
		switch {
		case v != version:
			changed, kept = time.Now(), true
		case kept && time.Since(changed) > quiet:
			kept = false
			if _, err := db.write.ExecContext(ctx, "PRAGMA shrink_memory"); err != nil {
				return db.wrap("watch", err)
			}
		}
		if v != version || first {
			if s, err = lastChange(background, conn); err != nil {
				return db.wrap("watch", err)
			}
		}
		if s != seq || first {
			notify()
		}
		version, seq = v, s
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// lockSQLite locks a file beside the database. The lock is the open file's: it ends with the process, however that ends.
func (db *DB) lockSQLite(serverID int64) (release func(), err error) {
	f, err := os.OpenFile(db.path+"-lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the database: %w", err)
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		holder := make([]byte, 64)
		n, _ := f.ReadAt(holder, 0) // Whatever is there helps; nothing is no error.
		f.Close()
		return nil, fmt.Errorf("%w: %s (%s): stop it first", store.ErrLocked, db.path, strings.TrimSpace(string(holder[:n])))
	case err != nil:
		return nil, fmt.Errorf("lock the database: %w", errors.Join(err, f.Close()))
	}
	note := fmt.Sprintf("process %d, server record %d\n", os.Getpid(), serverID)
	if err := errors.Join(f.Truncate(0), writeAt(f, note)); err != nil {
		return nil, fmt.Errorf("lock the database: %w", errors.Join(err, f.Close()))
	}
	return func() { f.Close() }, nil
}

func writeAt(f *os.File, s string) error {
	_, err := f.WriteAt([]byte(s), 0)
	return err
}
