package resolve

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// Limits of one question.
const (
	// tryTime is how long one server has for an answer, tries how often all are asked: 2 servers that are silent cost 4 s.
	tryTime = time.Second
	tries   = 2
	// shunned is how long a server that was silent is asked after the others.
	shunned = 30 * time.Second
	// questionTime ends a question whatever happens: many servers, TCP after UDP.
	questionTime = 5 * time.Second
	// maxAliases is how many CNAMEs are followed.
	maxAliases = 8
	// maxRecords is how many records of an answer are looked at; a fair one has a handful.
	maxRecords = 64
	// udpSize is what we tell servers we take by UDP: no fragments (RFC 9715).
	udpSize = 1232
	// maxTTL bounds what a server can make us keep; failedTTL is how long a failure is remembered (RFC 2308 7), negativeTTL how
	// long at most and without a SOA that something does not exist.
	maxTTL      = time.Hour
	failedTTL   = 2 * time.Second
	negativeTTL = 30 * time.Second
)

// exchange asks the servers in turn, twice, until one answers. It returns the records and for how long they hold.
func (r *Resolver) exchange(ctx context.Context, name string, kind Kind) (Answer, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, questionTime)
	defer cancel()
	last := errors.New("no server is known; write Resolver, or a line into resolv.conf")
	for range tries {
		for _, server := range r.inTurn(time.Now()) {
			a, ttl, err := r.askServer(ctx, server, name, kind)
			if err == nil {
				return a, ttl, nil
			}
			if errors.Is(err, ErrAnswer) {
				return Answer{}, failedTTL, err
			}
			if last = fmt.Errorf("%s: %w", server, err); ctx.Err() != nil {
				break
			}
			r.shun(server, time.Now())
		}
	}
	return Answer{}, failedTTL, fmt.Errorf("%w: %s %s: %v", ErrUnavailable, name, kind, last)
}

// inTurn returns the servers: those that have just failed come last.
func (r *Resolver) inTurn(now time.Time) []netip.AddrPort {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]netip.AddrPort, 0, len(r.servers))
	for _, last := range []bool{false, true} {
		for _, s := range r.servers {
			if now.Before(r.silent[s]) == last {
				list = append(list, s)
			}
		}
	}
	return list
}

func (r *Resolver) shun(server netip.AddrPort, now time.Time) {
	r.mu.Lock()
	r.silent[server] = now.Add(shunned)
	r.mu.Unlock()
}

// askServer asks one server by UDP, and by TCP when the answer did not fit. Package dns draws the question's number and the
// port from a good source, and passes over answers with another number or question: they are forged or late.
func (r *Resolver) askServer(ctx context.Context, server netip.AddrPort, name string, kind Kind) (Answer, time.Duration, error) {
	q := new(dns.Msg)
	q.SetQuestion(dns.Fqdn(name), uint16(kind))
	q.SetEdns0(udpSize, false)
	var m *dns.Msg
	for _, network := range []string{"udp", "tcp"} {
		var err error
		if m, err = r.send(ctx, network, server, q); err != nil {
			return Answer{}, 0, err
		}
		if !m.Truncated {
			break
		}
	}
	if !sameQuestion(q, m) {
		return Answer{}, 0, errors.New("it answers another question")
	}
	switch m.Rcode {
	case dns.RcodeSuccess, dns.RcodeNameError:
	default:
		return Answer{}, 0, fmt.Errorf("it answers %s", dns.RcodeToString[m.Rcode])
	}
	return read(m, name, kind)
}

// send has r.try for a question and its answer.
func (r *Resolver) send(ctx context.Context, network string, server netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
	if r.carry != nil {
		ctx, cancel := context.WithTimeout(ctx, r.try)
		defer cancel()
		return r.carry(ctx, network, server, q)
	}
	c := &dns.Client{Net: network, Timeout: r.try, UDPSize: udpSize}
	m, _, err := c.ExchangeContext(ctx, q, server.String())
	return m, err
}

func sameQuestion(q, r *dns.Msg) bool {
	return r.Response && r.Id == q.Id && len(r.Question) == 1 && r.Question[0].Qtype == q.Question[0].Qtype && plain(r.Question[0].Name) == plain(q.Question[0].Name)
}

// read takes the records of name out of an answer. Only the answer section counts, and in it only what belongs to the name or to
// an alias of it: anything else a server has added could be meant to mislead.
func read(r *dns.Msg, name string, kind Kind) (a Answer, ttl time.Duration, err error) {
	if len(r.Answer) > maxRecords {
		return a, 0, fmt.Errorf("%w: %s %s: %d records, %d are taken", ErrAnswer, clip(name), kind, len(r.Answer), maxRecords)
	}
	ttl = maxTTL
	owner := plain(name)
	for range maxAliases + 1 {
		alias := ""
		for _, rr := range r.Answer {
			if plain(rr.Header().Name) != owner || rr.Header().Class != dns.ClassINET {
				continue
			}
			switch v := rr.(type) {
			case *dns.CNAME:
				alias = plain(v.Target)
			default:
				if Kind(rr.Header().Rrtype) != kind || !a.take(rr) {
					continue
				}
			}
			ttl = min(ttl, time.Duration(rr.Header().Ttl)*time.Second)
		}
		if !a.empty() {
			return a, ttl, nil
		}
		if alias == "" {
			return a, min(ttl, absent(r)), nil
		}
		owner = alias
	}
	return a, 0, fmt.Errorf("%w: %s %s: more than %d aliases", ErrAnswer, clip(name), kind, maxAliases)
}

// take adds a record.
func (a *Answer) take(rr dns.RR) bool {
	switch v := rr.(type) {
	case *dns.A:
		addr, ok := netip.AddrFromSlice(v.A.To4())
		if ok {
			a.Addrs = append(a.Addrs, addr)
		}
		return ok
	case *dns.AAAA:
		addr, ok := netip.AddrFromSlice(v.AAAA.To16())
		if ok {
			a.Addrs = append(a.Addrs, addr)
		}
		return ok
	case *dns.SRV:
		a.SRV = append(a.SRV, SRVRecord{v.Priority, v.Weight, v.Port, plain(v.Target)})
	case *dns.NAPTR:
		a.NAPTR = append(a.NAPTR, NAPTRRecord{v.Order, v.Preference, v.Flags, v.Service, v.Regexp, plain(v.Replacement)})
	default:
		return false
	}
	return true
}

// absent is how long a name may be taken not to exist: what its zone says in the SOA (RFC 2308 5).
func absent(r *dns.Msg) time.Duration {
	for _, rr := range r.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			return min(time.Duration(min(soa.Minttl, soa.Hdr.Ttl))*time.Second, 10*negativeTTL)
		}
	}
	return negativeTTL
}
