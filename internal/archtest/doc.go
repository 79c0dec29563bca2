// Package archtest holds the house rules that a compiler does not check: who may import whom (docs/imports.txt), how large
// a file and a package may grow, which words never stand in the tree, and that the pages in docs say what the code does. It is
// not for programs: it has tests only, and starts no goroutine.
package archtest
