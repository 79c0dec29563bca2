package resolve

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
)

// zone is records as text: "name KIND" -> lines.
type zone map[string][]string

func (z zone) ask(name string, kind Kind) (a Answer, err error) {
	for _, line := range z[name+" "+kind.String()] {
		var s SRVRecord
		var n NAPTRRecord
		switch kind {
		case A, AAAA:
			a.Addrs = append(a.Addrs, netip.MustParseAddr(line))
		case SRV:
			if _, err := fmt.Sscan(line, &s.Priority, &s.Weight, &s.Port, &s.Target); err != nil {
				panic(err)
			}
			s.Target = strings.TrimSuffix(s.Target, ".")
			a.SRV = append(a.SRV, s)
		case NAPTR:
			if line == "silent" {
				return a, ErrUnavailable
			}
			if _, err := fmt.Sscan(line, &n.Order, &n.Preference, &n.Flags, &n.Service, &n.Replacement); err != nil {
				panic(err)
			}
			a.NAPTR = append(a.NAPTR, n)
		}
		if line == "silent" {
			return Answer{}, ErrUnavailable
		}
	}
	return a, nil
}

var all = Support{UDP: true, TCP: true, TLS: true, IPv4: true, IPv6: true}

// TestFind is RFC 3263 4.1 and 4.2, case by case.
func TestFind(t *testing.T) {
	z := zone{
		"example.com NAPTR":            {"50 50 s SIPS+D2T _sips._tcp.example.com", "100 50 S SIP+D2U _sip._udp.example.com", "90 50 s SIP+D2T _sip._tcp.example.com", "10 10 s SIP+D2S _sip._sctp.example.com", "10 5 u E2U+sip x"},
		"_sips._tcp.example.com SRV":   {"0 0 5061 tls.example.com"},
		"_sip._tcp.example.com SRV":    {"2 0 5060 two.example.com", "1 0 5070 one.example.com"},
		"_sip._udp.example.com SRV":    {"0 0 5060 one.example.com"},
		"tls.example.com A":            {"192.0.2.9"},
		"one.example.com A":            {"192.0.2.1", "192.0.2.11"},
		"one.example.com AAAA":         {"2001:db8::1"},
		"two.example.com A":            {"192.0.2.2"},
		"example.com A":                {"192.0.2.100"},
		"bare.example A":               {"192.0.2.50"},
		"_sip._udp.srv.example SRV":    {"0 0 5062 one.example.com"},
		"_sip._tcp.srv.example SRV":    {"0 0 5063 two.example.com"},
		"_sip._udp.closed.example SRV": {"0 0 0 ."},
		"closed.example A":             {"192.0.2.66"},
		"_sip._udp.ip.example SRV":     {"0 0 5060 192.0.2.77"},
		"many.example A":               strings.Fields(strings.Repeat("192.0.2.1 ", 3) + "192.0.2.2"),
	}
	for _, c := range []struct {
		name  string
		query Query
		have  func(*Support)
		want  string
	}{
		{name: "an address", query: Query{Host: "192.0.2.1"}, want: "udp 192.0.2.1:5060"},
		{name: "an address, sips", query: Query{Host: "2001:db8::1", Secure: true}, want: "tls [2001:db8::1]:5061"},
		{name: "an address, port and transport", query: Query{Host: "192.0.2.1", Port: 5080, Transport: TCP}, want: "tcp 192.0.2.1:5080"},
		{name: "NAPTR in their order", query: Query{Host: "example.com"}, want: "tls 192.0.2.9:5061, tcp [2001:db8::1]:5070, tcp 192.0.2.1:5070, tcp 192.0.2.11:5070, tcp 192.0.2.2:5060, udp [2001:db8::1]:5060, udp 192.0.2.1:5060, udp 192.0.2.11:5060"},
		{name: "NAPTR without TLS and IPv6", query: Query{Host: "example.com"}, have: func(s *Support) { s.TLS, s.IPv6 = false, false }, want: "tcp 192.0.2.1:5070, tcp 192.0.2.11:5070, tcp 192.0.2.2:5060, udp 192.0.2.1:5060, udp 192.0.2.11:5060"},
		{name: "NAPTR for sips", query: Query{Host: "example.com", Secure: true}, want: "tls 192.0.2.9:5061"},
		{name: "a port means addresses", query: Query{Host: "example.com", Port: 5090}, want: "udp 192.0.2.100:5090"},
		{name: "a transport means its SRV", query: Query{Host: "srv.example", Transport: TCP}, want: "tcp 192.0.2.2:5063"},
		{name: "a transport without SRV", query: Query{Host: "bare.example", Transport: TLS}, want: "tls 192.0.2.50:5061"},
		{name: "no NAPTR: SRV of UDP, then TCP", query: Query{Host: "srv.example"}, want: "udp [2001:db8::1]:5062, udp 192.0.2.1:5062, udp 192.0.2.11:5062"},
		{name: "no SRV", query: Query{Host: "bare.example"}, want: "udp 192.0.2.50:5060"},
		{name: "no SRV, sips", query: Query{Host: "bare.example", Secure: true}, want: "tls 192.0.2.50:5061"},
		{name: "the service is not there", query: Query{Host: "closed.example"}, want: "resolve: no such host: sip:closed.example"},
		{name: "an address as target", query: Query{Host: "ip.example"}, want: "udp 192.0.2.77:5060"},
		{name: "the same address once", query: Query{Host: "many.example", Port: 5060}, want: "udp 192.0.2.1:5060, udp 192.0.2.2:5060"},
		{name: "nothing", query: Query{Host: "nothing.example"}, want: "resolve: no such host: sip:nothing.example"},
		{name: "TLS wanted, none here", query: Query{Host: "bare.example", Secure: true}, have: func(s *Support) { s.TLS = false }, want: "resolve: no such host: sips:bare.example"},
		{name: "no name", query: Query{Host: "a b"}, want: `resolve: no such host: "a b" is not a host name`},
	} {
		t.Run(c.name, func(t *testing.T) {
			have := all
			if c.have != nil {
				c.have(&have)
			}
			l := &look{query: c.query, support: have, ask: z.ask, draw: func(int) int { return 0 }}
			hops, err := l.find()
			if got := text(hops, err); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func text(hops []Hop, err error) string {
	if err != nil {
		return err.Error()
	}
	var parts []string
	for _, h := range hops {
		parts = append(parts, h.Transport.String()+" "+h.Addr.String())
	}
	return strings.Join(parts, ", ")
}

// TestFindWithSilence: what did not answer is no proof that there is nothing, but half an answer serves.
func TestFindWithSilence(t *testing.T) {
	z := func(name string, kind Kind) (Answer, error) {
		if kind == AAAA || name == "dead.example" {
			return Answer{}, ErrUnavailable
		}
		if kind == A {
			return Answer{Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}, nil
		}
		return Answer{}, nil
	}
	hops, err := (&look{query: Query{Host: "half.example"}, support: all, ask: z}).find()
	if got, want := text(hops, err), "udp 192.0.2.1:5060"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	hops, err = (&look{query: Query{Host: "dead.example"}, support: all, ask: z}).find()
	if !errors.Is(err, ErrUnavailable) || hops != nil {
		t.Errorf("got %v and %v, want ErrUnavailable", hops, err)
	}
}

// TestFindBehindBadAnswers: where one NAPTR record leads to an answer that is none, or that is refused, the next one serves; silence ends it.
func TestFindBehindBadAnswers(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{ErrAnswer, "udp 192.0.2.1:5060"},
		{errRefused, "udp 192.0.2.1:5060"},
		{ErrUnavailable, ErrUnavailable.Error()},
	} {
		z := zone{
			"example.com NAPTR":          {"1 1 s SIPS+D2T _sips._tcp.example.com", "2 1 s SIP+D2U _sip._udp.example.com"},
			"_sip._udp.example.com SRV":  {"0 0 5060 one.example.com"},
			"one.example.com A":          {"192.0.2.1"},
			"_sips._tcp.example.com SRV": {"0 0 5061 one.example.com"},
		}
		ask := func(name string, kind Kind) (Answer, error) {
			if name == "_sips._tcp.example.com" {
				return Answer{}, tt.err
			}
			return z.ask(name, kind)
		}
		if got := text((&look{query: Query{Host: "example.com"}, support: all, ask: ask}).find()); got != tt.want {
			t.Errorf("%v: got %s, want %s", tt.err, got, tt.want)
		}
	}
}

// TestFindIsBounded: a zone of a hundred NAPTR rows with a hundred targets each asks for no more than maxQuestions.
func TestFindIsBounded(t *testing.T) {
	asked := 0
	z := func(name string, kind Kind) (a Answer, _ error) {
		asked++
		for i := range 100 {
			a.NAPTR = append(a.NAPTR, NAPTRRecord{Order: uint16(i), Flags: "s", Service: "SIP+D2U", Replacement: fmt.Sprintf("n%d.example", i)})
			a.SRV = append(a.SRV, SRVRecord{Port: 5060, Target: fmt.Sprintf("t%d.%s", i, name)})
		}
		if kind == A || kind == AAAA {
			return Answer{}, nil
		}
		return a, nil
	}
	_, err := (&look{query: Query{Host: "wide.example"}, support: all, ask: z, draw: func(int) int { return 0 }}).find()
	if !errors.Is(err, ErrAnswer) || asked > maxQuestions {
		t.Errorf("got %v after %d questions, want ErrAnswer after at most %d", err, asked, maxQuestions)
	}
}

// TestArrange: weights are followed, priorities kept, and a weight of 0 is drawn seldom.
func TestArrange(t *testing.T) {
	rows := []SRVRecord{{Priority: 1, Weight: 10, Target: "a"}, {Priority: 1, Weight: 30, Target: "b"}, {Priority: 1, Weight: 60, Target: "c"}, {Priority: 0, Weight: 0, Target: "first"}, {Priority: 2, Weight: 0, Target: "x"}, {Priority: 2, Weight: 0, Target: "y"}}
	rng := rand.New(rand.NewPCG(1, 2))
	const n = 10_000
	second, fifth := map[string]int{}, map[string]int{}
	for range n {
		got := arrange(rows, rng.IntN)
		if got[0].Target != "first" || got[1].Priority != 1 || got[3].Priority != 1 || got[4].Priority != 2 {
			t.Fatalf("got %v, want the priorities in order", got)
		}
		second[got[1].Target]++
		fifth[got[4].Target]++
	}
	for target, share := range map[string]float64{"a": 0.1, "b": 0.3, "c": 0.6} {
		if got := float64(second[target]) / n; got < share-0.02 || got > share+0.02 {
			t.Errorf("%s: got %.3f of the picks, want %.1f", target, got, share)
		}
	}
	if got := float64(fifth["x"]) / n; got < 0.48 || got > 0.52 {
		t.Errorf("x of x and y, both of weight 0: got %.3f of the picks, want 0.5", got)
	}
}
