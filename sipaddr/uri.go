package sipaddr

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strconv"
)

// Limits of what is taken as a URI.
const (
	MaxText   = 65535 // bytes: the largest SIP message; offsets are 16 bit
	MaxParams = 64    // parameters, and headers, of one URI: comparing two URIs takes the square of it
)

// Scheme is a URI scheme sipd routes by.
type Scheme uint8

// The schemes.
const (
	Other Scheme = iota
	SIP
	SIPS
	TEL
)

// String returns the scheme in lower case, "other" for one that is not known.
func (s Scheme) String() string {
	switch s {
	case SIP:
		return "sip"
	case SIPS:
		return "sips"
	case TEL:
		return "tel"
	}
	return "other"
}

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

// SyntaxError says what is wrong with a URI and at which byte.
type SyntaxError struct {
	What   string
	Offset int
}

// Error returns both.
func (e *SyntaxError) Error() string {
	return e.What + " (byte " + strconv.Itoa(e.Offset+1) + ")"
}

// Parts are the fields of a URI as offsets into its text: what Split finds. It holds no pointer, so that a message can
// keep it with its other offsets, and URI makes the view when somebody asks for it.
type Parts struct {
	Scheme  Scheme
	has     uint8
	Port    uint16
	user    uint16 // where the user starts
	userEnd uint16
	pass    uint16
	passEnd uint16
	host    uint16
	hostEnd uint16
	params  uint16
	headers uint16 // after the '?'; the parameters end one byte before it
}

// What a URI has, as bits of Parts.has.
const (
	hasUser = 1 << iota
	hasPassword
	hasPort
	hasIPv6
	hasHeaders
)

// HasHeaders tells whether a "?" follows the parameters, which a Request-URI must not have (RFC 3261 19.1.1, Table 1).
func (p *Parts) HasHeaders() bool { return p.has&hasHeaders != 0 }

// URI returns the view of the text that Split was given.
func (p *Parts) URI(text []byte) URI {
	u := URI{
		Scheme: p.Scheme, Text: text,
		Port:        p.Port,
		HasUser:     p.has&hasUser != 0,
		HasPassword: p.has&hasPassword != 0,
		HasPort:     p.has&hasPort != 0,
		IPv6:        p.has&hasIPv6 != 0,
		Host:        text[p.host:p.hostEnd],
		Params:      text[p.params:],
	}
	if u.HasUser {
		u.User = text[p.user:p.userEnd]
	}
	if u.HasPassword {
		u.Password = text[p.pass:p.passEnd]
	}
	if p.has&hasHeaders != 0 {
		u.Params = text[p.params : p.headers-1]
		u.Headers = text[p.headers:]
	}
	return u
}

// Parse splits the URI in text (no angle brackets). It accepts any scheme; only sip, sips and tel are looked into.
// The error says what is wrong and where. RFC 3261 19.1.1 and 25.1, RFC 3966 3, RFC 5954.
func Parse(text []byte) (URI, error) {
	var p Parts
	if err := p.Split(text); err != nil {
		return URI{}, err
	}
	return p.URI(text), nil
}

// The words that schemes start with, as little-endian numbers with every letter in lower case.
const (
	wordSip  = 's' | 'i'<<8 | 'p'<<16 | ':'<<24
	wordSips = 's' | 'i'<<8 | 'p'<<16 | 's'<<24
	wordTel  = 't' | 'e'<<8 | 'l'<<16 | ':'<<24
	foldWord = 0x20202020
)

// Split finds the parts of the URI in text, as Parse does, without making the view. After an error p is of no use.
func (p *Parts) Split(text []byte) error {
	*p = Parts{}
	if len(text) > MaxText {
		return &SyntaxError{"URI is longer than a message can be", MaxText}
	}
	if len(text) >= 4 {
		switch word := binary.LittleEndian.Uint32(text) | foldWord; {
		case word == wordSip && text[3] == ':':
			p.Scheme = SIP
			return p.splitSIP(text, 4)
		case word == wordSips && len(text) > 4 && text[4] == ':':
			p.Scheme = SIPS
			return p.splitSIP(text, 5)
		case word == wordTel && text[3] == ':':
			p.Scheme = TEL
			return p.splitTel(text)
		}
	}
	return p.splitOther(text)
}

func (p *Parts) splitSIP(text []byte, i int) error {
	// Nothing behind the host may hold an unescaped "@" unless it is private parameter text, so the first one ends the
	// userinfo, whatever stands before it (RFC 4475 3.1.1.2).
	if n := bytes.IndexByte(text[i:], '@'); n >= 0 {
		if err := p.splitUser(text, i, i+n); err != nil {
			return err
		}
		i += n + 1
	}
	i, err := p.splitHost(text, i)
	if err != nil {
		return err
	}
	p.params = uint16(i)
	if i == len(text) {
		return nil
	}
	return p.splitTail(text, i)
}

func (p *Parts) splitUser(text []byte, i, at int) error {
	p.has |= hasUser
	p.user = uint16(i)
	p.userEnd = uint16(at)
	start := i
	for i < at {
		c := text[i]
		switch {
		case class[c]&cUser != 0:
			i++
		case c == '%' && escapeAt(text[:at], i):
			i += 3
		case c == '%':
			return &SyntaxError{"percent sign in the user part is not followed by two hex digits", i}
		case c == ':' && p.has&hasPassword == 0:
			p.has |= hasPassword
			p.userEnd = uint16(i)
			i++
			p.pass, p.passEnd = uint16(i), uint16(at)
		default:
			return &SyntaxError{"character in the user part must be escaped", i}
		}
	}
	if int(p.userEnd) == start {
		return &SyntaxError{"user part is empty", start}
	}
	return nil
}

// splitHost reads hostport and returns where it ends.
func (p *Parts) splitHost(text []byte, i int) (int, error) {
	p.host = uint16(i)
	if i < len(text) && text[i] == '[' {
		n := bytes.IndexByte(text[i:], ']')
		if n < 0 {
			return 0, &SyntaxError{"IPv6 address has no closing bracket", i}
		}
		if _, ok := ParseIP(text[i+1 : i+n]); !ok || bytes.IndexByte(text[i+1:i+n], ':') < 0 {
			return 0, &SyntaxError{"what stands in brackets is not an IPv6 address", i}
		}
		p.has |= hasIPv6
		p.host, p.hostEnd = uint16(i+1), uint16(i+n)
		i += n + 1
	} else {
		start, label := i, i
		for i < len(text) && class[text[i]]&cHost != 0 {
			if text[i] == '.' {
				if i == label {
					return 0, &SyntaxError{"host name has an empty label", i}
				}
				label = i + 1
			}
			i++
		}
		if i == start {
			return 0, &SyntaxError{"host is missing", i}
		}
		p.hostEnd = uint16(i)
	}
	if i < len(text) && text[i] == ':' {
		start := i + 1
		port := 0
		for i++; i < len(text) && text[i]-'0' <= 9; i++ {
			if port = port*10 + int(text[i]-'0'); port > 65535 {
				return 0, &SyntaxError{"port is greater than 65535", start}
			}
		}
		if port == 0 {
			return 0, &SyntaxError{"port is not a number from 1 to 65535", start}
		}
		p.has |= hasPort
		p.Port = uint16(port)
	}
	if i < len(text) && text[i] != ';' && text[i] != '?' {
		return 0, &SyntaxError{"host or port has a character that does not belong there", i}
	}
	return i, nil
}

// splitTail reads parameters and headers of a sip, sips or tel URI.
func (p *Parts) splitTail(text []byte, i int) error {
	p.params = uint16(i)
	n := 0
	for i < len(text) && text[i] == ';' {
		if n++; n > MaxParams {
			return &SyntaxError{"URI has too many parameters", i}
		}
		i++
		start := i
		for i < len(text) && class[text[i]]&cParam != 0 {
			if text[i] == '%' && !escapeAt(text, i) {
				return &SyntaxError{"percent sign in a URI parameter is not followed by two hex digits", i}
			}
			i++
		}
		if i == start || text[start] == '=' {
			return &SyntaxError{"URI parameter has no name", i}
		}
	}
	if i == len(text) {
		return nil
	}
	if text[i] != '?' || p.Scheme == TEL {
		return &SyntaxError{"URI parameter has a character that must be escaped", i}
	}
	i++
	p.headers = uint16(i)
	p.has |= hasHeaders
	if i == len(text) {
		return &SyntaxError{"nothing follows '?'", i}
	}
	n = 1
	for ; i < len(text); i++ {
		switch c := text[i]; {
		case class[c]&cOpaque == 0:
			return &SyntaxError{"URI header has a character that must be escaped", i}
		case c == '%' && !escapeAt(text, i):
			return &SyntaxError{"percent sign in a URI header is not followed by two hex digits", i}
		case c == '&':
			if n++; n > MaxParams {
				return &SyntaxError{"URI has too many headers", i}
			}
		}
	}
	return nil
}

// splitTel reads a tel URI (RFC 3966 3). A local number without phone-context is taken: whether it can be dialled is
// for the dial plan to say.
func (p *Parts) splitTel(text []byte) error {
	i := 4
	p.has |= hasUser
	p.user = 4
	if i < len(text) && text[i] == '+' {
		i++
	}
	digit := false
	for i < len(text) && class[text[i]]&cNumber != 0 {
		digit = digit || !visualSeparator(text[i])
		i++
	}
	if !digit {
		return &SyntaxError{"tel URI has no number", i}
	}
	p.userEnd = uint16(i)
	p.params = uint16(i)
	p.host, p.hostEnd = uint16(i), uint16(i)
	if i < len(text) && text[i] != ';' {
		return &SyntaxError{"telephone number has a character that does not belong there", i}
	}
	return p.splitTail(text, i)
}

func (p *Parts) splitOther(text []byte) error {
	i := 0
	for i < len(text) && class[text[i]]&cScheme != 0 {
		i++
	}
	if i == 0 || i == len(text) || text[i] != ':' || lower(text[0]) < 'a' || lower(text[0]) > 'z' {
		return &SyntaxError{"URI does not start with a scheme such as sip:", i}
	}
	i++
	if i == len(text) {
		return &SyntaxError{"nothing follows the scheme", i}
	}
	for ; i < len(text); i++ {
		if class[text[i]]&cOpaque == 0 {
			return &SyntaxError{"URI has a character that must be escaped", i}
		}
	}
	p.params = uint16(len(text))
	return nil
}

// Addr returns the host as an IP address when it is one.
func (u *URI) Addr() (netip.Addr, bool) { return ParseIP(u.Host) }

// AddrPort returns where requests to the URI go when nobody has to be asked: its maddr, else its host, if that is an IP address, and its
// port, else 5060, with TLS 5061 (RFC 3261 19.1.2).
func (u *URI) AddrPort() (to netip.AddrPort, ok bool) {
	addr, ok := u.Addr()
	if maddr, has := u.Maddr(); has {
		addr, ok = ParseIP(maddr)
	}
	if !ok {
		return to, false
	}
	port := u.Port
	if port == 0 {
		port = 5060
		if transport, _ := u.Param("transport"); u.Scheme == SIPS || bytes.EqualFold(transport, []byte("tls")) {
			port = 5061
		}
	}
	return netip.AddrPortFrom(addr.Unmap(), port), true
}
