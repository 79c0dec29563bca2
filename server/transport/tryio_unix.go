//go:build unix

package transport

import (
	"io"
	"net"
	"syscall"
)

// tryWriter writes what a socket takes without waiting. It is used by one goroutine at a time.
type tryWriter struct {
	data []byte
	n    int
	err  error
	call func(fd uintptr) // made once
}

func (w *tryWriter) write(rc syscall.RawConn, data []byte) (n int, err error) {
	if w.call == nil {
		w.call = w.try
	}
	w.data, w.n, w.err = data, 0, nil
	err = rc.Control(w.call)
	w.data = nil
	if err == nil {
		err = w.err
	}
	return w.n, err
}

func (w *tryWriter) try(fd uintptr) {
	for w.n < len(w.data) {
		n, err := writeSocket(fd, w.data[w.n:])
		switch err {
		case nil:
			w.n += n
		case syscall.EINTR:
		case syscall.EAGAIN:
			return
		default:
			w.err = err
			return
		}
	}
}

// waitReader reads from a socket, and parks the goroutine until there is something to read. It is used by one goroutine.
type waitReader struct {
	nc   net.Conn
	rc   syscall.RawConn
	buf  []byte
	n    int
	err  error
	call func(fd uintptr) bool // made once
}

// Read is as io.Reader has it.
func (r *waitReader) Read(buf []byte) (n int, err error) {
	if r.call == nil {
		r.call = r.try
	}
	r.buf, r.n, r.err = buf, 0, nil
	err = r.rc.Read(r.call)
	r.buf = nil
	if err == nil {
		err = r.err
	}
	if err == nil && r.n == 0 && len(buf) > 0 {
		err = io.EOF
	}
	return r.n, err
}

func (r *waitReader) try(fd uintptr) bool {
	for {
		n, err := readSocket(fd, r.buf)
		switch err {
		case nil:
			r.n = n
			return true
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			r.err = err
			return true
		}
	}
}
