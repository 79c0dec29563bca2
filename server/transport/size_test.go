//go:build linux && !race

package transport

import (
	"net"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"testing"
)

// Connections that phones keep open cost little: ten thousand in make scale, where both ends are in this process.
func TestSizeOfConnections(t *testing.T) {
	conns := 1000
	if os.Getenv("SIPD_SCALE_USERS") != "" {
		conns = 10_000
	}
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	if most := int(files.Cur)/2 - 100; conns > most {
		t.Logf("%d connections instead of %d: no more file descriptors (ulimit -n)", most, conns)
		conns = most
	}
	held := func() (bytes int) {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc + m.StackInuse)
	}
	r := newRecorder()
	r.handle = echo
	r.got, r.closed = make(chan received, conns), make(chan Flow, conns)
	s, addr := startTCP(t, Config{MaxConns: -1, MaxConnsPerSource: -1}, r)
	peers := make([]net.Conn, 0, conns)
	defer func() {
		for _, p := range peers {
			p.Close()
		}
	}()
	before := held()
	for i := range conns {
		from := &net.TCPAddr{IP: net.IPv4(127, 0, byte(1+i/250), byte(1+i%250))}
		c, err := net.DialTCP("tcp", from, net.TCPAddrFromAddrPort(addr))
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		peers = append(peers, c)
		if _, err := c.Write([]byte(request(strconv.Itoa(i), 0))); err != nil {
			t.Fatal(err)
		}
		next(t, r.got)
	}
	if n := s.Conns(); n != conns {
		t.Errorf("got %d connections, want %d", n, conns)
	}
	each := (held() - before) / conns
	t.Logf("%d connections: %d bytes each, of both ends", conns, each)
	if each > 16<<10 {
		t.Errorf("got %d bytes a connection, want at most 16 KiB", each)
	}
	answer := make([]byte, 100)
	for i, c := range peers { // All of them still speak.
		if _, err := c.Read(answer); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
	}
}
