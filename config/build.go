package config

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"sipd/canonicalize"
	"sipd/store"
)

// Value is one setting as somebody wrote it.
type Value struct {
	Name   string
	Args   []string // the words of a line of sipd.conf, unquoted; one text from everywhere else
	Source string   // who wrote it: "server_settings", "/etc/sipd/sipd.conf:7", "--set"
	Weak   bool     // nobody wrote it: a default that stands below every source
}

// Error is a setting that cannot stand. The text says what, where, and what to write instead.
type Error struct {
	Name   string
	Source string
	Text   string
}

// Error returns the whole message.
func (e *Error) Error() string { return e.Source + ": " + e.Name + ": " + e.Text }

// Map makes the values of one source from a table of one text a name.
func Map(source string, m map[string]string) []Value {
	values := make([]Value, 0, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) { // sorted: the same mistake gives the same message
		values = append(values, Value{Name: name, Args: []string{m[name]}, Source: source})
	}
	return values
}

// New makes the Settings of the rows of server_settings and of what overrides them: file and command line.
// Without a PrivateKey a random one is made, once in the life of the process.
func New(db map[string]string, overrides map[string][]string) (*Settings, error) {
	var over []Value
	for _, name := range slices.Sorted(maps.Keys(overrides)) {
		for _, text := range overrides[name] {
			over = append(over, Value{Name: name, Args: []string{text}, Source: "file or --set"})
		}
	}
	return Build(Map("server_settings", db), over)
}

// Build makes Settings of several sources, each stronger than those before it. A name that a stronger source mentions
// loses all its weaker values; inside one source a repeatable name keeps all of its values in order, any other the last.
// Every value is checked, also those that lose, so that a mistake shows where it was written. The error joins all mistakes.
func Build(sources ...[]Value) (*Settings, error) {
	var errs []error
	chosen := map[string][]Value{} // by the manual's spelling
	for _, source := range weakFirst(sources) {
		mentioned := map[string]bool{}
		for _, v := range source {
			s := lookup(v.Name)
			if s == nil {
				errs = append(errs, &Error{v.Name, v.Source, "no such setting; the nearest name is " + Nearest(v.Name)})
				continue
			}
			v.Name = s.name
			var scratch builder // a value alone, to check it
			if err := s.check(&scratch, v); err != nil {
				errs = append(errs, &Error{v.Name, v.Source, err.Error()})
				continue
			}
			if !mentioned[s.name] || !s.repeat {
				chosen[s.name] = nil
			}
			mentioned[s.name] = true
			chosen[s.name] = append(chosen[s.name], v)
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}

	b := newBuilder()
	for i := range settings {
		s := &settings[i]
		values := chosen[s.name]
		for _, v := range values {
			if err := s.check(b, v); err != nil {
				return nil, &Error{v.Name, v.Source, err.Error()}
			}
			b.Values[s.name] = append(b.Values[s.name], strings.Join(v.Args, " "))
			b.Sources[s.name] = v.Source
		}
		if len(values) == 0 {
			continue
		}
		switch s.use {
		case later:
			b.note(values[0].Source + ": " + s.name + " is accepted; this version does not act on it")
		case dead:
			b.note(values[0].Source + ": " + s.name + " has no effect: " + s.why)
		}
	}
	if err := b.finish(); err != nil {
		return nil, err
	}
	return &b.Settings, nil
}

// weakFirst moves the weak values of all sources into one that stands before them.
func weakFirst(sources [][]Value) [][]Value {
	ordered := [][]Value{nil}
	for _, source := range sources {
		var rest []Value
		for _, v := range source {
			if v.Weak {
				ordered[0] = append(ordered[0], v)
			} else {
				rest = append(rest, v)
			}
		}
		ordered = append(ordered, rest)
	}
	return ordered
}

// duration is a value of seconds and whether somebody wrote it.
type duration struct {
	time.Duration
	written bool
}

// builder is a Settings in the making, with what only finish can put together.
type builder struct {
	Settings
	expires, minExpires, maxExpires, timeOut, refresh duration
	port                                              uint16
	key                                               bool
	logNone, logSQL                                   bool
}

func newBuilder() *builder {
	return &builder{
		Settings: Settings{
			AdminListen:      "127.0.0.1:8060",
			DigestAlgorithms: []store.Algorithm{store.MD5},
			DefaultReg:       store.Proxy,
			AmbiguousStatus:  485,
			RecordRoute:      true,
			RateLimit:        true,
			ForkOnTimeout:    "add",
			ForeignDomain:    "proxy",
			Canonicalize:     canonicalize.All,
			GatewayClassOf:   "owner",
			NumericVia:       true,
			MaxContacts:      20,
			Values:           map[string][]string{},
			Sources:          map[string]string{},
		},
		expires:    duration{Duration: time.Hour},
		minExpires: duration{Duration: time.Minute},
		maxExpires: duration{Duration: 2 * time.Hour},
		timeOut:    duration{Duration: 30 * time.Second},
		refresh:    duration{Duration: 900 * time.Second},
		port:       5060,
	}
}

func (b *builder) note(text string) { b.Notes = append(b.Notes, text) }

// fallbackKey is for a database that somebody took the PrivateKey out of: nonces stay unguessable, and stay valid from
// one reload to the next.
var fallbackKey = sync.OnceValue(func() (key [32]byte) {
	rand.Read(key[:]) // never fails (crypto/rand)
	return key
})

// finish settles what depends on more than one name.
func (b *builder) finish() error {
	// A classic file says `Expires 86400` and knows nothing of MaxExpires: the bound that nobody wrote gives way.
	if !b.maxExpires.written && b.expires.Duration > b.maxExpires.Duration {
		b.maxExpires.Duration = b.expires.Duration
	}
	if !b.minExpires.written {
		b.minExpires.Duration = min(b.minExpires.Duration, b.expires.Duration, b.maxExpires.Duration)
	}
	if !b.expires.written {
		b.expires.Duration = max(b.minExpires.Duration, min(b.expires.Duration, b.maxExpires.Duration))
	}
	if b.minExpires.Duration > b.expires.Duration || b.expires.Duration > b.maxExpires.Duration {
		return fmt.Errorf("MinExpires %v, Expires %v, MaxExpires %v: each must be at most the next; change one of them",
			b.minExpires.Duration, b.expires.Duration, b.maxExpires.Duration)
	}
	b.Expires, b.MinExpires, b.MaxExpires = b.expires.Duration, b.minExpires.Duration, b.maxExpires.Duration
	b.TimeOut, b.Refresh = b.timeOut.Duration, b.refresh.Duration
	if b.logNone && (b.logSQL || len(b.Values["RequestLog"]) > 1) {
		return &Error{"RequestLog", b.Sources["RequestLog"], "`none` stands beside another destination; keep one of the two"}
	}
	b.RequestLog = "sql"
	if b.logNone {
		b.RequestLog = "none"
	}
	if !b.key {
		b.PrivateKey = fallbackKey()
		b.note("PrivateKey is not set: a random one serves until the next start; `sipd db migrate` makes one that stays")
	}
	for _, l := range b.Listen {
		if l.Transport == "udp" && !slices.Contains(b.Listen, Listen{"tcp", l.Addr}) {
			b.note(fmt.Sprintf("Listen %v without tcp:%v: large requests come by TCP, RFC 3261 18.2.1 wants both", l, l.Addr))
		}
	}
	if len(b.Listen) == 0 {
		b.ListenDefault = true
		for _, any := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
			for _, transport := range []string{"udp", "tcp"} {
				b.Listen = append(b.Listen, Listen{transport, netip.AddrPortFrom(any, b.port)})
			}
			if b.TLSCertificate != "" {
				b.Listen = append(b.Listen, Listen{"tls", netip.AddrPortFrom(any, tlsPort)})
			}
		}
	}
	b.findCampus()
	return errors.Join(b.nameVia(), b.checkTLS())
}

// nameVia settles ViaName.
func (b *builder) nameVia() error {
	switch {
	case b.ProxyName != "":
		b.ViaName = b.ProxyName
		return nil
	case b.NumericVia:
		return nil
	case b.ServerName != "":
		b.ViaName = b.ServerName
	default:
		name, err := os.Hostname()
		if err == nil {
			b.ViaName, err = host(Value{Args: []string{name}})
		}
		if err != nil {
			return &Error{"NumericVia", b.Sources["NumericVia"], "false needs a name, and the machine has none that can be taken; write ServerName or ProxyName"}
		}
	}
	b.note(b.Sources["NumericVia"] + ": NumericVia false: telephones and servers must find us by the name " + b.ViaName)
	return nil
}

// tlsPort is the port of sips (RFC 3261 19.1.2).
const tlsPort = 5061

// checkTLS finds what TLS needs and lacks.
func (b *builder) checkTLS() error {
	listens := slices.IndexFunc(b.Listen, func(l Listen) bool { return l.Transport == "tls" })
	switch {
	case (b.TLSCertificate == "") != (b.TLSKey == ""):
		name, other := "TLSCertificate", "TLSKey"
		if b.TLSKey != "" {
			name, other = other, name
		}
		return &Error{name, b.Sources[name], "is of no use without " + other + "; write both"}
	case listens >= 0 && b.TLSCertificate == "":
		return &Error{"Listen", b.Sources["Listen"], b.Listen[listens].String() + " needs a certificate; write TLSCertificate and TLSKey"}
	case b.TLSClientCA != "" && b.TLSCertificate == "":
		return &Error{"TLSClientCA", b.Sources["TLSClientCA"], "is of no use without a certificate of our own; write TLSCertificate and TLSKey"}
	case listens < 0 && b.TLSCertificate != "":
		b.note("TLSCertificate has no effect: Listen names no tls:ADDR:5061")
	}
	return nil
}

func privateKey(b *builder, v Value) error {
	text, err := single(v)
	if err != nil {
		return err
	}
	b.PrivateKey, b.key = sha256.Sum256([]byte(text)), true
	return nil
}
