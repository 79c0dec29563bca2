// Package bulk loads many users into SQLite or Postgres at once, without holding up those who register meanwhile: the rows go into temporary
// tables, which lock nothing, and from there into the others, in Postgres in one transaction, in SQLite in short ones.
//
// It is a part of package sqlstore, which checks and sorts the users and hands over the connection. It starts no goroutine. No clause of an
// RFC is about it.
package bulk
