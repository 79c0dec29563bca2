package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sipd/migrations"
	"sipd/store"
	"sipd/store/sqlstore"
)

// raw opens the database without sqlstore.
func raw(t testing.TB, url string) (*sql.DB, migrations.Dialect) {
	t.Helper()
	driver, dsn, dialect := "pgx", url, migrations.Postgres
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		driver, dsn, dialect = "sqlite", "file:"+strings.NewReplacer("%", "%25", "#", "%23", " ", "%20").Replace(path)+"?_pragma=busy_timeout(5000)", migrations.SQLite
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db, dialect
}

func TestFourStartersOneMigrates(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		const starters = 4
		var wg sync.WaitGroup
		applied := make([]int, starters)
		errs := make([]error, starters)
		for i := range starters {
			wg.Go(func() {
				db, err := sqlstore.Open(t.Context(), url)
				if err != nil {
					errs[i] = err
					return
				}
				applied[i], errs[i] = db.Migrate(t.Context())
				errs[i] = errors.Join(errs[i], db.Init(t.Context()), db.CheckVersion(t.Context()), db.Close())
			})
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		workers := 0
		for _, n := range applied {
			if n > 0 {
				workers++
			}
		}
		if workers != 1 {
			t.Errorf("got %d starters that migrated (%v), want 1", workers, applied)
		}
		servers, err := open(t, url).Servers(t.Context())
		if err != nil || len(servers) != 1 {
			t.Errorf("got servers %v, %v; want one", servers, err)
		}
	})
}

// Programs that open a new file at once all put it into WAL mode, and SQLite does not make them wait for each other there.
func TestOpenNewFileAtOnce(t *testing.T) {
	for round := range 20 {
		url := "sqlite:" + filepath.Join(t.TempDir(), fmt.Sprint(round))
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				db, err := sqlstore.Open(t.Context(), url)
				if err != nil {
					t.Error(err)
					return
				}
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
}

func TestUpDownUp(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		db := open(t, url)
		ctx := t.Context()
		plain, dialect := raw(t, url)
		if have, want, err := db.Version(ctx); err != nil || have != 0 || want == 0 {
			t.Errorf("new: got version %d of %d, %v; want 0 of some", have, want, err)
		}
		if err := db.CheckVersion(ctx); !errors.Is(err, store.ErrNotMigrated) {
			t.Errorf("new: got %v, want ErrNotMigrated", err)
		}
		if _, err := db.Servers(ctx); !errors.Is(err, store.ErrNotMigrated) || !strings.Contains(err.Error(), "sipd db migrate") {
			t.Errorf("new: got %v, want ErrNotMigrated that names the command", err)
		}
		for range 2 {
			applied, err := db.Migrate(ctx)
			if err != nil || applied == 0 {
				t.Fatalf("up: got %d, %v; want some migrations", applied, err)
			}
			if applied, err := db.Migrate(ctx); err != nil || applied != 0 {
				t.Fatalf("up again: got %d, %v; want none", applied, err)
			}
			if err := db.CheckVersion(ctx); err != nil {
				t.Error(err)
			}
			if err := db.Init(ctx); err != nil {
				t.Fatal(err)
			}
			if err := migrations.Down(ctx, plain, dialect, 0); err != nil {
				t.Fatal(err)
			}
			if have, _, err := db.Version(ctx); err != nil || have != 0 {
				t.Errorf("down: got version %d, %v; want 0", have, err)
			}
			left := `SELECT count(*) FROM sqlite_master WHERE type IN ('table', 'trigger') AND name NOT LIKE 'goose%' AND name NOT LIKE 'sqlite%'`
			if dialect == migrations.Postgres {
				left = `SELECT (SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE 'goose%')
					+ (SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace)`
			}
			var n int
			if err := plain.QueryRowContext(ctx, left).Scan(&n); err != nil || n != 0 {
				t.Errorf("down: got %d tables, triggers or functions, %v; want none", n, err)
			}
		}
	})
}

func TestNewerTablesAreRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		db := ready(t, url)
		plain, _ := raw(t, url)
		if _, err := plain.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)`); err != nil {
			t.Fatal(err)
		}
		_, err := db.Migrate(t.Context())
		if !errors.Is(err, migrations.ErrNewer) || !strings.Contains(err.Error(), "99999") {
			t.Errorf("migrate: got %v, want ErrNewer with both versions", err)
		}
		if err := db.CheckVersion(t.Context()); !errors.Is(err, migrations.ErrNewer) {
			t.Errorf("check: got %v, want ErrNewer", err)
		}
	})
}

func TestInit(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		db := ready(t, url)
		ctx := t.Context()
		servers, err := db.Servers(ctx)
		if err != nil || len(servers) != 1 || servers[0].Name != sqlstore.FirstServer {
			t.Fatalf("got %v, %v; want one server", servers, err)
		}
		key := func() string {
			s, err := db.Settings(ctx, servers[0].ID)
			if err != nil || len(s["PrivateKey"]) != 64 || strings.Trim(s["PrivateKey"], "0123456789abcdef") != "" {
				t.Fatalf("got %v, %v; want a PrivateKey of 64 hex digits", s, err)
			}
			return s["PrivateKey"]
		}
		first := key()
		if err := db.Init(ctx); err != nil || key() != first {
			t.Errorf("second Init: got %v, key changed: %v", err, key() != first)
		}
		if err := open(t, databasesURL(t, url)).CheckVersion(ctx); !errors.Is(err, store.ErrNotMigrated) {
			t.Errorf("another database: got %v, want ErrNotMigrated", err)
		}
	})
}

// databasesURL returns a second, empty database of the same kind.
func databasesURL(t testing.TB, url string) string {
	if strings.HasPrefix(url, "sqlite:") {
		return databases[0].url(t)
	}
	return databases[1].url(t)
}

func TestSQLiteFileIsPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	ready(t, "sqlite:"+path)
	for _, name := range []string{path, path + "-wal"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s: got mode %v, want 0600", filepath.Base(name), info.Mode().Perm())
		}
	}
}

func TestOpenErrors(t *testing.T) {
	tests := []struct{ name, url, want string }{
		{"no scheme", "sipd.db", "sqlite:PATH"},
		{"unknown scheme", "mysql://u:hush@h/d", "write sqlite:PATH"},
		{"no file", "sqlite:", "write sqlite:"},
		{"memory", "sqlite::memory:", "write sqlite:PATH"},
		{"no folder", "sqlite:/nowhere/at/all/sipd.db", "mkdir -p /nowhere/at/all"},
		{"bad port", "postgres://u:hush@h:port/d", "postgres://user:password@host/database"},
		{"nobody there", "postgres://u:hush@127.0.0.1:1/d?connect_timeout=2", "127.0.0.1:1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			db, err := sqlstore.Open(ctx, tt.url)
			if err == nil {
				db.Close()
				t.Fatal("got no error")
			}
			if !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hush") {
				t.Errorf("got %q, want %q in it and no password", err, tt.want)
			}
		})
	}
}
