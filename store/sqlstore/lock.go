package sqlstore

import (
	"context"

	"sipd/migrations"
)

// LockServer makes this process the only sipd on the database, whichever server record it uses; serverID is told to who
// comes too late, who gets store.ErrLocked. The lock ends with release, or with the process. Postgres also ends it with the connection: it
// is taken again, and when another program was quicker lost is called once, with an error that wraps store.ErrLocked.
func (db *DB) LockServer(ctx context.Context, serverID int64, lost func(error)) (release func(), err error) {
	if db.d.migrations == migrations.SQLite {
		return db.lockSQLite(serverID)
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	return db.lockPostgres(ctx, serverID, lost)
}

// Watch implements store.Reader. SQLite is looked at every 200 ms, Postgres tells (LISTEN).
func (db *DB) Watch(ctx context.Context, notify func()) error {
	if db.d.migrations == migrations.SQLite {
		return db.watchSQLite(ctx, notify)
	}
	return db.watchPostgres(ctx, notify)
}
