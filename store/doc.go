// Package store names what sipd keeps in SQL: the rows of its tables as Go types, the contract between those who keep
// them and those who use them, and the errors of that contract.
//
// It is not an implementation: store/sqlstore is one for SQLite and Postgres, store/storetest one in memory with the
// conformance suite that all of them pass. Bindings are package location's; here they are only rows for people to see.
//
// Three parties use a store. The cache reads whole tables and afterwards what changed (Reader). Commands and pages
// change rows (Admin). The request log appends (Logger). Consumers declare smaller interfaces of their own where they
// need less. The package starts no goroutine.
package store
