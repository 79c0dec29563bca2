package siptest

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sipd/internal/siptest/flow"
	"sipd/server/transport"
)

// The server's addresses in every flow, and the domain that is always its own.
var (
	ServerAddr  = netip.MustParseAddrPort("10.0.0.100:5060")
	ServerAddr6 = netip.MustParseAddrPort("[2001:db8::100]:5060")
)

// listen makes the listeners of a flow: words of its listens line.
func listen(n *Net, words []string) {
	for _, addr := range []netip.AddrPort{ServerAddr, ServerAddr6} {
		if addr.Addr().Is4() && !slices.Contains(words, "ipv4") || addr.Addr().Is6() && !slices.Contains(words, "ipv6") {
			continue
		}
		for _, p := range []transport.Proto{transport.UDP, transport.TCP, transport.TLS} {
			if p == transport.TLS {
				addr = netip.AddrPortFrom(addr.Addr(), tlsPort)
			}
			if slices.Contains(words, p.Param()) {
				n.Listen(p, addr)
			}
		}
	}
}

// tlsPort is where the server listens by TLS (RFC 3261 19.1.2).
const tlsPort = 5061

// server is the server's address as the peer knows it.
func (a *actor) server() netip.AddrPort {
	addr := ServerAddr
	if a.Addr.Addr().Is6() {
		addr = ServerAddr6
	}
	if a.Proto == transport.TLS {
		addr = netip.AddrPortFrom(addr.Addr(), tlsPort)
	}
	return addr
}

// LogRow is a row of the request log as flows check it.
type LogRow struct {
	Method string
	Status int
	Fields map[string]string // url, from, to, user, source, next
}

// System is the server that a flow is played against.
type System struct {
	// Transactions returns how many server and client transactions are alive. After the quiet at the end there are none.
	Transactions func() (servers, clients int)
	// Log returns the rows of the request log so far.
	Log func() []LogRow
	// Restart brings up another server over the same store, after the first one has died (Net.Crash).
	Restart func()
	// Stop ends the server; every goroutine has ended when it returns.
	Stop func()
}

// Start brings a server up on the network of a flow.
type Start func(t *testing.T, n *Net, f *flow.Flow) *System

// Messages may come this much after the second that the flow names, never before it: timers tick every 10 ms, and the ticks of a
// series of retransmissions add up, hence the part of the time since the beginning.
const (
	toleranceFixed = 20 * time.Millisecond
	toleranceShare = 400
)

func tolerance(at time.Duration) time.Duration { return toleranceFixed + at/toleranceShare }

// runner plays one flow.
type runner struct {
	flow   *flow.Flow
	net    *Net
	begin  time.Time
	actors map[string]*actor
	met    map[*flow.Step]bool // expectations that have come
	order  []*actor
	sent   []*sentMessage // of all, in order
	nobody *Host
	failed []string
	wire   string // every message, when something failed
}

// Run plays a flow in a bubble of virtual time and reports by t what did not go as the flow says.
func Run(t *testing.T, f *flow.Flow, start Start) {
	t.Helper()
	r := play(t, f, start)
	for _, what := range r.failed {
		t.Error(what)
	}
	if len(r.failed) > 0 {
		t.Log(r.wire)
	}
}

// Failures plays a flow and returns what Run would report.
func Failures(t *testing.T, f *flow.Flow, start Start) []string {
	t.Helper()
	return play(t, f, start).failed
}

// play plays a flow in a bubble.
func play(t *testing.T, f *flow.Flow, start Start) (r *runner) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := NewNet()
		listen(n, f.Listens)
		r = &runner{flow: f, net: n, actors: map[string]*actor{}, met: map[*flow.Step]bool{}, nobody: n.Nobody()}
		for _, p := range f.Peers {
			a := &actor{Peer: p, run: r, conns: map[string]*Conn{}, legs: map[string]*leg{}, nonces: map[string]int{}}
			a.hosts = []*Host{n.Host(p.Addr)}
			a.hosts[0].Refuses, a.hosts[0].NoTCP, a.hosts[0].Dead = p.Refuses, p.NoTCP, p.Dead
			var err error
			if a.hosts[0].Certificates, err = certificates(p); err != nil {
				r.fail(0, "the certificate of %s: %v", p.Name, err)
			}
			r.actors[p.Name] = a
			r.order = append(r.order, a)
		}
		for _, d := range f.DNS {
			if err := n.Names.Change(d); err != nil {
				r.fail(d.Line, "%v", err)
			}
		}
		for _, s := range f.Steps {
			if src, ok := s.Words["source"]; ok {
				if _, err := r.source(r.actors[s.Peer.Name], src); err != nil {
					r.fail(s.Line, "%v", err)
				}
			}
			if s.Kind == flow.Expect {
				r.actors[s.Peer.Name].waiting = append(r.actors[s.Peer.Name].waiting, s)
			}
		}
		system := start(t, n, f)
		synctest.Wait()
		r.begin = time.Now()
		r.steps(system)
		if len(r.failed) > 0 {
			r.wire = r.ladder()
		}
		system.Stop()
		synctest.Wait()
	})
	return r
}

// fail notes a failure at a line of the flow, 0 is none.
func (r *runner) fail(line int, format string, args ...any) {
	at := r.flow.File
	if line > 0 {
		at += ":" + strconv.Itoa(line)
	}
	r.failed = append(r.failed, at+": "+fmt.Sprintf(format, args...))
}

// steps goes through the flow until something fails.
func (r *runner) steps(system *System) {
	for i, s := range r.flow.Steps {
		switch s.Kind {
		case flow.Expect:
			continue
		case flow.Quiet:
			if r.reach(i, time.Since(r.begin)) {
				time.Sleep(s.At)
				synctest.Wait()
				r.collect()
			}
			if len(r.failed) == 0 {
				r.atEnd(s, system)
			}
			return
		}
		if !r.reach(i, s.At) {
			return
		}
		if err := r.act(s, system); err != nil {
			r.fail(s.Line, "%v", err)
		}
		synctest.Wait()
		r.collect()
		if len(r.failed) > 0 {
			return
		}
	}
}

// act does what a send, close, restart or change step says.
func (r *runner) act(s *flow.Step, system *System) error {
	switch s.Kind {
	case flow.Restart:
		r.net.Crash()
		system.Restart()
		return nil
	case flow.Change:
		return r.net.Names.Change(s.DNS)
	}
	a := r.actors[s.Peer.Name]
	if s.Kind == flow.Close {
		if len(a.conns) == 0 {
			return fmt.Errorf("%s has no connection to close", a.Name)
		}
		for name, c := range a.conns {
			c.Close()
			delete(a.conns, name)
		}
		return nil
	}
	data, conn, err := a.message(s)
	if err != nil {
		return err
	}
	if _, err := parseMessage(data); err != nil && !s.Raw {
		return fmt.Errorf("the flow sends a broken message (only raw ones may be): %w", err)
	}
	m, err := readMessage(data)
	if err != nil { // Too broken to be answered.
		_, err = a.transmit(s, data, conn)
		return err
	}
	sent := &sentMessage{sipMessage: m, by: a, name: s.Words["as"]}
	a.sent = append(a.sent, sent)
	r.sent = append(r.sent, sent)
	sent.conn, err = a.transmit(s, data, conn)
	return err
}

// reach lets time pass until at, and until what the lines above i expect by then has come.
func (r *runner) reach(i int, at time.Duration) bool {
	const stride = 5 * time.Millisecond
	if d := time.Until(r.begin.Add(at)); d > 0 {
		time.Sleep(d)
	}
	for {
		synctest.Wait()
		r.collect()
		if len(r.failed) > 0 {
			return false
		}
		missing := r.missing(i)
		if missing == nil {
			return true
		}
		if time.Since(r.begin) > missing.At+tolerance(missing.At) {
			r.fail(missing.Line, "did not come: %s", missing.Text)
			return false
		}
		time.Sleep(stride)
	}
}

// missing returns the first expectation above step i that is not met.
func (r *runner) missing(i int) *flow.Step {
	for _, s := range r.flow.Steps[:i] {
		if s.Kind == flow.Expect && !r.met[s] {
			return s
		}
	}
	return nil
}

// collect compares what arrived with what is expected.
func (r *runner) collect() {
	for _, m := range r.nobody.Take() {
		r.fail(0, "a message to an address where nobody is:\n%s", indent(m.Data))
	}
	for _, a := range r.order {
		for _, h := range a.hosts {
			for _, m := range h.Take() {
				r.arrived(a, m)
			}
		}
	}
}

// arrived deals with one message of the server.
func (r *runner) arrived(a *actor, in Arrival) {
	if len(r.failed) > 0 {
		return
	}
	at := in.At.Sub(r.begin)
	m, err := parseMessage(in.Data)
	if err != nil {
		r.fail(0, "%s got something broken at %v: %v\n%s", a.Name, at, err, indent(in.Data))
		return
	}
	got := &receivedMessage{sipMessage: m, conn: in.Conn}
	defer func() {
		a.received = append(a.received, got)
		a.learn(m)
	}()
	var why error
	if len(a.waiting) > 0 {
		s := a.waiting[0]
		if why = r.fits(a, s, m, at); why == nil {
			r.met[s] = true
			a.waiting = a.waiting[1:]
			got.name = s.Words["as"]
			if err := r.check(a, s, in, m); err != nil {
				r.fail(s.Line, "%s\n    but %v\n%s", s.Text, err, indent(in.Data))
			}
			return
		}
	}
	for _, s := range r.flow.Ignores {
		if s.Peer == a.Peer && is(s, m) && (!s.Has("again") || r.repeated(a, m)) {
			return
		}
	}
	if len(a.waiting) == 0 {
		r.fail(0, "unexpected message: %s got at %v, where nothing more is expected, %s\n%s", a.Name, at, m, indent(in.Data))
		return
	}
	r.fail(a.waiting[0].Line, "%s\n    unexpected message: %s got at %v %s: %v\n%s", a.waiting[0].Text, a.Name, at, m, why, indent(in.Data))
}

// repeated tells whether the same bytes came to the peer before.
func (r *runner) repeated(a *actor, m *sipMessage) bool {
	return slices.ContainsFunc(a.received, func(o *receivedMessage) bool { return string(o.raw) == string(m.raw) })
}

// fits says why a message is not the one that a step waits for.
func (r *runner) fits(a *actor, s *flow.Step, m *sipMessage, at time.Duration) error {
	switch {
	case !is(s, m):
		return fmt.Errorf("it is another message")
	case at < s.At:
		return fmt.Errorf("it came too early")
	case at > s.At+tolerance(s.At):
		return fmt.Errorf("it came too late")
	case s.Has("again") && !r.repeated(a, m):
		return fmt.Errorf("it is not what came before, byte for byte")
	case !s.Has("again") && r.repeated(a, m):
		return fmt.Errorf("it is a retransmission, which would be marked: again")
	}
	return nil
}

// atEnd checks what must be so after the quiet.
func (r *runner) atEnd(s *flow.Step, system *System) {
	if m := r.missing(len(r.flow.Steps)); m != nil {
		r.fail(m.Line, "did not come: %s", m.Text)
	}
	if system.Transactions != nil {
		if servers, clients := system.Transactions(); servers != 0 || clients != 0 {
			r.fail(s.Line, "after %v of quiet there are %d server and %d client transactions, want none", s.At, servers, clients)
		}
	}
	if r.flow.Checked && system.Log != nil {
		r.checkLog(system.Log())
	}
}

// checkLog compares the request log with the log lines, in any order.
func (r *runner) checkLog(rows []LogRow) {
	for _, want := range r.flow.Logs {
		i := slices.IndexFunc(rows, func(row LogRow) bool {
			if row.Method != want.Method || row.Status != want.Status {
				return false
			}
			for key, value := range want.Words {
				if row.Fields[key] != value {
					return false
				}
			}
			return true
		})
		if i < 0 {
			r.fail(want.Line, "no such row in the request log: %s\n    it has: %v", want.Text, rows)
			return
		}
		rows = slices.Delete(slices.Clone(rows), i, i+1)
	}
	if len(rows) > 0 {
		r.fail(0, "rows in the request log that no log line names: %v", rows)
	}
}

// source returns another address of a peer.
func (r *runner) source(a *actor, text string) (*Host, error) {
	addr, err := netip.ParseAddrPort(text)
	if err != nil {
		return nil, err
	}
	for _, h := range a.hosts {
		if h.Addr == addr {
			return h, nil
		}
	}
	h := r.net.Host(addr)
	a.hosts = append(a.hosts, h)
	return h, nil
}

// place finds {rr}, {via}, {proxy}, {nonce} and {server-tag} in what a flow sends or compares with.
var place = regexp.MustCompile(`\{(rr|via|proxy|nonce|server-tag)\}`)

// fill puts values into the places of a text.
func (r *runner) fill(a *actor, text string) string {
	return place.ReplaceAllStringFunc(text, func(p string) string {
		switch p {
		case "{proxy}":
			return a.server().String()
		case "{rr}":
			for _, m := range slices.Backward(a.received) {
				if rr := m.values("record-route"); len(rr) > 0 {
					if !m.request {
						return addressURI(rr[len(rr)-1])
					}
					return addressURI(rr[0])
				}
			}
		case "{via}":
			for _, m := range slices.Backward(a.received) {
				if m.request {
					return m.values("via")[0]
				}
			}
		case "{nonce}":
			if a.challenge != nil {
				return challengeParams(a.challenge.get("proxy-authenticate") + a.challenge.get("www-authenticate"))["nonce"]
			}
		case "{server-tag}":
			for _, m := range slices.Backward(a.sent) {
				if m.tag != "" {
					return m.tag
				}
			}
		}
		return p
	})
}

// ladder lists every message on the wire.
func (r *runner) ladder() string {
	names := map[string]string{}
	for _, a := range r.order {
		for _, h := range a.hosts {
			names[h.Addr.String()] = a.Name
		}
		for _, c := range a.conns {
			names[c.peer.String()] = a.Name
		}
	}
	name := func(a netip.AddrPort) string {
		if n := names[a.String()]; n != "" {
			return n
		}
		if a.Addr() == ServerAddr.Addr() || a.Addr() == ServerAddr6.Addr() {
			return "proxy"
		}
		return a.String()
	}
	var b strings.Builder
	b.WriteString("what was on the wire:\n")
	for _, e := range r.net.Log() {
		first, _, _ := strings.Cut(string(e.Data), "\r\n")
		fmt.Fprintf(&b, "  %8.3fs  %-8s -> %-8s  %s\n", e.At.Sub(r.begin).Seconds(), name(e.From), name(e.To), first)
	}
	return b.String()
}

// indent shows a message in a report.
func indent(data []byte) string {
	text := strings.TrimRight(strings.ReplaceAll(string(data), "\r\n", "\n"), "\n")
	return "    | " + strings.ReplaceAll(text, "\n", "\n    | ")
}
