package message

import (
	"bytes"
	"strconv"
	"time"

	"sipd/server/sipstatus"
)

// Field is a header line to add to a message sipd builds.
type Field struct {
	Name  string
	Value []byte
}

// AppendResponse writes a response to req behind dst (RFC 3261 8.2.6): all Vias (the topmost with received and rport),
// From, To with toTag added when it has none and toTag is not empty, Call-ID, CSeq, Record-Route for a dialog-making 1xx
// (not 100) or 2xx, then fields, Content-Length and body. reason "" takes the standard phrase.
// Of a malformed request it copies what is there.
func AppendResponse(dst []byte, req *Message, code int, reason string, toTag []byte, fields []Field, body []byte) []byte {
	if reason == "" {
		reason = sipstatus.Reason(code)
	}
	dst = append(dst, "SIP/2.0 "...)
	dst = strconv.AppendUint(dst, uint64(code), 10)
	dst = append(dst, ' ')
	dst = appendText(dst, reason)
	dst = append(dst, '\r', '\n')
	dst = appendVias(dst, req)
	if makesDialog(req.method) && code > 100 && code < 300 {
		dst = appendLines(dst, req, RecordRoute) // RFC 3261 12.1.1
	}
	dst = appendFirst(dst, req, From)
	if h, ok := req.First(To); ok {
		dst = append(dst, req.raw[h.Start:h.ValEnd]...)
		if len(toTag) > 0 && req.to.tag.empty() {
			dst = append(dst, ";tag="...)
			dst = append(dst, toTag...)
		}
		dst = append(dst, '\r', '\n')
	}
	dst = appendFirst(dst, req, CallID)
	dst = appendFirst(dst, req, CSeq)
	for _, f := range fields {
		dst = appendField(dst, f.Name, f.Value)
	}
	return appendBody(dst, body)
}

// AppendTrying writes the 100 (Trying) to req behind dst. RFC 3261 8.2.6.1: it has the Timestamp of the request, and behind it
// for how long the request has been here.
func AppendTrying(dst []byte, req *Message, delay time.Duration) []byte {
	h, ok := req.First(Timestamp)
	if !ok {
		return AppendResponse(dst, req, 100, "", nil, nil, nil)
	}
	stamp := req.HeaderValue(h)
	if isSeconds(stamp) { // Else it has a delay already, or is nothing that one could be added to.
		stamp = append(append(make([]byte, 0, len(stamp)+16), stamp...), ' ')
		stamp = strconv.AppendFloat(stamp, delay.Seconds(), 'f', 3, 64)
	}
	fields := [1]Field{{Timestamp.String(), stamp}}
	return AppendResponse(dst, req, 100, "", nil, fields[:], nil)
}

// isSeconds tells whether b is digits and at most one point.
func isSeconds(b []byte) bool {
	points := 0
	for _, c := range b {
		switch {
		case c == '.':
			points++
		case c < '0' || c > '9':
			return false
		}
	}
	return points <= 1 && len(b) > points
}

// makesDialog names the methods whose responses carry Record-Route (RFC 3261 12.1, RFC 6665 4.4, RFC 3515 2.4.6).
func makesDialog(method Method) bool {
	return method == INVITE || method == SUBSCRIBE || method == REFER
}

// appendVias copies the Via lines of a request, the topmost value with received and rport.
func appendVias(dst []byte, req *Message) []byte {
	n := int(req.first[Via]) - 1
	if n < 0 {
		return dst
	}
	if req.via.usable && req.Source.IsValid() {
		var t sourceText
		t.fill(req)
		h := req.headers[n]
		at := int(h.Start)
		for _, e := range t.edits {
			if e.text.empty() {
				continue
			}
			dst = append(dst, req.raw[at:e.at.start]...)
			dst = append(dst, e.text.of(t.buf[:])...)
			at = int(e.at.end)
		}
		dst = append(dst, req.raw[at:h.End]...)
		n = int(h.next)
	}
	for ; n >= 0; n = int(req.headers[n].next) {
		dst = append(dst, req.raw[req.headers[n].Start:req.headers[n].End]...)
	}
	return dst
}

// appendLines copies all lines of a header.
func appendLines(dst []byte, m *Message, id HeaderID) []byte {
	for n := int(m.first[id]) - 1; n >= 0; n = int(m.headers[n].next) {
		dst = append(dst, m.raw[m.headers[n].Start:m.headers[n].End]...)
	}
	return dst
}

// appendFirst copies the first line of a header.
func appendFirst(dst []byte, m *Message, id HeaderID) []byte {
	h, ok := m.First(id)
	if !ok {
		return dst
	}
	return append(dst, m.raw[h.Start:h.End]...)
}

// appendField writes a header line.
func appendField(dst []byte, name string, value []byte) []byte {
	dst = append(dst, name...)
	dst = append(dst, ':', ' ')
	dst = appendText(dst, value)
	return append(dst, '\r', '\n')
}

// appendText writes text that ends up in one line: line ends become spaces, so that no value can start a header of its
// own (a folded value keeps its meaning, RFC 3261 7.3.1).
func appendText[T string | []byte](dst []byte, text T) []byte {
	start := len(dst)
	dst = append(dst, text...)
	for _, c := range [...]byte{'\r', '\n'} {
		for i := bytes.IndexByte(dst[start:], c); i >= 0; i = bytes.IndexByte(dst[start:], c) {
			dst[start+i] = ' '
		}
	}
	return dst
}

// appendBody writes Content-Length, the empty line and the body.
func appendBody(dst, body []byte) []byte {
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendUint(dst, uint64(len(body)), 10)
	dst = append(dst, "\r\n\r\n"...)
	return append(dst, body...)
}
