// Package testneed holds one rule: what a test does when this machine lacks a program it needs. It is not for programs, and
// starts no goroutine.
package testneed
