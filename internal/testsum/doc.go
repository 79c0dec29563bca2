// Command testsum reads what `go test -json` prints and shows what a person wants of it: one line a package, the whole
// output of what failed, and at the end one line for each test that was skipped for want of a program. With
// SIPD_TEST_REQUIRE=all a skip is a failure. It is not part of sipd, and starts no goroutine.
package main
