package resolve

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Limits of one look-up: whoever owns a zone writes what he likes into it.
const (
	// maxHops is how many hops a look-up gives: with Timer B of 32 s each nobody waits for more.
	maxHops = 16
	// maxQuestions is how many questions one look-up may ask: NAPTR, an SRV each of three, two address types each of 8 targets.
	maxQuestions = 24
	// maxTargets is how many targets of an SRV set are looked up.
	maxTargets = 8
)

// Support is what this server can send by.
type Support struct {
	UDP, TCP, TLS bool
	IPv4, IPv6    bool
}

func (s Support) has(t Transport) bool {
	return t == UDP && s.UDP || t == TCP && s.TCP || t == TLS && s.TLS
}

// records asks for the records of a name. Both the cache alone and the cache with the servers behind it are such.
type records func(name string, kind Kind) (Answer, error)

// look is one look-up on its way.
type look struct {
	query   Query
	support Support
	ask     records
	draw    func(n int) int // a random number below n; nil: the heaviest first
	steps   func(Step)      // told each step, for `sipd dns explain`; nil
	asked   int
	hops    []Hop
	failed  error // the last question that got no answer
}

// service is a way to ask for SRV records, in the order we prefer when there is no NAPTR.
type service struct {
	naptr     string // service field of a NAPTR record (RFC 3263 4.1)
	prefix    string // of the SRV name
	transport Transport
}

var services = []service{
	{"SIPS+D2T", "_sips._tcp.", TLS},
	{"SIP+D2T", "_sip._tcp.", TCP},
	{"SIP+D2U", "_sip._udp.", UDP},
}

// unnamed is the order of SRV queries for a sip URI without NAPTR: UDP is what every phone and server speaks, TLS is asked for
// last, because a sip URI does not demand it.
var unnamed = []service{services[2], services[1], services[0]}

// find does RFC 3263 4.1 and 4.2.
func (l *look) find() ([]Hop, error) {
	q := l.query
	if addr, err := netip.ParseAddr(q.Host); err == nil {
		t := l.transport()
		l.say("4.1", "%s is an address: %s port %d, nothing is asked", q.Host, t, q.port(t))
		return l.done(l.add(target{name: q.Host, transport: t, port: q.port(t), share: 1}, addr))
	}
	if !validName(q.Host) {
		return nil, fmt.Errorf("%w: %q is not a host name", ErrNotFound, clip(q.Host))
	}
	switch t := l.transport(); {
	case q.Port != 0: // 4.2: a port means addresses alone.
		l.say("4.2", "the URI gives port %d: %s, addresses only", q.Port, t)
		return l.done(l.addresses(target{name: q.Host, transport: t, port: q.Port, share: 1}))
	case q.Transport != Any: // 4.2: SRV for that transport alone.
		l.say("4.1", "the URI gives the transport: %s", t)
		for _, s := range services {
			if s.transport == t {
				if found, err := l.srv(s.prefix+q.Host, t); found || err != nil {
					return l.done(err)
				}
			}
		}
		return l.done(l.bare(t))
	}
	l.say("4.1", "the URI gives neither port nor transport: NAPTR")
	if found, err := l.naptr(); found || err != nil {
		return l.done(err)
	}
	for _, s := range unnamed { // 4.1: no NAPTR, SRV for each transport we have.
		switch {
		case q.Secure && s.transport != TLS:
		case !l.support.has(s.transport):
			l.say("4.1", "%s is not asked for: no %s listener here", s.prefix+q.Host, s.transport)
		default:
			if found, err := l.srv(s.prefix+q.Host, s.transport); found || err != nil {
				return l.done(err)
			}
		}
	}
	return l.done(l.bare(l.transport())) // 4.1: no SRV, TCP for sips (TLS over it), UDP for sip.
}

// bare looks up the addresses of the host itself.
func (l *look) bare(t Transport) error {
	l.say("4.2", "no SRV: the addresses of %s, %s port %d", l.query.Host, t, defaultPort(t))
	return l.addresses(target{name: l.query.Host, transport: t, port: defaultPort(t), share: 1})
}

// transport is the one a URI without NAPTR and SRV gets (4.1).
func (l *look) transport() Transport {
	switch q := l.query; {
	case q.Secure:
		return TLS
	case q.Transport != Any:
		return q.Transport
	}
	return UDP
}

func (q Query) port(t Transport) uint16 {
	if q.Port != 0 {
		return q.Port
	}
	return defaultPort(t)
}

// naptr follows the NAPTR records that name a transport we have, in their order (4.1). Where one of them leads nowhere for the
// moment the next may.
func (l *look) naptr() (found bool, err error) {
	a, err := l.question("4.1", l.query.Host, NAPTR)
	if errors.Is(err, errRefused) { // A server that does not know NAPTR says so with an error; it may know SRV.
		l.failed = err
		return false, nil
	}
	if err != nil {
		return false, err
	}
	rows := slices.Clone(a.NAPTR)
	slices.SortStableFunc(rows, func(a, b NAPTRRecord) int {
		if a.Order != b.Order {
			return int(a.Order) - int(b.Order)
		}
		return int(a.Preference) - int(b.Preference)
	})
	for _, r := range rows {
		i := slices.IndexFunc(services, func(s service) bool { return strings.EqualFold(s.naptr, r.Service) })
		if i < 0 || !strings.EqualFold(r.Flags, "s") {
			l.naptrSays(r, "passed over: no SIP service with flag s that we know")
			continue
		}
		t := services[i].transport
		if l.query.Secure && t != TLS {
			l.naptrSays(r, "passed over: the URI is sips, "+t.String()+" is not secure")
			continue
		}
		if !l.support.has(t) {
			l.naptrSays(r, "passed over: no "+t.String()+" listener here")
			continue
		}
		l.naptrSays(r, t.String())
		ok, err := l.srv(r.Replacement, t)
		if errors.Is(err, errRefused) || errors.Is(err, ErrAnswer) {
			l.failed, ok, err = err, true, nil
		}
		if err != nil {
			return false, err
		}
		found = found || ok
	}
	return found, nil
}

func (l *look) naptrSays(r NAPTRRecord, what string) {
	l.say("4.1", "order %d, preference %d, %q %q to %s: %s", r.Order, r.Preference, r.Flags, r.Service, r.Replacement, what)
}

// target is a name whose addresses are hops.
type target struct {
	name      string
	transport Transport
	port      uint16
	priority  uint16
	share     float64
}

// srv appends the targets of an SRV set. found tells whether there were records; a set that says "not here" (RFC 2782: a
// target of ".") was found.
func (l *look) srv(name string, t Transport) (found bool, err error) {
	a, err := l.question("4.2", name, SRV)
	if err != nil || len(a.SRV) == 0 {
		return false, err
	}
	rows := arrange(a.SRV, l.draw)
	for _, r := range rows {
		if r.Target == "" {
			l.say("4.2", "priority %d: the service is not there", r.Priority)
		} else {
			l.say("4.2", "priority %d, weight %d (%s): %s port %d", r.Priority, r.Weight, Percent(share(rows, r)), r.Target, r.Port)
		}
	}
	for i, r := range rows {
		if r.Target == "" {
			break
		}
		if i == maxTargets {
			l.say("4.2", "no more than %d targets are looked up", maxTargets)
			break
		}
		to := target{name: r.Target, transport: t, port: r.Port, priority: r.Priority}
		if l.steps != nil {
			to.share = share(rows, r)
		}
		if err := l.addresses(to); err != nil {
			return true, err
		}
	}
	return true, nil
}

// addresses appends the addresses of a name. A family that got no good answer is noted, the other serves.
func (l *look) addresses(t target) error {
	if addr, err := netip.ParseAddr(t.name); err == nil {
		return l.add(t, addr) // RFC 2782 forbids addresses as targets; some zones have them all the same.
	}
	for _, kind := range []Kind{AAAA, A} {
		if kind == AAAA && !l.support.IPv6 || kind == A && !l.support.IPv4 {
			l.say("4.2", "%s %s is not asked for: no such listener here", t.name, kind)
			continue
		}
		a, err := l.question("4.2", t.name, kind)
		switch {
		case errors.Is(err, errNotCached):
			return err
		case err != nil:
			l.failed = err
			continue
		}
		for _, addr := range a.Addrs {
			l.say("4.2", "%s", addr)
			if err := l.add(t, addr); err != nil {
				return err
			}
		}
	}
	return nil
}

// add appends a hop that is not there yet.
func (l *look) add(t target, addr netip.Addr) error {
	addr = addr.Unmap()
	switch {
	case !l.support.has(t.transport):
		l.say("4.1", "passed over: no %s listener here", t.transport)
		return nil
	case addr.Is4() && !l.support.IPv4, addr.Is6() && !l.support.IPv6:
		l.say("4.2", "passed over: no listener of its family here")
		return nil
	case t.port == 0, addr.Zone() != "":
		l.say("4.2", "passed over: it is not an address and a port")
		return nil
	}
	h := Hop{Transport: t.transport, Addr: netip.AddrPortFrom(addr, t.port), Name: t.name, Priority: t.priority, Share: t.share}
	if len(l.hops) < maxHops && !slices.ContainsFunc(l.hops, func(o Hop) bool { return o.Transport == h.Transport && o.Addr == h.Addr }) {
		l.hops = append(l.hops, h)
	}
	return nil
}

// question asks, within the look-up's bound. A name that is none is not asked for.
func (l *look) question(section, name string, kind Kind) (Answer, error) {
	if !validName(name) {
		l.say(section, "%q is not a host name", clip(name))
		return Answer{}, nil
	}
	if l.asked++; l.asked > maxQuestions {
		return Answer{}, fmt.Errorf("%w: %s needs more than %d questions", ErrAnswer, l.query, maxQuestions)
	}
	a, err := l.ask(name, kind)
	if l.steps != nil {
		s := Step{Section: section, Question: name + " " + kind.String(), Records: a.count(), TTL: a.ttl, From: a.source(), Err: err}
		if a.cached {
			s.TTL = 0
		}
		l.steps(s)
	}
	return a, err
}

// done ends a look-up: hops, or why there are none.
func (l *look) done(err error) ([]Hop, error) {
	switch {
	case len(l.hops) > 0 && !errors.Is(err, errNotCached):
		return l.hops, nil
	case err != nil:
		return nil, err
	case l.failed != nil:
		return nil, l.failed
	}
	return nil, fmt.Errorf("%w: %s", ErrNotFound, l.query)
}

func (l *look) say(section, format string, args ...any) {
	if l.steps != nil {
		l.steps(Step{Section: section, Text: fmt.Sprintf(format, args...)})
	}
}

// validName tells whether a name can be asked for: labels of 1 to 63 of the characters host and service names have, 253 in all.
func validName(name string) bool {
	if len(name) == 0 || len(name) > 253 {
		return false
	}
	label := 0
	for i := range len(name) {
		switch c := name[i]; {
		case c == '.':
			if label == 0 {
				return false
			}
			label = 0
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
			if label++; label > 63 {
				return false
			}
		default:
			return false
		}
	}
	return label > 0
}

// clip shortens foreign text for a message.
func clip(s string) string {
	const most = 64
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
