package resolve

import (
	"errors"
	"net/netip"
	"strconv"
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
	text := "sip:" + q.Host
	if q.Secure {
		text = "sips:" + q.Host
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
