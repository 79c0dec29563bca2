// Package requestlog carries the rows of the request log from the calls to the database: one row for each final response
// (BEHAVIOUR D).
//
// It is a bounded queue in memory, a bounded queue in files behind it, and one writer. Record never waits, whatever the database does: the
// queue takes the row, or counts it as dropped. Run drains the queue in batches and once more at stop. While the database is away rows go
// to files of Config.Dir, and from there in order to the database when it is back, or at the next start (docs/adr/0017).
// Each row carries an EventID that the table holds unique, so a batch whose outcome is unknown can be written again without
// a row standing twice.
//
// It is not the place that decides what is logged (package server), nor the SQL (package store/sqlstore).
//
// Goroutines: Run blocks in the caller's. Where there is a folder each append has one of its own, so that one that hangs does not keep
// rows from the disk; Run waits for it.
package requestlog
