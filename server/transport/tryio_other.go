//go:build !unix

package transport

import (
	"io"
	"syscall"
)

// tryWriter leaves everything to the queue: sockets here cannot be tried.
type tryWriter struct{}

func (*tryWriter) write(syscall.RawConn, []byte) (int, error) { return 0, nil }

// waitReader reads as package net does.
type waitReader struct{}

func (*waitReader) read(r io.Reader, _ syscall.RawConn, buf []byte) (int, error) { return r.Read(buf) }
