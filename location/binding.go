package location

import (
	"net/netip"
	"slices"
	"strings"
	"time"
	"unsafe"

	"sipd/sipaddr"
)

// The transports as Binding.Proto counts them: transport.Proto's numbers, which this package may not import.
const (
	protoUDP uint8 = iota
	protoTCP
	protoTLS
	protoWS
	protoWSS
)

// Binding is one contact of an address-of-record. It never changes once published.
type Binding struct {
	ID          int64
	UserID      int64
	URI         string // Contact URI as registered
	DisplayName string // without quotes and escapes
	CallID      string
	InstanceID  string // "<urn:uuid:...>" (RFC 5626 4.1), "" if none
	UserAgent   string
	Methods     string         // the methods parameter (RFC 3840), without quotes
	Path        []string       // Path values, first is the first hop
	Expires     Time           // 0: static
	Updated     Time           // when it was registered or refreshed last
	Q           int            // thousandths
	RegID       int            // 0: none
	Source      netip.AddrPort // where the REGISTER came from
	Local       netip.AddrPort // own address it came to
	Conn        uint64         // transport.ConnID, 0 for UDP, after a restart and when the connection has closed
	CSeq        uint32
	Action      uint8 // store.Action
	Proto       uint8 // transport.Proto it came by
	ByFlow      bool  // requests go to Source from Local, of a stream in Conn, and not to Next (BEHAVIOUR J)

	// Next and NextProto are worked out when the binding is published: where the URI, or the first Path value, leads. Next is
	// invalid when a name must be resolved first and when it is no SIP URI.
	Next      netip.AddrPort
	NextProto uint8
}

// Static tells bindings that an administrator wrote from registered ones.
func (b *Binding) Static() bool { return b.Expires == 0 }

// Live tells whether b counts at now: static, or not expired.
func (b *Binding) Live(now time.Time) bool { return b.Expires == 0 || b.Expires.After(now) }

// Suspended tells whether b cannot be reached now: it goes by a stream alone, and that is closed.
func (b *Binding) Suspended() bool { return b.ByFlow && b.Conn == 0 && b.Proto != protoUDP }

// prepare works out Next, and whether a binding whose stream is gone can be reached without it.
func (b *Binding) prepare() {
	hop := b.URI
	if len(b.Path) > 0 {
		hop = uriOf(b.Path[0]) // RFC 3327 5.4: the first Path value is the next hop.
	}
	b.Next, b.NextProto = numeric(hop)
	if b.Suspended() && !b.flowOnly() {
		b.ByFlow = false
	}
}

// flowOnly tells whether nothing but the stream b registered by leads to it: there is no other address, or a private one while the
// REGISTER came from a public one, so that a NAT stands between. A proxy of the Path listens where it says.
func (b *Binding) flowOnly() bool {
	switch {
	case !b.Next.IsValid() || b.Proto != protoTCP && b.Proto != protoTLS:
		return true // Who came by WebSocket listens nowhere (RFC 7118 4).
	case len(b.Path) > 0:
		return false
	}
	u, err := parseURI(b.URI)
	if err != nil {
		return true
	}
	_, ob := u.Param("ob") // RFC 5626 4.3: the UA wants its flow used.
	return ob || private(b.Next.Addr()) && !private(b.Source.Addr().Unmap())
}

// carrierNAT is the shared address space of RFC 6598.
var carrierNAT = netip.MustParsePrefix("100.64.0.0/10")

// private tells whether an address means something inside one network only.
func private(a netip.Addr) bool {
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || carrierNAT.Contains(a)
}

// uriOf returns the URI of a name-addr or addr-spec.
func uriOf(value string) string {
	inQuotes := false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case inQuotes && c == '\\':
			i++
		case c == '"':
			inQuotes = !inQuotes
		case !inQuotes && c == '<':
			uri, _, _ := strings.Cut(value[i+1:], ">")
			return uri
		}
	}
	uri, _, _ := strings.Cut(value, ";") // Without <> parameters belong to the header (RFC 3261 20).
	return strings.TrimSpace(uri)
}

// numeric returns the destination a sip or sips URI names when no look-up is needed (RFC 3263 4.1 and 4.2), else an
// invalid one.
func numeric(text string) (netip.AddrPort, uint8) {
	u, err := parseURI(text)
	if err != nil || u.Scheme != sipaddr.SIP && u.Scheme != sipaddr.SIPS {
		return netip.AddrPort{}, protoUDP
	}
	addr, ok := u.Addr()
	if maddr, has := u.Param("maddr"); has { // RFC 3261 19.1.1: maddr overrides the host.
		var err error
		addr, err = netip.ParseAddr(strings.Trim(string(maddr), "[]"))
		ok = err == nil
	}
	proto, known := uriProto(&u)
	if !ok || !known {
		return netip.AddrPort{}, proto
	}
	port := u.Port
	if !u.HasPort {
		port = 5060
		if proto == protoTLS || proto == protoWSS {
			port = 5061 // RFC 3261 19.1.2
		}
	}
	return netip.AddrPortFrom(addr.Unmap(), port), proto
}

// uriProto returns the transport for a numeric URI (RFC 3263 4.1): the transport parameter, else UDP for sip and TLS for sips.
func uriProto(u *sipaddr.URI) (proto uint8, known bool) {
	sips := u.Scheme == sipaddr.SIPS
	param, ok := u.Param("transport")
	if !ok {
		if sips {
			return protoTLS, true
		}
		return protoUDP, true
	}
	switch strings.ToLower(string(param)) {
	case "udp":
		return protoUDP, !sips
	case "tcp":
		if sips {
			return protoTLS, true // RFC 3261 26.2.2: sips with transport=tcp is TLS over TCP.
		}
		return protoTCP, true
	case "tls":
		return protoTLS, true
	case "ws":
		if sips {
			return protoWSS, true // RFC 7118 5.5
		}
		return protoWS, true
	case "wss":
		return protoWSS, true
	}
	return protoUDP, false
}

// parseURI parses without a copy: sipaddr.Parse only reads its argument and the view dies with the caller.
func parseURI(text string) (sipaddr.URI, error) {
	return sipaddr.Parse(unsafe.Slice(unsafe.StringData(text), len(text)))
}

// sameURI compares contact URIs as RFC 3261 19.1.4 says, but that the sips version of a sip URI is the same contact: whichever was
// registered last replaces the other (RFC 5630 5.1.1.1).
func sameURI(a, b string) bool {
	if a == b {
		return true
	}
	u, err := parseURI(a)
	if err != nil {
		return false
	}
	v, err := parseURI(b)
	if err != nil {
		return false
	}
	if u.Scheme == sipaddr.SIPS && v.Scheme == sipaddr.SIP {
		u.Scheme = sipaddr.SIP
	} else if u.Scheme == sipaddr.SIP && v.Scheme == sipaddr.SIPS {
		v.Scheme = sipaddr.SIP
	}
	return u.Equal(&v)
}

// order sorts as Bindings promises: q descending, then the newest first, then by id so that the order is total.
func order(list []*Binding) {
	slices.SortFunc(list, func(a, b *Binding) int {
		switch {
		case a.Q != b.Q:
			return b.Q - a.Q
		case a.Updated != b.Updated:
			if a.Updated > b.Updated {
				return -1
			}
			return 1
		case a.ID < b.ID:
			return -1
		}
		return 1
	})
}
