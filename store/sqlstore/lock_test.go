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

	"sipd/store"
	"sipd/store/sqlstore"
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
		_, err = db.LockServer(context.Background(), 7)
	}
	fmt.Println("holder:", err)
	time.Sleep(time.Minute) // Until it is killed.
}

func TestLockServer(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		ctx := t.Context()
		a, b := ready(t, url), open(t, url)
		release, err := a.LockServer(ctx, 1)
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.LockServer(ctx, 2)
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
		if _, err := b.LockServer(ctx, 2); !errors.Is(err, store.ErrLocked) {
			t.Errorf("held by another process: got %v, want ErrLocked", err)
		}
		if err := holder.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = holder.Wait() // It was killed.
		// Postgres needs a moment to see the connection end.
		for end := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			release, err = b.LockServer(ctx, 2)
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
