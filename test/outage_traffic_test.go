package test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sipd/internal/soak"
)

// The traffic of an outage run.
const (
	outageDomain = "example.org"
	callEvery    = 50 * time.Millisecond
	registerEach = 20 * time.Millisecond
	callees      = 40
	warmCallers  = 8
)

// registrants is how many users register in each of two pools: one for before and during the outage, the other for after it,
// so that what was answered in the outage still stands when it is looked at.
func registrants() int {
	if *wholeOutage {
		return 900
	}
	return 300
}

// call is what became of a call.
type call struct {
	id              string
	began           time.Time // INVITE sent
	setup           time.Duration
	invite, bye     int       // status, 0: no answer
	inviteAt, byeAt time.Time // when the answers came
	inviteN, byeN   int       // CSeq
}

// completed tells whether the call was set up and ended.
func (c *call) completed() bool { return c.invite == 200 && c.bye == 200 }

// registration is what became of a REGISTER.
type registration struct {
	user       int
	cseq, q    int // q in thousandths; 0 removes the binding
	sent, done time.Time
	status     int // 0: no answer
	retryAfter bool
}

// traffic is calls and registrations at a steady pace, open loop: nobody waits for an answer before the next begins.
type traffic struct {
	server     netip.AddrPort
	domain     string
	callers    *line
	phones     *line // the callees'
	registrars *line
	after      atomic.Bool // the second pool is in use

	stop  chan struct{}
	loops sync.WaitGroup
	open  sync.WaitGroup // requests under way

	mu    sync.Mutex
	calls []*call
	regs  []*registration
	users []*registrant
}

// registrant is a user that registers, guarded by traffic.mu.
type registrant struct {
	busy  bool
	bound bool // believed to have a binding
	cseq  int
	ops   []*registration
}

func newTraffic(t testing.TB, server netip.AddrPort) *traffic {
	t.Helper()
	f := &traffic{server: server, domain: outageDomain, stop: make(chan struct{}),
		callers: openLine(t, server), phones: openLine(t, server), registrars: openLine(t, server)}
	for range 2 * registrants() {
		f.users = append(f.users, &registrant{})
	}
	t.Cleanup(f.end)
	return f
}

// outageUsers writes the CSV of everybody.
func outageUsers(t testing.TB) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("user_key,password\n")
	add := func(u user) { fmt.Fprintf(&b, "%s@%s,%s\n", u.name, u.domain, u.password) }
	add(caller())
	for n := range callees {
		add(callee(n))
	}
	for n := range 2 * registrants() {
		add(registrantUser(n))
	}
	file := filepath.Join(t.TempDir(), "users.csv")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func caller() user              { return user{"caller", outageDomain, "word-of-caller"} }
func callee(n int) user         { return named("c", n) }
func registrantUser(n int) user { return named("u", n) }

func named(kind string, n int) user {
	name := kind + strconv.Itoa(n)
	return user{name, outageDomain, "word-of-" + name}
}

// settle registers the callees and half of the registrants.
func (f *traffic) settle(t testing.TB) {
	t.Helper()
	for n := range callees {
		u := callee(n)
		_, _, response := f.phones.authorized(u, dialled{method: "REGISTER", uri: "sip:" + f.domain, to: "<" + u.aor() + ">",
			callID: "reg-" + u.name, cseq: 1, more: fmt.Sprintf("Contact: <sip:%s@%v>\r\nExpires: 7200\r\n", u.name, f.phones.conn.LocalAddr())})
		if soak.Status(response) != 200 {
			t.Fatalf("%s cannot register: %s", u.name, response)
		}
	}
	var group sync.WaitGroup
	for w := range warmCallers {
		group.Go(func() {
			for n := 2 * w; n < 2*registrants(); n += 2 * warmCallers {
				f.mu.Lock()
				f.users[n].busy = true
				f.mu.Unlock()
				f.register(n)
			}
		})
	}
	group.Wait()
}

// start begins the traffic.
func (f *traffic) start() {
	f.loops.Go(func() {
		for i := 0; f.pause(callEvery); i++ {
			f.open.Go(func() { f.call(i) })
		}
	})
	f.loops.Go(func() {
		for i := 0; f.pause(registerEach); i++ {
			n := i % registrants()
			if f.after.Load() {
				n += registrants()
			}
			f.mu.Lock()
			free := !f.users[n].busy
			f.users[n].busy = true
			f.mu.Unlock()
			if free {
				f.open.Go(func() { f.register(n) })
			}
		}
	})
}

// pause waits and tells whether the traffic goes on.
func (f *traffic) pause(d time.Duration) bool {
	select {
	case <-f.stop:
		return false
	case <-time.After(d):
		return true
	}
}

// end stops the traffic and waits for what is under way.
func (f *traffic) end() {
	select {
	case <-f.stop:
	default:
		close(f.stop)
	}
	f.loops.Wait()
	f.open.Wait()
}

// call makes a call from INVITE to BYE.
func (f *traffic) call(i int) {
	from, to := caller(), callee(i%callees)
	c := &call{id: fmt.Sprintf("call-%d-%x", i, rand.Uint32()), began: time.Now()}
	f.mu.Lock()
	f.calls = append(f.calls, c)
	f.mu.Unlock()
	sent, invite, response := f.callers.authorized(from, dialled{method: "INVITE", uri: to.aor(), to: "<" + to.aor() + ">", callID: c.id, cseq: 1,
		more: fmt.Sprintf("Contact: <sip:%s@%v>\r\n", from.name, f.callers.conn.LocalAddr())})
	now := time.Now()
	f.mu.Lock()
	c.invite, c.inviteAt, c.inviteN, c.setup = soak.Status(response), now, sent.cseq, now.Sub(c.began)
	f.mu.Unlock()
	if c.invite != 200 {
		if c.invite != 0 {
			f.callers.ackFailure(invite, response)
		}
		return
	}
	in := f.callers.dialog(from, sent, invite, response)

	// Some calls last through the beginning or the end of an outage.
	time.Sleep([]time.Duration{100 * time.Millisecond, 300 * time.Millisecond, time.Second, 4 * time.Second}[i%4])
	in.method, in.cseq = "BYE", sent.cseq+1
	status := soak.Status(f.callers.ask(f.callers.text(from, in), timerF))
	f.mu.Lock()
	defer f.mu.Unlock()
	c.bye, c.byeAt, c.byeN = status, time.Now(), in.cseq
}

// register makes a user's next REGISTER: a new binding, a refresh with another q, or a removal. The user is busy.
func (f *traffic) register(n int) {
	f.mu.Lock()
	r := f.users[n]
	op := &registration{user: n, q: 1 + rand.IntN(999)}
	if r.bound && rand.IntN(4) == 0 {
		op.q = 0
	}
	f.mu.Unlock()
	u := registrantUser(n)
	more := fmt.Sprintf("Contact: <sip:%s@127.0.0.1:9>;q=0.%03d\r\nExpires: 7200\r\n", u.name, op.q)
	if op.q == 0 {
		more = fmt.Sprintf("Contact: <sip:%s@127.0.0.1:9>\r\nExpires: 0\r\n", u.name)
	}
	op.sent = time.Now()
	sent, _, response := f.registrars.authorized(u, dialled{method: "REGISTER", uri: "sip:" + f.domain, to: "<" + u.aor() + ">",
		callID: "reg-" + u.name, cseq: r.cseq + 1, more: more})
	op.done, op.cseq, op.status, op.retryAfter = time.Now(), sent.cseq, soak.Status(response), soak.Field(response, "Retry-After") != ""
	f.mu.Lock()
	defer f.mu.Unlock()
	f.regs = append(f.regs, op)
	r.ops = append(r.ops, op)
	r.busy, r.cseq = false, max(r.cseq+2, sent.cseq)
	if op.status == 200 {
		r.bound = op.q != 0
	}
}

// fetch asks for the binding of a user and returns its q, 0 when there is none.
func (f *traffic) fetch(n int) (q int, err error) {
	u := registrantUser(n)
	_, _, response := f.registrars.authorized(u, dialled{method: "REGISTER", uri: "sip:" + f.domain, to: "<" + u.aor() + ">",
		callID: fmt.Sprintf("fetch-%s-%x", u.name, rand.Uint32()), cseq: 1})
	if soak.Status(response) != 200 {
		return 0, fmt.Errorf("fetch the bindings of %s: got %d, want 200", u.name, soak.Status(response))
	}
	contacts := soak.Fields(response, "Contact")
	if len(contacts) == 0 {
		return 0, nil
	}
	if len(contacts) > 1 || strings.Count(contacts[0], "sip:") > 1 {
		return 0, fmt.Errorf("%s has several bindings: %q", u.name, contacts)
	}
	_, rest, ok := strings.Cut(contacts[0], ";q=")
	if !ok {
		return 1000, nil
	}
	text, _, _ := strings.Cut(rest, ";")
	whole, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, fmt.Errorf("q of %s: %w", u.name, err)
	}
	return int(whole*1000 + 0.5), nil
}
