package sqlstore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"sipd/location"
	"sipd/store"
	"sipd/store/sqlstore"
	"sipd/store/storetest"
)

// lockEnv makes TestHolder hold the lock of a database until it is killed.
const lockEnv = "SIPD_TEST_LOCK_URL"

// TestHolder is not a test but the other process of TestLockServer.
func TestHolder(t *testing.T) {
	url := os.Getenv(lockEnv)
	if url == "" {
		return
	}
	db, err := sqlstore.Open(context.Background(), url)
	if err == nil {
		_, err = db.LockServer(context.Background(), 7, never)
	}
	fmt.Println("holder:", err)
	time.Sleep(time.Minute) // Until it is killed.
}

func TestLockServer(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		ctx := t.Context()
		a, b := ready(t, url), open(t, url)
		release, err := a.LockServer(ctx, 1, never)
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.LockServer(ctx, 2, never)
		if !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), "server record 1") {
			t.Errorf("got %v, want ErrLocked that names the holder", err)
		}
		release()
		release()

		holder := exec.Command(os.Args[0], "-test.run=^TestHolder$", "-test.v")
		holder.Env = append(os.Environ(), lockEnv+"="+url)
		out, err := holder.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := holder.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for lines.Scan() && !strings.HasPrefix(lines.Text(), "holder:") {
		}
		if lines.Text() != "holder: <nil>" {
			t.Errorf("got %q from the other process, want the lock", lines.Text())
		}
		if _, err := b.LockServer(ctx, 2, never); !errors.Is(err, store.ErrLocked) {
			t.Errorf("held by another process: got %v, want ErrLocked", err)
		}
		if err := holder.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = holder.Wait() // It was killed.
		// Postgres needs a moment to see the connection end.
		for end := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			release, err = b.LockServer(ctx, 2, never)
			if err == nil || time.Now().After(end) {
				break
			}
		}
		if err != nil {
			t.Fatalf("after kill -9: got %v, want the lock", err)
		}
		release()
	})
}

// never is told of lost locks where none is lost.
func never(err error) { panic(err) }

// After a restart of Postgres the lock is taken again; who finds another program there must hear of it.
func TestLockIsTakenAgain(t *testing.T) {
	url := databases[1].url(t)
	ctx := t.Context()
	a, b := ready(t, url), open(t, url)
	plain, _ := raw(t, url)
	lost := make(chan error, 1)
	release, err := a.LockServer(ctx, 1, func(err error) { lost <- err })
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	const holder = `SELECT coalesce(max(pid), 0) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'sipd, server record 1'`
	// cut ends the session that has the lock, and takes the lock in the same moment when take is true.
	cut := func(take bool) (pid int) {
		t.Helper()
		for end := time.Now().Add(5 * time.Second); pid == 0; time.Sleep(10 * time.Millisecond) {
			if err := plain.QueryRow(holder).Scan(&pid); err != nil || time.Now().After(end) {
				t.Fatalf("got holder %d, %v; want one", pid, err)
			}
		}
		if take {
			// Asked for before the session ends, it is granted when that happens.
			go plain.Exec(`SELECT pg_advisory_lock(495690212355)`)
			waiting := 0
			for end := time.Now().Add(5 * time.Second); waiting == 0; time.Sleep(10 * time.Millisecond) {
				if err := plain.QueryRow(`SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted`).Scan(&waiting); err != nil || time.Now().After(end) {
					t.Fatalf("got %d waiting, %v; want one", waiting, err)
				}
			}
		}
		if _, err := plain.Exec(`SELECT pg_terminate_backend($1)`, pid); err != nil {
			t.Fatal(err)
		}
		return pid
	}
	first := cut(false)
	for end, pid := time.Now().Add(5*time.Second), first; pid == first || pid == 0; time.Sleep(10 * time.Millisecond) {
		if err := plain.QueryRow(holder).Scan(&pid); err != nil || time.Now().After(end) {
			t.Fatalf("got holder %d, %v; want another session", pid, err)
		}
	}
	if _, err := b.LockServer(ctx, 2, never); !errors.Is(err, store.ErrLocked) {
		t.Errorf("taken again: got %v, want ErrLocked", err)
	}
	cut(true)
	select {
	case err := <-lost:
		if !errors.Is(err, store.ErrLocked) {
			t.Errorf("got %v, want ErrLocked", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("nobody was told that another has the lock")
	}
}

// A server that was killed in a commit leaves a session that may still end it: the next one begins when that is over.
func TestNextServerEndsTheSessionsOfTheLast(t *testing.T) {
	url := databases[1].url(t)
	ctx := t.Context()
	last, next := ready(t, url), open(t, url)
	alice := storetest.Add(t, last, "alice")
	plain, _ := raw(t, url)
	other, err := plain.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	release, err := last.LockServer(ctx, 1, never)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"BEGIN", "LOCK TABLE contacts IN EXCLUSIVE MODE"} {
		if _, err := other.ExecContext(ctx, s); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error, 1)
	go func() {
		_, err := last.Commit(context.Background(), []location.RowSet{{AOR: alice.Key, UserID: alice.ID, Upsert: []*location.Binding{phone(1, alice.ID, time.Now())}}})
		done <- err
	}()
	waiting := 0
	for end := time.Now().Add(10 * time.Second); waiting == 0; time.Sleep(10 * time.Millisecond) {
		err := plain.QueryRowContext(ctx, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting)
		if err != nil || time.Now().After(end) {
			t.Fatalf("got %d commits that wait, %v; want one", waiting, err)
		}
	}
	release() // As if the session with the lock had ended first.
	releaseNext, err := next.LockServer(ctx, 1, never)
	for end := time.Now().Add(5 * time.Second); errors.Is(err, store.ErrLocked) && time.Now().Before(end); {
		releaseNext, err = next.LockServer(ctx, 1, never) // Postgres notices the end a moment late.
	}
	if err != nil {
		t.Fatal(err)
	}
	defer releaseNext()
	select {
	case err := <-done:
		if !errors.Is(err, location.ErrUnknownOutcome) {
			t.Errorf("the commit of the last server: got %v, want ErrUnknownOutcome", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the commit of the last server goes on")
	}
	if _, err := other.ExecContext(ctx, "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if rows, err := next.LoadAOR(ctx, alice.Key); err != nil || len(rows) != 0 {
		t.Errorf("got %v, %v; want no row", rows, err)
	}
	if errs, err := next.Commit(ctx, []location.RowSet{{AOR: alice.Key, UserID: alice.ID, Upsert: []*location.Binding{phone(1, alice.ID, time.Now())}}}); errs != nil || err != nil {
		t.Errorf("a commit of the next server: got %v, %v", errs, err)
	}
}
