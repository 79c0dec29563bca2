package transport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestTCPDial(t *testing.T) {
	r := newRecorder()
	s, addr := startTCP(t, Config{}, r)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	to := Flow{Proto: TCP, Remote: addrPort(ln.Addr())}
	out := s.NewOut()
	var want strings.Builder
	for i := range 20 { // all but the first find it being opened
		m := request(fmt.Sprint(i), i*100)
		want.WriteString(m)
		out.Send(to, []byte(m), Ref(i+1))
		out.Flush()
	}
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	p := newPeer(t, c)
	p.expect(want.String())
	p.send(request("back", 5))
	got := next(t, r.got)
	if got.from.Conn == 0 || got.from.Remote != to.Remote || got.from.Local != addrPort(c.RemoteAddr()) {
		t.Errorf("got flow %+v, want %v to %v", got.from, c.RemoteAddr(), to.Remote)
	}
	if got.from.Local.Addr() != addr.Addr() {
		t.Errorf("got it opened from %v, want %v, as Source says", got.from.Local, addr.Addr())
	}
	if s.Conns() != 1 {
		t.Errorf("got %d connections, want 1", s.Conns())
	}
	p.Close()
	next(t, r.closed)
	if len(r.failed) > 0 {
		t.Errorf("got failure %+v", <-r.failed)
	}
}

// With a wildcard listener a connection is opened from the address that the flow had, else from the one Source names.
func TestTCPDialFrom(t *testing.T) {
	tests := []struct{ name, local, want string }{
		{"the flow's", "127.0.0.4", "127.0.0.4"},
		{"none", "", "127.0.0.1"},
		{"another family", "::1", "127.0.0.1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, Config{Listen: listeners("tcp:0.0.0.0:0")}, newRecorder())
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			to := Flow{Proto: TCP, Remote: addrPort(ln.Addr())}
			if tt.local != "" {
				to.Local = netip.AddrPortFrom(netip.MustParseAddr(tt.local), s.Addrs()[0].Addr.Port())
			}
			out := s.NewOut()
			out.Send(to, []byte("x"), 0)
			out.Flush()
			c, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if got := addrPort(c.RemoteAddr()).Addr(); got != netip.MustParseAddr(tt.want) {
				t.Errorf("got it from %v, want %s", got, tt.want)
			}
		})
	}
}

func TestTCPDialFails(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := addrPort(ln.Addr())
	ln.Close()
	tests := []struct {
		name string
		to   Flow
		cfg  Config
		want error
	}{
		{"refused", Flow{Proto: TCP, Remote: free}, Config{}, syscall.ECONNREFUSED},
		{"no listener of its family", Flow{Proto: TCP, Remote: netip.MustParseAddrPort("[::1]:5060")}, Config{}, ErrNoListener},
		{"connection gone, no address", Flow{Proto: TCP, Conn: 77}, Config{}, net.ErrClosed},
		{"port 0", Flow{Proto: TCP, Remote: netip.AddrPortFrom(free.Addr(), 0)}, Config{}, net.ErrClosed},
		{"too many", Flow{Proto: TCP, Remote: free}, Config{MaxConns: 1}, ErrTooMany},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRecorder()
			s, addr := startTCP(t, tt.cfg, r)
			p := dialPeer(t, addr)
			p.send(request("one", 0)) // it is there
			next(t, r.got)
			out := s.NewOut()
			out.Send(tt.to, []byte("x"), 7)
			out.Send(tt.to, []byte("y"), 8)
			out.Flush()
			for want := Ref(7); want <= 8; want++ {
				got := next(t, r.failed)
				if got.ref != want || !errors.Is(got.err, tt.want) {
					t.Errorf("got %d, %v, want %d, %v", got.ref, got.err, want, tt.want)
				}
			}
			if len(r.closed) > 0 {
				t.Errorf("got %+v closed, want no report: it never was open", <-r.closed)
			}
			p.send(request("two", 0))
			next(t, r.got)
		})
	}
}

// The connect limit ends an attempt that nobody answers: a listener whose backlog is full drops SYNs.
func TestTCPDialTimesOut(t *testing.T) {
	addr := fullBacklog(t)
	r := newRecorder()
	s, _ := startTCP(t, Config{limits: limits{dial: 100 * time.Millisecond}}, r)
	out := s.NewOut()
	out.Send(Flow{Proto: TCP, Remote: addr}, []byte("x"), 7)
	begin := time.Now()
	out.Flush()
	if d := time.Since(begin); d > 50*time.Millisecond {
		t.Errorf("Flush took %v, want it never to wait", d)
	}
	if got := next(t, r.failed); got.ref != 7 || !isTimeout(got.err) {
		t.Errorf("got %d, %v, want a timeout of 7", got.ref, got.err)
	}
	if s.Conns() != 0 {
		t.Errorf("got %d connections, want 0", s.Conns())
	}
}

// fullBacklog returns the address of a listener that accepts nothing and whose queue is full.
func fullBacklog(t *testing.T) netip.AddrPort {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(sa.(*syscall.SockaddrInet4).Port))
	for range 8 {
		c, err := net.DialTimeout("tcp", addr.String(), 50*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Skip("this system accepts connections beyond the backlog")
	return addr
}
