package store

import "errors"

// The errors every store returns, wrapped with what was asked.
var (
	ErrNotFound = errors.New("store: not found")
	ErrExists   = errors.New("store: exists already")
	// ErrInvalid is wrapped by every error about a value that a row may not have; the text says what to write instead.
	ErrInvalid = errors.New("store: invalid value")
	// ErrLocked means that another sipd works on this database.
	ErrLocked = errors.New("store: another sipd works on this database")
	// ErrNotMigrated means that the tables are missing or older than this program.
	ErrNotMigrated = errors.New("store: the tables are not up to date; run `sipd db migrate`")
)
