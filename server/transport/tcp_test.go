package transport

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"
)

// request is a message of n body bytes.
func request(name string, n int) string {
	return fmt.Sprintf("MESSAGE sip:%s SIP/2.0\r\nContent-Length: %d\r\n\r\n%s", name, n, strings.Repeat("b", n))
}

// peer is a plain TCP connection.
type peer struct {
	net.Conn
	t *testing.T
	r *bufio.Reader
}

func newPeer(t *testing.T, c net.Conn) *peer {
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(waitLimit))
	return &peer{c, t, bufio.NewReader(c)}
}

func dialPeer(t *testing.T, to netip.AddrPort) *peer {
	t.Helper()
	c, err := net.Dial("tcp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	return newPeer(t, c)
}

func (p *peer) addr() netip.AddrPort { return addrPort(p.LocalAddr()) }

func (p *peer) send(data string) {
	p.t.Helper()
	if _, err := io.WriteString(p, data); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) expect(want string) {
	p.t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(p.r, got); err != nil {
		p.t.Fatalf("got %.100q, %v, want %.100q", got[:n], err, want)
	}
	if string(got) != want {
		p.t.Fatalf("got %.100q, want %.100q", got, want)
	}
}

// expectClosed waits for the other side to close; what still comes is skipped.
func (p *peer) expectClosed() {
	p.t.Helper()
	if _, err := io.Copy(io.Discard, p.r); errors.Is(err, syscall.ETIMEDOUT) || isTimeout(err) {
		p.t.Fatalf("got %v, want it closed", err)
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

func startTCP(t *testing.T, cfg Config, r Receiver) (*Sockets, netip.AddrPort) {
	t.Helper()
	cfg.Listen = listeners("tcp:127.0.0.1:0")
	s := start(t, cfg, r)
	return s, s.Addrs()[0].Addr
}

func TestTCPFraming(t *testing.T) {
	one, two, big := request("one", 0), request("two", 300), request("big", 60000)
	tests := []struct {
		name   string
		chunks []string
		want   []string
	}{
		{"one", []string{one}, []string{one}},
		{"three at once", []string{one + two + big}, []string{one, two, big}},
		{"split", []string{one[:10], one[10:] + two[:5], two[5:]}, []string{one, two}},
		{"split in the blank line", []string{two[:len(two)-301], two[len(two)-301:]}, []string{two}},
		{"byte by byte", strings.Split(one+two, ""), []string{one, two}},
		{"CRLF before and between", []string{"\r\n" + one + "\r\n", two}, []string{one, two}},
		{"large, then small", []string{big, one, big + two}, []string{big, one, big, two}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRecorder()
			s, addr := startTCP(t, Config{}, r)
			p := dialPeer(t, addr)
			for _, c := range tt.chunks {
				p.send(c)
				if len(tt.chunks) < 10 {
					time.Sleep(5 * time.Millisecond) // segments of their own, mostly
				}
			}
			for i, want := range tt.want {
				got := next(t, r.got)
				if got.raw != want {
					t.Fatalf("got message %d %.60q (%d bytes), want %.60q (%d)", i, got.raw, len(got.raw), want, len(want))
				}
				if got.from.Proto != TCP || got.from.Conn == 0 || got.from.Local != addr || got.from.Remote != p.addr() {
					t.Errorf("got flow %+v", got.from)
				}
			}
			if s.Conns() != 1 {
				t.Errorf("got %d connections, want 1", s.Conns())
			}
			p.Close()
			if got := next(t, r.closed); got.Remote != p.addr() || got.Conn == 0 {
				t.Errorf("got closed flow %+v", got)
			}
		})
	}
}

func TestTCPBadStreamsAreClosed(t *testing.T) {
	tests := []struct{ name, data string }{
		{"no Content-Length", "MESSAGE sip:x SIP/2.0\r\nTo: x\r\n\r\n"},
		{"negative Content-Length", "MESSAGE sip:x SIP/2.0\r\nContent-Length: -1\r\n\r\n"},
		{"too long by its length", "MESSAGE sip:x SIP/2.0\r\nContent-Length: 70000\r\n\r\n"},
		{"header without end", "MESSAGE sip:x SIP/2.0\r\nTo: " + strings.Repeat("x", 70000)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRecorder()
			_, addr := startTCP(t, Config{}, r)
			other := dialPeer(t, addr)
			p := dialPeer(t, addr)
			_, _ = io.WriteString(p, tt.data) // it may be closed before all is written
			p.expectClosed()
			if got := next(t, r.closed); got.Remote != p.addr() {
				t.Errorf("got closed %v, want %v", got.Remote, p.addr())
			}
			other.send(request("one", 0)) // the trouble is only its own
			if got := next(t, r.got); got.from.Remote != other.addr() {
				t.Errorf("got %q from %v", got.raw, got.from.Remote)
			}
		})
	}
}

// RFC 5626 3.5.1, 4.4.1.
func TestTCPKeepalive(t *testing.T) {
	r := newRecorder()
	r.handle = echo
	_, addr := startTCP(t, Config{}, r)
	p := dialPeer(t, addr)
	one := request("one", 10)
	p.send("\r\n\r\n")
	p.expect("\r\n")
	p.send("\r")
	p.send("\n\r")
	p.send("\n")
	p.expect("\r\n")
	p.send("\r\n" + one + "\r\n" + one) // single CRLFs: no pong
	p.expect(one + one)
	p.send(one + "\r\n\r\n")
	p.expect(one + "\r\n")
	p.send(one)
	p.expect(one)
}

func TestTCPAnswersAndReuse(t *testing.T) {
	r := newRecorder()
	s, addr := startTCP(t, Config{}, r)
	p := dialPeer(t, addr)
	p.send(request("one", 0))
	from := next(t, r.got).from
	out := s.NewOut()
	out.Send(from, []byte("by connection."), 1)
	out.Send(Flow{Proto: TCP, Remote: p.addr()}, []byte("by remote."), 2)
	out.Send(Flow{Proto: TCP, Conn: 999, Remote: p.addr()}, []byte("by remote, its own is gone."), 3)
	out.Flush()
	p.expect("by connection.by remote.by remote, its own is gone.")
	if s.Conns() != 1 {
		t.Errorf("got %d connections, want the one reused", s.Conns())
	}
}

// A peer that does not read is cut off in time, its messages are reported, and others go on meanwhile.
func TestTCPStalledWriter(t *testing.T) {
	r := newRecorder()
	s, addr := startTCP(t, Config{limits: limits{write: 200 * time.Millisecond}}, r)
	stalled, good := dialPeer(t, addr), dialPeer(t, addr)
	stalled.send(request("s", 0))
	toStalled := next(t, r.got).from
	good.send(request("g", 0))
	toGood := next(t, r.got).from

	out := s.NewOut()
	msg := []byte(request("m", 60000))
	const messages = 300 // 18 MB: more than the kernel and the queue hold
	begin := time.Now()
	for i := range messages {
		out.Send(toStalled, msg, Ref(i+1))
	}
	out.Send(toGood, []byte("good"), 0)
	out.Flush()
	if d := time.Since(begin); d > 5*time.Second {
		t.Errorf("Flush took %v, want it never to wait", d)
	}
	good.expect("good")
	if got := next(t, r.closed); got.Conn != toStalled.Conn {
		t.Errorf("got %+v closed, want %+v", got, toStalled)
	}
	// Failures: those that found the queue full at once, the queue when it closed. Each once; the first ones were sent.
	seen := map[Ref]bool{}
	full := 0
	for len(r.failed) > 0 {
		f := <-r.failed
		if seen[f.ref] {
			t.Errorf("got %d reported twice", f.ref)
		}
		seen[f.ref] = true
		if errors.Is(f.err, ErrQueueFull) {
			full++
		}
	}
	if seen[1] || !seen[messages] || full == 0 || full == len(seen) {
		t.Errorf("got %d failures, %d for a full queue, first %v, last %v", len(seen), full, seen[1], seen[messages])
	}
	good.send(request("g", 0))
	if got := next(t, r.got); got.from != toGood {
		t.Errorf("got %+v, want the other connection to go on", got.from)
	}
}

// What waits for all peers together is bounded, too.
func TestTCPManyStalled(t *testing.T) {
	r := newRecorder()
	s, addr := startTCP(t, Config{}, r)
	dialPeer(t, addr).send(request("x", 0))
	c := s.table.byConnID(next(t, r.got).from.Conn)
	c.mu.Lock()
	c.writing = true // as when the peer does not read
	c.mu.Unlock()
	s.waiting.Add(maxWaitingBytes - 1) // those of others
	if err := c.write([]byte("xy"), 0); !errors.Is(err, ErrQueueFull) {
		t.Errorf("got %v, want ErrQueueFull", err)
	}
	if err := c.write([]byte("x"), 0); err != nil {
		t.Errorf("got %v, want room for one byte", err)
	}
	s.waiting.Add(1 - maxWaitingBytes)
}

// A slow peer gets everything, in order, whole messages only.
func TestTCPSlowReader(t *testing.T) {
	r := newRecorder()
	s, addr := startTCP(t, Config{}, r)
	p := dialPeer(t, addr)
	p.send(request("s", 0))
	to := next(t, r.got).from
	out := s.NewOut()
	const messages = 200
	sent := map[Ref]string{}
	for i := range messages {
		m := request(fmt.Sprint("m", i), 40000)
		sent[Ref(i+1)] = m
		out.Send(to, []byte(m), Ref(i+1))
		out.Flush()
	}
	for len(r.failed) > 0 {
		delete(sent, (<-r.failed).ref) // the queue was full: a whole message is missing
	}
	for i := range messages {
		if m, ok := sent[Ref(i+1)]; ok {
			p.expect(m)
		}
	}
	if len(sent) < 10 {
		t.Errorf("got %d of %d messages through, want more", len(sent), messages)
	}
	out.Send(to, []byte("end"), 0)
	out.Flush()
	p.expect("end")
}

func TestTCPTimeouts(t *testing.T) {
	short := 150 * time.Millisecond
	tests := []struct {
		name   string
		limits limits
		send   string
		keep   bool
		closes bool
	}{
		{"nothing sent", limits{partial: short}, "", false, true},
		{"half a message", limits{partial: short}, request("one", 0) + request("two", 5)[:20], false, true},
		{"half a line ending", limits{partial: short}, request("one", 0) + "\r", false, true},
		{"idle", limits{idle: short}, request("one", 0), false, true},
		{"idle, but kept", limits{idle: short, partial: short}, request("one", 0), true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRecorder()
			s, addr := startTCP(t, Config{limits: tt.limits}, r)
			p := dialPeer(t, addr)
			if tt.send != "" {
				p.send(tt.send)
				s.Keep(next(t, r.got).from.Conn, tt.keep)
			}
			if tt.closes {
				p.expectClosed()
				next(t, r.closed)
				return
			}
			time.Sleep(3 * short)
			p.send(tt.send)
			next(t, r.got)
		})
	}
}

// A connection in use, by either side, is not idle.
func TestTCPUseKeepsOpen(t *testing.T) {
	t.Parallel()
	r := newRecorder()
	s, addr := startTCP(t, Config{limits: limits{idle: 300 * time.Millisecond}}, r)
	p := dialPeer(t, addr)
	p.send(request("one", 0))
	to := next(t, r.got).from
	out := s.NewOut()
	for range 10 {
		time.Sleep(60 * time.Millisecond)
		out.Send(to, []byte("x"), 0)
		out.Flush()
		p.expect("x")
	}
	p.expectClosed()
}

func TestTCPLimits(t *testing.T) {
	tests := []struct {
		name    string
		cfg     Config
		allowed int
	}{
		{"in all", Config{MaxConns: 3}, 3},
		{"per source", Config{MaxConnsPerSource: 2}, 2},
		{"no bound", Config{MaxConns: -1, MaxConnsPerSource: -1}, 5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRecorder()
			s, addr := startTCP(t, tt.cfg, r)
			var peers []*peer
			for i := range 5 {
				p := dialPeer(t, addr)
				if i >= tt.allowed {
					p.expectClosed()
					continue
				}
				p.send(request("one", 0))
				next(t, r.got)
				peers = append(peers, p)
			}
			if s.Conns() != tt.allowed {
				t.Errorf("got %d connections, want %d", s.Conns(), tt.allowed)
			}
			peers[0].Close() // makes room for another
			next(t, r.closed)
			p := dialPeer(t, addr)
			p.send(request("two", 0))
			next(t, r.got)
		})
	}
}

func TestSourceOf(t *testing.T) {
	tests := []struct{ name, addr, want string }{
		{"IPv4", "192.0.2.1", "192.0.2.1"},
		{"IPv6", "2001:db8:1:2:3::4", "2001:db8:1:2::"},
		{"IPv6 with zone", "fe80::1%eth0", "fe80::"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := sourceOf(netip.MustParseAddr(tt.addr)).String(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestTCPPanicIsCaught(t *testing.T) {
	r := newRecorder()
	r.handle = func(out *Out, from Flow, raw []byte) {
		if strings.Contains(string(raw), "bad") {
			panic("as tested")
		}
		echo(out, from, raw)
	}
	s, addr := startTCP(t, Config{}, r)
	p := dialPeer(t, addr)
	good := request("good", 3)
	p.send(good + request("bad", 0) + good)
	p.expect(good + good)
	if s.Panics() != 1 {
		t.Errorf("got %d panics counted, want 1", s.Panics())
	}
}

// A server that loses a connection while many goroutines send on it reports each message at most once, and ends.
func TestTCPManySenders(t *testing.T) {
	r := newRecorder()
	s, addr := startTCP(t, Config{}, r)
	p := dialPeer(t, addr)
	p.send(request("one", 0))
	to := next(t, r.got).from
	const senders, each = 4, 200
	done := make(chan bool)
	for g := range senders {
		go func() {
			out := s.NewOut()
			for i := range each {
				out.Send(to, []byte(request("x", 2000)), Ref(g*each+i+1))
				out.Flush()
			}
			done <- true
		}()
	}
	if _, err := io.CopyN(io.Discard, p.r, 100000); err != nil {
		t.Fatal(err)
	}
	p.Close()
	for range senders {
		<-done
	}
	next(t, r.closed)
	seen := map[Ref]bool{}
	for len(r.failed) > 0 {
		f := <-r.failed
		if seen[f.ref] || f.ref == 0 || f.ref > senders*each {
			t.Errorf("got %d reported twice or never sent", f.ref)
		}
		seen[f.ref] = true
	}
}
