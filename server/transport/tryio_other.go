//go:build !unix

package transport

import (
	"net"
	"syscall"
)

// tryWriter leaves everything to the queue: sockets here cannot be tried.
type tryWriter struct{}

func (*tryWriter) write(syscall.RawConn, []byte) (int, error) { return 0, nil }

// waitReader reads as package net does.
type waitReader struct {
	nc net.Conn
	rc syscall.RawConn
}

// Read is as io.Reader has it.
func (r *waitReader) Read(buf []byte) (int, error) { return r.nc.Read(buf) }
