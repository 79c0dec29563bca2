package cache

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"sync"
	"unsafe"

	"sipd/config"
	"sipd/store"
)

const (
	// maxHost is the longest host that is looked up: a DNS name has 253 bytes, an address fewer.
	maxHost = 255
	// maxRegexDomains bounds what a foreign host costs: each is tried in turn.
	maxRegexDomains = 100
	// maxCanonical bounds a chain of canonical names.
	maxCanonical = 8
)

// domains is the table of domains.
type domains struct {
	exact map[string]*Domain // exact and ip rows by lower-case name
	regex []regexDomain      // by id
	n     int
	rows  []store.Domain // as read
}

type regexDomain struct {
	re *regexp.Regexp
	d  *Domain
}

func (t *domains) find(host []byte) *Domain {
	var buf [maxHost]byte
	if n := len(host); n > 0 && host[n-1] == '.' {
		host = host[:n-1]
	}
	if len(host) == 0 || len(host) > len(buf) {
		return nil
	}
	colon := false
	for i, c := range host {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		colon = colon || c == ':'
		buf[i] = c
	}
	low := buf[:len(host)]
	if d := t.exact[string(low)]; d != nil {
		return d
	}
	if colon || len(t.regex) > 0 {
		return t.findSlow(low, colon)
	}
	return nil
}

// hosts are buffers for findSlow: what the regular expressions are handed escapes to the heap.
var hosts = sync.Pool{New: func() any { return new([maxHost]byte) }}

func (t *domains) findSlow(host []byte, colon bool) *Domain {
	buf := hosts.Get().(*[maxHost]byte)
	defer hosts.Put(buf)
	low := buf[:copy(buf[:], host)]
	if colon {
		// RFC 5954 4.2: IPv6 addresses are compared as addresses. The string does not outlive the call.
		a, err := netip.ParseAddr(unsafe.String(&low[0], len(low)))
		if err != nil || a.Zone() != "" {
			return nil
		}
		return t.exact[string(a.Unmap().AppendTo(low[:0]))]
	}
	for i := range t.regex {
		if t.regex[i].re.Match(low) {
			return t.regex[i].d
		}
	}
	return nil
}

// newDomains makes the table. Own addresses are always local (BEHAVIOUR B7): the listeners' and PublicAddress; they stand
// for ServerName, or for themselves when it is not one of the domains.
func newDomains(rows []store.Domain, s *config.Settings) (*domains, []Problem) {
	t := &domains{exact: make(map[string]*Domain, len(rows)), n: len(rows), rows: rows}
	var problems []Problem
	bad := func(d *store.Domain, err error) {
		problems = append(problems, Problem{Table: "domains", Row: d.Name, Err: err})
	}
	byName := make(map[string]*store.Domain, len(rows))
	var regexes []*store.Domain
	rows = slices.Clone(rows)
	for i := range rows {
		d := &rows[i]
		if d.Kind == store.Regex && d.Canonical == "" && s != nil {
			d.Canonical = s.ServerName // BEHAVIOUR B7: all matching hosts equal ServerName.
		}
		name := d.Name
		if err := d.Normalize(); err != nil {
			d.Name = name
			bad(d, err)
			continue
		}
		switch {
		case d.Kind == store.Regex:
			regexes = append(regexes, d)
		case byName[d.Name] != nil:
			bad(d, fmt.Errorf("%w: %s and %s are the same domain", store.ErrInvalid, name, byName[d.Name].Name))
		default:
			byName[d.Name] = d
		}
	}
	resolve := func(d *store.Domain) (*Domain, error) {
		canonical, realm := d.Canonical, d.Realm
		if canonical == "" {
			canonical = d.Name
		}
		for hops := 0; ; hops++ {
			c := byName[canonical]
			switch {
			case c == nil:
				return nil, fmt.Errorf("%w: it stands for %s, which is not among the domains: write `sipd domain add %s`", store.ErrInvalid, canonical, canonical)
			case hops == maxCanonical:
				return nil, fmt.Errorf("%w: its canonical names go in a circle or more than %d steps", store.ErrInvalid, maxCanonical)
			}
			if realm == "" {
				realm = c.Realm
			}
			if c.Canonical == "" || c.Canonical == c.Name {
				if realm == "" {
					realm = c.Name
				}
				return &Domain{Row: d, Canonical: c.Name, Realm: realm}, nil
			}
			canonical = c.Canonical
		}
	}
	for i := range rows {
		d := &rows[i]
		if byName[d.Name] != d {
			continue
		}
		if r, err := resolve(d); err != nil {
			bad(d, err)
		} else {
			t.exact[d.Name] = r
		}
	}
	slices.SortFunc(regexes, func(a, b *store.Domain) int { return int(a.ID - b.ID) })
	for i, d := range regexes {
		r, err := resolve(d)
		re, errRE := d.Pattern()
		switch {
		case i >= maxRegexDomains:
			bad(d, fmt.Errorf("%w: more than %d regex domains", store.ErrInvalid, maxRegexDomains))
		case err != nil:
			bad(d, err)
		case errRE != nil:
			bad(d, errRE)
		default:
			t.regex = append(t.regex, regexDomain{re, r})
		}
	}
	if s != nil {
		t.addOwn(s)
	}
	return t, problems
}

func (t *domains) addOwn(s *config.Settings) {
	addrs := []netip.Addr{s.PublicAddress}
	for _, l := range s.Listen {
		addrs = append(addrs, l.Addr.Addr())
	}
	for _, a := range addrs {
		a = a.Unmap().WithZone("")
		if !a.IsValid() || a.IsUnspecified() || t.exact[a.String()] != nil {
			continue
		}
		name := a.String()
		own := &Domain{Row: &store.Domain{Name: name, Kind: store.IP}, Canonical: name, Realm: name}
		if d := t.find([]byte(s.ServerName)); d != nil {
			own.Canonical, own.Realm = d.Canonical, d.Realm
		}
		t.exact[name] = own
	}
}
