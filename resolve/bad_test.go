package resolve

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
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

// rawServer is a name server that says what no library would. udp gets each question that came by UDP and a function that sends a
// datagram back, from the server's address or from another one; stream each that came by TCP, and the connection.
func rawServer(t *testing.T, udp func(q *dns.Msg, from net.Addr, send, elsewhere func([]byte)), stream func(q *dns.Msg, c net.Conn)) netip.AddrPort {
	t.Helper()
	addr := freePort(t)
	pc, err := net.ListenPacket("udp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	other, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			q := new(dns.Msg)
			if q.Unpack(buf[:n]) == nil && udp != nil {
				udp(q, from, func(b []byte) { pc.WriteTo(b, from) }, func(b []byte) { other.WriteTo(b, from) })
			}
		}
	})
	group.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			group.Go(func() {
				defer c.Close()
				defer context.AfterFunc(ctx, func() { c.Close() })()
				q, err := (&dns.Conn{Conn: c}).ReadMsg()
				if err == nil && stream != nil {
					stream(q, c)
				}
			})
		}
	})
	t.Cleanup(func() { cancel(); pc.Close(); ln.Close(); other.Close(); group.Wait() })
	return addr
}

func pack(m *dns.Msg) []byte {
	b, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return b
}

// framed is a message as it goes over TCP.
func framed(b []byte) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...) }

// fair is the right answer, poison the wrong one.
func fair(q *dns.Msg) *dns.Msg   { return reply(q, q.Question[0].Name+" 60 IN A 192.0.2.1") }
func poison(q *dns.Msg) *dns.Msg { return reply(q, q.Question[0].Name+" 60 IN A 203.0.113.66") }

func spoilt(q *dns.Msg, how func(*dns.Msg)) []byte {
	m := poison(q)
	how(m)
	return pack(m)
}

// TestForged: whoever is not the server we asked, or does not know what we asked, changes nothing; the fair answer that comes behind
// him counts.
func TestForged(t *testing.T) {
	for _, c := range []struct {
		name   string
		forge  func(q *dns.Msg, send, elsewhere func([]byte))
		stream bool // the answer must come by TCP
	}{
		{"from another port", func(q *dns.Msg, _, elsewhere func([]byte)) { elsewhere(pack(poison(q))) }, false},
		{"another number", func(q *dns.Msg, send, _ func([]byte)) { send(spoilt(q, func(m *dns.Msg) { m.Id++ })) }, false},
		{"another name", func(q *dns.Msg, send, _ func([]byte)) {
			send(spoilt(q, func(m *dns.Msg) { m.Question[0].Name = "other.example." }))
		}, false},
		{"another type", func(q *dns.Msg, send, _ func([]byte)) {
			send(spoilt(q, func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAAAA }))
		}, false},
		{"another class", func(q *dns.Msg, send, _ func([]byte)) {
			send(spoilt(q, func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }))
		}, false},
		{"no question", func(q *dns.Msg, send, _ func([]byte)) { send(spoilt(q, func(m *dns.Msg) { m.Question = nil })) }, false},
		{"a question", func(q *dns.Msg, send, _ func([]byte)) { send(spoilt(q, func(m *dns.Msg) { m.Response = false })) }, false},
		{"another operation", func(q *dns.Msg, send, _ func([]byte)) {
			send(spoilt(q, func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }))
		}, false},
		{"too short", func(q *dns.Msg, send, _ func([]byte)) { send([]byte{1}); send(nil); send(pack(q)[:11]) }, false},
		{"garbled, another number", func(q *dns.Msg, send, _ func([]byte)) {
			b := pack(poison(q))
			b[0] ^= 1
			send(b[:20])
		}, false},
		{"garbled", func(q *dns.Msg, send, _ func([]byte)) { send(pack(poison(q))[:20]) }, true},
		{"a flood", func(q *dns.Msg, send, _ func([]byte)) {
			for i := range 100 { // guesses all but the right number
				send(spoilt(q, func(m *dns.Msg) { m.Id += uint16(i) + 1 }))
			}
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr := rawServer(t, func(q *dns.Msg, _ net.Addr, send, elsewhere func([]byte)) {
				c.forge(q, send, elsewhere)
				send(pack(fair(q)))
			}, func(q *dns.Msg, conn net.Conn) { conn.Write(framed(pack(fair(q)))) })
			r := resolver(t, addr)
			r.try = 5 * time.Second
			if got, want := text(r.hops(host)), "udp 192.0.2.1:5060"; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			if a, err := r.cached("host.example", A); err != nil || a.stream != c.stream {
				t.Errorf("got the answer by TCP: %v (%v), want %v", a.stream, err, c.stream)
			}
		})
	}
}

// TestBesideTheAnswer: what nobody asked for never enters the cache, wherever in the message it stands.
func TestBesideTheAnswer(t *testing.T) {
	add := func(text string) dns.RR {
		rr, err := dns.NewRR(text)
		if err != nil {
			panic(err)
		}
		return rr
	}
	synctest.Test(t, func(t *testing.T) {
		r := virtual(t, func(_ string, q *dns.Msg) *dns.Msg {
			if strings.HasPrefix(q.Question[0].Name, "victim.") {
				return fair(q)
			}
			m := fair(q)
			if q.Question[0].Qtype == dns.TypeSRV {
				m = reply(q, q.Question[0].Name+" 60 IN SRV 0 0 5060 victim.example.")
			}
			for _, section := range []*[]dns.RR{&m.Answer, &m.Ns, &m.Extra} {
				*section = append(*section, add("victim.example. 60 IN A 203.0.113.66"), add("victim.example. 60 IN AAAA 2001:db8::bad"),
					add("_sip._udp.victim.example. 60 IN SRV 0 0 5060 bad.example."), add("example. 60 IN NS bad.example."), add("bad.example. 60 IN A 203.0.113.66"))
			}
			return m
		})
		r.support.IPv6 = false
		for _, q := range []Query{host, {Host: "srv.example", Transport: UDP}} {
			if got, want := text(r.hops(q)), "udp 192.0.2.1:5060"; got != want {
				t.Errorf("%s: got %s, want %s", q, got, want)
			}
		}
		want := map[question]bool{{"host.example", A}: true, {"_sip._udp.srv.example", SRV}: true, {"victim.example", A}: true}
		for q := range r.cache.entries {
			if !want[q] {
				t.Errorf("got %s %s in the cache: nobody asked for it", q.name, q.kind)
			}
		}
		if got, want := text(r.hops(Query{Host: "victim.example", Port: 5060})), "udp 192.0.2.1:5060"; got != want {
			t.Errorf("the victim: got %s, want %s", got, want)
		}
	})
}

// TestCircles: zones that lead to themselves, and ways that are too long, end.
func TestCircles(t *testing.T) {
	chain := func(n int) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprintf("a%d.example. 60 IN CNAME a%d.example.", i, i+1))
		}
		return append(list, fmt.Sprintf("a%d.example. 60 IN A 192.0.2.1", n))
	}
	for _, c := range []struct {
		name  string
		query Query
		zone  func(name string, kind uint16) []string
		want  string // hops, or how the error begins
		asks  int    // at most
	}{
		{"aliases to each other", Query{Host: "a0.example", Port: 5060}, func(string, uint16) []string {
			return []string{"a0.example. 60 IN CNAME a1.example.", "a1.example. 60 IN CNAME a0.example."}
		}, "resolve: bad answer: a0.example A: more than 8 aliases", 2},
		{"an alias to itself", Query{Host: "a0.example", Port: 5060}, func(string, uint16) []string { return []string{"a0.example. 60 IN CNAME a0.example."} },
			"resolve: bad answer: a0.example A: more than 8 aliases", 2},
		{"eight aliases", Query{Host: "a0.example", Port: 5060}, func(string, uint16) []string { return chain(8) }, "udp 192.0.2.1:5060", 2},
		{"nine", Query{Host: "a0.example", Port: 5060}, func(string, uint16) []string { return chain(9) }, "resolve: bad answer: a0.example A: more than 8 aliases", 2},
		{"NAPTR to itself", Query{Host: "example.com"}, func(name string, kind uint16) []string {
			if kind == dns.TypeNAPTR {
				return []string{name + ` 60 IN NAPTR 1 1 "s" "SIP+D2U" "" ` + name, name + ` 60 IN NAPTR 1 1 "s" "SIP+D2T" "" ` + name}
			}
			return nil
		}, "resolve: no such host: sip:example.com", 9},
		{"SRV to itself", Query{Host: "example.com", Transport: UDP}, func(name string, kind uint16) []string {
			if kind == dns.TypeSRV {
				return []string{name + " 60 IN SRV 1 1 5060 " + name}
			}
			return nil
		}, "resolve: no such host: sip:example.com;transport=udp", 3},
		{"NAPTR, SRV and address all say example.com", Query{Host: "example.com"}, func(name string, kind uint16) []string {
			return map[uint16][]string{dns.TypeNAPTR: {name + ` 60 IN NAPTR 1 1 "s" "SIP+D2U" "" example.com.`}, dns.TypeSRV: {name + " 60 IN SRV 1 1 5060 example.com."}}[kind]
		}, "resolve: no such host: sip:example.com", 6},
		{"a NAPTR row for each of a hundred names", Query{Host: "example.com"}, func(name string, kind uint16) (list []string) {
			for i := range 60 {
				if kind == dns.TypeNAPTR {
					list = append(list, fmt.Sprintf(`%s 60 IN NAPTR 1 1 "s" "SIP+D2U" "" s%d.%s`, name, i, name))
				} else if kind == dns.TypeSRV {
					list = append(list, fmt.Sprintf(`%s 60 IN SRV 1 1 5060 t%d.%s`, name, i, name))
				}
			}
			return list
		}, "resolve: bad answer: sip:example.com needs more than 24 questions", maxQuestions},
		{"one good target among many bad ones", Query{Host: "example.com", Transport: UDP}, func(name string, kind uint16) []string {
			switch {
			case kind == dns.TypeSRV:
				return []string{name + " 60 IN SRV 1 1 5060 circle.example.", name + " 60 IN SRV 2 1 5060 good.example."}
			case name == "circle.example.":
				return []string{"circle.example. 60 IN CNAME circle.example."}
			case kind == dns.TypeA:
				return []string{name + " 60 IN A 192.0.2.1"}
			}
			return nil
		}, "udp 192.0.2.1:5060", 5},
		{"targets that are no names", Query{Host: "example.com", Transport: UDP}, func(name string, kind uint16) []string {
			if kind == dns.TypeSRV {
				return []string{name + ` 60 IN SRV 1 1 5060 a\032b.example.`, name + ` 60 IN SRV 2 1 5060 fe80::1%lo.`, name + ` 60 IN SRV 3 1 5060 \000.`, name + ` 60 IN SRV 4 1 0 192.0.2.1.`}
			}
			return nil
		}, "resolve: no such host: sip:example.com;transport=udp", 1},
		{"NXDOMAIN with an address", Query{Host: "example.com", Port: 5060}, func(name string, kind uint16) []string { return []string{"NXDOMAIN", name + " 60 IN A 203.0.113.66"} },
			"resolve: no such host: sip:example.com:5060", 2},
		{"an address of another class", Query{Host: "example.com", Port: 5060}, func(name string, kind uint16) []string { return []string{name + " 60 CH A 203.0.113.66"} },
			"resolve: no such host: sip:example.com:5060", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				r := virtual(t, func(_ string, q *dns.Msg) *dns.Msg {
					asked++
					records := c.zone(q.Question[0].Name, q.Question[0].Qtype)
					if len(records) > 0 && records[0] == "NXDOMAIN" {
						m := reply(q, records[1:]...)
						m.Rcode = dns.RcodeNameError
						return m
					}
					return reply(q, records...)
				})
				if got := text(r.hops(c.query)); got != c.want {
					t.Errorf("got %s, want %s", got, c.want)
				}
				if asked > c.asks {
					t.Errorf("got %d questions, want %d at most", asked, c.asks)
				}
			})
		})
	}
}

// TestBadStreams: what a server does on TCP costs one question, in bounded time and memory.
func TestBadStreams(t *testing.T) {
	truncated := func(q *dns.Msg, _ net.Addr, send, _ func([]byte)) {
		m := reply(q)
		m.Truncated = true
		send(pack(m))
	}
	// Sixty-four kilobytes whose records all point at one long name: as text each would be a kilobyte.
	heavy := func(q *dns.Msg) []byte {
		b := pack(q)[:headerSize]
		b[2] |= 0x80
		b = append(b, pack(reply(q))[headerSize:]...)
		long := len(b)
		for range 3 {
			b = append(append(b, 63), strings.Repeat("\x01", 63)...)
		}
		b = append(b, 0)
		n := 0
		for ; len(b) < 65535-14; n++ { // CNAME from the name to the name
			b = binary.BigEndian.AppendUint16(b, 0xc000|uint16(long))
			b = append(b, 0, 5, 0, 1, 0, 0, 0, 60, 0, 2)
			b = binary.BigEndian.AppendUint16(b, 0xc000|uint16(long))
		}
		binary.BigEndian.PutUint16(b[4:], 1)
		binary.BigEndian.PutUint16(b[6:], uint16(n))
		binary.BigEndian.PutUint16(b[8:], 0)
		binary.BigEndian.PutUint16(b[10:], 0)
		return b
	}
	for _, c := range []struct {
		name   string
		stream func(q *dns.Msg, c net.Conn)
		want   error
	}{
		{"good", func(q *dns.Msg, c net.Conn) { c.Write(framed(pack(fair(q)))) }, nil},
		{"good, byte by byte", func(q *dns.Msg, c net.Conn) {
			for _, b := range framed(pack(fair(q))) {
				c.Write([]byte{b})
			}
		}, nil},
		{"closes", func(*dns.Msg, net.Conn) {}, ErrUnavailable},
		{"says nothing", func(_ *dns.Msg, c net.Conn) { io.Copy(io.Discard, c) }, ErrUnavailable},
		{"promises 64 kB and trickles", func(_ *dns.Msg, c net.Conn) {
			c.Write([]byte{255, 255})
			for {
				if _, err := c.Write([]byte{0}); err != nil {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
		}, ErrUnavailable},
		{"closes in the middle", func(q *dns.Msg, c net.Conn) { b := framed(pack(fair(q))); c.Write(b[:len(b)/2]) }, ErrUnavailable},
		{"a message of no length", func(_ *dns.Msg, c net.Conn) { c.Write([]byte{0, 0}) }, ErrUnavailable},
		{"cut off, too", func(q *dns.Msg, c net.Conn) { m := fair(q); m.Truncated = true; c.Write(framed(pack(m))) }, ErrAnswer},
		{"another number", func(q *dns.Msg, c net.Conn) { m := fair(q); m.Id++; c.Write(framed(pack(m))) }, ErrAnswer},
		{"garbled", func(q *dns.Msg, c net.Conn) { c.Write(framed(pack(fair(q))[:20])) }, ErrAnswer},
		{"thousands of records", func(q *dns.Msg, c net.Conn) {
			m := fair(q)
			for i := range 3000 {
				m.Answer = append(m.Answer, &dns.A{Hdr: dns.RR_Header{Name: "host.example.", Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: net.IPv4(10, 0, byte(i>>8), byte(i))})
			}
			m.Compress = true
			c.Write(framed(pack(m)))
		}, ErrAnswer},
		{"thousands beside the answer", func(q *dns.Msg, c net.Conn) {
			m := fair(q)
			for i := range 3000 {
				m.Extra = append(m.Extra, &dns.A{Hdr: dns.RR_Header{Name: "host.example.", Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: net.IPv4(10, 0, byte(i>>8), byte(i))})
			}
			m.Compress = true
			c.Write(framed(pack(m)))
		}, ErrAnswer},
		{"64 kB of long names", func(q *dns.Msg, c net.Conn) { c.Write(framed(heavy(q))) }, ErrAnswer},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := resolver(t, rawServer(t, truncated, c.stream))
			if c.want == nil {
				r.try = 5 * time.Second
			}
			begin := time.Now()
			hops, err := r.hops(host)
			if !errors.Is(err, c.want) || c.want == nil && len(hops) != 1 {
				t.Errorf("got %v and %v, want %v", hops, err, c.want)
			}
			if took := time.Since(begin); took > questionTime+time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
	t.Run("memory", func(t *testing.T) {
		q := new(dns.Msg)
		q.SetQuestion("host.example.", dns.TypeA)
		b := heavy(q)
		if m := new(dns.Msg); m.Unpack(b) != nil || len(m.Answer) < 4000 {
			t.Fatal("the message is not what it should be")
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 10 {
			if _, err := parse(b, q); !errors.Is(err, ErrAnswer) {
				t.Errorf("got %v, want ErrAnswer", err)
			}
		}
		runtime.ReadMemStats(&after)
		if got := (after.TotalAlloc - before.TotalAlloc) / 10; got > 16<<10 {
			t.Errorf("got %d bytes to refuse it, want no more than 16 kB: it is not read", got)
		}
	})
}

// TestPortsAndNumbers: each question comes from a port and with a number of its own that nobody can guess (RFC 5452 4.5, 9.2).
func TestPortsAndNumbers(t *testing.T) {
	const n = 200
	var mu sync.Mutex
	ports, ids := map[string]int{}, map[uint16]int{}
	var inARow, last atomic.Int64
	addr := rawServer(t, func(q *dns.Msg, from net.Addr, send, _ func([]byte)) {
		mu.Lock()
		defer mu.Unlock()
		_, port, _ := net.SplitHostPort(from.String())
		ports[port]++
		ids[q.Id]++
		if d := int64(q.Id) - last.Swap(int64(q.Id)); d >= -2 && d <= 2 {
			inARow.Add(1)
		}
		send(pack(fair(q)))
	}, nil)
	r := resolver(t, addr)
	r.try = 5 * time.Second
	for i := range n {
		if _, err := r.hops(Query{Host: fmt.Sprintf("h%d.example", i), Port: 5060}); err != nil {
			t.Fatal(err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	// Of 200 numbers drawn out of 65,536, or ports out of 28,000 at the least, two are alike 0.7 times on average; more than ten
	// times is a chance of 1e-8.
	if len(ids) < n-10 || len(ports) < n-10 {
		t.Errorf("got %d numbers and %d ports in %d questions, want them drawn at random", len(ids), len(ports), n)
	}
	if got := inARow.Load(); got > 5 { // expected 0.015 times
		t.Errorf("got %d numbers next to the one before", got)
	}
}
