package message

import "bytes"

// Frame finds the end of the first message on a stream. n is its length; 0 with nil error: more bytes are needed.
// skip counts leading CRLF bytes (keepalives) to drop before it. The error, a *Malformed, means that the stream cannot
// be resynchronised: the connection must be closed (RFC 4475 3.1.2.3 and 3.3.9).
func Frame(buf []byte) (skip, n int, err error) {
	for skip+1 < len(buf) && buf[skip] == '\r' && buf[skip+1] == '\n' {
		skip += 2
	}
	head, length, bad := frameHead(buf[skip:])
	have := len(buf) - skip
	switch {
	case bad != nil:
		return skip, 0, bad
	case head == 0 && have >= MaxMessage:
		return skip, 0, &Malformed{Status: 513, What: "headers are longer than 65535 bytes"}
	case head == 0:
		return skip, 0, nil
	case length < 0:
		// RFC 3261 18.3: it MUST be used on streams.
		return skip, 0, &Malformed{Status: 400, What: "Content-Length is missing: a stream needs it"}
	case head+length > MaxMessage:
		return skip, 0, &Malformed{Status: 513, What: "message is longer than 65535 bytes"}
	case head+length > have:
		return skip, 0, nil
	}
	return skip, head + length, nil
}

// frameHead reads the header lines: head is the length up to and with the empty line, 0 when it is not there yet, and
// length the Content-Length, -1 when there is none.
func frameHead(buf []byte) (head, length int, bad *Malformed) {
	length = -1
	for pos := 0; ; {
		n := bytes.IndexByte(buf[pos:], '\n')
		if n < 0 {
			return 0, 0, nil
		}
		end := pos + n + 1
		if n == 0 || buf[end-2] != '\r' {
			return 0, 0, &Malformed{Status: 400, What: "line feed without carriage return among the headers"}
		}
		if n == 1 {
			return end, length, nil
		}
		if c := lower(buf[pos]); pos > 0 && (c == 'c' || c == 'l') {
			id, n := usualName(buf[pos:end])
			if n == 0 {
				n = run(buf, pos, end, cToken) - pos
				id = LookupHeader(buf[pos : pos+n])
			}
			if id == ContentLength {
				if end = foldedEnd(buf, end); end < 0 {
					return 0, 0, nil
				}
				if length >= 0 {
					return 0, 0, &Malformed{Status: 400, What: "Content-Length stands there more than once"}
				}
				if length = headerNumber(buf, pos+n, end); length < 0 {
					return 0, 0, &Malformed{Status: 400, What: "Content-Length is not a number"}
				}
			}
		}
		pos = end
	}
}

// foldedEnd moves the end of a line behind the lines that continue it, -1 when they may not all be there yet.
func foldedEnd(buf []byte, end int) int {
	for end < len(buf) {
		if buf[end] != ' ' && buf[end] != '\t' {
			return end
		}
		n := bytes.IndexByte(buf[end:], '\n')
		if n < 0 {
			break
		}
		end += n + 1
	}
	return -1
}

// headerNumber reads the number behind the name of a header that ends at i, -1 when it is none.
func headerNumber(buf []byte, i, end int) int {
	for i < end && (buf[i] == ' ' || buf[i] == '\t') {
		i++
	}
	if i == end || buf[i] != ':' {
		return -1
	}
	i = skipLWS(buf, i+1, end)
	n, ok := number(buf[i:trimLWS(buf, i, end)])
	if !ok {
		return -1
	}
	return n
}
