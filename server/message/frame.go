package message

import "bytes"

var headEnd = []byte("\r\n\r\n")

// Frame finds the end of the first message on a stream. n is its length; 0 with nil error: more bytes are needed.
// skip counts leading CRLF bytes (keepalives) to drop before it. The error, a *Malformed, means that the stream cannot
// be resynchronised: the connection must be closed (RFC 4475 3.1.2.3 and 3.3.9).
func Frame(buf []byte) (skip, n int, err error) {
	for skip+1 < len(buf) && buf[skip] == '\r' && buf[skip+1] == '\n' {
		skip += 2
	}
	buf = buf[skip:]
	i := bytes.Index(buf, headEnd)
	if i < 0 {
		if len(buf) >= MaxMessage {
			return skip, 0, &Malformed{Status: 513, What: "headers are longer than 65535 bytes"}
		}
		return skip, 0, nil
	}
	head := i + len(headEnd)
	length, what := frameLength(buf[:head])
	if what != "" {
		return skip, 0, &Malformed{Status: 400, What: what}
	}
	switch n = head + length; {
	case n > MaxMessage:
		return skip, 0, &Malformed{Status: 513, What: "message is longer than 65535 bytes"}
	case n > len(buf):
		return skip, 0, nil
	}
	return skip, n, nil
}

// frameLength reads Content-Length out of a message's head, what says why it cannot. RFC 3261 18.3: the header must be
// there on a stream.
func frameLength(head []byte) (length int, what string) {
	length = -1
	pos := bytes.IndexByte(head, '\n') + 1
	for pos < len(head) {
		end := bytes.IndexByte(head[pos:], '\n')
		if end < 0 {
			break
		}
		for end += pos + 1; end < len(head) && (head[end] == ' ' || head[end] == '\t'); {
			n := bytes.IndexByte(head[end:], '\n')
			if n < 0 {
				break
			}
			end += n + 1
		}
		if c := head[pos] | 0x20; c == 'c' || c == 'l' {
			i := pos
			for i < end && class[head[i]]&cToken != 0 {
				i++
			}
			if LookupHeader(head[pos:i]) == ContentLength {
				if length >= 0 {
					return 0, "Content-Length stands there more than once"
				}
				for i < end && (head[i] == ' ' || head[i] == '\t') {
					i++
				}
				if head[i] != ':' {
					return 0, "Content-Length has no colon"
				}
				i = skipLWS(head, i+1, end)
				n, ok := number(head[i:trimLWS(head, i, end)])
				if !ok {
					return 0, "Content-Length is not a number"
				}
				length = n
			}
		}
		pos = end
	}
	if length < 0 {
		return 0, "Content-Length is missing: a stream needs it"
	}
	return length, ""
}
