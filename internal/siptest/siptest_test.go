package siptest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sipd/internal/siptest"
	"sipd/internal/siptest/flow"
	"sipd/server/transport"
)

// relay is a little proxy for one phone: enough to play a flow against, with faults to order.
type relay struct {
	net   *siptest.Net
	phone netip.AddrPort
	fault string
	rows  []siptest.LogRow
}

func (p *relay) Receive(out *transport.Out, from transport.Flow, raw []byte) {
	text := string(raw)
	switch {
	case strings.HasPrefix(text, "OPTIONS"):
		p.rows = append(p.rows, siptest.LogRow{Method: "OPTIONS", Status: 200, Fields: map[string]string{"from": "x"}})
		out.Send(from, []byte(p.answer(text, "200 OK", ";tag=srv")), 0)
	case strings.HasPrefix(text, "INVITE"):
		out.Send(from, []byte(p.answer(text, "100 Trying", "")), 0)
		p.forward(out, text)
		if p.fault == "twice" {
			p.forward(out, text)
		}
		if p.fault == "late" {
			raw := strings.Clone(text)
			time.AfterFunc(time.Second, func() {
				out := p.net.NewOut()
				p.forward(out, raw)
				out.Flush()
			})
		}
	case strings.HasPrefix(text, "ACK"):
		p.forward(out, text)
	case strings.HasPrefix(text, "SIP/2.0"):
		start, rest, _ := strings.Cut(text, "\r\n")
		_, rest, _ = strings.Cut(rest, "\r\n")
		if p.fault == "via kept" {
			_, rest, _ = strings.Cut(text, "\r\n")
		}
		out.Send(transport.Flow{Remote: netip.MustParseAddrPort("10.0.0.1:5060")}, []byte(start+"\r\n"+rest), 0)
	}
}

func (p *relay) answer(text, status, tag string) string {
	var b strings.Builder
	b.WriteString("SIP/2.0 " + status + "\r\n")
	for _, l := range strings.Split(text, "\r\n") {
		switch name, _, _ := strings.Cut(l, ":"); name {
		case "To":
			b.WriteString(l + tag + "\r\n")
		case "Via", "From", "Call-ID", "CSeq":
			b.WriteString(l + "\r\n")
		}
	}
	return b.String() + "Content-Length: 0\r\n\r\n"
}

func (p *relay) forward(out *transport.Out, text string) {
	start, rest, _ := strings.Cut(text, "\r\n")
	if strings.HasPrefix(start, "INVITE") {
		start = "INVITE sip:bob@10.0.0.11 SIP/2.0"
	}
	hops := "Max-Forwards: 69"
	if p.fault == "hops" {
		hops = "Max-Forwards: 70"
	}
	branch := "z9hG4bKserverserverserver"
	if strings.HasPrefix(start, "ACK") {
		branch += "ack"
	}
	rest = strings.Replace(rest, "Max-Forwards: 70", hops, 1)
	if p.fault == "lost header" {
		rest = strings.Replace(rest, "X-Color: red\r\n", "", 1)
	}
	if p.fault == "contact" {
		rest = strings.Replace(rest, "Contact: <sip:alice@10.0.0.1>", "Contact: <sip:mallory@10.0.0.1>", 1)
	}
	out.Send(transport.Flow{Remote: p.phone}, []byte(start+"\r\nVia: SIP/2.0/UDP 10.0.0.100;branch="+branch+"\r\n"+rest), 0)
}

func (p *relay) SendFailed(*transport.Out, transport.Ref, error) {}
func (p *relay) FlowClosed(out *transport.Out, f transport.Flow) {}

// start brings the relay up.
func start(fault string) siptest.Start {
	return func(t *testing.T, n *siptest.Net, f *flow.Flow) *siptest.System {
		ctx, cancel := context.WithCancel(t.Context())
		p := &relay{net: n, phone: netip.MustParseAddrPort("10.0.0.11:5060"), fault: fault}
		done := make(chan struct{})
		go func() { n.Run(ctx, p); close(done) }()
		return &siptest.System{
			Transactions: func() (int, int) { return 0, 0 },
			Log:          func() []siptest.LogRow { return p.rows },
			Stop:         func() { cancel(); <-done },
		}
	}
}

const call = `# RFC 3665 3.1: a call
peer alice 10.0.0.1
peer bob 10.0.0.11 bob
at 0s alice -> proxy INVITE sip:bob@example.org  X-Color: red
        Subject: two  spaces
at 0s proxy -> alice 100  !Contact
at 0s proxy -> bob   INVITE sip:bob@10.0.0.11  Max-Forwards: 69  X-Color:~ ^r.d$  Via:# 2
        Subject: two  spaces
at 1s bob -> proxy   180
at 1s proxy -> alice 180 from=bob
at 2s bob -> proxy   200
at 2s proxy -> alice 200  Contact: <sip:bob@10.0.0.11>  # the phone's
at 2.5s bob -> proxy 200 again
at 2.5s proxy -> alice 200 again
at 3s alice -> proxy ACK bob
at 3s proxy -> bob   ACK sip:bob@10.0.0.11
quiet 40s
`

// play runs a flow in a process of its own making and returns what failed.
func play(t *testing.T, text, fault string) {
	t.Helper()
	f, err := flow.Parse("test.flow", text)
	if err != nil {
		t.Fatal(err)
	}
	siptest.Run(t, f, start(fault))
}

func TestCallPasses(t *testing.T) { play(t, call, "") }

func TestOptionsAndLog(t *testing.T) {
	play(t, `# RFC 3261 11: OPTIONS to the server
peer alice 10.0.0.1
at 0s alice -> proxy OPTIONS sip:10.0.0.100
at 0s proxy -> alice 200 from=proxy
at 1s alice -> proxy OPTIONS sip:10.0.0.100
at 1s proxy -> alice 200
quiet 1s
log OPTIONS 200 from=x
log OPTIONS 200
`, "")
}

// TestFaultsAreFound orders faults and reads what the runner reports: it must not be blind.
func TestFaultsAreFound(t *testing.T) {
	for _, tc := range []struct{ name, text, fault, want string }{
		{"a second request with the same branch", call, "twice", "unexpected message"},
		{"a message at a time of its own", call, "late", "unexpected message"},
		{"hop count not lowered", call, "hops", "Max-Forwards"},
		{"a lost header", call, "lost header", "X-Color"},
		{"a changed header", call, "contact", "mallory"},
		{"a Via too many", call, "via kept", "answers no request"},
		{"rport not filled in", strings.Replace(call, "INVITE sip:bob@example.org  X", "INVITE sip:bob@example.org rport  X", 1), "", "RFC 3581"},
		{"a message that does not come", strings.Replace(call, "at 1s bob -> proxy   180\n", "", 1), "", "did not come"},
		{"a message too early", strings.Replace(call, "at 2.5s proxy -> alice 200 again", "at 2.6s proxy -> alice 200 again", 1), "", "too early"},
		{"a retransmission not marked", strings.Replace(call, "at 2.5s proxy -> alice 200 again", "at 2.5s proxy -> alice 200", 1), "", "retransmission"},
		{"a wrong Request-URI", strings.Replace(call, "proxy -> bob   INVITE sip:bob@10.0.0.11", "proxy -> bob   INVITE sip:bob@10.0.0.12", 1), "", "Request-URI"},
		{"a header with another value", strings.Replace(call, "Contact: <sip:bob@10.0.0.11>  #", "Contact: <sip:carol@10.0.0.11>  #", 1), "", "want <sip:carol"},
		{"a header that should not be there", strings.Replace(call, "200  Contact: <sip:bob@10.0.0.11>", "200  !Contact", 1), "", "it has Contact"},
		{"no answer to OPTIONS", "# RFC 3261 11: x\npeer a 10.0.0.1\nat 0s a -> proxy MESSAGE sip:x@y\nat 0s proxy -> a 200\nquiet 1s\n", "", "did not come"},
		{"a log row that nobody names", "# RFC 3261 11: x\npeer a 10.0.0.1\nat 0s a -> proxy OPTIONS sip:x@y\nat 0s proxy -> a 200\nquiet 1s\nlog none\n", "", "no log line names"},
		{"a log row that is missing", "# RFC 3261 11: x\npeer a 10.0.0.1\nat 0s a -> proxy OPTIONS sip:x@y\nat 0s proxy -> a 200\nquiet 1s\nlog OPTIONS 200 from=y\n", "", "no such row"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f, err := flow.Parse("test.flow", tc.text)
			if err != nil {
				t.Fatal(err)
			}
			got := siptest.Failures(t, f, start(tc.fault))
			if !strings.Contains(strings.Join(got, "\n"), tc.want) {
				t.Errorf("got failures %q, want one with %q", got, tc.want)
			}
		})
	}
}

// echo answers each message with itself.
type echo struct {
	failed []error
	closed int
	to     transport.Flow
}

func (e *echo) Receive(out *transport.Out, from transport.Flow, raw []byte) {
	to := from
	if e.to.Remote.IsValid() {
		to = e.to
	}
	out.Send(to, raw, 7)
}
func (e *echo) SendFailed(_ *transport.Out, ref transport.Ref, err error) {
	e.failed = append(e.failed, fmt.Errorf("%d: %w", ref, err))
}
func (e *echo) FlowClosed(*transport.Out, transport.Flow) { e.closed++ }

// network starts a network with an echo on it.
func network(t *testing.T) (*siptest.Net, *echo) {
	n, e := siptest.NewNet(siptest.ServerAddr), &echo{}
	go n.Run(t.Context(), e)
	synctest.Wait()
	return n, e
}

func TestNetDatagrams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, e := network(t)
		h := n.Host(netip.MustParseAddrPort("10.0.0.1:5060"))
		if err := h.Send([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if in := h.Take(); len(in) != 1 || string(in[0].Data) != "hello" || in[0].From != siptest.ServerAddr {
			t.Errorf("got %v, want one hello", in)
		}
		if in := h.Take(); len(in) != 0 {
			t.Errorf("got %v a second time", in)
		}
		e.to = transport.Flow{Remote: netip.MustParseAddrPort("10.0.0.9:5060")}
		h.Send([]byte("stray"))
		if in := n.Nobody().Take(); len(in) != 1 {
			t.Errorf("got %d messages to nobody, want 1", len(in))
		}
		n.Host(netip.MustParseAddrPort("10.0.0.9:5060")).Refuses = true
		h.Send([]byte("refused"))
		if len(e.failed) != 1 || !errors.Is(e.failed[0], siptest.ErrRefused) || !strings.HasPrefix(e.failed[0].Error(), "7:") {
			t.Errorf("got failures %v, want one refusal of 7", e.failed)
		}
		if err := n.Host(netip.MustParseAddrPort("[2001:db8::1]:5060")).Send([]byte("x")); err == nil {
			t.Error("an IPv6 host reached an IPv4 server")
		}
	})
}

func TestNetShape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _ := network(t)
		n.Shape = func(toServer bool, data []byte) []time.Duration {
			switch {
			case !toServer:
				return []time.Duration{0}
			case bytes.Equal(data, []byte("lost")):
				return nil
			case bytes.Equal(data, []byte("first")):
				return []time.Duration{30 * time.Millisecond, 50 * time.Millisecond}
			}
			return []time.Duration{10 * time.Millisecond}
		}
		h := n.Host(netip.MustParseAddrPort("10.0.0.1:5060"))
		for _, m := range []string{"lost", "first", "second"} {
			h.Send([]byte(m))
		}
		time.Sleep(time.Second)
		synctest.Wait()
		var got []string
		for _, a := range h.Take() {
			got = append(got, string(a.Data))
		}
		if strings.Join(got, " ") != "second first first" {
			t.Errorf("got %q, want lost gone, first late and twice", got)
		}
	})
}

func TestNetStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, e := network(t)
		h := n.Host(netip.MustParseAddrPort("10.0.0.1:5060"))
		c, err := h.Dial(transport.TCP)
		if err != nil {
			t.Fatal(err)
		}
		const m = "OPTIONS sip:x SIP/2.0\r\nContent-Length: 2\r\n\r\nhi"
		c.Send([]byte(m))
		in := h.Take()
		if len(in) != 1 || string(in[0].Data) != m || in[0].Conn != c {
			t.Fatalf("got %v, want the message on its connection", in)
		}
		e.to = transport.Flow{Proto: transport.TCP, Remote: h.Addr}
		c.Send([]byte(m))
		if in = h.Take(); len(in) != 1 || in[0].Conn == c || in[0].Conn == nil {
			t.Errorf("got %v, want a connection that the server opened to the listening port", in)
		}
		opened := in[0].Conn
		c.Send([]byte(m))
		if in = h.Take(); len(in) != 1 || in[0].Conn != opened {
			t.Errorf("got %v, want the opened connection used again", in)
		}
		e.to.Conn = c.ID
		opened.Close()
		if e.closed != 1 {
			t.Errorf("got %d closed flows, want 1", e.closed)
		}
		c.Close()
		if err := c.Send([]byte(m)); !errors.Is(err, siptest.ErrClosed) {
			t.Errorf("got %v on a closed connection, want ErrClosed", err)
		}
	})
}

func TestNetCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, old := network(t)
		h := n.Host(netip.MustParseAddrPort("10.0.0.1:5060"))
		c, err := h.Dial(transport.TCP)
		if err != nil {
			t.Fatal(err)
		}
		out := n.NewOut()
		n.Crash()
		if c.Open() || old.closed != 0 {
			t.Errorf("got open %t and %d closings told to the dead, want neither", c.Open(), old.closed)
		}
		out.Send(transport.Flow{Remote: h.Addr}, []byte("from the grave"), 0)
		out.Flush()
		h.Send([]byte("too late"))
		go n.Run(t.Context(), &echo{})
		synctest.Wait()
		h.Send([]byte("hello"))
		if in := h.Take(); len(in) != 1 || string(in[0].Data) != "hello" {
			t.Errorf("got %v, want one hello, from the second server", in)
		}
	})
}
