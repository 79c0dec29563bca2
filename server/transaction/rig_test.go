package transaction

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"sipd/server/message"
	"sipd/server/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a table whose timers run, in virtual time, with everything it sends in a log.
type rig struct {
	t     *testing.T
	table *Table
	start time.Time
	stop  context.CancelFunc

	mu   sync.Mutex
	log  []string // "0.5s INVITE", "1s Response 200", ...
	sent []transport.Packet
	fail func(o *transport.Out, p transport.Packet) // called for each packet, may be nil
}

// The network of the rig: all it has is Outs that write into the log.
func (r *rig) Run(ctx context.Context, _ transport.Receiver) error { <-ctx.Done(); return ctx.Err() }
func (r *rig) Own(netip.AddrPort) bool                             { return false }
func (r *rig) Certificates(transport.ConnID) []*x509.Certificate   { return nil }
func (r *rig) Alias(transport.ConnID, []byte, uint16)              {}
func (r *rig) NewOut() *transport.Out {
	return transport.NewOut(func(o *transport.Out, packets []transport.Packet) {
		for _, p := range packets {
			p.Data = bytes.Clone(p.Data)
			r.note(firstWord(p.Data))
			r.mu.Lock()
			r.sent = append(r.sent, p)
			fail := r.fail
			r.mu.Unlock()
			if fail != nil {
				fail(o, p)
			}
		}
	})
}
func (r *rig) Source(transport.Proto, netip.Addr) (netip.AddrPort, bool) {
	return netip.AddrPort{}, false
}

// firstWord is the method or the status code of a message.
func firstWord(data []byte) string {
	words := strings.Fields(string(data[:min(len(data), 60)]))
	switch {
	case len(words) < 2:
		return fmt.Sprintf("?%q", data)
	case words[0] == "SIP/2.0":
		return words[1]
	}
	return words[0]
}

func (r *rig) note(what string) {
	at := time.Since(r.start)
	r.mu.Lock()
	r.log = append(r.log, at.String()+" "+what)
	r.mu.Unlock()
}

// virtual runs f in a bubble with a rig, ends the timers, and checks that nothing is left in the table's hands when all
// transactions should be over.
func virtual(t *testing.T, cfg Config, f func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, start: time.Now()}
		cfg.Net = r
		table, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		r.table = table
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		r.stop = stop
		go table.Run(ctx)
		f(r)
		time.Sleep(2 * timerB)
		synctest.Wait()
		r.wantEmpty()
	})
}

// wantEmpty checks that no transaction lives and all memory is back in the pools.
func (r *rig) wantEmpty() {
	r.t.Helper()
	if servers, clients := r.table.Counts(); servers != 0 || clients != 0 {
		r.t.Errorf("transactions left: got %d server, %d client, want none", servers, clients)
	}
	if p := r.table.Pools(); p.Requests != 0 || p.Buffers != 0 || p.BufferBytes != 0 || p.Cancels != 0 {
		r.t.Errorf("memory left in use: got %+v, want none", p)
	}
	if n := r.table.Panics(); n != 0 {
		r.t.Errorf("panics: got %d, want 0", n)
	}
	for i := range r.table.shards {
		s := &r.table.shards[i]
		s.mu.Lock()
		if s.match.count != 0 || s.merges.count != 0 || len(s.ended) != 0 || s.wheel.next() != never {
			r.t.Errorf("shard %d: got %d and %d matches, %d ended, next timer %d, want an empty shard", i, s.match.count, s.merges.count, len(s.ended), s.wheel.next())
		}
		s.mu.Unlock()
	}
}

// do enters the shard of callID, calls f, and flushes.
func (r *rig) do(f func(s *Shard)) { r.doIn("call1", f) }

func (r *rig) doIn(callID string, f func(s *Shard)) {
	out := r.NewOut()
	s := r.table.Shard([]byte(callID))
	s.Enter(out, time.Now())
	func() {
		defer s.Leave()
		f(s)
	}()
	out.Flush()
}

// at sleeps until d after the start.
func (r *rig) at(d time.Duration) {
	time.Sleep(d - time.Since(r.start))
	synctest.Wait()
}

// want compares the whole log so far with lines "0.5s INVITE" and empties it.
func (r *rig) want(lines ...string) {
	r.t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	got := r.log
	r.log = nil
	for i, l := range lines {
		d, what, _ := strings.Cut(l, " ")
		at, err := time.ParseDuration(d)
		if err != nil {
			r.t.Fatalf("line %q: %v", l, err)
		}
		lines[i] = at.String() + " " + what
	}
	order(got)
	order(lines)
	if g, w := strings.Join(got, "\n  "), strings.Join(lines, "\n  "); g != w {
		r.t.Errorf("log: got\n  %s\nwant\n  %s", g, w)
	}
}

// order puts what users heard at one moment behind what was sent then: packets are noted by Flush, after the callbacks.
func order(log []string) {
	moment := func(line string) string { at, _, _ := strings.Cut(line, " "); return at }
	for len(log) > 0 {
		n := 1
		for n < len(log) && moment(log[n]) == moment(log[0]) {
			n++
		}
		slices.SortStableFunc(log[:n], func(a, b string) int {
			toldA, toldB := strings.Contains(a, "->"), strings.Contains(b, "->")
			switch {
			case toldA == toldB:
				return 0
			case toldA:
				return 1
			}
			return -1
		})
		log = log[n:]
	}
}

// status returns tx.Status under the lock.
func (r *rig) status(tx *Server) (status int) {
	r.do(func(*Shard) { status = tx.Status() })
	return status
}

// last returns the last packet sent.
func (r *rig) last() transport.Packet {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.sent) == 0 {
		r.t.Fatal("nothing was sent")
	}
	return r.sent[len(r.sent)-1]
}

// user is both kinds of user; it notes what it hears.
type user struct {
	r        *rig
	response func(s *Shard, c *Client, m *message.Message)
	failed   func(s *Shard, c *Client, why Failure, err error)
	ended    func(s *Shard)
	cancel   func(s *Shard, tx *Server)
	quiet    bool // it notes nothing
}

func (u *user) note(what string) {
	if !u.quiet {
		u.r.note(what)
	}
}

func (u *user) Response(s *Shard, c *Client, m *message.Message) {
	u.note(fmt.Sprintf("-> %d", m.Status()))
	if u.response != nil {
		u.response(s, c, m)
	}
}

func (u *user) Failed(s *Shard, c *Client, why Failure, err error) {
	u.note("-> " + why.String())
	if u.failed != nil {
		u.failed(s, c, why, err)
	}
}

func (u *user) Ended(s *Shard, c *Client) {
	u.note("-> ended")
	if u.ended != nil {
		u.ended(s)
	}
}

// serverUser is user for server transactions: Ended has another type there.
type serverUser struct{ *user }

func (u serverUser) Cancelled(s *Shard, tx *Server, m *message.Message) {
	u.note("-> cancelled")
	if u.cancel != nil {
		u.cancel(s, tx)
	}
}

func (u serverUser) Ended(s *Shard, tx *Server) {
	what := fmt.Sprintf("-> ended %d", tx.Status())
	if tx.Unacknowledged() {
		what += " without ACK"
	}
	u.note(what)
	if u.ended != nil {
		u.ended(s)
	}
}

var (
	udpPeer = transport.Flow{Proto: transport.UDP, Local: netip.MustParseAddrPort("192.0.2.9:5060"), Remote: netip.MustParseAddrPort("192.0.2.1:5062")}
	tcpPeer = transport.Flow{Proto: transport.TCP, Conn: 7, Local: netip.MustParseAddrPort("192.0.2.9:5060"), Remote: netip.MustParseAddrPort("192.0.2.1:40001")}
)

// parse indexes a message written with plain newlines.
func parse(t testing.TB, from transport.Flow, text string) *message.Message {
	t.Helper()
	m := &message.Message{Source: from.Remote}
	if err := m.Index([]byte(crlf(text))); err != nil {
		t.Fatalf("message %q: %v", text, err)
	}
	return m
}

func crlf(text string) string { return strings.ReplaceAll(strings.TrimLeft(text, "\n"), "\n", "\r\n") }

// request is a request from the peer.
func request(method, branch string) string {
	return method + ` sip:bob@example.org SIP/2.0
Via: SIP/2.0/UDP 192.0.2.1:5062;branch=` + branch + `
Max-Forwards: 70
From: Alice <sip:alice@example.org>;tag=a1
To: Bob <sip:bob@example.org>
Call-ID: call1
CSeq: 7 ` + method + `
Content-Length: 0

`
}

// ownRequest is a request of c, as a proxy would write it.
func ownRequest(c *Client, method string) []byte {
	return []byte(crlf(method + ` sip:bob@192.0.2.1:5062 SIP/2.0
Via: SIP/2.0/UDP 192.0.2.9;branch=` + string(c.AppendBranch(nil, 42)) + `
Via: SIP/2.0/UDP 192.0.2.77;branch=z9hG4bKup
Max-Forwards: 69
From: Alice <sip:alice@example.org>;tag=a1
To: Bob <sip:bob@example.org>
Call-ID: call1
CSeq: 7 ` + method + `
Content-Length: 0

`))
}

// answer is a response of the peer to the bytes of a request: its headers with another first line.
func answer(req []byte, status int, method string) string {
	_, rest, _ := strings.Cut(string(req), "\r\n")
	text := fmt.Sprintf("SIP/2.0 %d Whatever\n", status) + strings.ReplaceAll(rest, "\r\n", "\n")
	if status > 100 {
		text = strings.Replace(text, "To: Bob <sip:bob@example.org>", "To: Bob <sip:bob@example.org>;tag=b1", 1)
	}
	return strings.Replace(text, "CSeq: 7 INVITE", "CSeq: 7 "+method, 1)
}

// startClient starts a client transaction over flow.
func (r *rig) startClient(method string, flow transport.Flow, u *user) (c *Client, sent []byte) {
	r.t.Helper()
	if u == nil {
		u = &user{}
	}
	u.r = r
	r.do(func(s *Shard) {
		c = s.NewClient(u)
		if c == nil {
			r.t.Fatal("NewClient returned nil")
		}
		sent = ownRequest(c, method)
		s.Start(c, flow, sent)
	})
	return c, sent
}

// respond gives the table a response of the peer; it wants it to be taken or not.
func (r *rig) respond(text string, taken bool) {
	r.t.Helper()
	m := parse(r.t, udpPeer, text)
	r.do(func(s *Shard) {
		if got := s.Response(m, udpPeer); got != taken {
			r.t.Errorf("Response %d: got handled %v, want %v", m.Status(), got, taken)
		}
	})
}

// startServer makes a server transaction.
func (r *rig) startServer(text string, from transport.Flow, u *user) (tx *Server) {
	r.t.Helper()
	if u == nil {
		u = &user{}
	}
	u.r = r
	m := parse(r.t, from, text)
	r.do(func(s *Shard) {
		if s.Request(m, from) {
			r.t.Fatal("a new request was taken for an old one")
		}
		if tx = s.NewServer(m, from, serverUser{u}); tx == nil {
			r.t.Fatal("NewServer returned nil")
		}
	})
	return tx
}

// receive gives the table a request of the peer; it wants it to be taken or not.
func (r *rig) receive(text string, from transport.Flow, taken bool) {
	r.t.Helper()
	m := parse(r.t, from, text)
	r.do(func(s *Shard) {
		if got := s.Request(m, from); got != taken {
			r.t.Errorf("Request %s: got handled %v, want %v", m.MethodText(), got, taken)
		}
	})
}

// reply responds in tx.
func (r *rig) reply(tx *Server, status int) {
	r.do(func(s *Shard) { s.Respond(tx, status, reply(tx, status)) })
}

// reply is a response as a user would write it.
func reply(tx *Server, status int) []byte {
	return []byte(crlf(fmt.Sprintf(`SIP/2.0 %d Whatever
Via: SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bKany
From: Alice <sip:alice@example.org>;tag=a1
To: Bob <sip:bob@example.org>;tag=%s
Call-ID: call1
CSeq: 7 INVITE
Content-Length: 0

`, status, tx.Tag())))
}
