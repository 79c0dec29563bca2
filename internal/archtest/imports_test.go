package archtest

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const modulePath = "sipd"

// table is docs/imports.txt.
type table struct {
	rows       map[string][]string // package, or package + "_test" -> what it may import
	helpers    []string
	testOnly   []string            // modules that any test may import
	thirdParty map[string][]string // module -> packages
}

func readTable(r io.Reader) (table, error) {
	t := table{rows: map[string][]string{}, thirdParty: map[string][]string{}}
	in := bufio.NewScanner(r)
	for in.Scan() {
		line, _, _ := strings.Cut(in.Text(), "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if list, ok := strings.CutPrefix(line, "helpers:"); ok {
			t.helpers = strings.Fields(list)
			continue
		}
		if list, ok := strings.CutPrefix(line, "test-only:"); ok {
			t.testOnly = strings.Fields(list)
			continue
		}
		rows := t.rows
		if rest, ok := strings.CutPrefix(line, "third-party:"); ok {
			rows, line = t.thirdParty, rest
		}
		name, list, ok := strings.Cut(line, "->")
		name = strings.TrimSpace(name)
		if !ok || name == "" {
			return t, errors.New("no arrow in the line " + line)
		}
		if rows[name] != nil {
			return t, errors.New("two rows for " + name)
		}
		rows[name] = strings.Fields(list)
	}
	return t, in.Err()
}

// allows tells whether list names pkg, "*" all, or "dir/*" what lies below dir.
func allows(list []string, pkg string) bool {
	for _, e := range list {
		dir, below := strings.CutSuffix(e, "/*")
		if e == "*" || e == pkg || below && strings.HasPrefix(pkg, dir+"/") {
			return true
		}
	}
	return false
}

// within tells whether a package is in a module.
func within(pkg, module string) bool { return pkg == module || strings.HasPrefix(pkg, module+"/") }

// goPackage is what `go list -json` says that matters here.
type goPackage struct {
	ImportPath, Dir, Name              string
	Imports, TestImports, XTestImports []string
}

// name is the path inside the module.
func (p goPackage) name() string { return strings.TrimPrefix(p.ImportPath, modulePath+"/") }

func moduleRoot(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above the working directory")
		}
		dir = parent
	}
}

func listPackages(t *testing.T, root string) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Name,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = root
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var pkgs []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return pkgs
		}
		if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

func loadTable(t *testing.T, root string) table {
	t.Helper()
	f, err := os.Open(filepath.Join(root, "docs", "imports.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tab, err := readTable(f)
	if err != nil {
		t.Fatalf("docs/imports.txt: %v", err)
	}
	return tab
}

// violations returns what a package imports against the table.
func violations(tab table, p goPackage) []string {
	var bad []string
	row, known := tab.rows[p.name()]
	if !known {
		bad = append(bad, p.name()+" has no row in docs/imports.txt")
	}
	testRow := slices.Concat(row, tab.rows[p.name()+"_test"], tab.helpers, []string{p.name()})
	check := func(imp string, row []string, where string) {
		if pkg, inside := strings.CutPrefix(imp, modulePath+"/"); inside {
			if !allows(row, pkg) {
				bad = append(bad, p.name()+where+" imports "+pkg+", which its row does not list")
			}
			return
		}
		if first, _, _ := strings.Cut(imp, "/"); !strings.Contains(first, ".") {
			return // the standard library
		}
		for _, module := range tab.testOnly {
			if where != "" && within(imp, module) {
				return
			}
		}
		for module, users := range tab.thirdParty {
			if !within(imp, module) {
				continue
			}
			if !allows(users, p.name()) && (where == "" || !allows(users, p.name()+"_test")) {
				bad = append(bad, p.name()+where+" imports "+imp+", which is confined to "+strings.Join(users, ", "))
			}
			return
		}
		bad = append(bad, p.name()+where+" imports "+imp+", which has no third-party row")
	}
	for _, imp := range p.Imports {
		check(imp, row, "")
	}
	for _, imp := range slices.Concat(p.TestImports, p.XTestImports) {
		check(imp, testRow, " (tests)")
	}
	return bad
}

func TestImportsAreInTheTable(t *testing.T) {
	root := moduleRoot(t)
	tab := loadTable(t, root)
	for _, p := range listPackages(t, root) {
		for _, bad := range violations(tab, p) {
			t.Error(bad)
		}
	}
}

// unused returns what a row of the table lets p import and p does not: a table that is wider than the code tells nobody
// how the code is.
func unused(tab table, p goPackage) (bad []string) {
	imports := func(lists ...[]string) map[string]bool {
		all := map[string]bool{}
		for _, imp := range slices.Concat(lists...) {
			if pkg, inside := strings.CutPrefix(imp, modulePath+"/"); inside {
				all[pkg] = true
			}
		}
		return all
	}
	check := func(row string, used map[string]bool) {
		for _, e := range tab.rows[row] {
			if e != "-" && !strings.Contains(e, "*") && !used[e] {
				bad = append(bad, "the row of "+row+" lists "+e+", which it does not import")
			}
		}
	}
	check(p.name(), imports(p.Imports, p.TestImports, p.XTestImports))
	check(p.name()+"_test", imports(p.TestImports, p.XTestImports))
	return bad
}

func TestTableIsNoWiderThanTheCode(t *testing.T) {
	root := moduleRoot(t)
	tab := loadTable(t, root)
	for _, p := range listPackages(t, root) {
		for _, bad := range unused(tab, p) {
			t.Error(bad)
		}
	}
}

func TestViolations(t *testing.T) {
	tab, err := readTable(strings.NewReader(`
helpers: store/storetest
test-only: example.org/t
a -> b server/*   # comment
b -> -
a_test -> c
third-party: example.org/x -> b c_test
`))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		pkg  goPackage
		want int
	}{
		{"listed", goPackage{ImportPath: "sipd/a", Imports: []string{"fmt", "net/http", "sipd/b", "sipd/server/proxy"}}, 0},
		{"not listed", goPackage{ImportPath: "sipd/a", Imports: []string{"sipd/c"}}, 1},
		{"test row", goPackage{ImportPath: "sipd/a", TestImports: []string{"sipd/c", "sipd/store/storetest"}, XTestImports: []string{"sipd/a"}}, 0},
		{"test imports too much", goPackage{ImportPath: "sipd/b", XTestImports: []string{"sipd/a"}}, 1},
		{"no row", goPackage{ImportPath: "sipd/z"}, 1},
		{"confined, allowed", goPackage{ImportPath: "sipd/b", Imports: []string{"example.org/x/y"}}, 0},
		{"confined, not allowed", goPackage{ImportPath: "sipd/a", Imports: []string{"example.org/x/y"}}, 1},
		{"prefix of another module", goPackage{ImportPath: "sipd/b", Imports: []string{"example.org/xy"}}, 1},
		{"test-only, in a test", goPackage{ImportPath: "sipd/a", TestImports: []string{"example.org/t"}}, 0},
		{"test-only, in the product", goPackage{ImportPath: "sipd/a", Imports: []string{"example.org/t"}}, 1},
		{"unknown module", goPackage{ImportPath: "sipd/a", Imports: []string{"example.org/q"}}, 1},
	}
	for _, tt := range tests {
		if got := violations(tab, tt.pkg); len(got) != tt.want {
			t.Errorf("%s: got %q, want %d violations", tt.name, got, tt.want)
		}
	}
	for _, text := range []string{"a b c", "a -> b\na -> c"} {
		if _, err := readTable(strings.NewReader(text)); err == nil {
			t.Errorf("readTable(%q): got no error", text)
		}
	}
}
