package sqlstore

import (
	"path/filepath"
	"testing"
)

// What makes a commit durable, and rows refer to rows, are settings of a connection: a typing mistake would go unnoticed.
func TestPragmas(t *testing.T) {
	db, err := Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "sipd.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for name, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "wal_autocheckpoint": "4000", "busy_timeout": "10"} {
		var got string
		if err := db.write.QueryRowContext(t.Context(), "PRAGMA "+name).Scan(&got); err != nil || got != want {
			t.Errorf("writer's %s: got %q, %v; want %q", name, got, err, want)
		}
	}
	for name, want := range map[string]string{"query_only": "1", "foreign_keys": "1", "busy_timeout": "8000"} {
		var got string
		if err := db.read.QueryRowContext(t.Context(), "PRAGMA "+name).Scan(&got); err != nil || got != want {
			t.Errorf("reader's %s: got %q, %v; want %q", name, got, err, want)
		}
	}
}
