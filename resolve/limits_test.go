package resolve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// TestWaiting: while the server is silent ten thousand callers wait, in their own time; the next one is refused at once.
func TestWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text strings.Builder
		r := virtual(t, func(string, *dns.Msg) *dns.Msg { return nil })
		r.log = slog.New(slog.NewTextHandler(&text, nil))
		var busy, silent, other atomic.Int64
		done := func(_ []Hop, err error) {
			switch {
			case errors.Is(err, ErrBusy):
				busy.Add(1)
			case errors.Is(err, ErrUnavailable):
				silent.Add(1)
			default:
				other.Add(1)
			}
		}
		begin := time.Now()
		for i := range maxWaiting { // Ten callers for each name.
			if _, err, ready := r.Hops(Query{Host: fmt.Sprintf("n%d.example", i/10)}, done); ready {
				t.Fatalf("caller %d: got %v at once, want to wait", i, err)
			}
		}
		synctest.Wait()
		st := r.Status(time.Now())
		if st.LookUps != maxLookups || st.Queued != maxWaiting/10-maxLookups || st.Waiting != maxWaiting || st.Refused != 0 {
			t.Errorf("got %+v, want %d look-ups under way for %d callers", st, maxLookups, maxWaiting)
		}
		for range 3 {
			if _, err, ready := r.Hops(Query{Host: "one.more.example"}, done); !ready || !errors.Is(err, ErrBusy) {
				t.Errorf("one more: got %v, want ErrBusy at once", err)
			}
			if _, err, ready := r.Hops(Query{Host: "n0.example"}, done); !ready || !errors.Is(err, ErrBusy) {
				t.Errorf("one more for a name that is being asked for: got %v, want ErrBusy at once", err)
			}
		}
		if hops, err, ready := r.Hops(Query{Host: "192.0.2.1"}, done); !ready || err != nil || len(hops) != 1 {
			t.Errorf("an address: got %v and %v, want a hop at once", hops, err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		// One server, 1 s and 2 s: 256 look-ups end after 3 s, 256 more, which had waited less than 4 s, after 6 s. The others
		// had waited too long.
		if got, want := silent.Load(), int64(2*maxLookups*10); got != want || busy.Load() != maxWaiting-want || other.Load() != 0 {
			t.Errorf("got %d without an answer, %d refused, %d else; want %d, the others refused", got, busy.Load(), other.Load(), want)
		}
		st = r.Status(time.Now())
		if st.LookUps != 0 || st.Queued != 0 || st.Waiting != 0 || st.Refused != 6+uint64(maxWaiting-2*maxLookups*10) {
			t.Errorf("afterwards: got %+v, want nothing left", st)
		}
		if took := time.Since(begin); took > 2*time.Minute {
			t.Errorf("took %v", took)
		}
		if got := strings.Count(text.String(), "too many calls wait"); got != 1 {
			t.Errorf("got %d lines that calls are refused, want 1:\n%s", got, &text)
		}
		if got := strings.Count(text.String(), "name server does not answer"); got != 1 {
			t.Errorf("got %d lines that the server is silent, want 1:\n%s", got, &text)
		}
	})
}

// TestSlowZoneLeavesRoom: who invents names in a zone that is slow takes a quarter of the places, and is refused the others.
func TestSlowZoneLeavesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := virtual(t, func(_ string, q *dns.Msg) *dns.Msg {
			if strings.HasSuffix(q.Question[0].Name, "slow.example.") {
				return nil
			}
			return reply(q, q.Question[0].Name+" 60 IN A 192.0.2.1")
		})
		r.support.IPv6 = false // One question each.
		var answered atomic.Int64
		ask := func(name string) (err error, ready bool) {
			_, err, ready = r.Hops(Query{Host: name, Port: 5060}, func([]Hop, error) { answered.Add(1) })
			return err, ready
		}
		for i := range 2 * maxLookups {
			if err, ready := ask(fmt.Sprintf("n%d.a.slow.example", i)); ready != (i >= maxOfZone) || ready && !errors.Is(err, ErrBusy) {
				t.Fatalf("name %d: got %v, ready %t; want the first %d to wait, the others ErrBusy", i, err, ready, maxOfZone)
			}
		}
		if err, ready := ask("n0.a.slow.example"); ready {
			t.Errorf("a name that is being asked for: got %v at once, want to wait", err)
		}
		begin := time.Now()
		if hops, err := r.hops(host); err != nil || len(hops) != 1 || time.Since(begin) > 0 {
			t.Errorf("another zone: got %v and %v after %v, want a hop at once", hops, err, time.Since(begin))
		}
		time.Sleep(questionTime)
		synctest.Wait()
		if err, ready := ask("new.slow.example"); ready || answered.Load() != maxOfZone+1 {
			t.Errorf("afterwards: got %v, ready %t and %d answers, want %d and a new look-up", err, ready, answered.Load(), maxOfZone+1)
		}
		time.Sleep(questionTime)
		synctest.Wait()
		if len(r.zones) > 0 {
			t.Errorf("got %v, want no zone left", r.zones)
		}
	})
	for name, want := range map[string]string{"": "", "localhost": "localhost", "a.example": "a.example", "x.y.a.example": "a.example"} {
		if got := zoneOf(name); got != want {
			t.Errorf("got zone %q of %q, want %q", got, name, want)
		}
	}
}

// TestCacheBounds: entries and bytes, and that the bytes are those the heap has.
func TestCacheBounds(t *testing.T) {
	long := strings.Repeat("a", 200)
	for _, c := range []struct {
		name string
		n    int
		make func(i int) (Answer, error)
	}{
		{"addresses", 2 * maxEntries, func(i int) (Answer, error) { return Answer{Addrs: make([]netip.Addr, i%64)}, nil }},
		{"nothing", 2 * maxEntries, func(int) (Answer, error) { return Answer{}, nil }},
		{"errors", 2 * maxEntries, func(i int) (Answer, error) { return Answer{}, fmt.Errorf("%w: %d %s", ErrAnswer, i, long) }},
		{"targets", 2 * maxBytes / (64 * 200), func(i int) (a Answer, _ error) {
			for j := range 64 {
				a.SRV = append(a.SRV, SRVRecord{Target: fmt.Sprintf("%s%d.%d", long, i, j)})
			}
			return a, nil
		}},
		{"NAPTR", 2 * maxBytes / (32 * 400), func(i int) (a Answer, _ error) {
			for j := range 32 {
				a.NAPTR = append(a.NAPTR, NAPTRRecord{Flags: "s", Service: fmt.Sprint(i, long), Regexp: fmt.Sprint(j, long), Replacement: long})
			}
			return a, nil
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := heap()
			ch := cache{entries: map[question]*entry{}}
			for i := range c.n {
				a, err := c.make(i)
				ch.put(question{name: fmt.Sprintf("%d.example", i), kind: A}, a, err, time.Hour, time.Now())
			}
			sum := 0
			for q, e := range ch.entries {
				sum += q.size(e)
			}
			if len(ch.entries) > maxEntries || ch.bytes > maxBytes || ch.bytes != sum {
				t.Errorf("got %d entries of %d bytes (%d counted), want at most %d of %d", len(ch.entries), sum, ch.bytes, maxEntries, maxBytes)
			}
			if got := int(heap()) - int(before); got > maxBytes*3/2 {
				t.Errorf("got %d bytes in the heap, %d counted, want no more than half as much again as %d", got, ch.bytes, maxBytes)
			}
			runtime.KeepAlive(ch)
		})
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestStrangersPushOutNothingForGood: who invents names costs others a question at the worst.
func TestStrangersPushOutNothingForGood(t *testing.T) {
	c := cache{entries: map[question]*entry{}}
	now := time.Now()
	for i := range 3 * maxEntries {
		c.put(question{name: fmt.Sprint(i), kind: A}, Answer{}, nil, time.Hour, now)
	}
	q := question{name: "fair.example", kind: A}
	c.put(q, Answer{Addrs: make([]netip.Addr, 1)}, nil, time.Hour, now)
	if a, err := c.get(q, now); err != nil || len(a.Addrs) != 1 {
		t.Errorf("got %v and %v, want the answer just kept", a, err)
	}
}

// TestTimesToLive: what a zone says, within our bounds, in virtual time.
func TestTimesToLive(t *testing.T) {
	soa := func(ttl, minimum string) string {
		return "example. " + ttl + " IN SOA ns.example. admin.example. 1 1 1 1 " + minimum
	}
	for _, c := range []struct {
		name    string
		rcode   int
		records []string
		want    time.Duration // until it is asked for again
	}{
		{"a TTL", 0, []string{"host.example. 60 IN A 192.0.2.1"}, time.Minute},
		{"0 is not kept", 0, []string{"host.example. 0 IN A 192.0.2.1"}, 0},
		{"the shortest counts", 0, []string{"host.example. 60 IN A 192.0.2.1", "host.example. 30 IN A 192.0.2.2"}, 30 * time.Second},
		{"that of an alias, too", 0, []string{"host.example. 7 IN CNAME a.example.", "a.example. 60 IN A 192.0.2.1"}, 7 * time.Second},
		{"a day is an hour", 0, []string{"host.example. 86400 IN A 192.0.2.1"}, maxTTL},
		{"2^31 - 1", 0, []string{"host.example. 2147483647 IN A 192.0.2.1"}, maxTTL},
		{"2^31", 0, []string{"host.example. 2147483648 IN A 192.0.2.1"}, maxTTL},
		{"2^32 - 1", 0, []string{"host.example. 4294967295 IN A 192.0.2.1"}, maxTTL},
		{"no such name", dns.RcodeNameError, []string{soa("3600", "90")}, 90 * time.Second},
		{"no such record", 0, []string{soa("3600", "90")}, 90 * time.Second},
		{"the SOA's own TTL is shorter", 0, []string{soa("20", "90")}, 20 * time.Second},
		{"a minimum of 0", dns.RcodeNameError, []string{soa("3600", "0")}, 0},
		{"a minimum of a day", dns.RcodeNameError, []string{soa("86400", "86400")}, maxNegativeTTL},
		{"a minimum of 2^31", dns.RcodeNameError, []string{soa("4294967295", "2147483648")}, maxNegativeTTL},
		{"no SOA", dns.RcodeNameError, nil, negativeTTL},
		{"the SOA of another zone", dns.RcodeNameError, []string{"other. 300 IN SOA ns.other. admin.other. 1 1 1 1 300"}, negativeTTL},
		{"the SOA of a name that ends alike", dns.RcodeNameError, []string{"ost.example. 300 IN SOA ns.other. admin.other. 1 1 1 1 300"}, negativeTTL},
		{"the server refuses", dns.RcodeServerFailure, nil, failedTTL},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				r := virtual(t, func(_ string, q *dns.Msg) *dns.Msg {
					asked++
					m := reply(q, c.records...)
					m.Rcode = c.rcode
					return m
				})
				r.support.IPv6 = false
				look := func() { r.hops(host) }
				look()
				if asked != 1 {
					t.Fatalf("got %d questions, want 1", asked)
				}
				if c.want > 0 {
					time.Sleep(c.want - time.Nanosecond)
					look()
					if asked != 1 {
						t.Errorf("got another question before %v are over", c.want)
					}
					time.Sleep(time.Nanosecond)
				}
				look()
				if asked != 2 {
					t.Errorf("got %d questions after %v, want 2", asked, c.want)
				}
			})
		})
	}
}

// TestStale: when no server answers, or none can, what has expired serves for a day; when they say that it is gone, or nonsense, it is gone.
func TestStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent, circle, gone, rcode := false, false, false, dns.RcodeSuccess
		asked := 0
		r := virtual(t, func(_ string, q *dns.Msg) *dns.Msg {
			asked++
			m := reply(q, "host.example. 60 IN A 192.0.2.1")
			switch {
			case gone:
				m.Answer, m.Rcode = nil, dns.RcodeNameError
			case circle:
				m = reply(q, "host.example. 60 IN CNAME host.example.")
			case rcode != dns.RcodeSuccess:
				m.Answer, m.Rcode = nil, rcode
			}
			if silent {
				return nil
			}
			return m
		})
		r.support.IPv6 = false
		want := func(step, want string, asks int) {
			t.Helper()
			before := asked
			if got := text(r.hops(host)); got != want || asked-before != asks {
				t.Errorf("%s: got %s after %d questions, want %s after %d", step, got, asked-before, want, asks)
			}
		}
		const there, silence = "udp 192.0.2.1:5060", "resolve: no answer: host.example A: 192.0.2.53:53: context deadline exceeded"
		want("fresh", there, 1)
		silent = true
		time.Sleep(2 * time.Minute)
		want("silent", there, 2)
		want("and not asked again at once", there, 0)
		time.Sleep(retryTime)
		want("but half a minute later", there, 2)
		silent, rcode = false, dns.RcodeServerFailure
		time.Sleep(retryTime)
		want("SERVFAIL", there, 1)
		silent, rcode = true, dns.RcodeSuccess
		for range 23 {
			time.Sleep(time.Hour)
			want("every hour", there, 2)
		}
		time.Sleep(time.Hour)
		want("a day later", silence, 2)
		silent = false
		time.Sleep(time.Minute)
		want("back", there, 1)
		circle = true
		time.Sleep(time.Minute)
		want("a bad answer is one", "resolve: bad answer: host.example A: more than 8 aliases", 1)
		circle = false
		time.Sleep(time.Minute)
		want("good again", there, 1)
		gone = true
		time.Sleep(time.Minute)
		want("gone", "resolve: no such host: sip:host.example:5060", 1)
	})
}

// TestSlowZone: names of a zone that is slow make the server look silent. What has expired serves at once then, but no longer than it
// takes to ask for it.
func TestSlowZone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const was, is = "192.0.2.1", "192.0.2.2"
		var moved atomic.Bool
		r := virtual(t, func(_ string, q *dns.Msg) *dns.Msg {
			if q.Question[0].Name == "slow.example." {
				return nil
			}
			if moved.Load() {
				return reply(q, "host.example. 60 IN A "+is)
			}
			return reply(q, "host.example. 60 IN A "+was)
		})
		r.support.IPv6 = false
		for _, want := range []string{was, was, is} {
			before := time.Now()
			if got := text(r.hops(host)); got != "udp "+want+":5060" || time.Since(before) > 0 {
				t.Errorf("got %s after %v, want %s at once", got, time.Since(before), want)
			}
			synctest.Wait()
			if !moved.Swap(true) {
				time.Sleep(2 * time.Minute)
			}
			if _, err := r.hops(Query{Host: "slow.example", Port: 5060}); !errors.Is(err, ErrUnavailable) {
				t.Errorf("got %v, want no answer", err)
			}
		}
	})
}

// TestOneGivesUp: a look-up that has no more time takes no other with it, and is no fault of the server's.
func TestOneGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var live atomic.Bool
		r := virtual(t, func(_ string, q *dns.Msg) *dns.Msg {
			if !live.Load() {
				return nil
			}
			return reply(q, "host.example. 60 IN A 192.0.2.1")
		})
		first, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		var group sync.WaitGroup
		group.Go(func() {
			if _, err := r.asking(first)("host.example", A); !errors.Is(err, ErrUnavailable) {
				t.Errorf("the first: got %v, want ErrUnavailable", err)
			}
		})
		time.Sleep(1200 * time.Millisecond)
		live.Store(true)
		if a, err := r.asking(t.Context())("host.example", A); err != nil || len(a.Addrs) != 1 {
			t.Errorf("the second: got %v and %v, want the address", a.Addrs, err)
		}
		group.Wait()
		if st := r.Status(time.Now()).Servers[0]; st.Failed != 1 || st.Answered != 1 {
			t.Errorf("got %d failures and %d answers, want 1 each", st.Failed, st.Answered)
		}
	})
}

// TestRefusals: a server that lives but refuses is asked once and not shunned, one that is silent is asked twice and then after the others.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name  string
		first func(q *dns.Msg) *dns.Msg // what the first of two servers says; the second one answers
		order string                    // who is asked, for one name and for another
	}{
		{"both answer", func(q *dns.Msg) *dns.Msg { return reply(q, q.Question[0].Name+" 60 IN A 192.0.2.9") }, "1 1"},
		{"SERVFAIL", func(q *dns.Msg) *dns.Msg { return new(dns.Msg).SetRcode(q, dns.RcodeServerFailure) }, "12 12"},
		{"REFUSED without the question", func(q *dns.Msg) *dns.Msg {
			m := new(dns.Msg).SetRcode(q, dns.RcodeRefused)
			m.Question = nil
			return m
		}, "12 12"},
		{"silent", func(*dns.Msg) *dns.Msg { return nil }, "12 2"},
		{"FORMERR to EDNS", func(q *dns.Msg) *dns.Msg {
			if q.IsEdns0() != nil {
				m := new(dns.Msg).SetRcode(q, dns.RcodeFormatError)
				m.Question = nil
				return m
			}
			return reply(q, q.Question[0].Name+" 60 IN A 192.0.2.9")
		}, "11 11"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				order := ""
				servers := []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:1"), netip.MustParseAddrPort("192.0.2.53:2")}
				r := New(Config{Servers: servers, Support: Support{UDP: true, IPv4: true},
					Exchange: func(ctx context.Context, _ string, server netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
						order += fmt.Sprint(server.Port())
						if server.Port() == 2 {
							return reply(q, q.Question[0].Name+" 60 IN A 192.0.2.9"), nil
						}
						if m := c.first(q); m != nil {
							return m, nil
						}
						<-ctx.Done()
						return nil, ctx.Err()
					}})
				defer r.Close()
				for _, name := range []string{"a.example", "b.example"} {
					if got := text(r.hops(Query{Host: name, Port: 5060})); got != "udp 192.0.2.9:5060" {
						t.Errorf("got %s", got)
					}
					order += " "
				}
				if got := strings.TrimSpace(order); got != c.order {
					t.Errorf("got the servers asked %q, want %q", got, c.order)
				}
			})
		})
	}
}

// TestServerLog: a server that goes silent is told of once, and once when it is back, however often both happen.
func TestServerLog(t *testing.T) {
	var text strings.Builder
	addr := netip.MustParseAddrPort("192.0.2.53:53")
	r := New(Config{Servers: []netip.AddrPort{addr}, Log: slog.New(slog.NewTextHandler(&text, nil))})
	defer r.Close()
	now := time.Now()
	for range 100 { // Ten seconds of one silence after the other.
		for range mute {
			r.heard(addr, errSilent, now)
		}
		r.heard(addr, nil, now)
		now = now.Add(100 * time.Millisecond)
	}
	if got := strings.Count(text.String(), "does not answer"); got != 1 {
		t.Errorf("got %d lines, want 1", got)
	}
	if got := strings.Count(text.String(), "answers again"); got != 1 {
		t.Errorf("got %d lines that it is back, want 1", got)
	}
	st := r.Status(now).Servers[0]
	if st.Answered != 100 || st.Failed != 100*mute || st.Silent || !errors.Is(st.Err, errSilent) {
		t.Errorf("got %+v, want the counts and the last error", st)
	}
	for range mute - 1 {
		r.heard(addr, errSilent, now.Add(time.Hour))
	}
	if got := strings.Count(text.String(), "does not answer"); got != 1 {
		t.Errorf("got a line after %d silences, want it after %d", mute-1, mute)
	}
	if st := r.Status(now.Add(time.Hour)).Servers[0]; st.Down || !st.Silent {
		t.Errorf("got %+v after %d silences, want it not taken to be down", st, mute-1)
	}
	r.heard(addr, errSilent, now.Add(time.Hour))
	if st := r.Status(now.Add(time.Hour)).Servers[0]; !st.Down {
		t.Errorf("got %+v after %d silences, want it down", st, mute)
	}
}

// TestPanicEndsOneLookUp: a fault of ours that an answer brings out is an error, told and counted; others go on.
func TestPanicEndsOneLookUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text strings.Builder
		r := virtual(t, func(_ string, q *dns.Msg) *dns.Msg {
			if q.Question[0].Name == "bad.example." {
				panic("as if in here")
			}
			return reply(q, q.Question[0].Name+" 60 IN A 192.0.2.1")
		})
		r.log = slog.New(slog.NewTextHandler(&text, nil))
		if _, err := r.hops(Query{Host: "bad.example", Port: 1}); !errors.Is(err, ErrAnswer) {
			t.Errorf("got %v, want ErrAnswer", err)
		}
		if hops, err := r.hops(host); err != nil || len(hops) != 1 {
			t.Errorf("the next: got %v and %v, want a hop", hops, err)
		}
		told := make(chan error, 1)
		for _, done := range []func([]Hop, error){func([]Hop, error) { panic("who waits") }, func(_ []Hop, err error) { told <- err }} {
			if _, err, ready := r.Hops(Query{Host: "other.example", Port: 1}, done); ready {
				t.Fatalf("got %v at once, want to wait", err)
			}
		}
		if err := <-told; err != nil {
			t.Errorf("beside one who panics: got %v, want hops", err)
		}
		if got := r.Status(time.Now()).Panics; got == 0 || !strings.Contains(text.String(), "who waits") || !strings.Contains(text.String(), "as if in here") {
			t.Errorf("got %d panics and %s, want them counted and told", got, &text)
		}
	})
}
