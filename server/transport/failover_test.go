package transport

import (
	"net"
	"net/netip"
	"testing"
	"time"
)

// RFC 3261 18.2.2: a response goes by the connection of its request while that is open, else by a new one to the address that its
// flow names, also when the peer has reset the connection and its reader does not know yet.
func TestTCPFailover(t *testing.T) {
	for _, tt := range []struct {
		name    string
		end     func(c *net.TCPConn) error
		noticed bool // the server knows before it answers
		old     bool // the answer comes by the first connection
	}{
		{"open", func(*net.TCPConn) error { return nil }, false, true},
		{"closed", func(c *net.TCPConn) error { return c.Close() }, true, false},
		{"reset", func(c *net.TCPConn) error { _ = c.SetLinger(0); return c.Close() }, true, false},
		{"reset at this moment", func(c *net.TCPConn) error { _ = c.SetLinger(0); return c.Close() }, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			home, err := net.Listen("tcp", "127.0.0.1:0") // the port of the peer's sent-by
			if err != nil {
				t.Fatal(err)
			}
			defer home.Close()
			ended := make(chan error)
			r := newRecorder()
			answer := func(out *Out, from Flow) {
				from.Remote = netip.AddrPortFrom(from.Remote.Addr(), addrPort(home.Addr()).Port())
				out.Send(from, []byte("the answer"), 1)
			}
			r.handle = func(out *Out, from Flow, _ []byte) {
				if !tt.noticed { // In the goroutine that reads this connection.
					<-ended
					answer(out, from)
				}
			}
			s, addr := startTCP(t, Config{}, r)
			p := dialPeer(t, addr)
			p.send(request("one", 0))
			if !tt.noticed {
				ended <- tt.end(p.Conn.(*net.TCPConn))
			}
			from := next(t, r.got).from
			if tt.noticed {
				if err := tt.end(p.Conn.(*net.TCPConn)); err != nil {
					t.Fatal(err)
				}
				next(t, r.closed)
				out := s.NewOut()
				answer(out, from)
				out.Flush()
			}
			if !tt.old {
				_ = home.(*net.TCPListener).SetDeadline(time.Now().Add(waitLimit))
				c, err := home.Accept()
				if err != nil {
					t.Fatalf("no new connection: %v", err)
				}
				p = newPeer(t, c)
			}
			p.expect("the answer")
			if len(r.failed) > 0 {
				t.Errorf("got %+v, want no failure", <-r.failed)
			}
		})
	}
}

// The defaults of 18: a connection outlives every transaction on it: 64*T1, and Timer C, which is more than three minutes.
func TestIdleConnectionsOutliveTransactions(t *testing.T) {
	l := limits{}.withDefaults()
	if longest := 3*time.Minute + 64*500*time.Millisecond; l.idle <= longest {
		t.Errorf("idle connections are kept for %v, want more than %v", l.idle, longest)
	}
}

// 18.1.1: the largest datagram is taken and sent.
func TestUDPLargestDatagram(t *testing.T) {
	variants(t, func(t *testing.T, portable bool) {
		r := newRecorder()
		r.handle = echo
		s := start(t, Config{Listen: listeners("udp:127.0.0.1:0"), portable: portable}, r)
		c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(s.Addrs()[0].Addr))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		data := make([]byte, 65507) // 65,535 less the IP and UDP headers
		for i := range data {
			data[i] = 'a' + byte(i%26)
		}
		if _, err := c.Write(data); err != nil {
			t.Fatal(err)
		}
		if got := next(t, r.got); got.raw != string(data) {
			t.Errorf("got %d bytes, want all %d", len(got.raw), len(data))
		}
		_ = c.SetReadDeadline(time.Now().Add(waitLimit))
		back := make([]byte, 1<<16)
		n, err := c.Read(back)
		if err != nil || string(back[:n]) != string(data) {
			t.Errorf("got %d bytes back and %v, want all %d", n, err, len(data))
		}
	})
}
