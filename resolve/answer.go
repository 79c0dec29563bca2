package resolve

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Limits of one answer: whoever owns a zone writes what he likes into it.
const (
	// maxRecords is how many records an answer may have; a fair one has a handful. maxBeside is how many may come beside them, as
	// addresses of targets or servers of the zone. A message of 64 kB could else weigh megabytes when it is read.
	maxRecords = 64
	maxBeside  = 512
	// maxAliases is how many CNAMEs are followed.
	maxAliases = 8
	// maxTTL bounds what a server can make us keep; failedTTL is how long a failure is remembered (RFC 2308 7), so that calls in
	// flight do not each ask; maxNegativeTTL for how long at most something does not exist, negativeTTL for
	// how long when the zone does not say (RFC 2308 5).
	maxTTL         = time.Hour
	maxNegativeTTL = 5 * time.Minute
	negativeTTL    = 30 * time.Second
	failedTTL      = 2 * time.Second
)

// errGarbled: the datagram has the number of our question, and cannot be read.
var errGarbled = fmt.Errorf("%w: it cannot be read", errDoubtful)

// headerSize is that of a DNS message (RFC 1035 4.1.1): number, flags, and how many records each of its four sections has.
const headerSize = 12

// parse reads the answer to q. What is none is errDoubtful. The counts are looked at first: reading costs what they say.
func parse(raw []byte, q *dns.Msg) (*dns.Msg, error) {
	if len(raw) < headerSize || binary.BigEndian.Uint16(raw) != q.Id {
		return nil, errDoubtful
	}
	answers := int(binary.BigEndian.Uint16(raw[6:]))
	beside := int(binary.BigEndian.Uint16(raw[8:])) + int(binary.BigEndian.Uint16(raw[10:]))
	if answers > maxRecords || beside > maxBeside {
		return nil, fmt.Errorf("%w: %s: %d records and %d beside them, %d and %d are taken", ErrAnswer, clip(q.Question[0].Name), answers, beside, maxRecords, maxBeside)
	}
	m := new(dns.Msg)
	if err := m.Unpack(raw); err != nil {
		return nil, fmt.Errorf("%w: %w", errGarbled, err)
	}
	if !answersTo(m, q) {
		return nil, errDoubtful
	}
	return m, nil
}

// answersTo tells whether m is an answer to q. An error need not repeat the question.
func answersTo(m, q *dns.Msg) bool {
	if !m.Response || m.Id != q.Id || m.Opcode != dns.OpcodeQuery {
		return false
	}
	if len(m.Question) == 0 && len(m.Answer) == 0 {
		return m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError
	}
	asked := q.Question[0]
	return len(m.Question) == 1 && m.Question[0].Qtype == asked.Qtype && m.Question[0].Qclass == asked.Qclass && plain(m.Question[0].Name) == plain(asked.Name)
}

// read takes the records of name out of an answer. Only the answer section counts, and in it only what belongs to the name or to
// an alias of it: anything else a server has added could be meant to mislead.
func read(m *dns.Msg, name string, kind Kind) (a Answer, err error) {
	a.ttl = maxTTL
	owner := plain(name)
	for range maxAliases + 1 {
		alias := ""
		for _, rr := range m.Answer {
			if plain(rr.Header().Name) != owner || rr.Header().Class != dns.ClassINET {
				continue
			}
			switch v := rr.(type) {
			case *dns.CNAME:
				alias = plain(v.Target)
			default:
				if Kind(rr.Header().Rrtype) != kind || m.Rcode == dns.RcodeNameError || !a.take(rr) {
					continue
				}
			}
			// RFC 8767 4: a time to live above 2^31 is a long one, which the cap makes an hour.
			a.ttl = min(a.ttl, time.Duration(rr.Header().Ttl)*time.Second)
		}
		if !a.empty() {
			return a, nil
		}
		if alias == "" {
			a.ttl = min(a.ttl, absent(m, owner))
			return a, nil
		}
		owner = alias
	}
	return Answer{}, fmt.Errorf("%w: %s %s: more than %d aliases", ErrAnswer, clip(name), kind, maxAliases)
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

// absent is how long a name may be taken not to exist: what its zone says in the SOA (RFC 2308 5). The SOA of another zone says nothing.
//
// Deviates from RFC 2308 5: without a SOA nothing should be kept. Then each call would ask again; nobody asks us, so that what is kept
// for negativeTTL goes round in no circle.
func absent(m *dns.Msg, name string) time.Duration {
	for _, rr := range m.Ns {
		if soa, ok := rr.(*dns.SOA); ok && within(name, plain(soa.Hdr.Name)) {
			return min(time.Duration(min(soa.Minttl, soa.Hdr.Ttl))*time.Second, maxNegativeTTL)
		}
	}
	return negativeTTL
}

// within tells whether name is zone or below it.
func within(name, zone string) bool {
	return zone == "" || name == zone || strings.HasSuffix(name, "."+zone)
}
