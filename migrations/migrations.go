package migrations

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

//go:embed sqlite/*.sql postgres/*.sql
var files embed.FS

// Dialect is a kind of database; it names a folder.
type Dialect string

// The dialects.
const (
	SQLite   Dialect = "sqlite"
	Postgres Dialect = "postgres"
)

// ErrNewer means that the tables were made by a newer program.
var ErrNewer = errors.New("migrations: the tables are newer than this program")

// Up brings the tables to what this program needs and returns how many migrations it applied. Of several programs that
// start at once on one database, one applies; the others wait and apply nothing. Tables newer than the program are
// refused with ErrNewer.
func Up(ctx context.Context, db *sql.DB, d Dialect) (applied int, err error) {
	err = locked(ctx, db, d, func(p *goose.Provider) error {
		if err := refuseNewer(ctx, db, d); err != nil {
			return err
		}
		results, err := p.Up(ctx)
		if err != nil {
			return fmt.Errorf("migrate up: %w", err)
		}
		applied = len(results)
		return nil
	})
	return applied, err
}

// Down takes the tables back to a version, 0 for none at all: what they hold is lost.
func Down(ctx context.Context, db *sql.DB, d Dialect, to int64) error {
	return locked(ctx, db, d, func(p *goose.Provider) error {
		if err := refuseNewer(ctx, db, d); err != nil {
			return err
		}
		if _, err := p.DownTo(ctx, to); err != nil {
			return fmt.Errorf("migrate down to %d: %w", to, err)
		}
		return nil
	})
}

// Version returns the version of the tables, 0 when there are none, and the one this program needs. It changes nothing.
func Version(ctx context.Context, db *sql.DB, d Dialect) (have, want int64, err error) {
	p, err := provider(db, d)
	if err != nil {
		return 0, 0, err
	}
	sources := p.ListSources()
	want = sources[len(sources)-1].Version
	find := "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'goose_db_version'"
	if d == Postgres {
		find = "SELECT count(to_regclass('goose_db_version'))"
	}
	var n int
	if err := db.QueryRowContext(ctx, find).Scan(&n); err != nil {
		return 0, want, fmt.Errorf("version of the tables: %w", err)
	}
	if n == 0 {
		return 0, want, nil
	}
	if err := db.QueryRowContext(ctx, "SELECT coalesce(max(version_id), 0) FROM goose_db_version").Scan(&have); err != nil {
		return 0, want, fmt.Errorf("version of the tables: %w", err)
	}
	return have, want, nil
}

func refuseNewer(ctx context.Context, db *sql.DB, d Dialect) error {
	have, want, err := Version(ctx, db, d)
	if err != nil {
		return err
	}
	if have > want {
		return fmt.Errorf("%w: the database has version %d, this program knows up to %d: install the sipd that made it, or a newer one", ErrNewer, have, want)
	}
	return nil
}

func provider(db *sql.DB, d Dialect) (*goose.Provider, error) {
	folder, err := fs.Sub(files, string(d))
	if err != nil {
		return nil, fmt.Errorf("migrations of %s: %w", d, err)
	}
	dialect := goose.DialectSQLite3
	if d == Postgres {
		dialect = goose.DialectPostgres
	}
	p, err := goose.NewProvider(dialect, db, folder, goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return nil, fmt.Errorf("migrations of %s: %w", d, err)
	}
	return p, nil
}
