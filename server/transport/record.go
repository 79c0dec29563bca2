package transport

import "time"

// recordHeader is the length of a TLS record's header: type, version, length (RFC 8446 5.1).
const recordHeader = 5

// record follows the records that come from a peer. One that has begun has the time of a message to end: crypto/tls shows nothing
// of it before.
type record struct {
	limit time.Duration
	seen  int  // bytes of the header
	left  int  // bytes behind it that are to come
	timed bool // the read deadline is that of a record

	message bool // a message must arrive in time: the read deadline is its own already
}

// begun tells whether a record is there in part.
func (r *record) begun() bool { return r.seen > 0 }

// follow takes what has been read.
func (r *record) follow(b []byte) {
	for len(b) > 0 {
		if r.seen < recordHeader {
			r.left = r.left<<8&0xffff | int(b[0]) // the last two are the length
			r.seen++
			b = b[1:]
		} else {
			n := min(r.left, len(b))
			r.left -= n
			b = b[n:]
		}
		if r.seen == recordHeader && r.left == 0 {
			r.seen = 0
		}
	}
}
