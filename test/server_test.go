package test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// startServer starts sipd, in a namespace unless ns is nil, and waits until it is ready.
func startServer(t testing.TB, ns *namespace, db *database, flags ...string) *process {
	t.Helper()
	p := launchServer(t, ns, db, flags...)
	p.printed(t, 0, 30*time.Second, `(?m)^sipd ready$`)
	return p
}

// launchServer starts sipd and does not wait.
func launchServer(t testing.TB, ns *namespace, db *database, flags ...string) *process {
	t.Helper()
	return launch(t, serverCommand(t, ns, db, flags...))
}

// serverCommand is the command line of a server.
func serverCommand(t testing.TB, ns *namespace, db *database, flags ...string) *exec.Cmd {
	t.Helper()
	argv := append([]string{built(t, "sipd"), "run", "-D", db.url, "--admin", "off"}, flags...)
	if ns != nil {
		return ns.command(argv...)
	}
	return exec.Command(argv[0], argv[1:]...)
}

// launch runs the command of a server; what it printed is shown when the test fails.
func launch(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	p := start(t, cmd)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("sipd:\n%s", tail(p.output()))
		}
	})
	return p
}

// trusting starts a server that trusts an authority of its own, and waits until it is ready.
func trusting(t testing.TB, roots string, ns *namespace, db *database, flags ...string) *process {
	t.Helper()
	cmd := serverCommand(t, ns, db, flags...)
	cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+roots) // docs/guide.md
	p := launch(t, cmd)
	p.printed(t, 0, 30*time.Second, `(?m)^sipd ready$`)
	return p
}

// accounts are what quickstart made.
type accounts map[string]account

// quickstart makes an SQLite database the way a new user does, in the namespace so that its address is the domain.
func quickstart(t testing.TB, ns *namespace, dir string, names ...string) (*database, accounts) {
	t.Helper()
	data := filepath.Join(dir, "data")
	out := ns.run(t, append([]string{built(t, "sipd"), "quickstart", "--json", "--data", data}, names...)...)
	var made struct {
		Domain   string
		Accounts []struct{ Username, Password string }
	}
	if err := json.Unmarshal([]byte(out), &made); err != nil {
		t.Fatalf("quickstart --json: %v\n%s", err, out)
	}
	list := accounts{}
	for _, a := range made.Accounts {
		list[a.Username] = account{a.Username, a.Password, made.Domain}
	}
	return sqliteIn(data), list
}

// fillPostgres makes the same on an empty Postgres database, command by command.
func fillPostgres(t testing.TB, url string, names ...string) (*database, accounts) {
	t.Helper()
	db := postgresAt(url)
	return db, fill(t, db, serverIP, names...)
}

// fill makes the tables, a domain and users.
func fill(t testing.TB, db *database, domain string, names ...string) accounts {
	t.Helper()
	list := accounts{}
	run(t, built(t, "sipd"), "db", "migrate", "-D", db.url)
	run(t, built(t, "sipd"), "domain", "add", domain, "-D", db.url)
	for _, name := range names {
		a := account{name, "word-of-" + name, domain}
		run(t, built(t, "addsipuser"), "-D", db.url, "-u", name+"@"+domain, "-p", a.password)
		list[name] = a
	}
	return list
}
