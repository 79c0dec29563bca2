package main

import (
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	const pass = `{"Action":"pass","Package":"sipd/a","Test":"TestX"}` + "\n" +
		`{"Action":"output","Package":"sipd/a","Output":"ok  \tsipd/a\t0.1s\n"}` + "\n" + `{"Action":"pass","Package":"sipd/a"}` + "\n"
	const skip = `{"Action":"output","Package":"sipd/a","Test":"TestPG","Output":"    pg_test.go:12: no postgres here\n"}` + "\n" +
		`{"Action":"skip","Package":"sipd/a","Test":"TestPG"}` + "\n"
	const fail = `{"Action":"output","Package":"sipd/b","Test":"TestY","Output":"    y_test.go:1: got 1, want 2\n"}` + "\n" +
		`{"Action":"fail","Package":"sipd/b","Test":"TestY"}` + "\n" + `{"Action":"fail","Package":"sipd/b"}` + "\n"
	const build = `{"ImportPath":"sipd/c","Action":"build-output","Output":"c.go:1: undefined: x\n"}` + "\n" + `{"ImportPath":"sipd/c","Action":"build-fail"}` + "\n" +
		`{"Action":"fail","Package":"sipd/c","FailedBuild":"sipd/c"}` + "\n"
	tests := []struct {
		name     string
		in       string
		required bool
		ok       bool
		want     []string
	}{
		{"all pass", pass, true, true, []string{"ok  \tsipd/a", "\n1 passed, 0 failed\n"}},
		{"a skip is told", skip + pass, false, true, []string{"skipped: sipd/a TestPG: no postgres here\n", "1 skipped; `make test-deps`", "\n1 passed, 0 failed\n"}},
		{"a skip fails when all are required", skip + pass, true, false, []string{"skipped: sipd/a TestPG", "\n1 passed, 1 failed\n"}},
		{"a failure shows what the test said", pass + fail, false, false, []string{"got 1, want 2", "\n1 passed, 1 failed\n"}},
		{"a build failure", pass + build, false, false, []string{"undefined: x", "\n1 passed, 1 failed\n"}},
		{"nothing ran", "", false, false, []string{"0 passed, 0 failed\n"}},
		{"not JSON", "go: no such package\n" + pass, false, true, []string{"go: no such package\n"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			err := run(strings.NewReader(tt.in), &out, tt.required)
			if (err == nil) != tt.ok {
				t.Errorf("got error %v, want ok %v", err, tt.ok)
			}
			for _, want := range tt.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("got %q, want %q in it", out.String(), want)
				}
			}
		})
	}
}
