package sqlstore

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"sipd/store"
	"sipd/store/storetest"
)

// A session that this process has lost may live on in Postgres: it is no other sipd.
func TestLockOfAnOwnLostSession(t *testing.T) {
	for name, url := range map[string]string{"TCP": storetest.Postgres(t), "Unix socket": storetest.DurablePostgres(t)} {
		t.Run(name, func(t *testing.T) {
			db, err := Open(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			closed := func(conn *pgx.Conn) {
				if err := conn.Close(context.Background()); err != nil && !conn.IsClosed() {
					t.Error(err)
				}
			}
			lost, err := db.takeLock(t.Context(), 1, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer closed(lost)
			if _, err := db.takeLock(t.Context(), 1, 0); !errors.Is(err, store.ErrLocked) {
				t.Fatalf("another's lock: got %v, want ErrLocked", err)
			}
			again, err := db.takeLock(t.Context(), 1, lost.PgConn().PID())
			if err != nil {
				t.Fatalf("the own lost lock: got %v", err)
			}
			defer closed(again)
			if _, err := lost.Exec(t.Context(), "SELECT 1"); err == nil {
				t.Error("the lost session lives on")
			}
			if _, err := db.takeLock(t.Context(), 2, 0); !errors.Is(err, store.ErrLocked) {
				t.Errorf("taken again: got %v, want ErrLocked", err)
			}
		})
	}
}
