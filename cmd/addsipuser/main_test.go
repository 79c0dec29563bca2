package main

import (
	"crypto/md5"
	"encoding/hex"
	"path/filepath"
	"strings"
	"testing"

	"sipd/sipaddr"
	"sipd/store"
	"sipd/store/sqlstore"
)

// database makes a database with the domain example.com and returns its URL.
func database(t *testing.T) string {
	t.Helper()
	url := "sqlite:" + filepath.Join(t.TempDir(), "sipd.db")
	db := open(t, url)
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := db.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := db.AddDomain(t.Context(), &store.Domain{Name: "example.com"}); err != nil {
		t.Fatal(err)
	}
	if _, err := db.AddClass(t.Context(), "staff"); err != nil {
		t.Fatal(err)
	}
	return url
}

func open(t *testing.T, url string) *sqlstore.DB {
	t.Helper()
	db, err := sqlstore.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func user(t *testing.T, url string, key sipaddr.AOR) (*store.User, []store.Credential) {
	t.Helper()
	db := open(t, url)
	u, err := db.User(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	creds, err := db.Credentials(t.Context(), u.ID)
	if err != nil {
		t.Fatal(err)
	}
	return u, creds
}

func TestAddsipuser(t *testing.T) {
	url := database(t)
	db := open(t, url)
	if err := db.AddUser(t.Context(), &store.User{Key: "other@example.com", Realm: "taken"},
		[]store.Credential{{Username: "bob", Realm: "taken", HA1: strings.Repeat("0", 32)}}); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		args  []string
		stdin string
		code  int
		want  string // of standard output when code is 0, else of standard error
	}{
		{"glued -D", []string{"-D" + url, "-u", "alice@example.com", "-p", "secret"}, "", 0, "added user alice@example.com\n"},
		{"classic -d", []string{"-d", url, "-u", "bob@example.com", "-p", "-", "-r", "lab", "-c", "staff", "-a", "requested", "--admin"}, "typed in\n", 0, "added user bob@example.com\n"},
		{"exists", []string{"-D", url, "-u", "alice@example.com", "-p", "x"}, "", 1, "--update"},
		{"update", []string{"-D", url, "-u", "ALICE@example.com", "-p", "x", "--update"}, "", 0, "added user ALICE@example.com\n"}, // user parts have case
		{"update a policy, password stays", []string{"-D", url, "-u", "alice@example.com", "-a", "never", "--update"}, "", 0, "changed user alice@example.com\n"},
		{"update with an empty password", []string{"-D", url, "-u", "alice@example.com", "-p", "", "--update"}, "", 2, "the password is empty"},
		{"new realm that is taken", []string{"-D", url, "-u", "bob@example.com", "-r", "taken", "-p", "x", "--update"}, "", 1, "bob in realm taken"},
		{"update nobody", []string{"-D", url, "-u", "carol@example.com", "--update"}, "", 2, "needs -p"},
		{"new realm without a password", []string{"-D", url, "-u", "alice@example.com", "-r", "x", "--update"}, "", 2, "write -p, too"},
		{"unknown domain", []string{"-D", url, "-u", "a@example.org", "-p", "x"}, "", 1, "sipd domain add example.org"},
		{"unknown class", []string{"-D", url, "-u", "a@example.com", "-p", "x", "-c", "students"}, "", 2, "write one of staff"},
		{"bad policy", []string{"-D", url, "-u", "a@example.com", "-p", "x", "-a", "maybe"}, "", 2, "required, requested, never"},
		{"bad user", []string{"-D", url, "-u", "a", "-p", "x"}, "", 2, "a@example.com"},
		{"no user", []string{"-D", url, "-p", "x"}, "", 2, "-u is missing"},
		{"no password", []string{"-D", url, "-u", "a@example.com"}, "", 2, "-p is missing"},
		{"empty standard input", []string{"-D", url, "-u", "a@example.com", "-p", "-"}, "", 2, "standard input"},
		{"two databases", []string{"-D", url, "-d", url, "-u", "a@example.com", "-p", "x"}, "", 2, "-d and -D"},
		{"stray argument", []string{"-D", url, "-u", "a@example.com", "-p", "x", "y"}, "", 2, `"y"`},
		{"unknown flag", []string{"-x"}, "", 2, "usage: addsipuser"},
		{"bad database", []string{"-D", "oracle://u:pw@h/d", "-u", "a@example.com", "-p", "x"}, "", 2, "no such kind"},
		{"not migrated", []string{"-D", "sqlite:" + filepath.Join(t.TempDir(), "n.db"), "-u", "a@example.com", "-p", "x"}, "", 1, "sipd db migrate"},
		{"version", []string{"-v"}, "", 0, "addsipuser unknown\n"},
		{"help", []string{"--help"}, "", 0, "--update"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out, errs strings.Builder
			code := run(t.Context(), tt.args, func(string) string { return "" }, strings.NewReader(tt.stdin), &out, &errs)
			got := out.String()
			if tt.code != 0 {
				got = errs.String()
			}
			if code != tt.code || !strings.Contains(got, tt.want) {
				t.Errorf("got %d, %q %q, want %d and %q", code, out.String(), errs.String(), tt.code, tt.want)
			}
		})
	}

	u, creds := user(t, url, "alice@example.com")
	if u.Realm != "example.com" || u.AuthPolicy != store.Never || u.IsAdmin {
		t.Errorf("alice: got %+v", u)
	}
	want := map[string]string{}
	for _, name := range []string{"alice", "alice@example.com"} {
		sum := md5.Sum([]byte(name + ":example.com:secret"))
		want[name] = hex.EncodeToString(sum[:])
	}
	if len(creds) != 2 {
		t.Errorf("alice: got %d credentials, want 2", len(creds))
	}
	for _, c := range creds {
		if c.HA1 != want[c.Username] || c.Algorithm != store.MD5 {
			t.Errorf("alice: got %+v, want HA1 %s", c, want[c.Username])
		}
	}
	u, creds = user(t, url, "bob@example.com")
	sum := md5.Sum([]byte("bob:lab:typed in"))
	if u.Realm != "lab" || u.AuthPolicy != store.Requested || !u.IsAdmin || u.GatewayClassID == 0 || len(creds) != 2 || creds[0].Realm != "lab" {
		t.Errorf("bob: got %+v %+v", u, creds)
	}
	if creds[0].Username == "bob" && creds[0].HA1 != hex.EncodeToString(sum[:]) {
		t.Errorf("bob: got HA1 %s, want that of `typed in`", creds[0].HA1)
	}
}
