package archtest

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A file is read in one sitting, a package in one afternoon: beyond these they are split.
const (
	maxFileLines    = 600
	maxPackageLines = 3000
)

// forbidden are paths that a user of this tree does not have. They are put together here so that this file does not hold them.
var forbidden = regexp.MustCompile(strings.Join([]string{
	`/wo` + `rk/`, `\.\./sh` + `ared`, `/ro` + `ot/`, `/ho` + `me/[a-z]`, `proxy\.gol` + `ang\.org`,
}, "|"))

// notOurs are directories that hold no source.
var notOurs = []string{".git", "bin", "data"}

// sources calls visit with each file of the tree, its path relative to root.
func sources(t *testing.T, root string, visit func(name string, text []byte)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if slices.Contains(notOurs, name) {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() || strings.HasSuffix(name, ".test") || strings.HasSuffix(name, ".prof") || strings.HasSuffix(name, ".out") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if bytes.IndexByte(text, 0) < 0 {
			visit(name, text)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFilesAndPackagesStaySmall(t *testing.T) {
	packages := map[string]int{}
	sources(t, moduleRoot(t), func(name string, text []byte) {
		if filepath.Ext(name) != ".go" {
			return
		}
		lines := bytes.Count(text, []byte("\n"))
		if lines > maxFileLines && !strings.HasPrefix(filepath.Base(name), "z") { // z: generated
			t.Errorf("%s: got %d lines, want at most %d: split it", name, lines, maxFileLines)
		}
		if !strings.HasSuffix(name, "_test.go") {
			packages[filepath.Dir(name)] += lines
		}
	})
	for dir, lines := range packages {
		if lines > maxPackageLines {
			t.Errorf("package %s: got %d lines, want at most %d: split it", dir, lines, maxPackageLines)
		}
	}
}

func TestEveryPackageIsExplained(t *testing.T) {
	for _, p := range listPackages(t, moduleRoot(t)) {
		text, err := os.ReadFile(filepath.Join(p.Dir, "doc.go"))
		if err != nil {
			t.Errorf("%s: no doc.go that says what the package is, is not, its goroutines and RFC sections", p.name())
			continue
		}
		want := "// Package " + p.Name + " "
		if p.Name == "main" {
			want = "// Command " + filepath.Base(p.Dir) + " "
		}
		if !bytes.HasPrefix(text, []byte(want)) {
			t.Errorf("%s/doc.go: got %.40q, want it to begin with %q", p.name(), text, want)
		}
		if !bytes.Contains(text, []byte("oroutine")) {
			t.Errorf("%s/doc.go: nothing about goroutines, want the ones it starts, or that it starts none", p.name())
		}
	}
}

// The tests of package server and those below it look for goroutines that are left behind.
func TestServerLooksForLeaks(t *testing.T) {
	looks := map[string]bool{} // package with tests -> it does
	sources(t, moduleRoot(t), func(name string, text []byte) {
		dir := filepath.ToSlash(filepath.Dir(name))
		if strings.HasSuffix(name, "_test.go") && (dir == "server" || strings.HasPrefix(dir, "server/")) {
			looks[dir] = looks[dir] || bytes.Contains(text, []byte("goleak."))
		}
	})
	if len(looks) == 0 {
		t.Error("got no tests below server")
	}
	for dir, yes := range looks {
		if !yes {
			t.Errorf("%s: want a TestMain that calls goleak", dir)
		}
	}
}

func TestNoForbiddenPaths(t *testing.T) {
	sources(t, moduleRoot(t), func(name string, text []byte) {
		for i, line := range bytes.Split(text, []byte("\n")) {
			if m := forbidden.Find(line); m != nil {
				t.Errorf("%s:%d: %q is a path that a user does not have", name, i+1, m)
			}
		}
	})
}
