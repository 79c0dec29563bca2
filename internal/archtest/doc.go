// Package archtest holds the house rules that a compiler does not check: who may import whom (docs/imports.txt), how
// large a file and a package may grow, and which words never stand in the tree. It has tests only and starts no goroutine.
package archtest
