package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"sipd/location"
)

// fencePoll is how often endSession looks whether a session has ended.
const fencePoll = 20 * time.Millisecond

// doubt notes that the outcome of what a session was to commit is not known. The server may not even have read it: a process that stood still, or
// packets that are sent again, and it commits long after the client has closed the connection.
func (h *postgresHot) doubt(conn *pgx.Conn, err error) error {
	if errors.Is(err, location.ErrUnknownOutcome) {
		h.doubtful = append(h.doubtful, conn.PgConn().PID())
	}
	return err
}

// fence ends the sessions in doubt and waits until they are gone: what is read then stays true.
func (h *postgresHot) fence(ctx context.Context) error {
	for len(h.doubtful) > 0 {
		if err := endSession(ctx, h.pool, h.doubtful[0]); err != nil {
			return err
		}
		h.doubtful = h.doubtful[1:]
	}
	return nil
}

// endSession ends a session that we have given up, if Postgres has not noticed that yet, and waits until it is gone. Another session
// of ours that has got its number meanwhile ends for nothing.
func endSession(ctx context.Context, on interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}, pid uint32) error {
	for {
		var there bool
		err := on.QueryRow(ctx, `SELECT count(pg_terminate_backend(pid)) > 0 FROM pg_stat_activity
			WHERE pid = $1 AND usename = current_user AND datname = current_database() AND pid <> pg_backend_pid()`, int32(pid)).Scan(&there)
		if err == nil && !there {
			return nil
		}
		if err != nil {
			return fmt.Errorf("end a session that was given up: %w", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("end a session that was given up: %w", ctx.Err())
		case <-time.After(fencePoll):
		}
	}
}

// servingName is the application_name of the sessions in which a server writes, whatever the URL says: the next server, whose URL may
// say something else, must find them.
const servingName = "sipd, serving"

// endPredecessor ends what sessions are left of the server that had the lock before, and waits until they are gone: one that was killed in a
// commit may have left it half way, and this server's memory must not be read before that has ended. conn has the lock; no session of this
// process has the name yet.
func (db *DB) endPredecessor(ctx context.Context, conn *pgx.Conn) error {
	for {
		var left int
		err := conn.QueryRow(ctx, `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
			WHERE application_name = $1 AND usename = current_user AND datname = current_database()`, servingName).Scan(&left)
		if err != nil {
			return fmt.Errorf("end the sessions of the server before: %w", err)
		}
		if left == 0 {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("end the sessions of the server before: %w", ctx.Err())
		case <-time.After(fencePoll):
		}
	}
	db.serves.Store(true)
	db.pool.Reset() // The next sessions have the name.
	return nil
}

// writable tells whether a session may be used again: one that began while the database was read-only stays so when the
// database is not any more. Postgres tells each session what it is.
func writable(conn *pgx.Conn) bool {
	return conn.PgConn().ParameterStatus("default_transaction_read_only") != "on"
}
