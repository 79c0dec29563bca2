package digest

import (
	"crypto/subtle"
	"encoding/hex"
	"errors"
)

// ErrEmpty says that nonce or response is empty: the client has seen no challenge yet and only tells its name (RFC 8760 2.7).
var ErrEmpty = errors.New("digest: no challenge has been answered yet")

// The other errors of Credentials.Parse.
var (
	errMissing   = errors.New("digest: username, realm, nonce, uri and response are needed")
	errAlgorithm = errors.New("digest: unknown algorithm: write MD5, SHA-256 or SHA-512-256")
	errQOP       = errors.New("digest: qop is not auth")
	errCount     = errors.New("digest: qop=auth needs cnonce, and nc of up to 8 hex digits that is not 0")
	errUserHash  = errors.New("digest: userhash and username* were not offered")
	errResponse  = errors.New("digest: response is not as many hex digits as the algorithm has")
)

// Credentials is an Authorization or Proxy-Authorization value, a view into the header's bytes; values with quoted-pairs,
// which are rare, are copies.
type Credentials struct {
	Username  []byte
	Realm     []byte
	Nonce     []byte
	URI       []byte
	Opaque    []byte
	CNonce    []byte
	NC        []byte // as written; nil when there is no QOP
	Count     uint32 // NC as a number
	Algorithm Algorithm
	QOP       bool // qop=auth; false: none, as in RFC 2069

	response [maxSize]byte
}

// Parse reads a header value. ErrScheme says that it is not about Digest, ErrEmpty that it answers no challenge; after any other error Realm, Username and Nonce
// are set as far as they could be read.
func (c *Credentials) Parse(header []byte) error {
	*c = Credentials{}
	s, err := scan(header)
	if err != nil {
		return err
	}
	var algorithm, qop, response []byte
	var userHash bool
	fields := [...]struct {
		name string
		to   *[]byte
	}{
		{"username", &c.Username}, {"realm", &c.Realm}, {"nonce", &c.Nonce}, {"uri", &c.URI}, {"response", &response}, {"cnonce", &c.CNonce},
		{"nc", &c.NC}, {"qop", &qop}, {"algorithm", &algorithm}, {"opaque", &c.Opaque},
	}
	for {
		name, v, err := s.next()
		if err != nil {
			return err
		}
		if name == nil {
			break
		}
		for i := range fields {
			if f := &fields[i]; equalFold(name, f.name) {
				if *f.to != nil {
					return errTwice // Two readers might pick different ones.
				}
				*f.to = v.plain()
				break
			}
		}
		if equalFold(name, "username*") || equalFold(name, "userhash") && !equalFold(v.text, "false") {
			userHash = true
		}
	}
	if userHash {
		return errUserHash
	}
	if c.Username == nil || c.Realm == nil || c.Nonce == nil || c.URI == nil || response == nil {
		return errMissing
	}
	if len(c.Nonce) == 0 || len(response) == 0 {
		return ErrEmpty
	}
	if algorithm != nil { // RFC 7616 3.3: MD5 when it is not there.
		var ok bool
		if c.Algorithm, ok = ParseAlgorithm(algorithm); !ok {
			return errAlgorithm
		}
	}
	if len(response) != hex.EncodedLen(c.Algorithm.Size()) {
		return errResponse
	}
	if _, err := hex.Decode(c.response[:], response); err != nil {
		return errResponse
	}
	if qop == nil {
		c.NC = nil // RFC 2617 3.2.2: nc and cnonce must not be there without qop; those who send them do not hash them.
		return nil
	}
	// RFC 3665 and many phones quote qop, which the grammar forbids (RFC 7616 3.4).
	if !equalFold(qop, "auth") {
		return errQOP
	}
	c.QOP = true
	var ok bool
	if c.Count, ok = parseCount(c.NC); !ok || c.CNonce == nil {
		return errCount
	}
	return nil
}

// parseCount reads nc-value, 8LHEX; fewer digits and upper case are taken as they are hashed.
func parseCount(nc []byte) (n uint32, ok bool) {
	if len(nc) == 0 || len(nc) > 8 {
		return 0, false
	}
	for _, c := range nc {
		switch c = lower(c); {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		default:
			return 0, false
		}
		n = n<<4 | uint32(c)
	}
	return n, n != 0
}

// Verify tells whether the credentials were made from ha1 (lower-case hex of their algorithm) for a request of this method. The comparison takes
// the same time wherever the two differ.
func (c *Credentials) Verify(ha1, method []byte) bool {
	var out [maxSize]byte
	want := response(&out, c, ha1, method)
	return subtle.ConstantTimeCompare(want, c.response[:len(want)]) == 1
}

// response computes KD(HA1, nonce ":" nc ":" cnonce ":" qop ":" HA2), or without qop KD(HA1, nonce ":" HA2)
// (RFC 7616 3.4.1, RFC 2617 3.2.2.1).
func response[T string | []byte](out *[maxSize]byte, c *Credentials, ha1 T, method []byte) []byte {
	var buf [1024]byte // Longer values spill to the heap: rightly so, they are no phone's.
	b := append(buf[:0], method...)
	b = append(b, ':')
	b = append(b, c.URI...)
	var ha2 [2 * maxSize]byte
	n := hex.Encode(ha2[:], c.Algorithm.sum(out, b))

	b = append(b[:0], ha1...)
	b = append(b, ':')
	b = append(b, c.Nonce...)
	b = append(b, ':')
	if c.QOP {
		b = append(b, c.NC...)
		b = append(b, ':')
		b = append(b, c.CNonce...)
		b = append(b, ":auth:"...)
	}
	b = append(b, ha2[:n]...)
	return c.Algorithm.sum(out, b)
}
