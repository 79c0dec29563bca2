package resolve

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// dnsServer is a name server on the loopback that answers what handle says.
func dnsServer(t *testing.T, handle func(network string, q *dns.Msg) *dns.Msg) netip.AddrPort {
	t.Helper()
	var pc net.PacketConn
	var ln net.Listener
	for range 20 { // Until a port is free for both.
		var err error
		if ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if pc, err = net.ListenPacket("udp", ln.Addr().String()); err == nil {
			break
		}
		ln.Close()
	}
	if pc == nil {
		t.Fatal("no port is free for UDP and TCP")
	}
	for network, s := range map[string]*dns.Server{"udp": {PacketConn: pc}, "tcp": {Listener: ln}} {
		s.Handler = dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
			if r := handle(network, q); r != nil {
				w.WriteMsg(r)
			}
		})
		var served, started sync.WaitGroup
		started.Add(1)
		s.NotifyStartedFunc = started.Done // A server that is stopped before it has started would go on.
		served.Go(func() { s.ActivateAndServe() })
		started.Wait()
		t.Cleanup(func() { s.Shutdown(); served.Wait() })
	}
	return pc.LocalAddr().(*net.UDPAddr).AddrPort()
}

func reply(q *dns.Msg, records ...string) *dns.Msg {
	r := new(dns.Msg)
	r.SetReply(q)
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil {
			panic(err)
		}
		if rr.Header().Rrtype == dns.TypeSOA {
			r.Ns = append(r.Ns, rr)
		} else {
			r.Answer = append(r.Answer, rr)
		}
	}
	return r
}

func resolver(t *testing.T, servers ...netip.AddrPort) *Resolver {
	r := New(Config{Servers: servers, Support: Support{UDP: true, TCP: true, IPv4: true}})
	r.try = 200 * time.Millisecond
	t.Cleanup(r.Close)
	return r
}

// virtual is a resolver in a bubble of virtual time, whose one server answers what handle says; nil is silence.
func virtual(t *testing.T, handle func(network string, q *dns.Msg) *dns.Msg) *Resolver {
	r := New(Config{Servers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53")}, Support: all,
		Exchange: func(ctx context.Context, network string, _ netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
			if m := handle(network, q); m != nil {
				return m, nil
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}})
	t.Cleanup(r.Close)
	return r
}

// hops waits for a look-up.
func (r *Resolver) hops(q Query) ([]Hop, error) {
	type result struct {
		hops []Hop
		err  error
	}
	done := make(chan result, 1)
	hops, err, ready := r.Hops(q, func(h []Hop, err error) { done <- result{h, err} })
	if ready {
		return hops, err
	}
	res := <-done
	return res.hops, res.err
}

var host = Query{Host: "host.example", Port: 5060}

func TestCache(t *testing.T) {
	var asked atomic.Int32
	r := resolver(t, dnsServer(t, func(_ string, q *dns.Msg) *dns.Msg {
		asked.Add(1)
		switch q.Question[0].Name {
		case "host.example.":
			return reply(q, "host.example. 60 IN A 192.0.2.1")
		case "brief.example.":
			return reply(q, "brief.example. 0 IN A 192.0.2.2")
		}
		r := reply(q, "example. 60 IN SOA ns.example. admin.example. 1 1 1 1 60")
		r.Rcode = dns.RcodeNameError
		return r
	}))
	for _, c := range []struct {
		name  string
		query Query
		want  string
		asks  int32
	}{
		{"first", host, "udp 192.0.2.1:5060", 1},
		{"from the cache", host, "udp 192.0.2.1:5060", 0},
		{"a TTL of 0 is not kept", Query{Host: "brief.example", Port: 1}, "udp 192.0.2.2:1", 1},
		{"nor the second time", Query{Host: "brief.example", Port: 1}, "udp 192.0.2.2:1", 1},
		{"no such name", Query{Host: "none.example", Port: 1}, "resolve: no such host: sip:none.example:1", 1},
		{"is kept, too", Query{Host: "none.example", Port: 1}, "resolve: no such host: sip:none.example:1", 0},
	} {
		before := asked.Load()
		if got := text(r.hops(c.query)); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
		if got := asked.Load() - before; got != c.asks {
			t.Errorf("%s: got %d questions, want %d", c.name, got, c.asks)
		}
	}
}

// TestMerged: whoever asks for the same at the same time shares a question.
func TestMerged(t *testing.T) {
	var asked atomic.Int32
	release := make(chan struct{})
	r := resolver(t, dnsServer(t, func(_ string, q *dns.Msg) *dns.Msg {
		asked.Add(1)
		<-release
		return reply(q, q.Question[0].Name+" 60 IN A 192.0.2.1")
	}))
	var all sync.WaitGroup
	for i := range 100 {
		q := host
		q.Port = uint16(5060 + i%2) // two look-ups, one question
		all.Add(1)
		_, _, ready := r.Hops(q, func(hops []Hop, err error) {
			defer all.Done()
			if len(hops) != 1 || err != nil {
				t.Errorf("got %v and %v, want a hop", hops, err)
			}
		})
		if ready {
			t.Error("got an answer at once, want it later")
			all.Done()
		}
	}
	close(release)
	all.Wait()
	if got := asked.Load(); got != 1 {
		t.Errorf("got %d questions, want 1", got)
	}
}

func TestServers(t *testing.T) {
	good := func(_ string, q *dns.Msg) *dns.Msg { return reply(q, q.Question[0].Name+" 60 IN A 192.0.2.1") }
	bad := func(mend func(*dns.Msg)) func(string, *dns.Msg) *dns.Msg {
		return func(n string, q *dns.Msg) *dns.Msg { r := good(n, q); mend(r); return r }
	}
	for _, c := range []struct {
		name   string
		handle func(network string, q *dns.Msg) *dns.Msg
		want   string // "" : ErrUnavailable
		wrong  error
	}{
		{name: "good", handle: good, want: "udp 192.0.2.1:5060"},
		{name: "refuses", handle: bad(func(r *dns.Msg) { r.Rcode = dns.RcodeRefused }), wrong: ErrUnavailable},
		{name: "another number", handle: bad(func(r *dns.Msg) { r.Id++ }), wrong: ErrUnavailable},
		{name: "another question", handle: bad(func(r *dns.Msg) { r.Question[0].Name = "other.example." }), wrong: ErrUnavailable},
		{name: "records of another name", handle: bad(func(r *dns.Msg) { r.Answer[0].Header().Name = "other.example." }), wrong: ErrNotFound},
		{name: "an alias", handle: func(_ string, q *dns.Msg) *dns.Msg {
			return reply(q, "host.example. 60 IN CNAME a.example.", "a.example. 60 IN CNAME b.example.", "b.example. 60 IN A 192.0.2.3", "c.example. 60 IN A 192.0.2.4")
		}, want: "udp 192.0.2.3:5060"},
		{name: "aliases in a circle", handle: func(_ string, q *dns.Msg) *dns.Msg {
			return reply(q, "host.example. 60 IN CNAME a.example.", "a.example. 60 IN CNAME host.example.")
		}, wrong: ErrAnswer},
		{name: "too large for UDP", handle: func(n string, q *dns.Msg) *dns.Msg {
			r := good(n, q)
			if n == "udp" {
				r.Truncated, r.Answer = true, nil
			}
			return r
		}, want: "udp 192.0.2.1:5060"},
		{name: "huge", handle: func(n string, q *dns.Msg) *dns.Msg {
			if n == "udp" {
				r := reply(q)
				r.Truncated = true
				return r
			}
			return reply(q, strings.Split(strings.Repeat("host.example. 60 IN A 192.0.2.1\n", 1000)+"host.example. 60 IN A 192.0.2.2", "\n")...)
		}, wrong: ErrAnswer},
	} {
		t.Run(c.name, func(t *testing.T) {
			hops, err := resolver(t, dnsServer(t, c.handle)).hops(host)
			if c.wrong != nil && !errors.Is(err, c.wrong) || c.want != "" && text(hops, err) != c.want {
				t.Errorf("got %s, want %s %v", text(hops, err), c.want, c.wrong)
			}
		})
	}
}

// TestSilentServer: the second server answers when the first is silent, and an answer from before serves when all are.
func TestSilentServer(t *testing.T) {
	var silent atomic.Bool
	answer := func(_ string, q *dns.Msg) *dns.Msg {
		if silent.Load() {
			return nil
		}
		return reply(q, q.Question[0].Name+" 1 IN A 192.0.2.1")
	}
	mute := dnsServer(t, func(string, *dns.Msg) *dns.Msg { return nil })
	r := resolver(t, mute, dnsServer(t, answer))
	if got, want := text(r.hops(host)), "udp 192.0.2.1:5060"; got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
	silent.Store(true)
	r.mu.Lock()
	for _, e := range r.cache.entries {
		e.until = time.Now().Add(-time.Minute)
	}
	r.mu.Unlock()
	if got, want := text(r.hops(host)), "udp 192.0.2.1:5060"; got != want {
		t.Errorf("when nobody answers: got %s, want %s of before", got, want)
	}
	if _, err := r.hops(Query{Host: "new.example", Port: 1}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
}

func TestClose(t *testing.T) {
	r := New(Config{Servers: []netip.AddrPort{dnsServer(t, func(string, *dns.Msg) *dns.Msg { return nil })}, Support: all})
	failed := make(chan error, 1)
	if _, _, ready := r.Hops(host, func(_ []Hop, err error) { failed <- err }); ready {
		t.Fatal("got an answer at once")
	}
	r.Close()
	if err := <-failed; !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	if _, err, ready := r.Hops(host, nil); !ready || !errors.Is(err, ErrUnavailable) {
		t.Errorf("after Close: got %v, want ErrUnavailable", err)
	}
}

func TestExplain(t *testing.T) { synctest.Test(t, explain) }

func explain(t *testing.T) {
	r := virtual(t, func(_ string, q *dns.Msg) *dns.Msg {
		if q.Question[0].Qtype == dns.TypeSRV && strings.HasPrefix(q.Question[0].Name, "_sip._udp.") {
			return reply(q, q.Question[0].Name+" 60 IN SRV 2 0 5072 192.0.2.9.", q.Question[0].Name+" 60 IN SRV 1 1 5071 host.example.", q.Question[0].Name+" 60 IN SRV 1 3 5070 Host.Example.")
		}
		if q.Question[0].Qtype == dns.TypeA {
			return reply(q, q.Question[0].Name+" 60 IN A 192.0.2.1")
		}
		return reply(q)
	})
	r.support.IPv6 = false
	var steps []string
	hops, err := r.Explain(context.Background(), Query{Host: "example.com"}, func(s Step) { steps = append(steps, s.Section+" "+s.String()) })
	from := " s, from " + r.servers[0].addr.String() + " by UDP"
	want := strings.Join([]string{
		"4.1 the URI gives neither port nor transport: NAPTR",
		"4.1 example.com NAPTR: none, for 30" + from,
		"4.2 _sip._udp.example.com SRV: 3, for 60" + from,
		"4.2 priority 1, weight 3 (75 %): host.example port 5070",
		"4.2 priority 1, weight 1 (25 %): host.example port 5071",
		"4.2 priority 2, weight 0 (100 %): 192.0.2.9 port 5072",
		"4.2 host.example AAAA is not asked for: no such listener here",
		"4.2 host.example A: 1, for 60" + from,
		"4.2 192.0.2.1",
		"4.2 host.example AAAA is not asked for: no such listener here",
		"4.2 host.example A: 1, from the cache",
		"4.2 192.0.2.1",
	}, "\n")
	if got := strings.Join(steps, "\n"); got != want || text(hops, err) != "udp 192.0.2.1:5070, udp 192.0.2.1:5071, udp 192.0.2.9:5072" {
		t.Errorf("got %s\n%s\nwant\n%s", text(hops, err), got, want)
	}
	if len(hops) != 3 || hops[0].Share != 0.75 || hops[1].Share != 0.25 || hops[2].Priority != 2 || hops[2].Share != 1 {
		t.Errorf("got %+v, want shares 0.75, 0.25 and, of priority 2, 1", hops)
	}
}

// TestStepText: an error is told as it is.
func TestStepText(t *testing.T) {
	s := Step{Question: "example.com A", Err: ErrUnavailable}
	if got, want := s.String(), "example.com A: resolve: no answer"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// FuzzAnswer: whatever a server sends, nothing breaks, nothing grows, and what is made of it are hops that can be tried.
func FuzzAnswer(f *testing.F) {
	q := new(dns.Msg)
	q.SetQuestion("host.example.", dns.TypeA)
	q.Id = 0x1234
	for _, r := range []*dns.Msg{
		reply(q, "host.example. 60 IN A 192.0.2.1"), reply(q, "host.example. 60 IN CNAME host.example."), reply(q, "host.example. 1 IN SRV 1 1 1 ."),
		reply(q, "host.example. 60 IN AAAA 2001:db8::1", "host.example. 4294967295 IN SRV 0 0 5060 host.example."),
		reply(q, `host.example. 60 IN NAPTR 1 1 "s" "SIP+D2U" "" host.example.`), reply(q, "example. 60 IN SOA ns.example. admin.example. 1 1 1 1 60"),
	} {
		b, err := r.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parse(b, q)
		if err != nil {
			return
		}
		l := &look{query: Query{Host: "host.example"}, support: all, draw: func(n int) int { return n - 1 }, steps: func(s Step) { _ = s.String() }}
		l.ask = func(name string, kind Kind) (Answer, error) {
			a, err := read(m, name, kind)
			if err == nil && (a.ttl < 0 || a.ttl > maxTTL || a.count() > maxRecords) {
				t.Errorf("got %v for %v", a.ttl, a)
			}
			return a, err
		}
		hops, err := l.find()
		if len(hops) > maxHops || l.asked > maxQuestions+1 || (err == nil) != (len(hops) > 0) {
			t.Errorf("got %d hops and %v after %d questions", len(hops), err, l.asked)
		}
		for _, h := range hops {
			if !h.Addr.IsValid() || h.Addr.Port() == 0 || h.Addr.Addr().Is4In6() || h.Addr.Addr().Zone() != "" || h.Share < 0 || h.Share > 1 {
				t.Errorf("got the hop %+v", h)
			}
		}
	})
}
