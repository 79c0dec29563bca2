package message

import (
	"bytes"

	"sipd/sipaddr"
)

// Index reads raw, one message of a datagram or one framed by Frame. The error is a *Malformed. After an error with a
// Status the message is still filled as far as AppendResponse needs it. CRLFs before the start line are skipped
// (RFC 3261 7.5). m.Source is left as it is.
func (m *Message) Index(raw []byte) error {
	m.headers = m.headers[:0]
	m.facts = facts{maxForwards: -1, contentLength: -1}
	m.dropViews()
	for len(raw) >= 2 && raw[0] == '\r' && raw[1] == '\n' {
		raw = raw[2:]
	}
	m.raw = raw
	var f fault
	if len(raw) > MaxMessage {
		f.note(513, "message is longer than 65535 bytes")
		raw = raw[:MaxMessage]
		m.raw = raw
	}
	pos, ok := m.startLine(raw, &f)
	if !ok {
		m.raw = nil
		return &Malformed{What: f.what}
	}
	pos = m.scanHeaders(raw, pos, &f)
	m.body = makeSpan(pos, len(raw))
	m.checkVia(&f)
	m.checkRoute(&f)
	m.checkCSeq(&f)
	m.checkSingles(&f)
	m.checkBody(&f)
	if f.what == "" && m.method == REGISTER && m.request {
		m.checkContacts(&f)
	}
	if f.what == "" {
		return nil
	}
	return m.malformed(f)
}

// fault is the first thing found wrong with a message.
type fault struct {
	status int
	what   string
	after  string // what, continued: kept apart so that building the text costs only the malformed
}

func (f *fault) note(status int, what string) {
	if f.what == "" {
		f.status, f.what = status, what
	}
}

// malformed turns the fault into what Index returns. A response is discarded (RFC 3261 18.1.2, 18.3), nothing answers
// an ACK (17.2.1), and without a usable topmost Via there is nowhere to answer to.
func (m *Message) malformed(f fault) error {
	if !m.request || m.method == ACK || !m.via.usable {
		f.status = 0
	}
	return &Malformed{Status: f.status, What: f.what + f.after}
}

// startLine reads Request-Line or Status-Line and returns where the headers start. ok is false when the line tells
// neither a SIP request nor a SIP response.
func (m *Message) startLine(raw []byte, f *fault) (pos int, ok bool) {
	eol := bytes.IndexByte(raw, '\n')
	if eol < 1 {
		f.note(0, "there is no start line")
		return 0, false
	}
	pos = eol + 1
	if raw[eol-1] == '\r' {
		eol--
	} else {
		f.note(400, "start line does not end in CRLF")
	}
	line := raw[:eol]
	if len(line) >= 4 && line[3] == '/' && equalFold(line[:4], "SIP/") {
		return pos, m.statusLine(line, f)
	}
	return pos, m.requestLine(line, f)
}

// statusLine reads SIP-Version SP Status-Code SP Reason-Phrase. The space before an empty phrase may be missing
// (RFC 4475 3.1.1.13). Whatever is wrong, the response is dropped.
func (m *Message) statusLine(line []byte, f *fault) bool {
	const version = "SIP/2.0 "
	if len(line) < len(version)+3 || !equalFold(line[:len(version)], version) {
		f.note(0, "status line does not start with SIP/2.0 and a status code")
		return false
	}
	if bytes.IndexByte(line, '\r') >= 0 { // Somebody else might read a header behind it.
		f.note(0, "carriage return without line feed in the status line")
		return false
	}
	code := line[len(version):]
	if len(code) > 3 && code[3] != ' ' {
		f.note(0, "status code does not have three digits")
		return false
	}
	n, ok := number(code[:3])
	if !ok || n < 100 || n > 699 {
		f.note(0, "status code is not a number from 100 to 699") // RFC 4475 3.1.2.19
		return false
	}
	m.status = uint16(n)
	return true
}

// requestLine reads Method SP Request-URI SP SIP-Version.
func (m *Message) requestLine(line []byte, f *fault) bool {
	i := 0
	for i < len(line) && class[line[i]]&cToken != 0 {
		i++
	}
	if i == 0 || i == len(line) || line[i] != ' ' {
		f.note(0, "start line is neither a request nor a response")
		return false
	}
	m.request = true
	m.methodText = makeSpan(0, i)
	m.method = ParseMethod(line[:i])
	uri := i + 1
	end := len(line)
	if n := end - 8; n > uri && string(line[n:]) == " SIP/2.0" {
		end = n
	} else {
		if line[end-1] == ' ' {
			// RFC 4475 3.1.2.10: it is acceptable to reject this as malformed.
			f.note(400, "space at the end of the request line")
			end = trimLWS(line, uri, end)
		}
		n := bytes.LastIndexByte(line[:end], ' ')
		if n < uri || end-n <= 5 || !equalFold(line[n+1:n+5], "SIP/") {
			f.note(0, "request line does not end in a SIP version")
			return false
		}
		if !equalFold(line[n+1:end], "SIP/2.0") {
			// RFC 3261 21.5.6, RFC 4475 3.1.2.16
			f.note(505, "SIP version is not 2.0")
		}
		end = n
	}
	m.uriText = makeSpan(uri, end)
	if end-uri > MaxURI {
		f.note(414, "Request-URI is longer than 4096 bytes")
		m.uriText.end = m.uriText.start
		return true
	}
	text := line[uri:end]
	if len(text) > 0 && (text[0] == ' ' || text[0] == '<' || text[len(text)-1] == ' ') {
		f.note(400, "Request-URI is in angle brackets or has spaces around it") // RFC 4475 3.1.2.7 and 3.1.2.9
		return true
	}
	switch err := m.uri.Split(text); {
	case err != nil:
		f.noteMore(400, "Request-URI is bad: ", err.Error()) // also RFC 4475 3.1.2.8
		m.uri = sipaddr.Parts{}
	case m.uri.HasHeaders():
		f.note(400, "Request-URI has headers behind '?'") // RFC 3261 19.1.1, RFC 4475 3.1.2.11
	}
	return true
}

func (f *fault) noteMore(status int, what, after string) {
	if f.what == "" {
		f.status, f.what, f.after = status, what, after
	}
}

// scanHeaders indexes the header lines from pos on and returns where the body starts.
func (m *Message) scanHeaders(raw []byte, pos int, f *fault) int {
	headers := m.headers
	start, lines := pos, 0
	for {
		if pos+1 < len(raw) && raw[pos] == '\r' && raw[pos+1] == '\n' {
			break
		}
		end := pos + bytes.IndexByte(raw[pos:], '\r') + 2
		if end <= pos+1 || end > len(raw) || raw[end-1] != '\n' {
			end = lineEnd(raw, pos, f)
		}
		if end < 0 {
			f.note(400, "headers do not end with an empty line")
			m.headers = headers
			m.headEnd = uint16(len(raw))
			return len(raw)
		}
		lines++
		valEnd := end - 2
		next := end
		for next < len(raw) && (raw[next] == ' ' || raw[next] == '\t') {
			// Folded: RFC 3261 7.3.1.
			if end = lineEnd(raw, next, f); end < 0 {
				f.note(400, "headers do not end with an empty line")
				m.headers = headers
				m.headEnd = uint16(len(raw))
				return len(raw)
			}
			lines++
			if skipLWS(raw, next, end) == end {
				// Some clients take a line of white space for the empty line before the body. What follows could be
				// read in two ways, so it is read in none.
				f.note(400, "line of white space among the headers: the line before the body must be empty")
			}
			next, valEnd = end, end-2
		}
		if len(headers) == MaxHeaders {
			f.note(513, "message has more than 256 header lines")
			m.headers = headers
			m.headEnd = uint16(pos)
			return len(raw)
		}
		id, n := usualName(raw[pos:])
		if n == 0 {
			for n = pos; n < valEnd && class[raw[n]]&cToken != 0; n++ {
			}
			n -= pos
			if n > 0 {
				id = LookupHeader(raw[pos : pos+n])
			}
		}
		val := pos + n
		for val < valEnd && (raw[val] == ' ' || raw[val] == '\t') {
			val++
		}
		if n == 0 || val >= valEnd || raw[val] != ':' {
			f.note(400, "header line is not a name, a colon and a value")
			pos = next
			continue
		}
		if val++; val < valEnd && class[raw[val]]&cLWS != 0 {
			val = skipLWS(raw, val, valEnd)
		}
		if valEnd > val && class[raw[valEnd-1]]&cLWS != 0 {
			valEnd = trimLWS(raw, val, valEnd)
		}
		// Field by field: a literal would be built elsewhere and copied, which costs more than the scan of the line.
		if len(headers) == cap(headers) {
			headers = append(headers, Header{})
		} else {
			headers = headers[:len(headers)+1]
		}
		h := &headers[len(headers)-1]
		h.ID, h.next = id, -1
		h.Start, h.NameEnd, h.End = uint32(pos), uint32(pos+n), uint32(next)
		h.ValStart, h.ValEnd = uint32(val), uint32(valEnd)
		if id != OtherHeader {
			at := int16(len(headers))
			if last := m.last[id]; last != 0 {
				headers[last-1].next = at - 1
			} else {
				m.first[id] = at
			}
			m.last[id] = at
		}
		pos = next
	}
	m.headers = headers
	m.headEnd = uint16(pos)
	// lineEnd has met every CR. A line feed that none of them precedes would be a line end to somebody else.
	if bytes.Count(raw[start:pos], lineFeed) != lines {
		f.note(400, "line feed without carriage return among the headers")
	}
	return pos + 2
}

var lineFeed = []byte{'\n'}

// lineEnd returns the position after the CRLF that ends the line at pos, -1 when there is none.
func lineEnd(raw []byte, pos int, f *fault) int {
	for {
		n := bytes.IndexByte(raw[pos:], '\r')
		if n < 0 {
			return -1
		}
		if pos += n + 1; pos < len(raw) && raw[pos] == '\n' {
			return pos + 1
		}
		f.note(400, "carriage return without line feed among the headers")
	}
}
