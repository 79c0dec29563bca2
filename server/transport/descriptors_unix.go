//go:build unix

package transport

import "syscall"

// connsAllowed is how many connections the process has descriptors for: three quarters of its limit, so that whoever opens connections
// does not take those of the database, of the other sockets and of the log.
func connsAllowed() int {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil || l.Cur > 1<<30 {
		return 1 << 30
	}
	return max(1, int(l.Cur)/4*3)
}
