package transport

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// readSocket and writeSocket are read(2) and write(2) of a non-blocking socket, without telling the scheduler: a call that cannot
// wait need not be watched, and watching costs a fifth of a relayed call (docs/performance.md).
func readSocket(fd uintptr, buf []byte) (int, error) { return rawIO(unix.SYS_READ, fd, buf) }

func writeSocket(fd uintptr, data []byte) (int, error) { return rawIO(unix.SYS_WRITE, fd, data) }

func rawIO(call, fd uintptr, b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, _, errno := unix.RawSyscall(call, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	if errno != 0 {
		return 0, syscall.Errno(errno)
	}
	return int(n), nil
}
