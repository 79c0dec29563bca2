package resolve

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Transport is how a hop is reached.
type Transport uint8

// The transports. Any stands for "the URI does not say".
const (
	Any Transport = iota
	UDP
	TCP
	TLS
)

var transportNames = [...]string{Any: "any", UDP: "udp", TCP: "tcp", TLS: "tls"}

// String is the name as transport parameters have it.
func (t Transport) String() string { return transportNames[t] }

// Query is what RFC 3263 needs of a URI.
type Query struct {
	Host      string    // TARGET: maddr, else host; a name or an address without brackets, lower case, no dot at the end
	Port      uint16    // 0: the URI has none
	Transport Transport // Any: the URI has no transport parameter
	Secure    bool      // sips, or a sip URI that must go over TLS
}

// String writes the query as people read it: sips:example.com:5061;transport=tcp.
func (q Query) String() string {
	text := "sip:"
	if q.Secure {
		text = "sips:"
	}
	if strings.Contains(q.Host, ":") {
		text += "[" + q.Host + "]"
	} else {
		text += q.Host
	}
	if q.Port != 0 {
		text += ":" + strconv.Itoa(int(q.Port))
	}
	if q.Transport != Any {
		text += ";transport=" + q.Transport.String()
	}
	return text
}

// Hop is one place where a request may be sent. Hops are tried in order (RFC 3263 4.3).
type Hop struct {
	Transport Transport
	Addr      netip.AddrPort
	Name      string // the name that led there: the SRV target, or the host itself

	// Of hops that Explain returns: the priority of the SRV record, and how often its target is the first to be tried of those
	// of this priority; 1 without SRV.
	Priority uint16
	Share    float64
}

// Step is a step of a look-up as people are told it: a question and how it was answered, or Text.
type Step struct {
	Section  string // of RFC 3263
	Text     string
	Question string        // "example.com NAPTR"
	Records  int           // 0: there are none
	TTL      time.Duration // how long the answer holds; 0 when this look-up has had it before
	From     string        // who said so: "192.0.2.53:53 by UDP", "the cache"
	Err      error
}

// String writes the step as a line.
func (s Step) String() string {
	switch {
	case s.Question == "":
		return s.Text
	case s.Err != nil:
		return s.Question + ": " + s.Err.Error()
	}
	n := "none"
	if s.Records > 0 {
		n = strconv.Itoa(s.Records)
	}
	if s.TTL > 0 {
		n += fmt.Sprintf(", for %d s", int(s.TTL/time.Second))
	}
	return s.Question + ": " + n + ", from " + s.From
}

// Errors of a look-up.
var (
	// ErrNotFound: the name does not exist, or has no address for a transport and family we have.
	ErrNotFound = errors.New("resolve: no such host")
	// ErrUnavailable: no server answered usefully in time. It may be otherwise in a moment.
	ErrUnavailable = errors.New("resolve: no answer")
	// ErrBusy: too many look-ups are under way.
	ErrBusy = errors.New("resolve: too many look-ups")
	// ErrAnswer: the answer is not usable: a loop, too many records, names that are none.
	ErrAnswer = errors.New("resolve: bad answer")
)

// defaultPort is the port of a transport (RFC 3261 19.1.2).
func defaultPort(t Transport) uint16 {
	if t == TLS {
		return 5061
	}
	return 5060
}
