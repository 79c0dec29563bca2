package message

import "bytes"

// Values walks the comma-separated values of all headers of this id, in order. Commas in quotes and in <> do not separate.
// Empty values are left out.
func (m *Message) Values(id HeaderID) Values {
	v := Values{m: m, line: -1}
	if id < numHeaders {
		v.line = int(m.first[id]) - 1
	}
	if v.line >= 0 {
		v.at = m.headers[v.line].ValStart
	}
	return v
}

// Values is the walk that Message.Values starts.
type Values struct {
	m    *Message
	line int    // index of the header line, -1 at the end
	at   uint32 // where the next value starts, white space and commas before it not yet skipped
}

// Next returns the next value; ok is false at the end. text has no surrounding white space.
func (v *Values) Next() (text []byte, ok bool) {
	start, end, ok := v.next()
	if !ok {
		return nil, false
	}
	return v.m.raw[start:end:end], true
}

func (v *Values) next() (start, end int, ok bool) {
	for v.line >= 0 {
		h := &v.m.headers[v.line]
		b, lineEnd := v.m.raw, int(h.ValEnd)
		start = nextValue(b, int(v.at), lineEnd)
		if start < lineEnd {
			end = valueEnd(b, start, lineEnd)
			v.at = uint32(end)
			return start, end, true
		}
		if v.line = int(h.next); v.line >= 0 {
			v.at = v.m.headers[v.line].ValStart
		}
	}
	return 0, 0, false
}

// nextValue skips white space and commas: it returns where the next value starts, end when there is none.
func nextValue(b []byte, i, end int) int {
	for i < end && (b[i] == ',' || class[b[i]]&cLWS != 0) {
		i++
	}
	return i
}

// valueEnd returns where the value that starts at start ends: before the comma that separates it from the next one and
// before the white space there, or at end.
func valueEnd(b []byte, start, end int) int {
	if bytes.IndexByte(b[start:end], ',') < 0 {
		return trimLWS(b, start, end)
	}
	i := start
	for i < end {
		switch b[i] {
		case ',':
			return trimLWS(b, start, i)
		case '"':
			if i = quotedEnd(b, i, end); i < 0 {
				return trimLWS(b, start, end)
			}
			continue
		case '<':
			n := bytes.IndexByte(b[i:end], '>')
			if n < 0 {
				return trimLWS(b, start, end)
			}
			i += n
		}
		i++
	}
	return trimLWS(b, start, end)
}

// Last returns the last value of header id, nil if there is none: of Route the one that a strict router put there (RFC
// 3261 16.4).
func (m *Message) Last(id HeaderID) []byte {
	var last []byte
	for v := m.Values(id); ; {
		text, ok := v.Next()
		if !ok {
			return last
		}
		last = text
	}
}

// HasToken tells whether one of the values of header id is token, in any case: an option tag of Require, Proxy-Require or
// Supported, a method of Allow.
func (m *Message) HasToken(id HeaderID, token string) bool {
	for v := m.Values(id); ; {
		text, ok := v.Next()
		if !ok {
			return false
		}
		if equalFold(text, token) {
			return true
		}
	}
}

// First returns the first header line of this id.
func (m *Message) First(id HeaderID) (h Header, ok bool) {
	if id >= numHeaders || m.first[id] == 0 {
		return Header{}, false
	}
	return m.headers[m.first[id]-1], true
}

// After returns the next header line with the id of h.
func (m *Message) After(h Header) (next Header, ok bool) {
	if h.next < 0 || int(h.next) >= len(m.headers) {
		return Header{}, false
	}
	return m.headers[h.next], true
}

// Named returns the first header line with this name, in any case, long or compact, known or not.
func (m *Message) Named(name string) (h Header, ok bool) {
	if len(name) == 1 {
		if long := longName(name[0]); long != "" {
			name = long
		}
	}
	for _, h := range m.headers {
		n := m.raw[h.Start:h.NameEnd]
		if equalFold(n, name) || len(n) == 1 && longName(n[0]) != "" && equalFold([]byte(longName(n[0])), name) {
			return h, true
		}
	}
	return Header{}, false
}

// HeaderName returns the name of a header line as written.
func (m *Message) HeaderName(h Header) []byte { return m.raw[h.Start:h.NameEnd:h.NameEnd] }

// HeaderValue returns the value of a header line as written, folds included.
func (m *Message) HeaderValue(h Header) []byte { return m.raw[h.ValStart:h.ValEnd:h.ValEnd] }
