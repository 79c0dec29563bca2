package sipaddr

import "net/netip"

// Scheme is a URI scheme sipd routes by.
type Scheme uint8

// The schemes.
const (
	Other Scheme = iota
	SIP
	SIPS
	TEL
)

// URI is a parsed view of a URI: its fields are slices of the text given to Parse, nothing is copied or unescaped.
type URI struct {
	Scheme      Scheme
	Text        []byte // the whole URI as given
	User        []byte // before the '@' (and before a ':'), escapes kept; for tel: the number without parameters
	Password    []byte
	Host        []byte // an IPv6 address without its brackets; empty for tel: and Other
	Port        uint16 // 0 when none is written
	HasUser     bool
	HasPassword bool
	HasPort     bool
	IPv6        bool   // Host was written in brackets
	Params      []byte // from the first ';' after the host, ';' included; may be empty
	Headers     []byte // after '?', without it; may be empty
}

// Parse splits the URI in text (no angle brackets). It accepts any scheme; only sip, sips and tel are looked into.
// The error says what is wrong and where. RFC 3261 19.1.1 and 25.1, RFC 3966 3, RFC 5954.
func Parse(text []byte) (URI, error) { return URI{}, nil }

// Param returns the value of parameter name (any case; value "" with ok true for a flag).
func (u *URI) Param(name string) (value []byte, ok bool) { return nil, false }

// Addr returns the host as an IP address when it is one.
func (u *URI) Addr() (netip.Addr, bool) { return netip.Addr{}, false }

// Equal compares as RFC 3261 19.1.4 says (tel: RFC 3966 4).
func (u *URI) Equal(v *URI) bool { return false }

// AppendAOR appends the canonical address-of-record of a sip or sips URI: user unescaped (RFC 3261 10.3 step 5), '@',
// host in lower case without a trailing dot; no scheme, port, parameters or headers. Without a user: the host alone.
// An IPv6 host keeps brackets.
func (u *URI) AppendAOR(dst []byte) []byte { return dst }

// AOR is a canonical address-of-record without scheme: "alice@example.com".
type AOR string

// User returns what stands before the last '@', "" if there is none.
func (a AOR) User() string { return "" }

// Host returns what stands after the last '@'.
func (a AOR) Host() string { return "" }

// ParseAOR makes the canonical AOR of what a person or a header wrote: "sip:Alice@EXAMPLE.com;x", "alice@example.com".
// The error names what to write instead.
func ParseAOR(s string) (AOR, error) { return "", nil }

// ParseQ reads a qvalue (RFC 3261 25.1) in thousandths, 0 to 1000.
func ParseQ(text []byte) (milli int, err error) { return 0, nil }
