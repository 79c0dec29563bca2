package resolve

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sipd/internal/testneed"
)

// nsdZone is what the server of the tests knows. The shares of _sip._udp.weights are at most 15 %: see TestNSDWeights.
const nsdZone = `$ORIGIN example.com.
$TTL 300
@             SOA    ns admin 1 3600 600 86400 20
@             NS     ns
ns            A      127.0.0.1
@             NAPTR  20 10 "s" "SIP+D2T"  "" _sip._tcp
@             NAPTR  10 20 "s" "SIPS+D2T" "" _sips._tcp
@             NAPTR  10 10 "s" "SIP+D2S"  "" _sip._sctp
@             NAPTR  20 20 "S" "sip+d2u"  "" _sip._udp
@             NAPTR  5 10 "u" "E2U+sip" "!^.*$!sip:x@example.com!" .
@             A      192.0.2.100
_sips._tcp    SRV    0 0 5061 one
_sip._tcp     SRV    2 0 5060 two
_sip._tcp     SRV    1 0 5070 one
_sip._udp     SRV    0 0 5060 alias
one           A      192.0.2.1
one           AAAA   2001:db8::1
two           A      192.0.2.2
alias         CNAME  two
plain         A      192.0.2.3
plain         AAAA   2001:db8::3
_sip._tcp.srv SRV    0 0 5063 two
_sips._tcp.srv SRV   0 0 5064 one
_sip._udp.closed SRV 0 0 0 .
closed        A      192.0.2.66
_sip._udp.weights SRV 1 5  5060 w1
_sip._udp.weights SRV 1 10 5060 w2
_sip._udp.weights SRV 1 10 5060 w3
_sip._udp.weights SRV 1 15 5060 w4
_sip._udp.weights SRV 1 15 5060 w5
_sip._udp.weights SRV 1 15 5060 w6
_sip._udp.weights SRV 1 15 5060 w7
_sip._udp.weights SRV 1 15 5060 w8
_sip._udp.weights SRV 1 0  5060 w0
_sip._udp.weights SRV 2 99 5060 last
_sip._udp.backup SRV 1 0 5060 one
_sip._udp.backup SRV 2 0 5060 two
_sip._udp.zeros SRV 1 0 5060 w1
_sip._udp.zeros SRV 1 0 5060 w2
last          A      192.0.2.99
circle        CNAME  circle2
circle2       CNAME  circle
`

// startNSD serves nsdZone on the loopback until the test ends.
func startNSD(t *testing.T) netip.AddrPort {
	t.Helper()
	program, err := exec.LookPath("nsd")
	if err != nil {
		testneed.Missing(t, "nsd")
	}
	dir := t.TempDir()
	var zone strings.Builder
	zone.WriteString(nsdZone + numbers(enumZone))
	for i := range 9 {
		fmt.Fprintf(&zone, "w%d A 192.0.2.%d\n", i, 10+i)
	}
	for i := range 60 { // more than a datagram holds
		fmt.Fprintf(&zone, "large AAAA 2001:db8::%x\n", i+1)
	}
	for i := range 200 { // more than anybody needs
		fmt.Fprintf(&zone, "huge A 198.51.100.%d\n", i)
	}
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("zone", zone.String())
	for range 5 { // Somebody else may take the port in between.
		addr := freePort(t)
		conf := write("nsd.conf", fmt.Sprintf("server:\n\tip-address: %s@%d\n\tusername: \"\"\n\tchroot: \"\"\n\tserver-count: 1\n\tdatabase: \"\"\n\tzonesdir: %[3]q\n"+
			"\tpidfile: \"\"\n\txfrdfile: %[4]q\n\tzonelistfile: %[5]q\n\txfrdir: %[3]q\nremote-control:\n\tcontrol-enable: no\nzone:\n\tname: example.com\n\tzonefile: zone\n",
			addr.Addr(), addr.Port(), dir, filepath.Join(dir, "xfrd"), filepath.Join(dir, "zonelist")))
		var said lockedText
		cmd := exec.Command(program, "-d", "-c", conf)
		cmd.Stdout, cmd.Stderr = &said, &said
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // It has children.
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { cmd.Wait(); close(ended) }()
		t.Cleanup(func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); <-ended })
		r := New(Config{Servers: []netip.AddrPort{addr}, Support: all})
		defer r.Close()
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
			if a, err := r.exchange(t.Context(), "ns.example.com", A); err == nil && len(a.Addrs) == 1 {
				return addr
			}
			select {
			case <-ended:
				end = time.Time{}
			case <-time.After(20 * time.Millisecond):
			}
		}
		t.Logf("nsd did not answer at %s: %s", addr, said.String())
	}
	t.Fatal("nsd does not answer")
	return netip.AddrPort{}
}

// lockedText is what a program printed.
type lockedText struct{ text atomic.Pointer[string] }

func (l *lockedText) Write(p []byte) (int, error) {
	text := l.String() + string(p)
	l.text.Store(&text)
	return len(p), nil
}

func (l *lockedText) String() string {
	if text := l.text.Load(); text != nil {
		return *text
	}
	return ""
}

// freePort is an address that is free for UDP and TCP now.
func freePort(t *testing.T) netip.AddrPort {
	t.Helper()
	for range 20 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := ln.Addr().(*net.TCPAddr).AddrPort()
		pc, err := net.ListenPacket("udp", addr.String())
		ln.Close()
		if err == nil {
			pc.Close()
			return addr
		}
	}
	t.Fatal("no port is free for UDP and TCP")
	return netip.AddrPort{}
}

// TestNSD looks names up in a real name server: order, transports, families, aliases, and how many questions it takes.
func TestNSD(t *testing.T) {
	addr := startNSD(t)
	ip4 := func(s *Support) { s.IPv6 = false }
	for _, c := range []struct {
		name  string
		query Query
		have  func(*Support)
		want  string
		asks  uint64
	}{
		{"NAPTR by order and preference", Query{Host: "example.com"}, nil,
			"tls [2001:db8::1]:5061, tls 192.0.2.1:5061, tcp [2001:db8::1]:5070, tcp 192.0.2.1:5070, tcp 192.0.2.2:5060, udp 192.0.2.2:5060", 10},
		{"without TLS and IPv6", Query{Host: "example.com"}, func(s *Support) { s.TLS, s.IPv6 = false, false }, "tcp 192.0.2.1:5070, tcp 192.0.2.2:5060, udp 192.0.2.2:5060", 6},
		{"IPv6 alone", Query{Host: "example.com"}, func(s *Support) { s.IPv4 = false }, "tls [2001:db8::1]:5061, tcp [2001:db8::1]:5070", 7},
		{"sips", Query{Host: "example.com", Secure: true}, nil, "tls [2001:db8::1]:5061, tls 192.0.2.1:5061", 4},
		{"a transport", Query{Host: "example.com", Transport: UDP}, nil, "udp 192.0.2.2:5060", 3},
		{"a port: addresses alone", Query{Host: "example.com", Port: 5080}, nil, "udp 192.0.2.100:5080", 2},
		{"a port, sips", Query{Host: "plain.example.com", Port: 5081, Secure: true}, nil, "tls [2001:db8::3]:5081, tls 192.0.2.3:5081", 2},
		{"an address", Query{Host: "192.0.2.77"}, nil, "udp 192.0.2.77:5060", 0},
		{"an address of IPv6, a port and a transport", Query{Host: "2001:db8::77", Port: 5090, Transport: TCP}, nil, "tcp [2001:db8::77]:5090", 0},
		{"no NAPTR: SRV of UDP, TCP, TLS", Query{Host: "srv.example.com"}, ip4, "tcp 192.0.2.2:5063", 4},
		{"no NAPTR, sips", Query{Host: "srv.example.com", Secure: true}, ip4, "tls 192.0.2.1:5064", 3},
		{"no SRV", Query{Host: "plain.example.com"}, nil, "udp [2001:db8::3]:5060, udp 192.0.2.3:5060", 6},
		{"the service is not there", Query{Host: "closed.example.com"}, nil, "resolve: no such host: sip:closed.example.com", 2},
		{"backup", Query{Host: "backup.example.com"}, ip4, "udp 192.0.2.1:5060, udp 192.0.2.2:5060", 4},
		{"an alias as target", Query{Host: "alias.example.com", Port: 5060}, ip4, "udp 192.0.2.2:5060", 1},
		{"no such name", Query{Host: "nobody.example.com"}, nil, "resolve: no such host: sip:nobody.example.com", 6},
		{"a domain that this server does not know", Query{Host: "example.net", Port: 5060}, ip4, "REFUSED", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			have := all
			if c.have != nil {
				c.have(&have)
			}
			r := New(Config{Servers: []netip.AddrPort{addr}, Support: have})
			defer r.Close()
			for _, again := range []string{"", ", from the cache"} {
				if got := text(r.hops(c.query)); got != c.want && !(c.want == "REFUSED" && strings.HasSuffix(got, "it answers REFUSED")) {
					t.Errorf("got %s, want %s%s", got, c.want, again)
				}
				if s := r.Status(time.Now()).Servers[0]; s.Answered+s.Failed != c.asks {
					t.Errorf("got %d questions, want %d%s", s.Answered+s.Failed, c.asks, again)
				}
			}
		})
	}
	r := New(Config{Servers: []netip.AddrPort{addr}, Support: Support{UDP: true, IPv4: true, IPv6: true}})
	defer r.Close()
	t.Run("more than a datagram holds", func(t *testing.T) {
		hops, err := r.hops(Query{Host: "large.example.com", Port: 5060})
		if err != nil || len(hops) != maxHops {
			t.Errorf("got %d hops and %v, want %d", len(hops), err, maxHops)
		}
		if a, err := r.cached("large.example.com", AAAA); err != nil || len(a.Addrs) != 60 || !a.stream {
			t.Errorf("got %d addresses and %v, by TCP %v, want 60 by TCP", len(a.Addrs), err, a.stream)
		}
	})
	t.Run("more than is taken", func(t *testing.T) {
		if hops, err := r.hops(Query{Host: "huge.example.com", Port: 5060}); !errors.Is(err, ErrAnswer) {
			t.Errorf("got %v and %v, want ErrAnswer", hops, err)
		}
	})
	t.Run("aliases in a circle", func(t *testing.T) {
		if hops, err := r.hops(Query{Host: "circle.example.com", Port: 5060}); len(hops) != 0 || err == nil {
			t.Errorf("got %v and %v, want an error", hops, err)
		}
	})
	t.Run("times to live", func(t *testing.T) {
		for _, c := range []struct {
			name string
			kind Kind
			want time.Duration
		}{{"plain.example.com", A, 5 * time.Minute}, {"nobody.example.com", A, 20 * time.Second}, {"alias.example.com", AAAA, 20 * time.Second}} {
			if a, err := r.exchange(t.Context(), c.name, c.kind); err != nil || a.ttl != c.want {
				t.Errorf("%s %s: got %v and %v, want %v", c.name, c.kind, a.ttl, err, c.want)
			}
		}
	})
}

// TestNSDWeights: 10,000 picks follow the weights within 2 % of all.
//
// A share p of n picks is off by its standard deviation sqrt(p(1-p)/n) now and then; 0.02 is 5.6 of them for the largest share,
// 0.15, so this test fails by chance once in 4e7 runs for each of five such targets, and once in 4e10 for the others: once in 8e6.
func TestNSDWeights(t *testing.T) {
	r := New(Config{Servers: []netip.AddrPort{startNSD(t)}, Support: Support{UDP: true, IPv4: true}})
	defer r.Close()
	const n = 10_000
	first, zeros := map[string]int{}, map[string]int{}
	for range n {
		hops, err := r.hops(Query{Host: "weights.example.com", Transport: UDP})
		if err != nil || len(hops) != maxTargets {
			t.Fatalf("got %v and %v, want %d hops", hops, err, maxTargets)
		}
		first[strings.TrimSuffix(hops[0].Name, ".example.com")]++
		seen := map[string]bool{}
		for _, h := range hops {
			if seen[h.Name] || h.Name == "last.example.com" { // Of nine in the first priority eight are looked up.
				t.Fatalf("got %v, want the first priority, each target once", hops)
			}
			seen[h.Name] = true
		}
		if hops, err = r.hops(Query{Host: "zeros.example.com", Transport: UDP}); err != nil || len(hops) != 2 {
			t.Fatalf("got %v and %v, want 2 hops", hops, err)
		}
		zeros[hops[0].Name]++
	}
	for name, share := range map[string]float64{"w1": 0.05, "w2": 0.1, "w3": 0.1, "w4": 0.15, "w5": 0.15, "w6": 0.15, "w7": 0.15, "w8": 0.15} {
		if got := float64(first[name]) / n; math.Abs(got-share) > 0.02 {
			t.Errorf("%s: got %.4f of the picks, want %.2f", name, got, share)
		}
	}
	// A weight of 0 beside 100 others is drawn once in 100,000 picks: more than five in 10,000 are a chance of 1e-9.
	if got := first["w0"]; got > 5 {
		t.Errorf("w0, of weight 0: got %d picks, want next to none", got)
	}
	// Two targets of weight 0 are alike; 0.03 is six standard deviations.
	if got := float64(zeros["w1.example.com"]) / n; math.Abs(got-0.5) > 0.03 {
		t.Errorf("w1 of two targets of weight 0: got %.4f of the picks, want 0.5", got)
	}
	if s := r.Status(time.Now()); s.Servers[0].Answered > 1+9+1 { // w0 is seldom among the eight.
		t.Errorf("got %d questions, want 11 at most: each once", s.Servers[0].Answered)
	}
}
