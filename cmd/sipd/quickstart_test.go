package main

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sipd/store"
)

func TestQuickstart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	out := must(t, "quickstart", "--data", dir, "alice", "bob")
	text, err := os.ReadFile(filepath.Join(dir, quickstartText))
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != out {
		t.Errorf("got %q in the file, want what was printed, %q", text, out)
	}
	if want := "sipd run -D sqlite:" + filepath.Join(dir, quickstartDB) + "\n"; !strings.Contains(out, want) {
		t.Errorf("got %q, want %q in it", out, want)
	}
	info, err := os.Stat(filepath.Join(dir, quickstartText))
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 {
		t.Errorf("quickstart.txt: got mode %o, want 600: it holds passwords", mode)
	}
	d := "-Dsqlite:" + filepath.Join(dir, quickstartDB)
	users := must(t, "user", "list", d)
	own, _ := ownAddresses()
	for _, name := range []string{"alice", "bob"} {
		if key := name + "@" + own[0].String(); !strings.Contains(users, key) || !strings.Contains(out, "sip:"+key) {
			t.Errorf("got users %q and text %q, want %s in both", users, out, key)
		}
	}
	domains := must(t, "domain", "list", d)
	for _, want := range []string{own[0].String(), "127.0.0.1", "localhost"} {
		if !strings.Contains(domains, want) {
			t.Errorf("got domains %q, want %s among them", domains, want)
		}
	}
	expect(t, []expectation{
		{"again", []string{"quickstart", "--data", dir, "alice"}, 1, "is not empty"},
		{"no directory", []string{"quickstart", "alice"}, 2, "--data"},
		{"no names", []string{"quickstart", "--data", dir}, 2, "arg"},
		{"with a database", []string{"quickstart", "--data", dir, "alice", d}, 2, "leave -D and -f out"},
	})
}

func TestQuickstartOfADomain(t *testing.T) {
	dir := t.TempDir() // exists and is empty
	var q quickstartView
	if err := json.Unmarshal([]byte(must(t, "quickstart", "--data", dir, "--domain", "Example.com", "--json", "carol")), &q); err != nil {
		t.Fatal(err)
	}
	if len(q.Accounts) != 1 || q.Accounts[0].Key != "carol@example.com" || len(q.Accounts[0].Password) != 19 {
		t.Errorf("got %+v, want carol@example.com with a password", q)
	}
}

// A name that cannot be leaves nothing behind, so that the next try is not refused.
func TestQuickstartFailsWhole(t *testing.T) {
	dir := t.TempDir()
	expect(t, []expectation{{"twice", []string{"quickstart", "--data", dir, "alice", "alice"}, 2, "stands twice"}})
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Errorf("got %v, %v, want an empty directory", left, err)
	}
	must(t, "quickstart", "--data", dir, "alice")
}

func TestQuickstartDomains(t *testing.T) {
	rows := quickstartDomains("192.0.2.5", []netip.Addr{netip.MustParseAddr("192.0.2.5"), netip.MustParseAddr("2001:db8::5")})
	var names []string
	for _, d := range rows {
		names = append(names, d.Name)
		if want := "192.0.2.5"; d.Name != want && d.Canonical != want {
			t.Errorf("%s: got canonical %q, want %q", d.Name, d.Canonical, want)
		}
		if _, err := netip.ParseAddr(d.Name); (err == nil) != (d.Kind == store.IP) {
			t.Errorf("%s: got kind %v", d.Name, d.Kind)
		}
	}
	slices.Sort(names)
	if len(slices.Compact(slices.Clone(names))) != len(names) || !slices.Contains(names, "2001:db8::5") {
		t.Errorf("got %v, want each name once and every address", names)
	}
}
