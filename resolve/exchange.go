package resolve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// Limits of one question.
const (
	// tryTime is how long one server has for an answer, tries how often all are asked, with twice the time each: one server that
	// is silent costs 3 s.
	tryTime = time.Second
	tries   = 2
	// shunned is how long a server that was silent is asked after the others.
	shunned = 30 * time.Second
	// questionTime ends a question whatever happens: many servers, TCP after UDP.
	questionTime = 5 * time.Second
	// maxForged is how many datagrams that do not belong to a question are passed over; then the question goes by TCP, where
	// nobody can guess his way in (RFC 5452 9.3).
	maxForged = 16
	// udpSize is what we tell servers we take by UDP: no fragments (RFC 9715).
	udpSize = 1232
)

// Why a server's answer is of no use.
var (
	// errRefused: the server lives, but does not say: SERVFAIL, REFUSED, NOTIMP.
	errRefused = errors.New("it answers")
	// errDoubtful: what came by UDP may not be what the server sent; TCP tells.
	errDoubtful = errors.New("doubtful datagrams")
)

// exchange asks the servers in turn until one answers. A server that is silent is asked once more, one that refuses is not: it would
// say the same again.
func (r *Resolver) exchange(asker context.Context, name string, kind Kind) (Answer, error) {
	ctx, cancel := context.WithTimeout(asker, questionTime)
	defer cancel()
	last := errors.New("no server is known; write Resolver, or a line into resolv.conf")
	servers := r.inTurn(time.Now())
	for round := range tries {
		var silent []netip.AddrPort
		for _, server := range servers {
			a, err := r.askServer(ctx, r.try<<round, server, name, kind)
			if asker.Err() == nil { // Else it was us who gave up.
				r.heard(server, err, time.Now())
			}
			if err == nil || errors.Is(err, ErrAnswer) {
				return a, err
			}
			last = fmt.Errorf("%s: %w", server, err)
			if ctx.Err() != nil {
				return Answer{}, fmt.Errorf("%w: %s %s: %w", ErrUnavailable, clip(name), kind, last)
			}
			if !errors.Is(err, errRefused) {
				silent = append(silent, server)
			}
		}
		servers = silent
	}
	return Answer{}, fmt.Errorf("%w: %s %s: %w", ErrUnavailable, clip(name), kind, last)
}

// inTurn returns the servers: those that have just been silent come last.
func (r *Resolver) inTurn(now time.Time) []netip.AddrPort {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]netip.AddrPort, 0, len(r.servers))
	for _, last := range []bool{false, true} {
		for i := range r.servers {
			if now.Before(r.servers[i].silent) == last {
				list = append(list, r.servers[i].addr)
			}
		}
	}
	return list
}

// askServer asks one server: by UDP, and by TCP when the answer did not fit or is doubtful.
func (r *Resolver) askServer(ctx context.Context, try time.Duration, server netip.AddrPort, name string, kind Kind) (Answer, error) {
	q := new(dns.Msg)
	q.SetQuestion(dns.Fqdn(name), uint16(kind)) // with a random number from crypto/rand
	q.SetEdns0(udpSize, false)
	m, stream, err := r.fetch(ctx, try, server, q)
	if err == nil && m.Rcode == dns.RcodeFormatError { // RFC 6891 7: a server of before EDNS.
		q.Extra = nil
		m, stream, err = r.fetch(ctx, try, server, q)
	}
	if err != nil {
		return Answer{}, err
	}
	if m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError {
		return Answer{}, fmt.Errorf("%w %s", errRefused, rcode(m.Rcode))
	}
	a, err := read(m, name, kind)
	a.from, a.stream = server, stream
	return a, err
}

func rcode(n int) string {
	if text, ok := dns.RcodeToString[n]; ok {
		return text
	}
	return fmt.Sprintf("error %d", n)
}

// fetch brings the whole answer of a server.
func (r *Resolver) fetch(ctx context.Context, try time.Duration, server netip.AddrPort, q *dns.Msg) (m *dns.Msg, stream bool, err error) {
	m, err = r.roundTrip(ctx, try, "udp", server, q)
	if errors.Is(err, errDoubtful) || err == nil && m.Truncated {
		stream = true
		if m, err = r.roundTrip(ctx, try, "tcp", server, q); err == nil && m.Truncated {
			err = fmt.Errorf("%w: %s: cut off, though by TCP", ErrAnswer, clip(q.Question[0].Name))
		}
	}
	return m, stream, err
}

// roundTrip sends a question from a socket of its own, whose port the kernel draws at random and which hears that server alone (RFC
// 5452 4), and waits for the answer. What does not belong to the question is forged or late, and passed over.
func (r *Resolver) roundTrip(ctx context.Context, try time.Duration, network string, server netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, try)
	defer cancel()
	if r.carry != nil {
		m, err := r.carry(ctx, network, server, q)
		if err == nil && !answersTo(m, q) {
			return nil, errDoubtful
		}
		return m, err
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, server.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })() // The whole exchange, however slowly it trickles.
	co := &dns.Conn{Conn: conn, UDPSize: udpSize}
	if err := co.WriteMsg(q); err != nil {
		return nil, silence(ctx, err)
	}
	for range maxForged {
		raw, err := co.ReadMsgHeader(nil)
		if errors.Is(err, dns.ErrShortRead) && network == "udp" {
			continue
		}
		if err != nil {
			return nil, silence(ctx, err)
		}
		m, err := parse(raw, q)
		switch {
		case !errors.Is(err, errDoubtful):
			return m, err
		case network == "tcp":
			return nil, fmt.Errorf("%w: %s: %w", ErrAnswer, clip(q.Question[0].Name), err)
		case errors.Is(err, errGarbled):
			return nil, err
		}
	}
	return nil, errDoubtful
}

// silence says in our words that a server took too long.
func silence(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return errSilent
	}
	return err
}

var errSilent = errors.New("no answer in time")
