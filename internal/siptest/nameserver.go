package siptest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"sipd/internal/siptest/flow"
)

// NameServer is a DNS server without sockets: its Exchange stands in for the network of package resolve, in virtual time.
type NameServer struct {
	mu      sync.Mutex
	records map[string][]dns.RR // by name, lower case, with the dot at the end
	does    map[string]*flow.DNS
	asked   int
}

// NameServerAddr is where the name server of flows is.
var NameServerAddr = netip.MustParseAddrPort("10.0.0.53:53")

func newNameServer() *NameServer {
	return &NameServer{records: map[string][]dns.RR{}, does: map[string]*flow.DNS{}}
}

// Change does what a line of a flow says.
func (s *NameServer) Change(d *flow.DNS) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := ""
	if d.Name != "" {
		name = dns.Fqdn(d.Name)
	}
	switch {
	case d.Type != "":
		rr, err := record(d)
		if err != nil {
			return err
		}
		s.records[name] = append(s.records[name], rr)
	case d.Does == "gone":
		delete(s.records, name)
		delete(s.does, name)
	case d.Does == "answers":
		delete(s.does, name)
	default:
		s.does[name] = d
	}
	return nil
}

// record makes a resource record of a line. NAPTR records may be written without their regular expression: ENUM alone uses it
// (RFC 6116 3.4), not RFC 3263 4.1.
func record(d *flow.DNS) (dns.RR, error) {
	f := strings.Fields(d.Data)
	if d.Type == "NAPTR" && len(f) == 5 {
		f = slices.Insert(f, 4, "")
	}
	data := d.Data
	switch n := map[string]int{"A": 1, "AAAA": 1, "CNAME": 1, "SRV": 4, "NAPTR": 6}[d.Type]; {
	case len(f) != n:
		return nil, fmt.Errorf("a record of type %s has %d values, not %d", d.Type, n, len(f))
	case d.Type == "CNAME":
		data = dns.Fqdn(data)
	case d.Type == "SRV":
		f[3] = dns.Fqdn(f[3])
		data = strings.Join(f, " ")
	case d.Type == "NAPTR":
		data = fmt.Sprintf("%s %s %q %q %q %s", f[0], f[1], f[2], f[3], f[4], dns.Fqdn(f[5]))
	}
	return dns.NewRR(fmt.Sprintf("%s %d IN %s %s", dns.Fqdn(d.Name), d.TTL, d.Type, data))
}

// Exchange answers a question as a server at any address would.
func (s *NameServer) Exchange(ctx context.Context, _ string, _ netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
	name := strings.ToLower(q.Question[0].Name)
	s.mu.Lock()
	s.asked++
	d := s.does[name]
	if d == nil {
		d = s.does[""]
	}
	s.mu.Unlock()
	r := new(dns.Msg)
	r.SetReply(q)
	if d != nil {
		switch d.Does {
		case "silent":
			<-ctx.Done()
			return nil, fmt.Errorf("siptest: no answer: %w", ctx.Err())
		case "refused":
			return nil, errors.New("siptest: nobody listens there")
		case "servfail":
			r.Rcode = dns.RcodeServerFailure
			return r, nil
		case "slow":
			select {
			case <-time.After(d.Delay):
			case <-ctx.Done():
				return nil, fmt.Errorf("siptest: no answer: %w", ctx.Err())
			}
		}
	}
	s.answer(r, name, q.Question[0].Qtype)
	return r, nil
}

// answer puts what there is about a name into r, aliases followed.
func (s *NameServer) answer(r *dns.Msg, name string, kind uint16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.Rcode = dns.RcodeNameError
	for range 8 {
		alias := ""
		for owner, rrs := range s.records {
			if owner == name || strings.HasSuffix(owner, "."+name) { // The name exists, if only as the parent of another.
				r.Rcode = dns.RcodeSuccess
			}
			for _, rr := range rrs {
				if owner != name {
					continue
				}
				if c, ok := rr.(*dns.CNAME); ok {
					alias = strings.ToLower(c.Target)
				} else if rr.Header().Rrtype != kind {
					continue
				}
				r.Answer = append(r.Answer, dns.Copy(rr))
			}
		}
		if alias == "" {
			return
		}
		name = alias
	}
}

// Asked returns how many questions were asked so far.
func (s *NameServer) Asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}
