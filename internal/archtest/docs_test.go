package archtest

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// rfcRow is a line of docs/rfc.txt.
type rfcRow struct {
	line                  int
	rfc, section, support string
	where, tests          []string
	remark                string
}

func readRFCTable(text []byte) (rows []rfcRow, err error) {
	in := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; in.Scan(); n++ {
		line := strings.TrimSpace(in.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		cells := strings.Split(line, "|")
		if len(cells) != 6 {
			return nil, fmt.Errorf("line %d: got %d columns, want 6", n, len(cells))
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		r := rfcRow{n, cells[0], cells[1], cells[2], strings.Fields(cells[3]), strings.Fields(cells[4]), cells[5]}
		if !slices.Contains([]string{"yes", "partial", "no"}, r.support) {
			return nil, fmt.Errorf("line %d: got %q, want yes, partial or no", n, r.support)
		}
		if r.support != "no" && (len(r.where) == 0 || len(r.tests) == 0) {
			return nil, fmt.Errorf("line %d: supported, but no file or no test shows it", n)
		}
		rows = append(rows, r)
	}
	return rows, in.Err()
}

// deviation is a comment "Deviates from RFC n section".
type deviation struct{ file, rfc, section string }

var (
	deviates = regexp.MustCompile(`Deviates from RFC ([0-9]+) ([0-9]+(?:\.[0-9]+)*)`)
	testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9_]+)\(`)
)

// missing says what is wrong with the table: files and tests that do not exist, deviations without a row.
func missing(rows []rfcRow, exists func(file string) bool, tests map[string]bool, found []deviation) (bad []string) {
	for _, r := range rows {
		for _, f := range r.where {
			if !exists(f) {
				bad = append(bad, fmt.Sprintf("line %d names %s, which does not exist", r.line, f))
			}
		}
		for _, name := range r.tests {
			if strings.HasSuffix(name, ".flow") && exists("server/testdata/"+name) || tests[name] {
				continue
			}
			bad = append(bad, fmt.Sprintf("line %d names the test %s, which does not exist", r.line, name))
		}
	}
	bad = append(bad, misplaced(rows)...)
	for _, d := range found {
		if !slices.ContainsFunc(rows, func(r rfcRow) bool {
			return r.rfc == d.rfc && r.section == d.section && slices.Contains(r.where, d.file) && strings.HasPrefix(r.remark, "deviates")
		}) {
			bad = append(bad, fmt.Sprintf("%s deviates from RFC %s %s, and no row says so", d.file, d.rfc, d.section))
		}
	}
	return bad
}

// clause is the section column of a row about one clause: "18.2.1 MUST 3" is the third clause of 18.2.1.
var clause = regexp.MustCompile(`^(.+?) (?:MUST|MUST NOT|SHOULD|SHOULD NOT|REQUIRED|RECOMMENDED|NOT RECOMMENDED) ([0-9]+)$`)

// misplaced says which rows stand twice, and which clauses stand without their section above them or not in their order.
func misplaced(rows []rfcRow) (bad []string) {
	clauses := map[string]int{} // how many of a section there have been
	for _, r := range rows {
		key := r.rfc + " | " + r.section
		if _, twice := clauses[key]; twice {
			bad = append(bad, fmt.Sprintf("line %d: there is another row %s", r.line, key))
		}
		clauses[key] = 0
		m := clause.FindStringSubmatch(r.section)
		if m == nil {
			continue
		}
		of := r.rfc + " | " + m[1]
		last, ok := clauses[of]
		switch n := last + 1; {
		case !ok:
			bad = append(bad, fmt.Sprintf("line %d: a clause of %s, which has no row above it", r.line, of))
		case m[2] != fmt.Sprint(n):
			bad = append(bad, fmt.Sprintf("line %d: got clause %s of %s, want %d: they are counted through, in the order of the text", r.line, m[2], of, n))
		default:
			clauses[of] = n
		}
		if r.remark == "" {
			bad = append(bad, fmt.Sprintf("line %d: the clause is not said", r.line))
		}
	}
	return bad
}

func TestSupportTableIsTrue(t *testing.T) {
	root := moduleRoot(t)
	text, err := os.ReadFile(filepath.Join(root, "docs", "rfc.txt"))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := readRFCTable(text)
	if err != nil {
		t.Fatalf("docs/rfc.txt: %v", err)
	}
	tests := map[string]bool{}
	var found []deviation
	sources(t, root, func(name string, text []byte) {
		switch {
		case strings.HasSuffix(name, "_test.go"):
			for _, m := range testFunc.FindAllSubmatch(text, -1) {
				tests[string(m[1])] = true
			}
		case strings.HasSuffix(name, ".go"):
			for _, m := range deviates.FindAllSubmatch(text, -1) {
				found = append(found, deviation{filepath.ToSlash(name), string(m[1]), string(m[2])})
			}
		}
	})
	if len(found) == 0 {
		t.Error("got no deviation in the whole tree: is the comment written in another way?")
	}
	exists := func(file string) bool {
		_, err := os.Stat(filepath.Join(root, file))
		return err == nil
	}
	for _, bad := range missing(rows, exists, tests, found) {
		t.Errorf("docs/rfc.txt: %s", bad)
	}
}

func TestSupportTableFaults(t *testing.T) {
	exists := func(file string) bool { return file == "a.go" || file == "server/testdata/x.flow" }
	found := []deviation{{"a.go", "3261", "18.4"}}
	tests := []struct {
		name, row string
		want      int
	}{
		{"true", "3261 | 18.4 | partial | a.go | x.flow TestA | deviates: so", 0},
		{"clauses", "3261 | 18.4 | yes | a.go | TestA | deviates: so\n3261 | 18.4 SHOULD 1 | no | | | so\n3261 | 18.4 MUST NOT 2 | no | | | so", 0},
		{"a row twice", "3261 | 18.4 | yes | a.go | TestA | deviates: so\n3261 | 18.4 | no | | | so", 1},
		{"a clause without its section", "3261 | 18.4 | yes | a.go | TestA | deviates: so\n3261 | 18.3 MUST 1 | no | | | so", 1},
		{"a clause above its section", "3261 | 18.4 MUST 1 | no | | | so\n3261 | 18.4 | yes | a.go | TestA | deviates: so", 1},
		{"a clause is missing", "3261 | 18.4 | yes | a.go | TestA | deviates: so\n3261 | 18.4 SHOULD 2 | no | | | so", 1},
		{"clauses counted by their word", "3261 | 18.4 | yes | a.go | TestA | deviates: so\n3261 | 18.4 SHOULD 1 | no | | | so\n3261 | 18.4 MUST 1 | no | | | so", 1},
		{"a clause that is not said", "3261 | 18.4 | yes | a.go | TestA | deviates: so\n3261 | 18.4 SHOULD 1 | no | | |", 1},
		{"no file", "3261 | 18.4 | partial | a.go b.go | x.flow | deviates: so", 1},
		{"no flow", "3261 | 18.4 | partial | a.go | y.flow | deviates: so", 1},
		{"no test", "3261 | 18.4 | partial | a.go | TestB | deviates: so", 1},
		{"a deviation that is not said", "3261 | 18.4 | yes | a.go | TestA | all", 1},
		{"a deviation of another section", "3261 | 18.3 | partial | a.go | TestA | deviates: so", 1},
	}
	for _, tt := range tests {
		rows, err := readRFCTable([]byte("# comment\n\n" + tt.row))
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if got := missing(rows, exists, map[string]bool{"TestA": true}, found); len(got) != tt.want {
			t.Errorf("%s: got %q, want %d faults", tt.name, got, tt.want)
		}
	}
	for _, row := range []string{"3261 | 18.4 | yes", "1 | 2 | maybe | a | b | c", "1 | 2 | yes | a | | c"} {
		if _, err := readRFCTable([]byte(row)); err == nil {
			t.Errorf("readRFCTable(%q): got no error", row)
		}
	}
}

// Decisions are numbered from 1 without gaps, and the index has them all.
func TestDecisionsAreNumbered(t *testing.T) {
	dir := filepath.Join(moduleRoot(t), "docs", "adr")
	index, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "[0-9]*.md"))
	if err != nil || len(files) == 0 {
		t.Fatalf("got %d decisions and error %v, want some", len(files), err)
	}
	for i, file := range files { // Glob sorts.
		name := filepath.Base(file)
		if want := fmt.Sprintf("%04d-", i+1); !strings.HasPrefix(name, want) {
			t.Errorf("docs/adr/%s: want the number %s", name, want)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		title, _, _ := strings.Cut(string(text), "\n")
		number := fmt.Sprintf("# %d. ", i+1)
		if !strings.HasPrefix(title, number) {
			t.Errorf("docs/adr/%s: got the title %q, want it to begin with %q", name, title, number)
		}
		if entry := fmt.Sprintf("- [%s](%s) %s", name[:4], name, strings.TrimPrefix(title, number)); !bytes.Contains(index, []byte(entry+"\n")) {
			t.Errorf("docs/adr/README.md: want the line %q", entry)
		}
	}
}

var (
	label = regexp.MustCompile(`BEHAVIOUR ([A-J][0-9]*)`)
	link  = regexp.MustCompile(`\]\(([^)#:]+)\)`)
)

// What the code calls BEHAVIOUR A11 stands in docs/behaviour.md, and a link between pages leads somewhere.
func TestReferencesLeadSomewhere(t *testing.T) {
	root := moduleRoot(t)
	page, err := os.ReadFile(filepath.Join(root, "docs", "behaviour.md"))
	if err != nil {
		t.Fatal(err)
	}
	sources(t, root, func(name string, text []byte) {
		if strings.HasPrefix(filepath.ToSlash(name), "internal/archtest/") {
			return
		}
		for _, m := range label.FindAllSubmatch(text, -1) {
			want := "**" + string(m[1]) + "**"
			if len(m[1]) == 1 {
				want = "\n## " + string(m[1]) + ". "
			}
			if !bytes.Contains(page, []byte(want)) {
				t.Errorf("%s: %s is not in docs/behaviour.md", name, m[0])
			}
		}
		if filepath.Ext(name) != ".md" {
			return
		}
		for _, m := range link.FindAllSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(name), string(m[1]))); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", name, m[1])
			}
		}
	})
}
