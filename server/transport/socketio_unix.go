//go:build unix && !linux

package transport

import "syscall"

// readSocket and writeSocket are read(2) and write(2) of a non-blocking socket.
func readSocket(fd uintptr, buf []byte) (int, error) { return syscall.Read(int(fd), buf) }

func writeSocket(fd uintptr, data []byte) (int, error) { return syscall.Write(int(fd), data) }
