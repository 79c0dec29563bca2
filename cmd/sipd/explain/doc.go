// Package explain says what a decision and a call that has been made look like, for `sipd explain`: the names of their JSON, and the text for
// people. It decides nothing, asks nobody, and starts no goroutine.
package explain
