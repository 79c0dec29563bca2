package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/pressly/goose/v3"
)

// migrateLock is the number of the advisory lock in Postgres: "sipd" in ASCII, and 2 for migrations.
const migrateLock = 0x7369_7064<<8 | 2

// locked calls do while no other program migrates this database. The lock ends with the process that holds it.
func locked(ctx context.Context, db *sql.DB, d Dialect, do func(*goose.Provider) error) error {
	p, err := provider(db, d)
	if err != nil {
		return err
	}
	lock := lockFile
	if d == Postgres {
		lock = lockSession
	}
	unlock, err := lock(ctx, db)
	if err != nil {
		return fmt.Errorf("wait for another migration: %w", err)
	}
	return errors.Join(do(p), unlock())
}

func lockSession(ctx context.Context, db *sql.DB) (unlock func() error, err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock($1)", int64(migrateLock)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return func() error {
		// The lock must go even when ctx has ended: the session returns to the pool.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_, err := conn.ExecContext(ctx, "SELECT pg_advisory_unlock($1)", int64(migrateLock))
		return errors.Join(err, conn.Close())
	}, nil
}

// lockPoll is how often a waiting program looks whether the other has finished.
const lockPoll = 20 * time.Millisecond

// lockFile locks a file beside the database: SQLite's own lock ends with each of goose's transactions. A database in
// memory belongs to one connection and needs none.
func lockFile(ctx context.Context, db *sql.DB) (unlock func() error, err error) {
	var path string
	if err := db.QueryRowContext(ctx, "SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(&path); err != nil {
		return nil, err
	}
	if path == "" {
		return func() error { return nil }, nil
	}
	f, err := os.OpenFile(path+"-migrate", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f.Close, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(err, f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		case <-time.After(lockPoll):
		}
	}
}
