package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"sipd/internal/testneed"
)

// The times that operators are promised.
func TestStreamLimits(t *testing.T) {
	l := limits{}.withDefaults()
	if l.partial != 30*time.Second || l.write != 5*time.Second || l.handshake != 5*time.Second || maxHandshakes != 64 {
		t.Errorf("got %v for a message, %v for a write, %v for a handshake, %d of these at once; want 30s, 5s, 5s and 64", l.partial, l.write, l.handshake, maxHandshakes)
	}
}

// captured is a connection on which a client says hello and hears nothing.
type captured struct {
	net.Conn
	hello bytes.Buffer
}

var errCaptured = errors.New("captured")

func (c *captured) Write(b []byte) (int, error) { return c.hello.Write(b) }
func (c *captured) Read([]byte) (int, error)    { return 0, errCaptured }

// hello returns a ClientHello as it is on the wire.
func hello(t *testing.T) string {
	t.Helper()
	var c captured
	if err := tls.Client(&c, &tls.Config{ServerName: "b.example"}).Handshake(); !errors.Is(err, errCaptured) {
		t.Fatal(err)
	}
	return c.hello.String()
}

// TestTLSSilentPeers: a thousand peers who open connections and do not go on with the handshake keep nobody from his.
func TestTLSSilentPeers(t *testing.T) {
	ca := newAuthority(t)
	full := hello(t)
	for _, tt := range []struct{ name, first string }{
		{"nothing", ""},
		{"half a hello", full[:len(full)/2]},
		{"a hello", full},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const silent = 1000
			rec := newRecorder()
			rec.handle = echo
			rec.closed = make(chan Flow, silent+10)
			s := start(t, Config{Listen: listeners("tls:127.0.0.1:0"), TLS: ca.configs(t, "b.example"), MaxConnsPerSource: -1, limits: limits{handshake: time.Minute}}, rec)
			for range silent {
				dialPeer(t, s.Addrs()[0].Addr).send(tt.first)
			}
			for s.Conns() < silent {
				time.Sleep(time.Millisecond)
			}
			begin := time.Now()
			c, err := tls.Dial("tcp", s.Addrs()[0].Addr.String(), &tls.Config{ServerName: "b.example", RootCAs: ca.roots})
			if err != nil {
				t.Fatal(err)
			}
			p := newPeer(t, c)
			p.send(request("good", 0))
			p.expect(request("good", 0))
			if d := time.Since(begin); d > handshakeLimit {
				t.Errorf("got a handshake after %v, want it within %v", d, handshakeLimit)
			}
		})
	}
}

// TestTroubles: whatever happens on one connection, those of others go on.
func TestTroubles(t *testing.T) {
	ca := newAuthority(t)
	type conns struct {
		raw net.Conn
		tls *tls.Conn // over raw
	}
	greet := func(c conns) { _ = c.tls.Handshake() }
	full := hello(t)
	for _, tt := range []struct {
		name   string
		tcp    bool // to the TCP listener
		do     func(c conns)
		floods bool // and is not closed by it
	}{
		{"plain SIP on the TLS port", false, func(c conns) { io.WriteString(c.raw, request("x", 0)) }, false},
		{"garbage for a hello", false, func(c conns) {
			io.WriteString(c.raw, "\x16\x03\x01\x00\x40\x01\x00\x00\x3c"+strings.Repeat("\xff\x00\x7f", 20))
		}, false},
		{"a hello of endless length", false, func(c conns) {
			io.WriteString(c.raw, "\x16\x03\x01\x40\x00\x01\xff\xff\xff"+strings.Repeat("x", 0x4000))
		}, false},
		{"a hello, then nothing", false, func(c conns) { io.WriteString(c.raw, full) }, false},
		{"a hello, then gone", false, func(c conns) { io.WriteString(c.raw, full); c.raw.Close() }, false},
		{"TLS on the TCP port", true, func(c conns) { io.WriteString(c.raw, full) }, false},
		{"a closure alert", false, func(c conns) { greet(c); _ = c.tls.CloseWrite() }, false},
		{"an alert in clear", false, func(c conns) { greet(c); io.WriteString(c.raw, "\x15\x03\x03\x00\x02\x02\x28") }, false},
		{"a record that nobody encrypted", false, func(c conns) { greet(c); io.WriteString(c.raw, "\x17\x03\x03\x00\x20"+strings.Repeat("x", 32)) }, false},
		{"a record that is too long", false, func(c conns) { greet(c); io.WriteString(c.raw, "\x17\x03\x03\xff\xff"+strings.Repeat("x", 1000)) }, false},
		{"another hello", false, func(c conns) { greet(c); io.WriteString(c.raw, full) }, false},
		{"half a record", false, func(c conns) { greet(c); io.WriteString(c.raw, "\x17\x03\x03\x00\x20xx") }, false},
		{"half a record header", false, func(c conns) { greet(c); io.WriteString(c.raw, "\x17\x03") }, false},
		{"half a record after a message", false, func(c conns) { io.WriteString(c.tls, request("x", 0)); io.WriteString(c.raw, "\x17\x03\x03\x00\x20xx") }, false},
		{"a record byte by byte", false, func(c conns) {
			io.WriteString(c.tls, request("x", 0))
			drip(c.raw, "\x17\x03\x03\x20\x00", 10*time.Millisecond)
		}, false},
		{"half a message over TLS", false, func(c conns) { io.WriteString(c.tls, request("x", 5)[:20]) }, false},
		{"half a message over TCP", true, func(c conns) { io.WriteString(c.raw, request("x", 5)[:20]) }, false},
		{"a message byte by byte in records that come in halves", false, func(c conns) {
			greet(c)
			c.raw.(*halves).pause = 20 * time.Millisecond
			drip(c.tls, "MESSAGE ", 0)
		}, false},
		{"nonsense in TLS", false, func(c conns) { io.WriteString(c.tls, "GET / HTTP/1.1\r\n\r\n") }, false},
		{"reset", false, func(c conns) { greet(c); c.raw.(*halves).Conn.(*net.TCPConn).SetLinger(0); c.raw.Close() }, false},
		{"a flood over TLS", false, func(c conns) { flood(c.tls) }, true},
		{"a flood over TCP", true, func(c conns) { flood(c.raw) }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rec := newRecorder()
			rec.handle = echo
			rec.got, rec.closed = make(chan received, 1<<17), make(chan Flow, 10)
			s := start(t, Config{
				Listen: listeners("tls:127.0.0.1:0", "tcp:127.0.0.1:0"), TLS: ca.configs(t, "b.example"),
				limits: limits{handshake: 500 * time.Millisecond, partial: 500 * time.Millisecond, write: 300 * time.Millisecond},
			}, rec)
			cfg := &tls.Config{ServerName: "b.example", RootCAs: ca.roots}
			over, err := tls.Dial("tcp", s.Addrs()[0].Addr.String(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			good := []*peer{newPeer(t, over), dialPeer(t, s.Addrs()[1].Addr)}
			goOn := func(when string) {
				t.Helper()
				for _, p := range good {
					p.send(request(when, 100))
					p.expect(request(when, 100))
				}
			}
			goOn("before")

			addr := s.Addrs()[0].Addr
			if tt.tcp {
				addr = s.Addrs()[1].Addr
			}
			tcp, err := net.Dial("tcp", addr.String())
			if err != nil {
				t.Fatal(err)
			}
			raw := &halves{Conn: tcp}
			defer raw.Close()
			raw.SetDeadline(time.Now().Add(waitLimit))
			done := make(chan bool)
			go func() {
				defer close(done)
				tt.do(conns{raw, tls.Client(raw, cfg)})
			}()
			for tt.floods && len(rec.got) < 500 {
				time.Sleep(time.Millisecond)
			}
			goOn("meanwhile")
			if !tt.floods {
				closed := next(t, rec.closed)
				if closed.Remote != addrPort(raw.LocalAddr()) {
					t.Errorf("got the connection of %v closed, want that of %v", closed.Remote, raw.LocalAddr())
				}
			}
			goOn("after")
			raw.Close()
			<-done
			if len(rec.closed) > 1 {
				t.Errorf("got %d more connections closed, want none", len(rec.closed))
			}
		})
	}
}

// halves is a connection that writes in two pieces when there is a pause between them.
type halves struct {
	net.Conn
	pause time.Duration
}

func (h *halves) Write(b []byte) (int, error) {
	if h.pause == 0 {
		return h.Conn.Write(b)
	}
	n, err := h.Conn.Write(b[:len(b)/2])
	if err != nil {
		return n, err
	}
	time.Sleep(h.pause)
	m, err := h.Conn.Write(b[len(b)/2:])
	return n + m, err
}

// drip sends data and then something each pause, until it fails.
func drip(w io.Writer, data string, pause time.Duration) {
	for {
		if _, err := io.WriteString(w, data); err != nil {
			return
		}
		data = "x"
		time.Sleep(pause)
	}
}

// flood sends messages and reads nothing, until it is cut off.
func flood(w io.Writer) {
	many := strings.Repeat(request("flood", 200), 50)
	for range 1000 {
		if _, err := io.WriteString(w, many); err != nil {
			return
		}
	}
}

// TestTLSTimeouts is TestTCPTimeouts over TLS: what is kept outlives its idle time.
func TestTLSTimeouts(t *testing.T) {
	ca := newAuthority(t)
	short := 300 * time.Millisecond
	for _, tt := range []struct {
		name   string
		limits limits
		send   string
		keep   bool
		closes bool
	}{
		{"nothing sent", limits{partial: short}, "", false, true},
		{"half a message", limits{partial: short}, request("one", 0) + request("two", 5)[:20], false, true},
		{"idle", limits{idle: short}, request("one", 0), false, true},
		{"idle, but kept", limits{idle: short, partial: short}, request("one", 0), true, false},
		{"idle longer than a message may take", limits{partial: short}, request("one", 0), false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rec := newRecorder()
			s := start(t, Config{Listen: listeners("tls:127.0.0.1:0"), TLS: ca.configs(t, "b.example"), limits: tt.limits}, rec)
			c, err := tls.Dial("tcp", s.Addrs()[0].Addr.String(), &tls.Config{ServerName: "b.example", RootCAs: ca.roots})
			if err != nil {
				t.Fatal(err)
			}
			p := newPeer(t, c)
			if tt.send != "" {
				p.send(tt.send)
				s.Keep(next(t, rec.got).from.Conn, tt.keep)
			}
			if tt.closes {
				if _, err := io.Copy(io.Discard, p.r); err != nil {
					t.Errorf("got %v, want a closure alert", err) // RFC 5923 8.3
				}
				next(t, rec.closed)
				return
			}
			time.Sleep(3 * short)
			p.send(tt.send)
			next(t, rec.got)
		})
	}
}

// TestTLSLimits: connections that do not shake hands count for their source, and in all.
func TestTLSLimits(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  Config
	}{
		{"in all", Config{MaxConns: 2}},
		{"per source", Config{MaxConnsPerSource: 2}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ca := newAuthority(t)
			rec := newRecorder()
			tt.cfg.Listen, tt.cfg.TLS = listeners("tls:127.0.0.1:0"), ca.configs(t, "b.example")
			s := start(t, tt.cfg, rec)
			silent := []*peer{dialPeer(t, s.Addrs()[0].Addr), dialPeer(t, s.Addrs()[0].Addr)}
			dialPeer(t, s.Addrs()[0].Addr).expectClosed()
			silent[0].Close()
			next(t, rec.closed)
			c, err := tls.Dial("tcp", s.Addrs()[0].Addr.String(), &tls.Config{ServerName: "b.example", RootCAs: ca.roots})
			if err != nil {
				t.Fatal(err)
			}
			newPeer(t, c).send(request("one", 0))
			if from := next(t, rec.got).from; from.Remote.Addr() != netip.MustParseAddr("127.0.0.1") {
				t.Errorf("got it from %v", from.Remote)
			}
		})
	}
}

// TestRecord cuts two records and the beginning of a third anywhere.
func TestRecord(t *testing.T) {
	one, two := "\x16\x03\x01\x00\x00", "\x17\x03\x03\x01\x02"+strings.Repeat("x", 0x102)
	for cut := range len(one + two) {
		var r record
		data := []byte(one + two)
		r.follow(data[:cut])
		if want := cut != 0 && cut != len(one); r.begun() != want {
			t.Errorf("got begun %v after %d bytes, want %v", r.begun(), cut, want)
		}
		r.follow(data[cut:])
		if r.begun() {
			t.Errorf("got a record begun behind both, cut at %d", cut)
		}
		if r.follow([]byte{0x17}); !r.begun() {
			t.Errorf("got none begun behind a byte of the third, cut at %d", cut)
		}
	}
}

// TestTLSRenegotiation: a client that asks for another handshake is refused, and costs nobody else anything.
func TestTLSRenegotiation(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		testneed.Missing(t, "openssl")
	}
	ca := newAuthority(t)
	rec := newRecorder()
	rec.handle = echo
	s := start(t, Config{Listen: listeners("tls:127.0.0.1:0"), TLS: ca.configs(t, "b.example")}, rec)
	addr := s.Addrs()[0].Addr.String()
	c, err := tls.Dial("tcp", addr, &tls.Config{ServerName: "b.example", RootCAs: ca.roots})
	if err != nil {
		t.Fatal(err)
	}
	good := newPeer(t, c)
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, openssl, "s_client", "-tls1_2", "-connect", addr)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(in, request("x", 0)); err != nil {
		t.Fatal(err)
	}
	first := next(t, rec.got).from
	if _, err := io.WriteString(in, "R\n"); err != nil { // s_client: a new handshake
		t.Fatal(err)
	}
	if closed := next(t, rec.closed); closed.Conn != first.Conn {
		t.Errorf("got %+v closed, want %+v", closed, first)
	}
	_ = cmd.Wait()
	if !strings.Contains(said.String(), "RENEGOTIATING") {
		t.Errorf("openssl said %q, want that it asked for another handshake", said.String())
	}
	good.send(request("good", 0))
	good.expect(request("good", 0))
}
