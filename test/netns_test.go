package test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"

	"sipd/internal/testneed"
)

// The addresses in every namespace: the server's and the phones'.
const (
	serverIP  = "10.77.0.1"
	serverIP6 = "fd77::1"
	phones    = 6
)

// phoneIP is the address of phone n, 1 and up.
func phoneIP(n int) string { return fmt.Sprintf("10.77.0.%d", n+1) }

// phoneIP6 is its IPv6 address.
func phoneIP6(n int) string { return fmt.Sprintf("fd77::%d", n+1) }

// namespace is a network namespace with a pair of virtual Ethernet devices. baresip wants an address that is not
// loopback, and namespaces let the scenarios run side by side.
type namespace struct{ name string }

var namespaces atomic.Int32

// newNamespace makes one; the test's end removes it.
func newNamespace(t testing.TB) *namespace {
	t.Helper()
	need(t, "ip")
	if os.Geteuid() != 0 {
		testneed.Missing(t, "root (for network namespaces)")
	}
	n := &namespace{name: fmt.Sprintf("sipd-%d-%d", os.Getpid(), namespaces.Add(1))}
	if out, err := tryRun("ip", "netns", "add", n.name); err != nil {
		testneed.Missing(t, "network namespaces ("+out+")")
	}
	t.Cleanup(func() {
		if out, err := tryRun("ip", "netns", "del", n.name); err != nil {
			t.Errorf("ip netns del: %v %s", err, out)
		}
		os.RemoveAll(filepath.Join("/etc/netns", n.name))
	})
	// ip netns exec puts these over the machine's own.
	dir := filepath.Join("/etc/netns", n.name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"hosts":       "127.0.0.1 localhost " + host + "\n",
		"resolv.conf": "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	n.run(t, "ip", "link", "set", "lo", "up")
	n.run(t, "ip", "link", "add", "d0", "type", "veth", "peer", "name", "d1")
	n.run(t, "ip", "link", "set", "d0", "up")
	n.run(t, "ip", "link", "set", "d1", "up")
	for i := range phones + 1 {
		n.run(t, "ip", "addr", "add", phoneIP(i)+"/24", "dev", "d0")
	}
	n.run(t, "ip", "route", "add", "default", "dev", "d0")
	return n
}

// ipv6 gives the namespace its IPv6 addresses.
func (n *namespace) ipv6(t testing.TB) {
	t.Helper()
	for i := range phones + 1 {
		if out, err := tryRun(n.command("ip", "addr", "add", phoneIP6(i)+"/64", "dev", "d0", "nodad").Args...); err != nil {
			testneed.Missing(t, "IPv6 ("+out+")")
		}
	}
	n.run(t, "ip", "-6", "route", "add", "default", "dev", "d0")
}

// command is a command inside the namespace.
func (n *namespace) command(argv ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", n.name}, argv...)...)
}

// run runs a command inside to its end.
func (n *namespace) run(t testing.TB, argv ...string) string {
	t.Helper()
	return run(t, n.command(argv...).Args...)
}

// sysSetns is setns(2), which package syscall does not name.
var sysSetns = map[string]uintptr{"amd64": 308, "arm64": 268, "riscv64": 268, "386": 346, "arm": 375}

// inside runs f in the namespace: a socket stays in the namespace that it was made in.
func (n *namespace) inside(f func() error) (err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // Never unlocked: the thread ends with the goroutine, nobody else runs in the namespace.
		var ns *os.File
		if ns, err = os.Open(filepath.Join("/var/run/netns", n.name)); err != nil {
			return
		}
		defer ns.Close()
		if _, _, errno := syscall.RawSyscall(sysSetns[runtime.GOARCH], ns.Fd(), syscall.CLONE_NEWNET, 0); errno != 0 {
			err = fmt.Errorf("setns: %w", errno)
			return
		}
		err = f()
	}()
	<-done
	return err
}

// dial connects from inside the namespace.
func (n *namespace) dial(network, addr string) (conn net.Conn, err error) {
	err = n.inside(func() (err error) {
		conn, err = net.Dial(network, addr)
		return err
	})
	return conn, err
}

// listenUDP opens a socket inside the namespace.
func (n *namespace) listenUDP(t testing.TB, addr netip.AddrPort) (conn *net.UDPConn) {
	t.Helper()
	err := n.inside(func() (err error) {
		conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return conn
}
