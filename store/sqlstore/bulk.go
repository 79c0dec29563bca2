package sqlstore

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"sipd/migrations"
	"sipd/store"
	"sipd/store/sqlstore/bulk"
)

// bulkTimeout is the deadline of a bulk load without one of its own: a million users take a few minutes.
const bulkTimeout = 30 * time.Minute

// BulkUsers implements store.Admin.
func (db *DB) BulkUsers(ctx context.Context, users []store.ImportUser, progress func(done int)) error {
	for i := range users {
		if err := users[i].User.Check(); err != nil {
			return err
		}
		if err := checkCredentials(users[i].Credentials); err != nil {
			return err
		}
	}
	if progress == nil {
		progress = func(int) {}
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, bulkTimeout)
		defer cancel()
	}
	// In the order of the keys every index grows at its end, which is several times as fast.
	users = slices.Clone(users)
	slices.SortFunc(users, func(a, b store.ImportUser) int { return strings.Compare(string(a.User.Key), string(b.User.Key)) })
	if db.d.migrations == migrations.SQLite {
		return db.wrap("load users", db.bulkSQLite(ctx, users, progress))
	}
	return db.wrap("load users", bulk.Postgres(ctx, db.pool, users, progress))
}

// bulkSQLite works on a connection of its own: filling the temporary tables holds no lock of the database, and the
// connection that writes registrations stays free.
func (db *DB) bulkSQLite(ctx context.Context, users []store.ImportUser, progress func(done int)) (err error) {
	own, err := db.openSQLitePool(1, []string{"synchronous(FULL)", "wal_autocheckpoint(4000)", "cache_size(-64000)", "temp_store(FILE)"}, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, own.Close()) }()
	conn, err := own.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := bulk.Stage(ctx, conn, users, progress); err != nil {
		return err
	}
	if err := pollLocks(ctx, conn); err != nil {
		return err
	}
	return bulk.Merge(ctx, conn, users, busy)
}
