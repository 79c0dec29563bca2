package main

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// wanted is how many there are at least.
const wanted = 100

// The list is kept true: what a mutation replaces stands in the code, once, and what comes of it is Go.
func TestEveryMutationApplies(t *testing.T) {
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	list := mutations()
	if len(list) < wanted {
		t.Errorf("got %d mutations, want at least %d", len(list), wanted)
	}
	breaks := map[string]bool{}
	for _, m := range list {
		if m.breaks == "" || breaks[m.breaks] {
			t.Errorf("%s: got the description %q, want one that no other mutation has", m.file, m.breaks)
		}
		breaks[m.breaks] = true
		if m.old == m.new {
			t.Errorf("mutation %q changes nothing", m.breaks)
		}
		text, err := m.apply(root)
		if err != nil {
			t.Error(err)
			continue
		}
		if _, err := parser.ParseFile(token.NewFileSet(), m.file, text, 0); err != nil {
			t.Errorf("mutation %q: %v", m.breaks, err)
		}
	}
}

func TestApply(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "a.go"), []byte("one two two"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		m    mutation
		want string // the text, or part of the error
	}{
		{"once", mutation{"a.go", "one", "six", "x"}, "six two two"},
		{"twice", mutation{"a.go", "two", "six", "x"}, "stands 2 times in a.go"},
		{"not there", mutation{"a.go", "ten", "six", "x"}, "stands 0 times in a.go"},
		{"no file", mutation{"b.go", "ten", "six", "x"}, "no such file"},
	} {
		got, err := tt.m.apply(root)
		if err != nil {
			got = []byte(err.Error())
		}
		if !strings.Contains(string(got), tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestOnly(t *testing.T) {
	list := []mutation{{file: "server/a.go", breaks: "x"}, {file: "server/b.go", breaks: "y a.go z"}, {file: "server/c.go", breaks: "x"}}
	if got := only(list, []string{"a.go"}); len(got) != 2 {
		t.Errorf("got %d mutations with a.go, want 2", len(got))
	}
	if got := only(list, []string{"nothing"}); len(got) != 0 {
		t.Errorf("got %d mutations with nothing, want none", len(got))
	}
}

func TestLastFlow(t *testing.T) {
	const said = "=== RUN   TestFlows\n=== RUN   TestFlows/one\n=== RUN   TestFlows/two_b\npanic: x\n"
	if got := lastFlow([]byte(said)); got != "two_b" {
		t.Errorf("got %q, want two_b", got)
	}
	if got := lastFlow(nil); got != "" {
		t.Errorf("got %q of nothing, want nothing", got)
	}
}
