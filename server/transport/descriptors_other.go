//go:build !unix

package transport

// connsAllowed is how many connections the process has descriptors for: without a limit here.
func connsAllowed() int { return 1 << 30 }
