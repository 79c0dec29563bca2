package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// event is a line of `go test -json` (go doc test2json).
type event struct {
	Action, Package, Test, Output, ImportPath string
	Elapsed                                   float64
}

// summary is what was seen so far.
type summary struct {
	out     io.Writer
	output  map[string][]string // package + test -> its lines
	broken  map[string]bool     // packages with a failure that is counted already
	skipped []string
	passed  int
	failed  int
}

// errFailed ends the program with status 1.
var errFailed = errors.New("testsum: something failed")

func main() {
	if err := run(os.Stdin, os.Stdout, os.Getenv("SIPD_TEST_REQUIRE") == "all"); err != nil {
		if !errors.Is(err, errFailed) {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
}

// run copies the summary of in to out. A skip is a failure when all tests are required.
func run(in io.Reader, out io.Writer, required bool) error {
	s := summary{out: out, output: map[string][]string{}, broken: map[string]bool{}}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20) // a failing test may print a long line
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Fprintln(out, lines.Text()) // not from the tests: the go command itself complains
			continue
		}
		s.event(e)
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("testsum: %w", err)
	}
	return s.end(required)
}

func (s *summary) event(e event) {
	key := e.Package + "\x00" + e.Test
	switch e.Action {
	case "output":
		s.output[key] = append(s.output[key], e.Output)
		return
	case "build-output":
		fmt.Fprint(s.out, e.Output)
		return
	case "pass", "fail", "skip":
	default:
		return
	}
	lines := s.output[key]
	delete(s.output, key)
	switch {
	case e.Test == "": // a package ended
		if e.Action == "fail" && !s.broken[e.Package] { // It does not build, or its TestMain failed.
			s.failed++
		}
		if e.Action == "fail" || e.Action == "pass" && len(lines) > 0 {
			print := lines
			if e.Action == "pass" {
				print = lines[len(lines)-1:]
			}
			fmt.Fprint(s.out, strings.Join(print, ""))
		}
	case e.Action == "fail":
		s.failed++
		s.broken[e.Package] = true
		fmt.Fprint(s.out, strings.Join(lines, ""))
	case e.Action == "skip":
		s.skipped = append(s.skipped, fmt.Sprintf("skipped: %s %s: %s", e.Package, e.Test, reason(lines)))
	default:
		s.passed++
	}
}

// reason is what the test said when it skipped.
func reason(lines []string) string {
	var said []string
	for _, l := range lines {
		l = strings.TrimSpace(l)
		if l == "" || strings.HasPrefix(l, "=== ") || strings.HasPrefix(l, "--- ") {
			continue
		}
		if _, text, ok := strings.Cut(l, ".go:"); ok { // file.go:12: text
			if _, text, ok = strings.Cut(text, ": "); ok {
				l = text
			}
		}
		said = append(said, l)
	}
	return strings.Join(said, " ")
}

func (s *summary) end(required bool) error {
	for _, line := range s.skipped {
		fmt.Fprintln(s.out, line)
	}
	if n := len(s.skipped); n > 0 {
		fmt.Fprintf(s.out, "%d skipped; `make test-deps`, as root on Debian, installs what they need\n", n)
		if required {
			s.failed += n
		}
	}
	fmt.Fprintf(s.out, "%d passed, %d failed\n", s.passed, s.failed)
	if s.failed > 0 || s.passed == 0 {
		return errFailed
	}
	return nil
}
