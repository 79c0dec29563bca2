//go:build unix

package transport

import "syscall"

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
		n, err := syscall.Write(int(fd), w.data[w.n:])
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
