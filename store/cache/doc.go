// Package cache keeps every routing table in memory: an immutable Snapshot behind an atomic pointer, which the server
// reads without locks and without allocating, and the Cache that makes new snapshots as rows change.
//
// It is not the location service (package location) and it decides nothing: it answers who a domain, a user, an alias or
// a credential is.
//
// One writer at a time makes snapshots: Refresh (all tables) or a delta (the rows that changed). Tables of users and
// aliases are cut into shards; a delta copies the shards it touches and shares the rest, so that one row costs
// microseconds whatever the size of the table. A row that cannot be used is left out and reported by name; the last good
// one stays in force. A refresh that fails keeps the last good tables.
//
// Goroutines: Run and one watcher that it starts and waits for. RFC 3261 16.5 and 22 are the readers.
package cache
