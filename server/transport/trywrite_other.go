//go:build !unix

package transport

import "syscall"

// tryWriter leaves everything to the queue: sockets here cannot be tried.
type tryWriter struct{}

func (*tryWriter) write(syscall.RawConn, []byte) (int, error) { return 0, nil }
