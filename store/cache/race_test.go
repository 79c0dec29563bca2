//go:build race

package cache_test

// The race detector allocates and drops pooled buffers.
const raceEnabled = true
