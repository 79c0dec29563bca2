package migrations

import (
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	tablePattern  = regexp.MustCompile(`(?ms)^CREATE TABLE (\w+) \((.*?)^\)`)
	columnPattern = regexp.MustCompile(`(?m)^  ([a-z]\w*) `)
	addedPattern  = regexp.MustCompile(`(?m)^ALTER TABLE (\w+) ADD COLUMN (\w+) `)
)

// tables returns the columns of each table that the files of a dialect make.
func tables(t *testing.T, d Dialect) (names []string, columns map[string][]string) {
	t.Helper()
	found, err := fs.Glob(files, string(d)+"/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	columns = map[string][]string{}
	for _, name := range found {
		names = append(names, path.Base(name))
		text, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range tablePattern.FindAllStringSubmatch(string(text), -1) {
			for _, c := range columnPattern.FindAllStringSubmatch(m[2], -1) {
				columns[m[1]] = append(columns[m[1]], c[1])
			}
		}
		for _, m := range addedPattern.FindAllStringSubmatch(string(text), -1) {
			columns[m[1]] = append(columns[m[1]], m[2])
		}
	}
	return names, columns
}

// People write SQL against both kinds of database: names and their order are the same.
func TestDialectsHaveTheSameNames(t *testing.T) {
	filesA, a := tables(t, SQLite)
	filesB, b := tables(t, Postgres)
	if !slices.Equal(filesA, filesB) {
		t.Errorf("got files %v and %v, want the same", filesA, filesB)
	}
	if len(a) < 10 {
		t.Fatalf("got %d tables, want all of them", len(a))
	}
	for _, name := range slices.Sorted(maps.Keys(a)) {
		if !slices.Equal(a[name], b[name]) {
			t.Errorf("table %s: got columns %v and %v, want the same", name, a[name], b[name])
		}
	}
	for name := range b {
		if a[name] == nil {
			t.Errorf("table %s is in Postgres only", name)
		}
	}
}

// The classic's eight columns come first and keep their names: old reports read them.
func TestRequestlogIsTheClassics(t *testing.T) {
	want := strings.Fields("request_time method sip_status request_url sip_callid sip_from sip_to period")
	for _, d := range []Dialect{SQLite, Postgres} {
		_, columns := tables(t, d)
		if got := columns["requestlog"]; len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
			t.Errorf("%s: got %v, want it to begin with %v", d, got, want)
		}
	}
}

// docs/schema.md has every table with its columns, in their order, and no other.
func TestTablesAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/schema.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\| (\w+) \| ([\w, ]+) \|`).FindAllStringSubmatch(string(page), -1) {
		documented[m[1]] = m[2]
	}
	delete(documented, "table") // the head
	_, columns := tables(t, SQLite)
	for name, want := range columns {
		if got := documented[name]; got != strings.Join(want, ", ") {
			t.Errorf("docs/schema.md, table %s: got columns %q, want %q", name, got, strings.Join(want, ", "))
		}
		delete(documented, name)
	}
	for name := range documented {
		t.Errorf("docs/schema.md has the table %s, which no migration makes", name)
	}
}
