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
	draw    func(n int) int // a random number below n
	steps   func(string)    // told each step, for `sipd dns explain`; nil
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
		l.say("%s is an address: no look-up", q.Host)
		return l.done(l.add(t, addr, q.port(t), q.Host))
	}
	if !validName(q.Host) {
		return nil, fmt.Errorf("%w: %q is not a host name", ErrNotFound, clip(q.Host))
	}
	switch {
	case q.Port != 0: // 4.2: a port means addresses alone.
		l.say("the port is given: addresses only")
		return l.done(l.addresses(q.Host, l.transport(), q.Port))
	case q.Transport != Any: // 4.2: SRV for that transport alone.
		t := l.transport()
		for _, s := range services {
			if s.transport == t {
				if found, err := l.srv(s.prefix+q.Host, t); found || err != nil {
					return l.done(err)
				}
			}
		}
		return l.done(l.addresses(q.Host, t, defaultPort(t)))
	}
	if found, err := l.naptr(); found || err != nil {
		return l.done(err)
	}
	for _, s := range unnamed { // 4.1: no NAPTR, SRV for each transport we have.
		if q.Secure && s.transport != TLS || !l.support.has(s.transport) {
			continue
		}
		if found, err := l.srv(s.prefix+q.Host, s.transport); found || err != nil {
			return l.done(err)
		}
	}
	t := l.transport() // 4.1: no SRV, TCP for sips (TLS over it), UDP for sip.
	return l.done(l.addresses(q.Host, t, defaultPort(t)))
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

// naptr follows the NAPTR records that name a transport we have, in their order (4.1).
func (l *look) naptr() (found bool, err error) {
	a, err := l.question(l.query.Host, NAPTR)
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
			continue
		}
		t := services[i].transport
		if l.query.Secure && t != TLS || !l.support.has(t) {
			l.say("NAPTR %s: passed over, %s is not for us here", r.Service, t)
			continue
		}
		l.say("NAPTR %s: %s", r.Service, r.Replacement)
		ok, err := l.srv(r.Replacement, t)
		if err != nil {
			return false, err
		}
		found = found || ok
	}
	return found, nil
}

// srv appends the targets of an SRV set. found tells whether there were records; a set that says "not here" (RFC 2782: a
// target of ".") was found.
func (l *look) srv(name string, t Transport) (found bool, err error) {
	a, err := l.question(name, SRV)
	if err != nil || len(a.SRV) == 0 {
		return false, err
	}
	for i, r := range arrange(a.SRV, l.draw) {
		if r.Target == "" || i == maxTargets {
			l.say("SRV %s: no more targets", name)
			break
		}
		l.say("SRV %s: %s port %d (priority %d, weight %d)", name, r.Target, r.Port, r.Priority, r.Weight)
		if err := l.addresses(r.Target, t, r.Port); err != nil && !errors.Is(err, ErrUnavailable) {
			return true, err
		}
	}
	return true, nil
}

// addresses appends the addresses of a name. A family that got no answer is noted, the other serves.
func (l *look) addresses(name string, t Transport, port uint16) error {
	if addr, err := netip.ParseAddr(name); err == nil {
		return l.add(t, addr, port, name) // RFC 2782 forbids addresses as targets; some zones have them all the same.
	}
	for _, kind := range []Kind{AAAA, A} {
		if kind == AAAA && !l.support.IPv6 || kind == A && !l.support.IPv4 {
			continue
		}
		a, err := l.question(name, kind)
		if errors.Is(err, ErrUnavailable) {
			l.failed = err
			continue
		}
		if err != nil {
			return err
		}
		for _, addr := range a.Addrs {
			l.say("%s %s: %s", name, kind, addr)
			if err := l.add(t, addr, port, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// add appends a hop that is not there yet.
func (l *look) add(t Transport, addr netip.Addr, port uint16, name string) error {
	addr = addr.Unmap()
	if !l.support.has(t) || addr.Is4() && !l.support.IPv4 || addr.Is6() && !l.support.IPv6 || port == 0 {
		return nil
	}
	h := Hop{Transport: t, Addr: netip.AddrPortFrom(addr, port), Name: name}
	if len(l.hops) < maxHops && !slices.ContainsFunc(l.hops, func(o Hop) bool { return o.Transport == h.Transport && o.Addr == h.Addr }) {
		l.hops = append(l.hops, h)
	}
	return nil
}

// question asks, within the look-up's bound. A name that is none is not asked for.
func (l *look) question(name string, kind Kind) (Answer, error) {
	if !validName(name) {
		return Answer{}, nil
	}
	if l.asked++; l.asked > maxQuestions {
		return Answer{}, fmt.Errorf("%w: %s needs more than %d questions", ErrAnswer, l.query, maxQuestions)
	}
	a, err := l.ask(name, kind)
	if err != nil {
		l.say("%s %s: %v", name, kind, err)
	} else if a.empty() {
		l.say("%s %s: none", name, kind)
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

func (l *look) say(format string, args ...any) {
	if l.steps != nil {
		l.steps(fmt.Sprintf(format, args...))
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
