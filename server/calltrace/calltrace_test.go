package calltrace_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sipd/location"
	"sipd/server/calltrace"
	"sipd/server/target"
	"sipd/store/cache"
	"sipd/trace"
)

var (
	begin = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	alice = netip.MustParseAddrPort("192.0.2.10:5060")
	bob   = netip.MustParseAddrPort("[2001:db8::11]:5060")
)

func request(id string, cseq uint32, branch string) *calltrace.Request {
	return &calltrace.Request{At: begin, CallID: []byte(id), URI: []byte("sip:bob@example.com"), From: []byte("sip:alice@example.com"),
		Tag: []byte("a"), Branch: []byte(branch), CSeq: cseq, Source: alice, Proto: "UDP"}
}

// proxied is a decision about an ordinary call.
func proxied() *target.Decision {
	d := &target.Decision{Kind: target.Proxy, Targets: []target.Target{
		{Binding: &location.Binding{URI: "sip:bob@[2001:db8::11]:5060", Q: 1000}, Owner: cache.User{Key: "bob@example.com"}},
		{Binding: &location.Binding{URI: "sip:2125551234@gw1", Q: 500}, Group: 1, Wait: 1500 * time.Millisecond, Gateway: 3, Rule: 4,
			Else: []target.Target{{Binding: &location.Binding{URI: "sip:2125551234@gw2", Q: 500}, Gateway: 5, Rule: 6}}},
		{},
	}, Redirect: []target.Target{{Binding: &location.Binding{URI: "sip:bob@away.example", Q: 1000}}}}
	d.Trace.Add(trace.Step{Rule: "domain", Subject: "example.com", Table: "domains", Row: 1, Verdict: trace.Match})
	d.Trace.AddText(trace.Step{Rule: "user", Verdict: trace.NoMatch, Note: "no row of users has this key"}, []byte("x@example.com"))
	return d
}

// ordinary is a decision about a call from one user to another, who has one telephone.
func ordinary() *target.Decision {
	d := &target.Decision{Kind: target.Proxy, Targets: proxied().Targets[:1]}
	for _, rule := range []string{"domain", "caller", "user", "auth policy", "location", "action"} {
		d.Trace.Add(trace.Step{Rule: rule, Subject: "bob@example.com", Table: "users", Row: 12, Note: "it is " + rule})
	}
	return d
}

func find(t *testing.T, r *calltrace.Ring, id string) calltrace.Call {
	t.Helper()
	list := r.Find(id)
	if len(list) != 1 {
		t.Fatalf("got %d calls of %q, want 1", len(list), id)
	}
	return list[0]
}

func TestCall(t *testing.T) {
	r := calltrace.New()
	d := proxied()
	ref := r.Add(request("1@192.0.2.10", 7, "z9hG4bK1"), d)
	at := begin.Add(250 * time.Millisecond)
	r.Branch(ref, at, &calltrace.Outcome{Target: &d.Targets[0], To: bob, Proto: "TCP", Status: 486, Received: true})
	r.Branch(ref, at, &calltrace.Outcome{Target: &d.Targets[1], Status: 503})
	var f target.Decision
	f.Trace.Add(trace.Step{Rule: "forward", Subject: "sip:carol@example.com", Table: "forwards", Row: 2, Verdict: trace.Match, Note: "busy"})
	r.Forwarded(ref, at, &f)
	r.Recursed(ref, at, &f)
	r.Cancelled(ref, begin.Add(2*time.Second))
	r.Final(ref, begin.Add(3*time.Second), 487)
	r.Final(ref, begin.Add(4*time.Second), 200)
	// What was handed over is somebody else's again.
	d.Trace.Reset()
	d.Trace.AddText(trace.Step{Rule: "domain"}, []byte("zzzzzzzzzzzzzzz"))

	c := find(t, r, "1@192.0.2.10")
	const want = `2026-03-01 12:00:00 +0000 UTC 1@192.0.2.10 7 sip:bob@example.com sip:alice@example.com 192.0.2.10:5060 UDP proxy 0 487 false
{sip:bob@[2001:db8::11]:5060 bob@example.com 1 0 0 0 0 []}
{sip:2125551234@gw1  0.5 1 1.5 3 4 [{sip:2125551234@gw2  0.5 0 0 5 6 []}]}
{the domain of the Request-URI  1 0 0 0 0 []}
else {sip:bob@away.example  1 0 0 0 0 []}
{domain example.com match domains 1 }
{user x@example.com no match  0 no row of users has this key}
{0.25 branch sip:bob@[2001:db8::11]:5060 [2001:db8::11]:5060 TCP 486 true 0 []}
{0.25 branch sip:2125551234@gw1   503 false 3 []}
{0.25 forward    0 false 0 [{forward sip:carol@example.com match forwards 2 busy}]}
{0.25 recursion    0 false 0 [{forward sip:carol@example.com match forwards 2 busy}]}
{2 cancel    0 false 0 []}
{3 final    487 false 0 []}
`
	var b strings.Builder
	fmt.Fprintln(&b, c.Time, c.CallID, c.CSeq, c.URI, c.From, c.Source, c.Transport, c.Decision, c.Status, c.Final, c.Cut)
	for _, x := range c.Targets {
		fmt.Fprintln(&b, x)
	}
	for _, x := range c.Fallback {
		fmt.Fprintln(&b, "else", x)
	}
	for _, x := range c.Trace {
		fmt.Fprintln(&b, x)
	}
	for _, x := range c.Events {
		fmt.Fprintln(&b, x)
	}
	if got := b.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, id := range []string{"", "1@192.0.2.1", "2@192.0.2.10"} {
		if list := r.Find(id); len(list) != 0 {
			t.Errorf("%q: got %v, want nothing", id, list)
		}
	}
}

// A retransmission is no call of its own; neither is the request that answers a challenge. Another branch with the same Call-ID is.
func TestSameCallID(t *testing.T) {
	r := calltrace.New()
	challenge := &target.Decision{Kind: target.Challenge, Status: 407}
	first := r.Add(request("1", 1, "z9hG4bK1"), challenge)
	if again := r.Add(request("1", 1, "z9hG4bK1"), challenge); again != first {
		t.Errorf("retransmission: got %d, want %d", again, first)
	}
	r.Final(first, begin, 407)
	if c := find(t, r, "1"); c.Decision != "challenge" || c.Status != 407 || c.Repeated != 1 || c.Final != 407 {
		t.Errorf("got %+v, want a challenge, sent twice", c)
	}
	other := request("1", 2, "z9hG4bK2")
	other.Tag = []byte("b")
	if stranger := r.Add(other, challenge); stranger == first {
		t.Errorf("another caller: got the same call")
	}
	r = calltrace.New()
	r.Add(request("1", 1, "z9hG4bK1"), challenge)
	if with := r.Add(request("1", 2, "z9hG4bK2"), proxied()); with != first {
		t.Errorf("with credentials: got %d, want %d", with, first)
	}
	if c := find(t, r, "1"); c.Decision != "proxy" || c.Challenges != 1 || c.CSeq != 2 || c.Final != 0 || len(c.Targets) != 3 {
		t.Errorf("got %+v, want the call, after one challenge", c)
	}
	if fork := r.Add(request("1", 2, "z9hG4bK3"), proxied()); fork == first {
		t.Errorf("another branch: got the same call")
	}
	if list := r.Find("1"); len(list) != 2 || list[0].Challenges != 1 || list[1].Challenges != 0 {
		t.Errorf("got %+v, want two calls", list)
	}
	for i := range 100 {
		r.Add(request("1", 2, fmt.Sprint(i)), proxied())
	}
	if list := r.Find("1"); len(list) != 32 {
		t.Errorf("got %d calls, want 32 at most", len(list))
	}
}

// The oldest call goes for the newest, and what becomes of it later is nobody's.
func TestLastCalls(t *testing.T) {
	r := calltrace.New()
	d := proxied()
	first := r.Add(request("0", 1, "b"), d)
	for i := range calltrace.Size - 1 {
		r.Add(request(fmt.Sprint(i+1), 1, "b"), d)
	}
	find(t, r, "0")
	r.Add(request("last", 1, "b"), d)
	r.Final(first, begin, 200)
	if list := r.Find("0"); len(list) != 0 {
		t.Errorf("got %+v, want the oldest gone", list)
	}
	if c := find(t, r, "last"); c.Final != 0 {
		t.Errorf("got %+v: it has heard of another's end", c)
	}
	find(t, r, "1")
}

// However much there is to tell of a call, it has its bytes, and its end is told.
func TestBounded(t *testing.T) {
	r := calltrace.New()
	long := strings.Repeat("x", 5000)
	d := &target.Decision{Kind: target.Proxy}
	for i := range 300 {
		d.Trace.Add(trace.Step{Rule: fmt.Sprint("rule ", i), Subject: long, Note: long})
		d.Targets = append(d.Targets, target.Target{Binding: &location.Binding{URI: long}, Gateway: int64(i)})
	}
	q := request(long, 1, "b")
	q.URI, q.From = []byte(long), []byte(long)
	ref := r.Add(q, d)
	for range 100 {
		r.Branch(ref, begin, &calltrace.Outcome{Target: &d.Targets[0], Status: 404})
		r.Forwarded(ref, begin, d)
	}
	r.Final(ref, begin.Add(time.Second), 404)
	c := find(t, r, long)
	size := len(c.CallID) + len(c.URI) + len(c.From)
	for _, s := range c.Trace {
		size += len(s.Subject) + len(s.Note)
	}
	for _, e := range c.Events {
		size += len(e.URI)
	}
	if !c.Cut || c.Final != 404 || len(c.Trace) == 0 || len(c.Events) < 2 || size > 4<<10 {
		t.Errorf("got %d bytes, cut %v, final %d, %d steps, %d events", size, c.Cut, c.Final, len(c.Trace), len(c.Events))
	}
	// More names than there are numbers for them.
	for i := range 1500 {
		d := &target.Decision{}
		d.Trace.Add(trace.Step{Rule: fmt.Sprint("name ", i)})
		r.Add(request(fmt.Sprint(i), 1, "b"), d)
	}
	for i := 0; i < 1500; i += 100 {
		if c := find(t, r, fmt.Sprint(i)); c.Trace[0].Rule != fmt.Sprint("name ", i) {
			t.Errorf("got %+v, want rule %q", c.Trace, fmt.Sprint("name ", i))
		}
	}
}

// TestNotesOfGateways: what says since when a gateway is down takes no place that the names of rules need.
func TestNotesOfGateways(t *testing.T) {
	r := calltrace.New()
	for i := range 2000 {
		d := &target.Decision{}
		d.Trace.Add(trace.Step{Rule: "gateway", Subject: "gw1", Table: "gateways", Row: 1, Note: fmt.Sprintf("down since %d: no answer", i)})
		r.Add(request(fmt.Sprint(i), 1, "b"), d)
	}
	if c := find(t, r, "1999"); c.Trace[0].Note != "down since 1999: no answer" {
		t.Errorf("got %+v", c.Trace)
	}
	size := func(note string) int {
		long := strings.Repeat("x", 200)
		d := &target.Decision{}
		for range 200 {
			d.Trace.Add(trace.Step{Rule: "location", Note: note + long})
		}
		r.Add(request(note, 1, "b"), d)
		return len(find(t, r, note).Trace)
	}
	if got := size("a new note"); got != 200 {
		t.Errorf("got %d steps with a new note, want 200: its text stands there once", got)
	}
}

func TestNobodyAsks(t *testing.T) {
	var r *calltrace.Ring
	d := proxied()
	ref := r.Add(request("1", 1, "b"), d)
	r.Branch(ref, begin, &calltrace.Outcome{Target: &d.Targets[0]})
	r.Forwarded(ref, begin, d)
	r.Recursed(ref, begin, d)
	r.Cancelled(ref, begin)
	r.Final(ref, begin, 200)
	if list := r.Find("1"); ref != 0 || list != nil {
		t.Errorf("got %d, %v, want nothing", ref, list)
	}
}

// Many write while somebody asks.
func TestTogether(t *testing.T) {
	r := calltrace.New()
	var group sync.WaitGroup
	for g := range 4 {
		group.Go(func() {
			for i := range 3 * calltrace.Size / 4 {
				d := &target.Decision{Kind: target.Proxy}
				id := fmt.Sprintf("%d.%d", g, i)
				d.Trace.Add(trace.Step{Rule: "domain", Subject: id, Note: fmt.Sprint("note ", i%50)})
				ref := r.Add(request(id, 1, "b"), d)
				r.Branch(ref, begin, &calltrace.Outcome{Target: &target.Target{}, Status: 200, Received: true})
				r.Final(ref, begin, 200)
			}
		})
	}
	group.Go(func() {
		for i := range 20 {
			id := fmt.Sprintf("%d.%d", i%4, i)
			for _, c := range r.Find(id) {
				if c.CallID != id || len(c.Trace) != 1 || c.Trace[0].Subject != id {
					t.Errorf("got %+v, want that of %s", c, id)
				}
			}
		}
	})
	group.Wait()
	kept := 0
	for g := range 4 { // Whoever was the last to end has added the last call of all; the others' may have gone since.
		kept += len(r.Find(fmt.Sprintf("%d.%d", g, 3*calltrace.Size/4-1)))
	}
	if kept == 0 {
		t.Error("the last call is not there")
	}
}

// BenchmarkAdd is what an ordinary call costs: its decision, a branch and its end.
func BenchmarkAdd(b *testing.B) {
	r := calltrace.New()
	d := ordinary()
	q := request("0123456789abcdef@192.0.2.10", 1, "z9hG4bK-1234")
	id := bytes.Clone(q.CallID)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		q.CallID = strconv.AppendInt(id[:0], 1e18+int64(i), 16)
		ref := r.Add(q, d)
		r.Branch(ref, begin, &calltrace.Outcome{Target: &d.Targets[0], To: alice, Proto: "UDP", Status: 200, Received: true})
		r.Final(ref, begin, 200)
	}
}

// TestMemory: what is kept of an ordinary call stays small.
func TestMemory(t *testing.T) {
	used := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	d := ordinary()
	before := used()
	r := calltrace.New()
	empty := used() - before
	for i := range 2 * calltrace.Size {
		ref := r.Add(request(fmt.Sprintf("%016x@192.0.2.10", i), 1, "b"), d)
		r.Branch(ref, begin, &calltrace.Outcome{Target: &d.Targets[0], To: alice, Proto: "UDP", Status: 200, Received: true})
		r.Final(ref, begin, 200)
	}
	full := used() - before
	t.Logf("%d bytes a call, of them %d that are always there", full/calltrace.Size, empty/calltrace.Size)
	if full/calltrace.Size > 600 || empty > 1<<20 {
		t.Errorf("got %d bytes a call, %d bytes for none; want at most 600, and a megabyte", full/calltrace.Size, empty)
	}
	find(t, r, fmt.Sprintf("%016x@192.0.2.10", calltrace.Size))
}
