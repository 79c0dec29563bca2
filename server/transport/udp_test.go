package transport

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// phone is a plain UDP socket.
type phone struct {
	*net.UDPConn
	t *testing.T
}

func newPhone(t *testing.T, addr string) *phone {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetReadBuffer(4 << 20)
	_ = c.SetDeadline(time.Now().Add(waitLimit))
	return &phone{c, t}
}

func (p *phone) addr() netip.AddrPort { return p.LocalAddr().(*net.UDPAddr).AddrPort() }

func (p *phone) send(to netip.AddrPort, data string) {
	p.t.Helper()
	if _, err := p.WriteToUDPAddrPort([]byte(data), to); err != nil {
		p.t.Fatal(err)
	}
}

func (p *phone) receive() (string, netip.AddrPort) {
	p.t.Helper()
	buf := make([]byte, maxDatagram)
	n, from, err := p.ReadFromUDPAddrPort(buf)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(buf[:n]), netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
}

// needAddr skips a test on a machine without IPv6 or the like.
func needAddr(t *testing.T, addr string) {
	t.Helper()
	c, err := net.ListenPacket("udp", addr)
	if err != nil {
		t.Skipf("this machine has no %s: %v", addr, err)
	}
	c.Close()
}

func TestUDPEcho(t *testing.T) {
	tests := []struct {
		name, listen, phone, to string
	}{
		{"IPv4", "udp:127.0.0.1:0", "127.0.0.1:0", "127.0.0.1"},
		{"IPv4 wildcard", "udp:0.0.0.0:0", "127.0.0.1:0", "127.0.0.1"},
		{"IPv4 wildcard, second address", "udp:0.0.0.0:0", "127.0.0.1:0", "127.0.0.2"},
		{"IPv6", "udp:[::1]:0", "[::1]:0", "::1"},
		{"IPv6 wildcard", "udp:[::]:0", "[::1]:0", "::1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			variants(t, func(t *testing.T, portable bool) {
				needAddr(t, tt.phone)
				r := newRecorder()
				r.handle = echo
				s := start(t, Config{Listen: listeners(tt.listen), portable: portable}, r)
				to := netip.AddrPortFrom(netip.MustParseAddr(tt.to), s.Addrs()[0].Addr.Port())
				p := newPhone(t, tt.phone)
				for _, size := range []int{1, 1300, 9000, 60000} {
					msg := strings.Repeat("x", size)
					p.send(to, msg)
					got := next(t, r.got)
					if want := (Flow{Proto: UDP, Local: to, Remote: p.addr()}); got.from != want {
						t.Errorf("got flow %+v, want %+v", got.from, want)
					}
					if got.raw != msg {
						t.Errorf("got %d bytes, want %d", len(got.raw), size)
					}
					back, from := p.receive()
					if back != msg {
						t.Errorf("got %d bytes back, want %d", len(back), size)
					}
					if from != to {
						t.Errorf("got the answer from %v, want %v: the address the request came to", from, to)
					}
				}
			})
		})
	}
}

func TestUDPBatches(t *testing.T) {
	variants(t, func(t *testing.T, portable bool) {
		r := newRecorder()
		r.handle = func(out *Out, from Flow, raw []byte) {
			for i := range 3 { // a fork
				out.Send(from, fmt.Appendf(nil, "%s.%d", raw, i), 0)
			}
		}
		s := start(t, Config{Listen: listeners("udp:127.0.0.1:0"), portable: portable}, r)
		p := newPhone(t, "127.0.0.1:0")
		const messages = 200
		for i := range messages {
			p.send(s.Addrs()[0].Addr, fmt.Sprint("m", i))
		}
		for i := range messages {
			for j := range 3 {
				got, _ := p.receive()
				if want := fmt.Sprintf("m%d.%d", i, j); got != want {
					t.Fatalf("got %q, want %q: one sender's messages keep their order", got, want)
				}
			}
		}
	})
}

func TestUDPKeepalives(t *testing.T) {
	variants(t, func(t *testing.T, portable bool) {
		r := newRecorder()
		r.handle = echo
		s := start(t, Config{Listen: listeners("udp:127.0.0.1:0"), portable: portable}, r)
		p := newPhone(t, "127.0.0.1:0")
		stun := "\x00\x01\x00\x00\x21\x12\xa4\x42abcdefghijkl"
		for _, ka := range []string{"", "\r\n", "\r\n\r\n", "\x00", "\x00\x00\x00\x00", " ", "\n", stun} {
			p.send(s.Addrs()[0].Addr, ka)
		}
		p.send(s.Addrs()[0].Addr, "\r\nOPTIONS")
		if got := next(t, r.got); got.raw != "\r\nOPTIONS" {
			t.Errorf("got %q, want it swallowed", got.raw)
		}
		if got, _ := p.receive(); got != "\r\nOPTIONS" {
			t.Errorf("got answer %q to a keepalive, want none", got)
		}
	})
}

// A datagram that cannot be sent is reported with its Ref; those before and behind it go out.
func TestUDPSendFailure(t *testing.T) {
	variants(t, func(t *testing.T, portable bool) {
		r := newRecorder()
		s := start(t, Config{Listen: listeners("udp:127.0.0.1:0"), portable: portable}, r)
		p := newPhone(t, "127.0.0.1:0")
		good := Flow{Proto: UDP, Remote: p.addr()}
		out := s.NewOut()
		tests := []struct {
			name string
			to   Flow
			data string
			ref  Ref // 0: it goes out
		}{
			{"good 1", good, "1", 0},
			{"port 0", Flow{Proto: UDP, Remote: netip.MustParseAddrPort("127.0.0.1:0")}, "x", 11},
			{"good 2", good, "2", 0},
			{"too long", good, strings.Repeat("x", 65530), 12},
			{"too long again", good, strings.Repeat("x", 65530), 13},
			{"other family", Flow{Proto: UDP, Remote: netip.MustParseAddrPort("[::1]:5060")}, "x", 14},
			{"no address", Flow{Proto: UDP}, "x", 15},
			{"no such transport", Flow{Proto: WSS, Remote: p.addr()}, "x", 16},
			{"good 3", good, "3", 0},
		}
		want := map[Ref]string{}
		for i, tt := range tests {
			ref := tt.ref
			if ref == 0 {
				ref = Ref(100 + i)
			} else {
				want[ref] = tt.name
			}
			out.Send(tt.to, []byte(tt.data), ref)
		}
		out.Flush()
		for len(r.failed) > 0 {
			f := <-r.failed
			if _, ok := want[f.ref]; !ok {
				t.Errorf("got failure of %d: %v, want it sent", f.ref, f.err)
			}
			delete(want, f.ref)
		}
		for _, name := range want {
			t.Errorf("got no failure of %q, want one", name)
		}
		for _, data := range []string{"1", "2", "3"} {
			if got, _ := p.receive(); got != data {
				t.Errorf("got %q, want %q", got, data)
			}
		}
	})
}

// More datagrams than one system call takes, with failures at the borders.
func TestUDPManyWithFailures(t *testing.T) {
	variants(t, func(t *testing.T, portable bool) {
		r := newRecorder()
		s := start(t, Config{Listen: listeners("udp:0.0.0.0:0"), portable: portable}, r)
		p := newPhone(t, "127.0.0.1:0")
		out := s.NewOut()
		const n = 200
		bad := func(i int) bool { return i == 0 || i == 63 || i == 64 || i == n-1 }
		for i := range n {
			to := Flow{Proto: UDP, Remote: p.addr(), Local: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.3"), s.Addrs()[0].Addr.Port())}
			if bad(i) {
				to.Remote = netip.AddrPortFrom(to.Remote.Addr(), 0)
			}
			out.Send(to, fmt.Append(nil, i), Ref(i+1))
		}
		out.Flush()
		for i := range n {
			if bad(i) {
				if f := next(t, r.failed); f.ref != Ref(i+1) {
					t.Errorf("got failure of %d, want %d", f.ref, i+1)
				}
				continue
			}
			got, from := p.receive()
			if got != fmt.Sprint(i) {
				t.Fatalf("got %q, want %d", got, i)
			}
			if from.Addr() != netip.MustParseAddr("127.0.0.3") {
				t.Errorf("got it from %v, want from 127.0.0.3 as the flow says", from)
			}
		}
	})
}

func TestUDPPanicIsCaught(t *testing.T) {
	variants(t, func(t *testing.T, portable bool) {
		r := newRecorder()
		r.handle = func(out *Out, from Flow, raw []byte) {
			if string(raw) == "bad" {
				panic("as tested")
			}
			echo(out, from, raw)
		}
		s := start(t, Config{Listen: listeners("udp:127.0.0.1:0"), portable: portable}, r)
		p := newPhone(t, "127.0.0.1:0")
		for _, m := range []string{"bad", "bad", "good"} {
			p.send(s.Addrs()[0].Addr, m)
		}
		if got, _ := p.receive(); got != "good" {
			t.Errorf("got %q, want the worker to go on", got)
		}
		if got := s.Panics(); got != 2 {
			t.Errorf("got %d panics counted, want 2", got)
		}
	})
}

// Run ends while traffic goes on, and while the workers are parked.
func TestRunEnds(t *testing.T) {
	variants(t, func(t *testing.T, portable bool) {
		s := start(t, Config{Listen: listeners("udp:127.0.0.1:0", "udp:127.0.0.1:0"), portable: portable}, newRecorder())
		p := newPhone(t, "127.0.0.1:0")
		for range 100 {
			p.send(s.Addrs()[0].Addr, "x")
		}
	}) // The cleanup waits for Run; TestMain looks for goroutines left.
}

// Many peers are spread over the workers' sockets; all are answered from the one address.
func TestUDPManyPeers(t *testing.T) {
	variants(t, func(t *testing.T, portable bool) {
		r := newRecorder()
		r.handle = echo
		s := start(t, Config{Listen: listeners("udp:127.0.0.1:0"), portable: portable}, r)
		to := s.Addrs()[0].Addr
		var phones []*phone
		for i := range 40 {
			p := newPhone(t, "127.0.0.1:0")
			p.send(to, fmt.Sprint(i))
			phones = append(phones, p)
		}
		for i, p := range phones {
			if got, from := p.receive(); got != fmt.Sprint(i) || from != to {
				t.Errorf("got %q from %v, want %d from %v", got, from, i, to)
			}
		}
	})
}

func TestUDPDoesNotAllocate(t *testing.T) {
	for _, listen := range []string{"udp:127.0.0.1:0", "udp:0.0.0.0:0"} {
		t.Run(listen, func(t *testing.T) {
			variants(t, func(t *testing.T, portable bool) {
				r := &relay{}
				s := start(t, Config{Listen: listeners(listen), portable: portable}, r)
				to := net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), s.Addrs()[0].Addr.Port()))
				c, err := net.DialUDP("udp", nil, to)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(waitLimit))
				msg, buf := make([]byte, 700), make([]byte, 2048)
				msg[0] = 'x'
				if got := testing.AllocsPerRun(200, func() {
					if _, err := c.Write(msg); err != nil {
						t.Fatal(err)
					}
					if _, err := c.Read(buf); err != nil {
						t.Fatal(err)
					}
				}); got >= 1 {
					t.Errorf("got %v allocations a datagram, want 0", got)
				}
				if r.n.Load() < 200 {
					t.Errorf("got %d datagrams relayed, want 200", r.n.Load())
				}
			})
		})
	}
}
