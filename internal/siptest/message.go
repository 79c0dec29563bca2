package siptest

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"sipd/internal/siptest/flow"
)

// line is a header line, its value without surrounding white space and with folds undone.
type line struct {
	name  string // long form, as RFC 3261 writes it where it is known
	value string
}

// sipMessage is a message as a scripted phone sees it.
type sipMessage struct {
	raw     []byte
	request bool
	version string
	method  string // of a response: the one in CSeq
	uri     string
	status  int
	lines   []line
	body    []byte

	cseqMethod string
}

// frameLen returns the length of the first whole message in buf, 0 when there is none yet.
func frameLen(buf []byte) int {
	head := bytes.Index(buf, []byte("\r\n\r\n"))
	if head < 0 {
		return 0
	}
	n := head + 4
	for l := range bytes.SplitSeq(buf[:head], []byte("\r\n")) {
		name, value, ok := bytes.Cut(l, []byte(":"))
		if !ok || flow.HeaderName(string(bytes.TrimSpace(name))) != "content-length" {
			continue
		}
		if length, err := strconv.Atoi(string(bytes.TrimSpace(value))); err == nil && length > 0 {
			n += length
		}
	}
	if n > len(buf) {
		return 0
	}
	return n
}

// parseMessage reads a whole message.
func parseMessage(raw []byte) (*sipMessage, error) {
	m, err := readMessage(raw)
	if err != nil {
		return nil, err
	}
	switch l := m.get("content-length"); {
	case m.version != "SIP/2.0":
		return nil, fmt.Errorf("version %q", m.version)
	case m.request && m.method != m.cseqMethod:
		return nil, fmt.Errorf("CSeq %q of a %s", m.get("cseq"), m.method)
	case l != "" && l != strconv.Itoa(len(m.body)):
		return nil, fmt.Errorf("Content-Length %s, but the body has %d bytes", l, len(m.body))
	}
	return m, nil
}

// readMessage reads a message that may be broken in ways that still let it be answered.
func readMessage(raw []byte) (*sipMessage, error) {
	head, body, ok := strings.Cut(string(raw), "\r\n\r\n")
	if !ok {
		return nil, fmt.Errorf("no empty line ends the header: %q", raw)
	}
	m := &sipMessage{raw: raw, body: []byte(body)}
	start, rest, _ := strings.Cut(head, "\r\n")
	switch f := strings.SplitN(start, " ", 3); {
	case len(f) == 3 && strings.HasPrefix(f[0], "SIP/"):
		n, err := strconv.Atoi(f[1])
		if err != nil || len(f[1]) != 3 {
			return nil, fmt.Errorf("status line %q", start)
		}
		m.version, m.status = f[0], n
	case len(f) == 3 && strings.HasPrefix(f[2], "SIP/"):
		m.version, m.request, m.method, m.uri = f[2], true, f[0], f[1]
	default:
		return nil, fmt.Errorf("start line %q", start)
	}
	rest = strings.NewReplacer("\r\n ", " ", "\r\n\t", " ").Replace(rest)
	for l := range strings.SplitSeq(rest, "\r\n") {
		name, value, ok := strings.Cut(l, ":")
		if !ok || strings.ContainsAny(l, "\r\n") {
			return nil, fmt.Errorf("header line %q", l)
		}
		m.lines = append(m.lines, line{flow.HeaderName(strings.TrimSpace(name)), strings.TrimSpace(value)})
	}
	cseq := strings.Fields(m.get("cseq"))
	if len(cseq) != 2 {
		return nil, fmt.Errorf("CSeq %q", cseq)
	}
	if _, err := strconv.ParseUint(cseq[0], 10, 32); err != nil {
		return nil, fmt.Errorf("CSeq %q", cseq)
	}
	m.cseqMethod = cseq[1]
	if !m.request {
		m.method = m.cseqMethod
	}
	return m, nil
}

// has tells whether a header is there.
func (m *sipMessage) has(name string) bool {
	for _, l := range m.lines {
		if l.name == name {
			return true
		}
	}
	return false
}

// get returns all lines of a header, joined by ", " (RFC 3261 7.3.1: the same as one line).
func (m *sipMessage) get(name string) string { return strings.Join(m.all(name), ", ") }

// all returns the lines of a header.
func (m *sipMessage) all(name string) (values []string) {
	for _, l := range m.lines {
		if l.name == name {
			values = append(values, l.value)
		}
	}
	return values
}

// values returns the comma-separated values of all lines of a header.
func (m *sipMessage) values(name string) (values []string) {
	for _, l := range m.all(name) {
		values = append(values, splitCommas(l)...)
	}
	return values
}

// splitCommas splits at commas outside quotes and angle brackets.
func splitCommas(s string) (parts []string) {
	quoted, angle, start := false, false, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '<':
			angle = true
		case c == '>':
			angle = false
		case c == ',' && !angle:
			parts = append(parts, strings.TrimSpace(s[start:i]))
			start = i + 1
		}
	}
	if t := strings.TrimSpace(s[start:]); t != "" || len(parts) > 0 {
		parts = append(parts, t)
	}
	return parts
}

// addressURI returns the URI of a name-addr or addr-spec.
func addressURI(s string) string {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case !quoted && s[i] == '<':
			if j := strings.IndexByte(s[i:], '>'); j > 0 {
				return s[i+1 : i+j]
			}
			return ""
		}
	}
	uri, _, _ := strings.Cut(s, ";")
	return strings.TrimSpace(uri)
}

// headerParams returns the parameters behind the address (or the first token) of a value, from the first ';' on.
func headerParams(s string) string {
	if i := strings.LastIndexByte(s, '>'); i >= 0 {
		s = s[i+1:]
	}
	if i := strings.IndexByte(s, ';'); i >= 0 {
		return s[i:]
	}
	return ""
}

// param finds a parameter in ";a=b;c".
func param(params, name string) (value string, ok bool) {
	for p := range strings.SplitSeq(params, ";") {
		n, v, _ := strings.Cut(strings.TrimSpace(p), "=")
		if strings.EqualFold(strings.TrimSpace(n), name) {
			return strings.Trim(strings.TrimSpace(v), `"`), true
		}
	}
	return "", false
}

// tag returns the tag of a From or To value.
func tag(value string) string {
	t, _ := param(headerParams(value), "tag")
	return t
}

// via is a Via value taken apart.
type via struct {
	proto  string // UDP
	sentBy string
	params string
	branch string
}

// slashes are the SLASH of RFC 3261 25.1, which white space may surround.
var slashes = regexp.MustCompile(`\s*/\s*`)

// parseVia reads one Via value.
func parseVia(s string) (via, error) {
	first, params, _ := strings.Cut(s, ";")
	f := strings.Fields(slashes.ReplaceAllString(first, "/"))
	if len(f) == 0 {
		return via{}, fmt.Errorf("broken Via %q", s)
	}
	protocol := strings.Split(f[0], "/")
	if len(f) != 2 || len(protocol) != 3 || protocol[0] != "SIP" {
		return via{}, fmt.Errorf("broken Via %q", s)
	}
	v := via{proto: protocol[2], sentBy: f[1]}
	if params != "" {
		v.params = ";" + params
	}
	v.branch, _ = param(v.params, "branch")
	return v, nil
}

// topVia returns the topmost Via, its zero value when there is none that can be read.
func (m *sipMessage) topVia() via {
	values := m.values("via")
	if len(values) == 0 {
		return via{}
	}
	v, err := parseVia(values[0])
	if err != nil {
		return via{}
	}
	return v
}

// name says what a message is in a line: "INVITE sip:bob@example.org", "180 INVITE".
func (m *sipMessage) String() string {
	if m.request {
		return m.method + " " + m.uri
	}
	return strconv.Itoa(m.status) + " " + m.method
}
