// Package migrations holds the SQL schema as goose migrations, one folder for each kind of database, and applies them.
//
// Names of tables and columns are the same in both folders; types differ. A released file is never edited: a change is a
// new file, forward and back. It is not the place for SQL that a running server uses (store/sqlstore). The package starts
// no goroutine.
package migrations
