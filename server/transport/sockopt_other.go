//go:build !linux

package transport

import "net"

func udpOptions(int, *listener, bool) error { return nil }

func sharePort(int) error { return nil }

func tcpOptions(*net.TCPConn) {}
