package daemon

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sipd/canonicalize"
)

// TestMachineNames: files are read when they have changed; a bad one leaves the names as they were, and is told once.
func TestMachineNames(t *testing.T) {
	path := filepath.Join(t.TempDir(), "aliases")
	var log bytes.Buffer
	m := &machineNames{log: slog.New(slog.NewTextHandler(&log, nil))}
	args := canonicalize.Arguments{AliasFile: true, AliasPath: path}
	at := time.Now()
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		at = at.Add(time.Second)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	boss := func() string {
		if m.names().Aliases == nil {
			return "-"
		}
		return strings.Join(m.names().Aliases.Find([]byte("boss")), " ")
	}
	m.look(args)
	if got := boss(); got != "-" || !strings.Contains(log.String(), "cannot be read") {
		t.Errorf("no file: got %s and %s", got, &log)
	}
	write("boss: alice\nprinter: |lp\n")
	m.look(args)
	first := m.names().Aliases
	m.look(args)
	if got := boss(); got != "alice" || m.names().Aliases != first || strings.Count(log.String(), "are read") != 1 || !strings.Contains(log.String(), "printer") {
		t.Errorf("got %s, want alice, read once\n%s", got, &log)
	}
	write("boss alice\n")
	log.Reset()
	m.look(args)
	m.look(args)
	if got := boss(); got != "alice" || strings.Count(log.String(), "no colon") != 1 {
		t.Errorf("a bad file: got %s, want alice still, and told once\n%s", got, &log)
	}
	write("boss: bob\n")
	m.look(args)
	if got := boss(); got != "bob" {
		t.Errorf("got %s, want bob", got)
	}
	m.look(canonicalize.Arguments{Names: true})
	if n := m.names(); n.Aliases != nil || n.FullNames == nil {
		t.Errorf("-n: got %+v, want the full names alone", n)
	}
	m.look(canonicalize.All)
	if n := m.names(); n.Aliases != nil || n.FullNames != nil {
		t.Errorf("neither: got %+v", n)
	}
	m.look(args)
	if got := boss(); got != "bob" {
		t.Errorf("again: got %s, want bob", got)
	}
}
