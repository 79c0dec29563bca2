package testneed

import (
	"os"
	"testing"
)

// Missing ends a test that needs what, a program or service this machine does not have: it is skipped with one line, or
// fails when SIPD_TEST_REQUIRE=all.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("SIPD_TEST_REQUIRE") == "all" {
		t.Fatalf("needs %s, and SIPD_TEST_REQUIRE=all forbids to skip: run make test-deps as root", what)
	}
	t.Skipf("needs %s: run make test-deps as root", what)
}
