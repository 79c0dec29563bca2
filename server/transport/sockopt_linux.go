package transport

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// udpOptions prepares a socket before it is bound. share: it joins others on the same address.
func udpOptions(fd int, l *listener, share bool) error {
	if share {
		if err := sharePort(fd); err != nil {
			return err
		}
	}
	// With the privilege the buffers exceed net.core.[rw]mem_max; without, the kernel clamps them.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, socketBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, socketBuffer)
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, socketBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, socketBuffer)
	}
	if l.is4() {
		// Routers may fragment: a large message gets through where ICMP is filtered.
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT)
	}
	switch {
	case !l.wild:
		return nil
	case l.is4():
		return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
	default:
		return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
	}
}

func sharePort(fd int) error {
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
}

// unackedTimeout ends a connection whose peer acknowledges nothing: 64*T1, when no transaction waits any longer.
const unackedTimeout = 32 * time.Second

// tcpOptions prepares a connection.
func tcpOptions(nc *net.TCPConn) {
	if rc, err := nc.SyscallConn(); err == nil {
		_ = control(rc, func(fd int) error {
			return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(unackedTimeout/time.Millisecond))
		})
	}
}
