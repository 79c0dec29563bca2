// Package planrun is the part of the conformance suite of store/storetest that is about what becomes of numbers: store.PlanAdmin, and what a
// store.Reader says of its tables. It is not for programs and starts no goroutine.
package planrun
