package requestlog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"sipd/store"
)

// silent is a told-of-loss that fails the test.
func silent(t *testing.T) func(string, error) {
	return func(file string, err error) { t.Errorf("%s: %v", file, err) }
}

func numbered(from, n int) (rows []store.LogRow) {
	for i := range n {
		rows = append(rows, store.LogRow{Time: time.Unix(0, int64(from+i)), Method: "INVITE", Status: 200, CallID: fmt.Sprint(from + i), CSeq: uint32(i), EventID: fmt.Sprint("e", from+i)})
	}
	return rows
}

// callIDs reads everything and returns the Call-IDs in order.
func callIDs(s *spool) string {
	var ids []string
	for rows := s.take(7); rows != nil; rows = s.take(7) {
		for _, r := range rows {
			ids = append(ids, r.CallID)
		}
		s.took(len(rows))
	}
	return strings.Join(ids, " ")
}

func TestSpoolKeepsRowsAsTheyAre(t *testing.T) {
	s, err := openSpool(t.TempDir(), "db", silent(t))
	if err != nil {
		t.Fatal(err)
	}
	want := store.LogRow{Time: time.Unix(1, 234567), Method: "INVITE", Status: 487, RequestURL: "sip:b@example.com", CallID: "ä\x00", From: "f", To: "t", Server: "s",
		CSeq: 1<<32 - 1, FromTag: "ft", ToTag: "tt", AuthUser: "a", Source: "192.0.2.1:5060", NextHop: "n", Class: "c", Duration: -time.Second, EventID: "e"}
	if err := s.put([]store.LogRow{want, {}}); err != nil {
		t.Fatal(err)
	}
	got := s.take(10)
	if len(got) != 2 || !reflect.DeepEqual(got[0], want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	s.took(2)
	if left, err := os.ReadDir(s.dir); err != nil || len(left) != 0 || s.rows != 0 || s.bytes != 0 {
		t.Errorf("all taken: got %d files, %d rows, %d bytes, %v; want none", len(left), s.rows, s.bytes, err)
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
}

// Rows come out in the order they were put in, across files and processes, and what was not taken stays.
func TestSpoolAcrossProcesses(t *testing.T) {
	dir := t.TempDir()
	next := 0
	for range 3 {
		s, err := openSpool(dir, "db", silent(t))
		if err != nil {
			t.Fatal(err)
		}
		for range 4 {
			if err := s.put(numbered(next, 5)); err != nil {
				t.Fatal(err)
			}
			next += 5
		}
		if s.rows != next {
			t.Errorf("got %d rows, want %d", s.rows, next)
		}
		s.take(3) // read, but never taken by the database
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
	}
	s, err := openSpool(dir, "db", silent(t))
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range next {
		want = append(want, fmt.Sprint(i))
	}
	if got := callIDs(s); got != strings.Join(want, " ") {
		t.Errorf("got %s, want 0 to %d", got, next-1)
	}
	if names, _ := filepath.Glob(filepath.Join(dir, "*")); len(names) != 0 {
		t.Errorf("got the files %v, want none", names)
	}
}

// A process was killed in the middle of a row: wherever the file ends, or a byte differs, the rows before are there, and the loss is told.
func TestSpoolTorn(t *testing.T) {
	dir := t.TempDir()
	s, err := openSpool(dir, "db", silent(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.put(numbered(0, 5)); err != nil {
		t.Fatal(err)
	}
	name := s.files[0].name
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	record := (len(whole) - len(s.title)) / 5
	try := func(what string, at int, data []byte) {
		t.Helper()
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		told := 0
		s, err := openSpool(dir, "db", func(string, error) { told++ })
		if err != nil {
			t.Fatal(err)
		}
		rows := max(0, at-len(s.title)) / record
		if at < len(s.title) {
			rows = 0
		}
		want := strings.TrimSpace("0 1 2 3 4"[:max(0, 2*rows)])
		if s.rows != rows {
			t.Errorf("%s at %d: got %d rows, want %d", what, at, s.rows, rows)
		}
		clean := at >= len(s.title) && (at-len(s.title))%record == 0 && what == "cut"
		if got := callIDs(s); got != want || told > 1 || (told == 0) != clean {
			t.Errorf("%s at %d: got %q and was told %d times, want %q", what, at, got, told, want)
		}
		if err := s.put(numbered(9, 1)); err != nil || callIDs(s) != "9" {
			t.Errorf("%s at %d: what comes later is lost: %v", what, at, err)
		}
		if names, _ := filepath.Glob(filepath.Join(dir, "*")); len(names) != 0 {
			t.Errorf("%s at %d: got the files %v, want none", what, at, names)
		}
	}
	for at := range len(whole) {
		try("cut", at, whole[:at])
	}
	for at := len(s.title); at < len(whole); at += 3 {
		flipped := append([]byte(nil), whole...)
		flipped[at] ^= 0x80
		try("changed", at, flipped)
	}
}

// A file that cannot be opened now is not lost: its rows come first when it can be, and the log hears of it once.
func TestSpoolFileThatCannotBeOpened(t *testing.T) {
	told := 0
	s, err := openSpool(t.TempDir(), "db", func(string, error) { told++ })
	if err != nil {
		t.Fatal(err)
	}
	if err := s.put(numbered(0, 3)); err != nil {
		t.Fatal(err)
	}
	name := s.files[0].name
	aside := filepath.Join(t.TempDir(), "aside")
	if err := errors.Join(os.Rename(name, aside), os.Symlink(name, name)); err != nil { // A loop, which nobody can open.
		t.Fatal(err)
	}
	for range 3 {
		if rows := s.take(10); rows != nil || s.rows != 3 {
			t.Fatalf("got %d rows of %d from a file that cannot be opened, want none of 3", len(rows), s.rows)
		}
	}
	if told != 1 {
		t.Errorf("told %d times, want once", told)
	}
	if err := os.Rename(aside, name); err != nil {
		t.Fatal(err)
	}
	if err := s.put(numbered(3, 1)); err != nil {
		t.Fatal(err)
	}
	if got := callIDs(s); got != "0 1 2 3" {
		t.Errorf("got %q, want 0 to 3", got)
	}
}

// A file of another version is told and stays, under whatever number.
func TestSpoolLeavesOtherVersionsAlone(t *testing.T) {
	dir := t.TempDir()
	other := filepath.Join(dir, spoolPrefix+fmt.Sprintf("%016d", 1))
	if err := os.WriteFile(other, []byte("sipd request log 2\nwhat it means is not known"), 0o600); err != nil {
		t.Fatal(err)
	}
	told := 0
	s, err := openSpool(dir, "db", func(string, error) { told++ })
	if err != nil {
		t.Fatal(err)
	}
	if err := s.put(numbered(0, 2)); err != nil {
		t.Fatal(err)
	}
	if got := callIDs(s); got != "0 1" || told != 1 {
		t.Errorf("got %q and was told %d times, want 0 1 and once", got, told)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) != 1 || left[0] != other {
		t.Errorf("got the files %v, want %s", left, other)
	}
}

// The folder is bounded: what is there first stays. What was taken makes room.
func TestSpoolIsBounded(t *testing.T) {
	s, err := openSpool(t.TempDir(), "db", silent(t))
	if err != nil {
		t.Fatal(err)
	}
	s.limit = 10_000
	n := 0
	for ; ; n++ {
		if err := s.put(numbered(n, 1)); errors.Is(err, errSpoolFull) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if n < 50 || s.bytes > s.limit {
		t.Errorf("got %d rows in %d bytes, want at most %d bytes", n, s.bytes, s.limit)
	}
	rows := s.take(10)
	if rows[0].CallID != "0" {
		t.Errorf("got %s first, want the oldest", rows[0].CallID)
	}
	for ; rows != nil; rows = s.take(10) {
		s.took(len(rows))
	}
	if err := s.put(numbered(n, 1)); err != nil {
		t.Error(err)
	}
}

// Many small puts become files of a bounded size, each of the owner alone.
func TestSpoolFiles(t *testing.T) {
	s, err := openSpool(t.TempDir(), "db", silent(t))
	if err != nil {
		t.Fatal(err)
	}
	big := numbered(0, 500)
	for i := range big {
		big[i].From = strings.Repeat("x", maxField)
	}
	for range 6 {
		if err := s.put(big); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.files) < 2 {
		t.Errorf("got %d files for 12 MB, want some", len(s.files))
	}
	for _, f := range s.files {
		info, err := os.Stat(f.name)
		if err != nil || info.Mode().Perm() != 0o600 || info.Size() != f.bytes {
			t.Errorf("%s: got mode %v and %d bytes, %v; want 0600 and %d", f.name, info.Mode().Perm(), info.Size(), err, f.bytes)
		}
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
}

func FuzzReadRow(f *testing.F) {
	f.Add(appendRow(nil, &numbered(1, 1)[0]))
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, ok := readRow(data); ok {
			if again, ok := readRow(appendRow(nil, &r)); !ok || !reflect.DeepEqual(again, r) {
				t.Errorf("got %+v, want %+v", again, r)
			}
		}
	})
}

// Rows of one database do not go into another: they are told of, and wait until theirs is back.
func TestSpoolOfAnotherDatabase(t *testing.T) {
	dir := t.TempDir()
	s, err := openSpool(dir, "one", silent(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.put(numbered(0, 3)), s.close()); err != nil {
		t.Fatal(err)
	}
	told := ""
	other, err := openSpool(dir, "two", func(_ string, err error) { told = err.Error() })
	if err != nil {
		t.Fatal(err)
	}
	if err := other.put(numbered(5, 1)); err != nil {
		t.Fatal(err)
	}
	if got := callIDs(other); got != "5" || !strings.Contains(told, "another database") {
		t.Errorf("got rows %q and was told %q, want 5 and that the others are of another database", got, told)
	}
	if err := other.close(); err != nil {
		t.Fatal(err)
	}
	back, err := openSpool(dir, "one", silent(t))
	if err != nil {
		t.Fatal(err)
	}
	if got := callIDs(back); got != "0 1 2" {
		t.Errorf("got %q, want 0 1 2", got)
	}
}
