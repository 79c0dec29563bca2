package sqlstore

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"sipd/location"
	"sipd/migrations"
	"sipd/store"
	"sipd/store/sqlstore/planrows"
)

// DB is an open database. Open makes one, Close ends it.
type DB struct {
	planrows.Admin
	d      dialect
	read   *sql.DB
	write  *sql.DB       // SQLite: one connection; Postgres: the same as read
	pool   *pgxpool.Pool // Postgres only
	path   string        // SQLite only
	serves atomic.Bool   // Postgres only: this process has the lock of a server
	hot    hotWriter
}

// hotWriter writes registrations.
type hotWriter interface {
	commit(ctx context.Context, sets []location.RowSet) ([]error, error)
	// fence returns when no commit without an answer can change rows any more.
	fence(ctx context.Context) error
}

// dialect is what the two databases do not do alike.
type dialect struct {
	migrations migrations.Dialect
	// time returns a time as an argument of a statement, never a zero one.
	time func(time.Time) any
	// classify returns the sentinel of package store that an error of the driver stands for, nil for none.
	classify func(error) error
	appendLog
}

var (
	_ store.Store    = (*DB)(nil)
	_ location.Store = (*DB)(nil)
)

// callTimeout is the deadline of a call whose context has none.
const callTimeout = 60 * time.Second

// Open opens a database: sqlite:PATH or postgres://..., which config.ParseDatabase makes of the classic spellings. A SQLite file that is not there is made; tables are not (Migrate).
// Errors never show the password.
func Open(ctx context.Context, dburl string) (*DB, error) {
	db, err := open(ctx, dburl)
	if err != nil {
		return nil, err
	}
	db.Admin = planrows.New(db.planConfig())
	return db, nil
}

func open(ctx context.Context, dburl string) (*DB, error) {
	scheme, rest, ok := strings.Cut(dburl, ":")
	if !ok {
		return nil, errors.New("not a database URL: write sqlite:PATH or postgres://user:password@host/database")
	}
	switch strings.ToLower(scheme) {
	case "sqlite":
		return openSQLite(ctx, strings.TrimPrefix(rest, "//"))
	case "postgres", "postgresql":
		return openPostgres(ctx, dburl)
	}
	return nil, fmt.Errorf("no such kind of database %.20q: write sqlite:PATH or postgres://user:password@host/database", scheme)
}

// serialPlan is an advisory lock in Postgres: "sipd" in ASCII, and 2 for changes of the plan. In SQLite one writes at a time.
const serialPlan = `SELECT pg_advisory_xact_lock(1936289892, 2)`

func (db *DB) planConfig() planrows.Config {
	within := func(tx func(context.Context, string, func(*sql.Tx) error) error) func(context.Context, string, func(context.Context, *sql.Tx) error) error {
		return func(ctx context.Context, what string, do func(context.Context, *sql.Tx) error) error {
			ctx, cancel := deadline(ctx)
			defer cancel()
			return tx(ctx, what, func(tx *sql.Tx) error { return do(ctx, tx) })
		}
	}
	cfg := planrows.Config{
		Read: within(db.inReadTx), Write: within(db.inTx), Time: db.d.time, When: func(t *time.Time) sql.Scanner { return when{t} },
		Aliases: selectAliases, Alias: scanAlias,
	}
	if db.pool != nil {
		cfg.Serial = serialPlan
	}
	return cfg
}

// OpenExisting is Open for programs that do not make databases: an SQLite file that is not there is an error.
func OpenExisting(ctx context.Context, dburl string) (*DB, error) {
	scheme, rest, _ := strings.Cut(dburl, ":")
	if strings.EqualFold(scheme, "sqlite") {
		path, _, _ := strings.Cut(strings.TrimPrefix(rest, "//"), "?")
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("there is no database file %s: check the name, or make it with `sipd db migrate -D sqlite:%s`", path, path)
		}
	}
	return Open(ctx, dburl)
}

// Close closes every connection.
func (db *DB) Close() error {
	var err error
	if db.write != db.read {
		err = db.write.Close()
	}
	err = errors.Join(err, db.read.Close())
	if db.pool != nil {
		db.pool.Close()
	}
	return err
}

// Migrate brings the tables to what this program needs and returns how many migrations that took. Of several programs
// that start at once one does it. Tables of a newer program are refused with migrations.ErrNewer.
func (db *DB) Migrate(ctx context.Context) (applied int, err error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	if db.pool != nil {
		return migrations.Up(ctx, db.write, db.d.migrations)
	}
	// Connections that wait for locks: goose does not ask again.
	own, err := db.openSQLitePool(1, writerPragmas, "&_txlock=immediate")
	if err != nil {
		return 0, fmt.Errorf("migrate: %w", err)
	}
	if err := reach(ctx, own); err != nil {
		return 0, fmt.Errorf("migrate: %w", errors.Join(err, own.Close()))
	}
	applied, err = migrations.Up(ctx, own, db.d.migrations)
	return applied, errors.Join(err, own.Close())
}

// Version returns the version of the tables and the one this program needs.
func (db *DB) Version(ctx context.Context) (have, want int64, err error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	return migrations.Version(ctx, db.read, db.d.migrations)
}

// CheckVersion tells whether the tables are what this program needs: nil, an error that wraps store.ErrNotMigrated, or one
// that wraps migrations.ErrNewer.
func (db *DB) CheckVersion(ctx context.Context) error {
	have, want, err := db.Version(ctx)
	switch {
	case err != nil:
		return err
	case have > want:
		return fmt.Errorf("%w: the database has version %d, this program knows up to %d", migrations.ErrNewer, have, want)
	case have < want:
		return fmt.Errorf("%w (they have version %d, this program needs %d)", store.ErrNotMigrated, have, want)
	}
	return nil
}

// FirstServer is the name of the server record that Init makes.
const FirstServer = "sipd"

// Init makes what a new database needs beside tables: a server record when there is none, and a random PrivateKey for
// each server that has none. Doing it again changes nothing.
func (db *DB) Init(ctx context.Context) error {
	ctx, cancel := deadline(ctx)
	defer cancel()
	return db.inTx(ctx, "first rows", func(tx *sql.Tx) error {
		// One statement each, so that two programs that do this at once do not do it twice.
		if _, err := tx.ExecContext(ctx, `INSERT INTO servers (name) SELECT $1 WHERE NOT EXISTS (SELECT 1 FROM servers) ON CONFLICT DO NOTHING`, FirstServer); err != nil {
			return err
		}
		servers, err := listServers(ctx, tx)
		if err != nil {
			return err
		}
		for _, s := range servers {
			key := make([]byte, 32)
			if _, err := rand.Read(key); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO server_settings (server_id, name, value) VALUES ($1, 'PrivateKey', $2) ON CONFLICT DO NOTHING`, s.ID, hex.EncodeToString(key)); err != nil {
				return err
			}
		}
		return nil
	})
}

// deadline gives a context that has no deadline one.
func deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, callTimeout)
}
