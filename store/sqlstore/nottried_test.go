package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sipd/location"
	"sipd/sipaddr"
	"sipd/store"
)

// newSQLite opens a database with tables and Alice.
func newSQLite(t *testing.T) (*DB, *store.User) {
	t.Helper()
	db, err := Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "sipd.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	alice := &store.User{Key: "alice@example.com", Realm: "example.com"}
	if err := db.AddUser(t.Context(), alice, nil); err != nil {
		t.Fatal(err)
	}
	return db, alice
}

// While another program holds the lock, or the file cannot be written, nothing is tried, and the probe says so. Both pass.
func TestNotTried(t *testing.T) {
	tests := []struct {
		name string
		take func(t *testing.T, db *DB) (giveBack func())
	}{
		{"locked by another", func(t *testing.T, db *DB) func() {
			other, err := sql.Open("sqlite", db.path)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { other.Close() })
			conn, err := other.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := conn.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
				t.Fatal(err)
			}
			return func() {
				if _, err := conn.ExecContext(context.Background(), "ROLLBACK"); err != nil {
					t.Error(err)
				}
			}
		}},
		{"read-only", func(t *testing.T, db *DB) func() {
			set := func(on string) {
				t.Helper()
				if _, err := db.write.ExecContext(context.Background(), "PRAGMA query_only = "+on); err != nil {
					t.Fatal(err)
				}
			}
			set("1")
			return func() { set("0") }
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			db, alice := newSQLite(t)
			db.hot.(*sqliteHot).wait = 20 * time.Millisecond
			row := func(id int64) location.RowSet {
				return location.RowSet{AOR: alice.Key, UserID: alice.ID, Upsert: []*location.Binding{{ID: id, UserID: alice.ID, URI: "sip:a@192.0.2.1"}}}
			}
			giveBack := tt.take(t, db)
			for _, sets := range [][]location.RowSet{{row(1)}, {row(1), row(2)}} {
				errs, err := db.Commit(t.Context(), sets)
				if errs != nil || !errors.Is(err, location.ErrNotTried) || !errors.Is(err, location.ErrNotCommitted) || errors.Is(err, location.ErrUnknownOutcome) {
					t.Errorf("%d sets: got %v, %v; want ErrNotTried", len(sets), errs, err)
				}
			}
			short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if _, err := db.MaxID(short); err == nil {
				t.Error("the probe says that changes are taken")
			}
			giveBack()
			if errs, err := db.Commit(t.Context(), []location.RowSet{row(1), row(2)}); errs != nil || err != nil {
				t.Errorf("afterwards: got %v, %v", errs, err)
			}
			if id, err := db.MaxID(t.Context()); id != 2 || err != nil {
				t.Errorf("afterwards: got the highest id %d, %v; want 2", id, err)
			}
		})
	}
}

// A row of contacts that somebody mistyped is named and left out; the others are there.
func TestBadContactsAreLeftOut(t *testing.T) {
	db, alice := newSQLite(t)
	for _, row := range []string{
		`(1, $1, 'sip:good@192.0.2.1', '2040-01-01T00:00:00Z', 1)`,
		`(2, $1, 'sip:bad@192.0.2.2', 'tomorrow', 1)`,
		`(3, $1, 'sip:bad@192.0.2.3', '2040-01-01T00:00:00Z', 'one')`,
		`(4, $1, 'sip:good@192.0.2.4', NULL, 1)`,
	} {
		if _, err := db.write.ExecContext(t.Context(), `INSERT INTO contacts (id, user_id, uri, expires_at, cseq) VALUES `+row, alice.ID); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	err := db.LoadBindings(t.Context(), func(aor sipaddr.AOR, b *location.Binding) error {
		got = append(got, b.URI)
		return nil
	})
	var bad *location.BadRowsError
	if !errors.As(err, &bad) || len(bad.Rows) != 2 || !strings.Contains(bad.Rows[0].Error(), "id 2") || !strings.Contains(bad.Rows[0].Error(), "tomorrow") {
		t.Errorf("got %v, want the rows 2 and 3 named", err)
	}
	if strings.Join(got, " ") != "sip:good@192.0.2.1 sip:good@192.0.2.4" {
		t.Errorf("got %v, want the good ones", got)
	}
	if rows, err := db.LoadAOR(t.Context(), alice.Key); err != nil || len(rows) != 2 {
		t.Errorf("of Alice alone: got %d rows, %v; want 2", len(rows), err)
	}
}
