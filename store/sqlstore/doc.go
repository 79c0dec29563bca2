// Package sqlstore keeps sipd's rows in SQLite or Postgres: store.Store and location.Store over SQL.
//
// Most statements are one text for both databases, with $1 placeholders; what differs is in sqlite*.go and postgres*.go.
// The tables are those of package migrations. The package caches nothing and decides nothing.
//
// SQLite: one connection writes (WAL, synchronous FULL: what is committed survives a power failure), a few read. Postgres:
// a pool, synchronous_commit on. Every call has a deadline, its context's or callTimeout, with one exception: Commit on
// SQLite, where a cancellable context would cost a goroutine per statement. There the lock is waited for at most
// busyTimeout, and a write to disk cannot be abandoned anyway.
//
// Goroutines: LockServer on Postgres has one until it is released; Watch has none of its own. The pool of pgx has
// its own, until Close.
package sqlstore
