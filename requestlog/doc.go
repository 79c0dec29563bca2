// Package requestlog carries the rows of the request log from the calls to the database: one row for each final response
// (BEHAVIOUR D).
//
// It is a bounded queue in memory and one writer. Record never waits, whatever the database does: the queue takes the row, or
// counts it as dropped. Run drains the queue in batches, tries again while the database is away, and drains once more at stop.
// Each row carries an EventID that the table holds unique, so a batch whose outcome is unknown can be written again without
// a row standing twice.
//
// It is not the place that decides what is logged (package server), nor the SQL (package store/sqlstore).
//
// Goroutines: none of its own; Run blocks in the caller's.
package requestlog
