package message

import (
	"bytes"

	"sipd/sipaddr"
)

// ViaValue is one parsed Via value; slices point into the message.
type ViaValue struct {
	Transport []byte // "UDP"
	Host      []byte // of sent-by, IPv6 without brackets
	Port      uint16 // of sent-by, 0 when none
	Branch    []byte
	Received  []byte // IPv6 without brackets
	HasRport  bool
	Rport     uint16 // 0 when empty
	Maddr     []byte
	TTL       []byte
	Alias     bool   // RFC 5923 7
	Text      []byte // the whole value
}

// MagicCookie is what a branch made after RFC 3261 starts with (8.1.1.7). It compares in any case, as tokens do.
const MagicCookie = "z9hG4bK"

// HasCookie tells whether a branch starts with the magic cookie, and so names the transaction by itself.
func HasCookie(branch []byte) bool {
	return len(branch) >= len(MagicCookie) && equalFold(branch[:len(MagicCookie)], MagicCookie)
}

// viaParts are the offsets of a Via value.
type viaParts struct {
	text      span
	transport span
	host      span
	branch    span
	received  span // without brackets
	recvText  span // with them, as written
	rport     span // its value; empty where it would stand when the parameter has none
	maddr     span
	ttl       span
	next      uint16 // where the next value of the line starts, 0 when there is none
	port      uint16
	rportNum  uint16
	hasRport  bool
	alias     bool
	usable    bool // sent-by was read, so that a response can go somewhere
}

// scan reads the Via value that starts at i and ends at the next comma or at end. RFC 3261 20.42 and 25.1: white space
// may stand around "/", ":", ";" and "=" (RFC 4475 3.1.1.1). Any protocol name and version are taken: a request of
// another version is answered too (505).
func (v *viaParts) scan(b []byte, i, end int) (what string) {
	*v = viaParts{text: makeSpan(i, end)}
	what = v.parse(b, i, end)
	if what != "" {
		v.text.end = uint16(valueEnd(b, i, end))
		if next := nextValue(b, int(v.text.end), end); next < end {
			v.next = uint16(next)
		}
	}
	return what
}

func (v *viaParts) parse(b []byte, i, end int) (what string) {
	start := i
	if end-i > 8 && string(b[i:i+8]) == "SIP/2.0/" {
		i += 8
	} else if i = scanProtocol(b, i, end); i < 0 {
		return "Via does not start with SIP/2.0/ and a transport"
	}
	t := i
	for i < end && class[b[i]]&cToken != 0 {
		i++
	}
	v.transport = makeSpan(t, i)
	if i == t || i == end || class[b[i]]&cLWS == 0 {
		return "Via has no sent-by behind its transport"
	}
	if i++; i < end && class[b[i]]&cLWS != 0 {
		i = skipLWS(b, i, end)
	}
	if i, what = v.scanSentBy(b, i, end); what != "" {
		return what
	}
	v.usable = true
	for {
		if i < end && class[b[i]]&cLWS != 0 {
			i = skipLWS(b, i, end)
		}
		if i == end {
			break
		}
		if b[i] == ',' {
			v.text.end = uint16(trimLWS(b, start, i))
			if i = skipLWS(b, i+1, end); i < end {
				v.next = uint16(i)
				return ""
			}
			return "Via has a comma without a value behind it"
		}
		if b[i] != ';' {
			return "Via has a character behind sent-by that does not belong there"
		}
		p, what := scanParam(b, i+1, end)
		if what != "" {
			return "Via " + what
		}
		if what = v.setParam(b, p); what != "" {
			return what
		}
		i = p.next
	}
	return ""
}

// scanProtocol reads protocol-name SLASH protocol-version SLASH in full and returns where the transport starts.
func scanProtocol(b []byte, i, end int) int {
	for range 2 {
		start := i
		for i < end && class[b[i]]&cToken != 0 {
			i++
		}
		if i == start {
			return -1
		}
		if i = skipLWS(b, i, end); i == end || b[i] != '/' {
			return -1
		}
		i = skipLWS(b, i+1, end)
	}
	return i
}

func (v *viaParts) scanSentBy(b []byte, i, end int) (next int, what string) {
	if i < end && b[i] == '[' {
		n := bytes.IndexByte(b[i:end], ']')
		if n < 0 {
			return 0, "Via has an IPv6 address without its closing bracket"
		}
		v.host = makeSpan(i+1, i+n)
		if _, ok := sipaddr.ParseIP(b[i+1 : i+n]); !ok {
			return 0, "Via has no IPv6 address between its brackets"
		}
		i += n + 1
	} else {
		start := i
		for i < end && class[b[i]]&cHost != 0 {
			i++
		}
		if i == start {
			return 0, "Via has no host in sent-by"
		}
		v.host = makeSpan(start, i)
	}
	if i < end && class[b[i]]&cLWS != 0 {
		i = skipLWS(b, i, end)
	}
	if i < end && b[i] == ':' {
		i = skipLWS(b, i+1, end)
		start := i
		for i < end && b[i]-'0' <= 9 {
			i++
		}
		n, ok := number(b[start:i])
		if !ok || n == 0 || n > 65535 {
			return 0, "Via has a port that is not a number from 1 to 65535"
		}
		v.port = uint16(n)
	}
	return i, ""
}

func (v *viaParts) setParam(b []byte, p param) (what string) {
	name := b[p.name:p.nameEnd]
	value := makeSpan(p.value, p.valueEnd)
	switch len(name) {
	case 3:
		if equalFold(name, "ttl") {
			if n, ok := number(value.of(b)); !ok || n > 255 {
				return "Via has a ttl that is not a number from 0 to 255"
			}
			v.ttl = value
		}
	case 5:
		if equalFold(name, "rport") {
			v.hasRport = true
			if v.rport = value; value.empty() {
				v.rport = makeSpan(p.nameEnd, p.nameEnd)
				break
			}
			n, ok := number(value.of(b))
			if !ok || n > 65535 {
				return "Via has an rport that is not a port"
			}
			v.rportNum = uint16(n)
		} else if equalFold(name, "maddr") {
			v.maddr = trimBrackets(b, value)
		} else if equalFold(name, "alias") {
			v.alias = true
		}
	case 6:
		if equalFold(name, "branch") {
			if value.empty() {
				return "Via has a branch without a value"
			}
			v.branch = value
		}
	case 8:
		if equalFold(name, "received") {
			// RFC 5118 4.5: with brackets or without.
			v.recvText, v.received = value, trimBrackets(b, value)
		}
	}
	return ""
}

func trimBrackets(b []byte, s span) span {
	if s.end-s.start > 2 && b[s.start] == '[' && b[s.end-1] == ']' {
		return span{s.start + 1, s.end - 1}
	}
	return s
}

// view makes the view of v.
func (v *viaParts) view(b []byte) ViaValue {
	return ViaValue{
		Transport: v.transport.of(b), Host: v.host.of(b), Port: v.port,
		Branch: v.branch.opt(b), Received: v.received.opt(b), HasRport: v.hasRport, Rport: v.rportNum,
		Maddr: v.maddr.opt(b), TTL: v.ttl.opt(b), Alias: v.alias, Text: v.text.of(b),
	}
}

// Top returns the topmost Via, parsed by Index.
func (m *Message) Top() *ViaValue {
	if m.views&viewTop == 0 {
		m.views |= viewTop
		m.top = m.via.view(m.raw)
	}
	return &m.top
}

// Vias calls f for every Via value from the top until it returns false. A value that cannot be parsed has only Text.
func (m *Message) Vias(f func(v *ViaValue) bool) {
	if m.via.usable && !f(m.Top()) {
		return
	}
	values := m.Values(Via)
	if m.via.usable {
		values.Next()
	}
	for {
		text, ok := values.Next()
		if !ok {
			return
		}
		v, err := ParseVia(text)
		if err != nil {
			v = ViaValue{Text: text}
		}
		if !f(&v) {
			return
		}
	}
}

// ParseVia parses one Via value.
func ParseVia(text []byte) (ViaValue, error) {
	if len(text) > MaxMessage {
		return ViaValue{}, errTooLong
	}
	end := trimLWS(text, 0, len(text))
	var v viaParts
	if what := v.scan(text, skipLWS(text, 0, end), end); what != "" {
		return ViaValue{}, syntaxError(what)
	}
	if v.next != 0 {
		return ViaValue{}, syntaxError("Via has more than one value")
	}
	return v.view(text), nil
}

// AppendVia appends a Via value: "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK..." and, when rport is wanted, ";rport".
// hostport is the sent-by, an IPv6 address in brackets.
func AppendVia(dst []byte, transport string, hostport, branch []byte, rport bool) []byte {
	dst = append(dst, "SIP/2.0/"...)
	dst = append(dst, transport...)
	dst = append(dst, ' ')
	dst = append(dst, hostport...)
	dst = append(dst, ";branch="...)
	dst = append(dst, branch...)
	if rport {
		dst = append(dst, ";rport"...)
	}
	return dst
}
