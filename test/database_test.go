package test

import (
	"errors"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sipd/store/storetest"
)

// databases runs f on an empty database of either kind.
func databases(t *testing.T, f func(t *testing.T, db *database)) {
	t.Run("sqlite", func(t *testing.T) { f(t, sqliteIn(t.TempDir())) })
	t.Run("postgres", func(t *testing.T) { f(t, postgresAt(storetest.DurablePostgres(t))) })
}

// TestMigrateAtOnce starts four migrations of an empty database: one does it, and all end well.
func TestMigrateAtOnce(t *testing.T) {
	databases(t, func(t *testing.T, db *database) {
		sipd := built(t, "sipd")
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				if out, err := tryRun(sipd, "db", "migrate", "-D", db.url); err != nil {
					t.Errorf("db migrate: %v\n%s", err, out)
				}
			})
		}
		group.Wait()
		for table, want := range map[string]string{"servers": "1", "users": "0", "contacts": "0"} {
			db.query(t, "SELECT count(*) FROM "+table, func(c []string) {
				if c[0] != want {
					t.Errorf("%s has %s rows, want %s", table, c[0], want)
				}
			})
		}
		keys := 0
		db.query(t, "SELECT value FROM server_settings WHERE name = 'PrivateKey'", func(c []string) {
			if keys++; len(c[0]) < 32 {
				t.Errorf("the private key has %d characters, want at least 32", len(c[0]))
			}
		})
		if keys != 1 {
			t.Errorf("%d private keys, want 1", keys)
		}
	})
}

// TestSecondServer starts a second sipd on a database that is in use: it must end with exit status 2 and say why, and the
// first one must go on.
func TestSecondServer(t *testing.T) {
	databases(t, func(t *testing.T, db *database) {
		run(t, built(t, "sipd"), "db", "migrate", "-D", db.url)
		first, second := freePort(t), freePort(t)
		server := startServer(t, nil, db, "--listen", "udp:"+first.String())
		p := launchServer(t, nil, db, "--listen", "udp:"+second.String())
		select {
		case <-p.done:
		case <-time.After(20 * time.Second):
			t.Fatalf("the second sipd goes on:\n%s", p.output())
		}
		var exit *exec.ExitError
		if !errors.As(p.err, &exit) || exit.ExitCode() != 2 {
			t.Errorf("the second sipd ended with %v, want exit status 2:\n%s", p.err, p.output())
		}
		if out := p.output(); !strings.Contains(out, "another") && !strings.Contains(out, "already") && !strings.Contains(out, "in use") {
			t.Errorf("the second sipd does not say that the database is in use:\n%s", out)
		}
		awaitAnswerAt(t, first)
		if err := server.stop(10 * time.Second); err != nil {
			t.Errorf("the first sipd: %v", err)
		}
		// The lock goes with its holder, also when that is killed.
		third := startServer(t, nil, db, "--listen", "udp:"+first.String())
		if err := third.cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		<-third.done
		startServer(t, nil, db, "--listen", "udp:"+first.String())
	})
}
