// Package trace collects the reasons of a decision, step by step: which rule was tried, on what, with which verdict.
// `sipd explain` prints them.
//
// It is cheap enough to be always on: a step holds constants and strings of the immutable snapshot, nothing is formatted
// until somebody asks, and the memory of one decision serves the next. It is not a log, and decides nothing. It imports
// nothing of the project and starts no goroutine.
package trace
