package digest

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// AppendChallenge appends the value of a WWW-Authenticate or Proxy-Authenticate field (RFC 7616 3.3). qop is always
// sent (RFC 8760 2.6); what must and must not be quoted is.
func AppendChallenge[T string | []byte](dst []byte, a Algorithm, realm string, nonce T, stale bool) []byte {
	dst = appendQuoted(append(dst, "Digest realm="...), realm)
	dst = appendQuoted(append(dst, ", nonce="...), nonce)
	dst = append(append(dst, ", algorithm="...), a.String()...)
	dst = append(dst, `, qop="auth"`...)
	if stale {
		dst = append(dst, ", stale=true"...)
	}
	return dst
}

// Challenge is what a server asks for, as its client reads it.
type Challenge struct {
	Realm     string
	Nonce     string
	Opaque    string
	HasOpaque bool
	Algorithm Algorithm
	QOP       bool // auth is among the offers
	Stale     bool
}

// ParseChallenge reads a WWW-Authenticate or Proxy-Authenticate value.
func ParseChallenge(header string) (Challenge, error) {
	var c Challenge
	s, err := scan([]byte(header))
	if err != nil {
		return Challenge{}, err
	}
	var hasNonce, hasQOP bool
	for {
		name, v, err := s.next()
		if err != nil {
			return Challenge{}, err
		}
		if name == nil {
			break
		}
		text := string(v.plain())
		switch strings.ToLower(string(name)) {
		case "realm":
			c.Realm = text
		case "nonce":
			c.Nonce, hasNonce = text, true
		case "opaque":
			c.Opaque, c.HasOpaque = text, true
		case "stale":
			c.Stale = strings.EqualFold(text, "true")
		case "algorithm":
			var ok bool
			if c.Algorithm, ok = ParseAlgorithm(text); !ok {
				return Challenge{}, fmt.Errorf("%w, not %s", errAlgorithm, text)
			}
		case "qop":
			hasQOP = true
			for _, q := range strings.Split(text, ",") {
				c.QOP = c.QOP || strings.EqualFold(strings.TrimSpace(q), "auth")
			}
		}
	}
	if !hasNonce {
		return Challenge{}, errors.New("digest: the challenge has no nonce")
	}
	if hasQOP && !c.QOP {
		return Challenge{}, errQOP
	}
	return c, nil
}

// Answer returns the value of the Authorization or Proxy-Authorization field that answers the challenge the count-th time. cnonce is used with qop only.
func (c *Challenge) Answer(username, password, method, uri, cnonce string, count uint32) string {
	a := Credentials{
		Algorithm: c.Algorithm, Nonce: []byte(c.Nonce), URI: []byte(uri), QOP: c.QOP,
		NC: fmt.Appendf(nil, "%08x", count), CNonce: []byte(cnonce),
	}
	var out [maxSize]byte
	sum := response(&out, &a, HA1(c.Algorithm, username, c.Realm, password), []byte(method))

	b := appendQuoted([]byte("Digest username="), username)
	b = appendQuoted(append(b, ", realm="...), c.Realm)
	b = appendQuoted(append(b, ", nonce="...), c.Nonce)
	b = appendQuoted(append(b, ", uri="...), uri)
	b = append(append(b, ", algorithm="...), c.Algorithm.String()...)
	if c.QOP {
		b = append(append(b, ", qop=auth, nc="...), a.NC...)
		b = appendQuoted(append(b, ", cnonce="...), cnonce)
	}
	b = append(b, `, response="`...)
	b = append(hex.AppendEncode(b, sum), '"')
	if c.HasOpaque {
		b = appendQuoted(append(b, ", opaque="...), c.Opaque)
	}
	return string(b)
}

// Authorize answers the challenge in a header value the first time, with a random cnonce.
func Authorize(challenge, username, password, method, uri string) (string, error) {
	c, err := ParseChallenge(challenge)
	if err != nil {
		return "", err
	}
	return c.Answer(username, password, method, uri, rand.Text(), 1), nil
}
