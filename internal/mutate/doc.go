// Command mutate breaks the server in more than a hundred ways, one at a time, and tells which call flow notices (docs/flows.md). A
// mutation that no flow notices is a rule that no flow shows.
//
// The mutations are data (proxy.go, transaction.go, registrar.go, others.go): a file, a text that stands in it once, what stands there
// instead, and what that breaks. They are taken from the code, condition by condition, not from the flows. The tree is never touched:
// each mutation is compiled with `go test -overlay`.
//
//	go run ./internal/mutate          all; status 1 when less than nine in ten are caught
//	go run ./internal/mutate fork.go  those whose file or description contains a word
//
// It starts one goroutine for each of two workers, and waits for them.
package main
