package message

import "time"

// AppendDate appends a time as Date wants it (RFC 3261 20.17): "Sat, 13 Nov 2010 23:29:00 GMT".
func AppendDate(dst []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(dst, "Mon, 02 Jan 2006 15:04:05 GMT")
}
