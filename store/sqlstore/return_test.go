package sqlstore_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"sipd/location"
	"sipd/store"
	"sipd/store/storetest"
)

// A session that a client has given up may commit later. After its rows have been read it may not.
func TestGivenUpCommitComesToNothing(t *testing.T) {
	c := storetest.NewCluster(t, "")
	url := c.URL(c.Port)
	db := ready(t, url+"&pool_min_conns=4")
	alice := storetest.Add(t, db, "alice")
	plain, _ := raw(t, url)
	other, err := plain.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	exec := func(statement string) {
		t.Helper()
		if _, err := other.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	sessions := func(where string) (n int) {
		t.Helper()
		if err := other.QueryRowContext(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sipd' AND "+where).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for end := time.Now().Add(20 * time.Second); sessions("true") < 4; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the pool does not fill")
		}
	}
	exec("BEGIN")
	exec("LOCK TABLE contacts IN EXCLUSIVE MODE")
	c.Deafen()
	defer c.Continue()
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	set := []location.RowSet{{AOR: alice.Key, UserID: alice.ID, Upsert: []*location.Binding{phone(1, alice.ID, time.Now())}}}
	if _, err := db.Commit(short, set); !errors.Is(err, location.ErrUnknownOutcome) {
		t.Fatalf("a commit that hangs: got %v, want ErrUnknownOutcome", err)
	}
	if n := sessions("wait_event_type = 'Lock'"); n != 1 {
		t.Fatalf("%d sessions wait for the lock, want the one of the commit", n)
	}
	rows, err := db.LoadAOR(t.Context(), alice.Key)
	if err != nil || len(rows) != 0 {
		t.Fatalf("read again: got %v, %v; want no row", rows, err)
	}
	exec("ROLLBACK")
	if n := sessions("state <> 'idle'"); n != 0 {
		t.Errorf("%d sessions are still at work, want none", n)
	}
	if rows, err = db.LoadAOR(t.Context(), alice.Key); err != nil || len(rows) != 0 {
		t.Errorf("a moment later: got %v, %v; want what was read before", rows, err)
	}
	c.Continue()
	if errs, err := db.Commit(t.Context(), set); err != nil || errs != nil {
		t.Errorf("afterwards: got %v, %v", errs, err)
	}
}

// Sessions that began while the database was read-only are not used when it is not any more.
func TestReadOnlyPostgresReturns(t *testing.T) {
	url := databases[1].url(t)
	db := ready(t, url)
	alice := storetest.Add(t, db, "alice")
	plain, _ := raw(t, url)
	exec := func(statement string) {
		t.Helper()
		if _, err := plain.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	exec(`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$`)
	exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'sipd'`)
	set := []location.RowSet{{AOR: alice.Key, UserID: alice.ID, Upsert: []*location.Binding{phone(1, alice.ID, time.Now())}}}
	for range 10 { // Until the last dead session has left the pool.
		if _, err := db.Commit(t.Context(), set); errors.Is(err, location.ErrNotTried) {
			break
		}
	}
	if _, err := db.Commit(t.Context(), set); !errors.Is(err, location.ErrNotTried) {
		t.Fatalf("read-only: got %v, want ErrNotTried", err)
	}
	if _, err := db.MaxID(t.Context()); err == nil {
		t.Error("the probe says that changes are taken")
	}
	exec(`SET default_transaction_read_only = off`)
	exec(`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET default_transaction_read_only', current_database()); END $$`)
	if _, err := db.MaxID(t.Context()); err != nil {
		t.Errorf("the probe afterwards: %v", err)
	}
	if errs, err := db.Commit(t.Context(), set); err != nil || errs != nil {
		t.Errorf("a commit afterwards: got %v, %v", errs, err)
	}
	if err := db.AppendLog(t.Context(), []store.LogRow{{Time: time.Now(), Method: "INVITE", Status: 200, EventID: "1"}}); err != nil {
		t.Errorf("a row of the request log afterwards: %v", err)
	}
}
