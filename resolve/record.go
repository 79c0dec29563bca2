package resolve

import (
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Kind is a type of DNS records.
type Kind uint16

// The kinds that are asked for.
const (
	A     = Kind(dns.TypeA)
	AAAA  = Kind(dns.TypeAAAA)
	SRV   = Kind(dns.TypeSRV)
	NAPTR = Kind(dns.TypeNAPTR)
)

// String is the name of the type.
func (k Kind) String() string { return dns.TypeToString[uint16(k)] }

// SRVRecord is an SRV record (RFC 2782). Target "" stands for ".", the service is not there.
type SRVRecord struct {
	Priority, Weight, Port uint16
	Target                 string
}

// NAPTRRecord is a NAPTR record (RFC 3403).
type NAPTRRecord struct {
	Order, Preference                   uint16
	Flags, Service, Regexp, Replacement string
}

// Answer is the records of one name and kind, aliases (CNAME) followed. Names are lower case without the dot at the end.
type Answer struct {
	Addrs []netip.Addr
	SRV   []SRVRecord
	NAPTR []NAPTRRecord

	ttl    time.Duration  // how long it holds, from when it was asked for
	from   netip.AddrPort // who said so
	stream bool           // and by TCP
	cached bool           // it was there already
}

func (a *Answer) count() int { return len(a.Addrs) + len(a.SRV) + len(a.NAPTR) }

func (a *Answer) empty() bool { return a.count() == 0 }

// source says who gave an answer.
func (a *Answer) source() string {
	switch {
	case a.cached:
		return "the cache"
	case a.stream:
		return a.from.String() + " by TCP"
	}
	return a.from.String() + " by UDP"
}

// size is roughly what an answer weighs in the cache, in bytes.
func (a *Answer) size() int {
	n := 24*cap(a.Addrs) + 24*cap(a.SRV) + 72*cap(a.NAPTR)
	for i := range a.SRV {
		n += len(a.SRV[i].Target)
	}
	for i := range a.NAPTR {
		r := &a.NAPTR[i]
		n += len(r.Flags) + len(r.Service) + len(r.Regexp) + len(r.Replacement)
	}
	return n
}

func plain(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }
