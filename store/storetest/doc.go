// Package storetest is what tests of and with a store need: Mem, a store in memory that behaves like the SQL ones; Run,
// the conformance suite that every store passes; Postgres, a private database server for one test binary; Cluster, one that a
// test may break.
//
// It is not for programs. Mem starts no goroutine; the database servers are processes that end with the test binary.
package storetest
