package message

import "time"

// AppendDate appends a time as Date wants it (RFC 3261 20.17): "Sat, 13 Nov 2010 23:29:00 GMT".
func AppendDate(dst []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(dst, "Mon, 02 Jan 2006 15:04:05 GMT")
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
