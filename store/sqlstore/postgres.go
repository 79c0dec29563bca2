package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"sipd/migrations"
	"sipd/store"
)

const (
	// postgresConns is the size of the pool: registrations, the log, the cache, the watcher and a few commands.
	postgresConns = 8
	// connectTimeout is how long one attempt to connect may take.
	connectTimeout = 5 * time.Second
	// aliveEvery is how often a session that only waits asks whether the other side is still there.
	aliveEvery = 10 * time.Second
	// aliveTimeout is how long the answer may take.
	aliveTimeout = 5 * time.Second
	// relockEvery is how often a lost lock is tried again.
	relockEvery = time.Second
	// serverLock is the number of the advisory lock: "sipd" in ASCII, and 3.
	serverLock = 0x7369_7064<<8 | 3
	// changesChannel is where the trigger of the migrations notifies.
	changesChannel = "sipd_changes"
)

func openPostgres(ctx context.Context, dburl string) (*DB, error) {
	cfg, err := pgxpool.ParseConfig(dburl)
	if err != nil {
		// The message of pgx masks the password of a URL, but not of one it cannot parse.
		return nil, errors.New("the database URL cannot be read: write postgres://user:password@host/database, special characters of the password as %XX")
	}
	cfg.MaxConns = postgresConns
	cfg.AfterRelease = writable
	if cfg.ConnConfig.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = connectTimeout
	}
	if cfg.ConnConfig.RuntimeParams["application_name"] == "" {
		cfg.ConnConfig.RuntimeParams["application_name"] = "sipd"
	}
	// A registration is acknowledged after its commit: whatever the server's default, ours is durable.
	cfg.ConnConfig.RuntimeParams["synchronous_commit"] = "on"
	db := &DB{}
	cfg.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
		if db.serves.Load() {
			c.RuntimeParams["application_name"] = servingName
		}
		return nil
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", where(cfg), err)
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("open %s: %w", where(cfg), err)
	}
	db.pool, db.d = pool, dialect{
		migrations: migrations.Postgres,
		time:       func(t time.Time) any { return t },
		classify:   classifyPostgres,
		appendLog:  postgresLog{pool},
	}
	db.read = stdlib.OpenDBFromPool(pool)
	db.write = db.read
	db.hot = &postgresHot{pool: pool}
	return db, nil
}

// where names a database without its password.
func where(cfg *pgxpool.Config) string {
	c := cfg.ConnConfig
	return fmt.Sprintf("postgres://%s@%s/%s", c.User, net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port))), c.Database)
}

func classifyPostgres(err error) error {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return nil
	}
	switch e.Code {
	case "23505": // unique_violation
		return store.ErrExists
	case "23503": // foreign_key_violation
		return store.ErrNotFound
	case "23514", "23502", "22P05", "22021": // check_violation, not_null_violation, untranslatable_character, character_not_in_repertoire
		return store.ErrInvalid
	case "42P01", "42703": // undefined_table, undefined_column
		return store.ErrNotMigrated
	}
	return nil
}

// session takes a connection out of the pool for good: what waits for hours must not hold a place in it.
func (db *DB) session(ctx context.Context) (*pgx.Conn, error) {
	c, err := db.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	return c.Hijack(), nil
}

// closeSession ends a session even when its caller's context has ended.
func closeSession(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), aliveTimeout)
	defer cancel()
	_ = conn.Close(ctx) // Nothing depends on how it ends.
}

// watchPostgres listens for what the trigger notifies.
func (db *DB) watchPostgres(ctx context.Context, notify func()) error {
	short, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	conn, err := db.session(short)
	if err != nil {
		return db.wrap("watch", err)
	}
	defer closeSession(conn)
	if _, err := conn.Exec(short, "LISTEN "+changesChannel); err != nil {
		return db.wrap("watch", err)
	}
	notify()
	for {
		noticed, err := await(ctx, conn)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return db.wrap("watch", err)
		case noticed:
			notify()
		}
	}
}

// await waits on a session for a notification, at most aliveEvery. The error says that the session is lost, which is noticed
// at once when the other side ends it, and at the next question when nobody says so.
func await(ctx context.Context, conn *pgx.Conn) (noticed bool, err error) {
	wait, cancel := context.WithTimeout(ctx, aliveEvery)
	_, err = conn.WaitForNotification(wait)
	cancel()
	switch {
	case err == nil:
		return true, nil
	case ctx.Err() != nil:
		return false, ctx.Err()
	case !errors.Is(err, context.DeadlineExceeded) || conn.IsClosed():
		return false, err
	}
	return false, alive(ctx, conn)
}

func alive(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, aliveTimeout)
	defer cancel()
	_, err := conn.Exec(ctx, "SELECT 1")
	return err
}

// lockPostgres takes an advisory lock in a session of its own. The server gives it up when the connection ends. A goroutine
// keeps the session: when it is lost, it takes the lock again, and tells when another has taken it first.
func (db *DB) lockPostgres(ctx context.Context, serverID int64, lost func(error)) (release func(), err error) {
	conn, err := db.takeLock(ctx, serverID, 0)
	if err != nil {
		return nil, err
	}
	if err := db.endPredecessor(ctx, conn); err != nil {
		closeSession(conn)
		return nil, db.wrap("lock the database", err)
	}
	keep, stop := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() { db.keepLock(keep, conn, serverID, lost) })
	var once sync.Once
	return func() {
		once.Do(func() {
			stop()
			ended.Wait()
		})
	}, nil
}

// takeLock takes the lock in a new session. before is the session in which this process had it, 0 for none: Postgres may still believe
// that it is there.
func (db *DB) takeLock(ctx context.Context, serverID int64, before uint32) (*pgx.Conn, error) {
	conn, err := db.session(ctx)
	if err != nil {
		return nil, db.wrap("lock the database", err)
	}
	var got bool
	// The name tells who holds it to those who come too late, and to administrators. The rest lets Postgres notice soon that a machine has
	// died with the lock, and not after the two hours of TCP.
	_, err = conn.Exec(ctx, `SELECT set_config('application_name', $1, false), set_config('tcp_keepalives_idle', '10', false),
		set_config('tcp_keepalives_interval', '5', false), set_config('tcp_keepalives_count', '3', false)`, fmt.Sprintf("sipd, server record %d", serverID))
	if err == nil && before != 0 {
		err = endSession(ctx, conn, before)
	}
	if err == nil {
		err = conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", int64(serverLock)).Scan(&got)
	}
	if err != nil {
		closeSession(conn)
		return nil, db.wrap("lock the database", err)
	}
	if got {
		return conn, nil
	}
	var holder string
	err = conn.QueryRow(ctx, `SELECT coalesce(host(a.client_addr), 'local') || ', ' || a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid)
		WHERE l.locktype = 'advisory' AND l.granted AND l.classid = $1::bigint::oid AND l.objid = $2::bigint::oid AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
		int64(serverLock>>32), int64(serverLock&0xffffffff)).Scan(&holder)
	closeSession(conn)
	if err != nil {
		holder = "it has just ended or is hidden from this user"
	}
	return nil, fmt.Errorf("%w: %s (%s): stop it first", store.ErrLocked, where(db.pool.Config()), holder)
}

func (db *DB) keepLock(ctx context.Context, conn *pgx.Conn, serverID int64, lost func(error)) {
	defer func() {
		if conn != nil {
			closeSession(conn)
		}
	}()
	pid := conn.PgConn().PID()
	for ctx.Err() == nil {
		if conn != nil {
			if _, err := await(ctx, conn); err != nil && ctx.Err() == nil {
				closeSession(conn)
				conn = nil
			}
			continue
		}
		// While the database is away it is tried again; when another has come first, he has it.
		short, cancel := context.WithTimeout(ctx, aliveTimeout)
		taken, err := db.takeLock(short, serverID, pid)
		cancel()
		if errors.Is(err, store.ErrLocked) {
			lost(err)
			return
		}
		if conn = taken; conn != nil {
			pid = conn.PgConn().PID()
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(relockEvery):
		}
	}
}
