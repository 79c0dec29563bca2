package digest

import (
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
)

// Algorithm is a digest algorithm (RFC 7616 3.2, RFC 8760 2.1).
type Algorithm uint8

// The algorithms.
const (
	MD5 Algorithm = iota
	SHA256
	SHA512256
	numAlgorithms
)

// names are the tokens of the algorithm parameter.
var names = [numAlgorithms]string{"MD5", "SHA-256", "SHA-512-256"}

// String returns the token of the algorithm parameter.
func (a Algorithm) String() string {
	if a >= numAlgorithms {
		return "unknown"
	}
	return names[a]
}

// ParseAlgorithm reads a token, any case; the -sess variants are not known.
func ParseAlgorithm[T string | []byte](token T) (a Algorithm, ok bool) {
	for i, name := range names {
		if equalFold(token, name) {
			return Algorithm(i), true
		}
	}
	return 0, false
}

// Size returns the length of a digest in bytes; its hex form has twice as many characters.
func (a Algorithm) Size() int {
	if a == MD5 {
		return md5.Size
	}
	return sha256.Size // SHA-512/256 has as many.
}

// maxSize is the longest digest.
const maxSize = sha256.Size

// sum writes the digest of data into out and returns that part of it.
func (a Algorithm) sum(out *[maxSize]byte, data []byte) []byte {
	switch a {
	case SHA256:
		*out = sha256.Sum256(data)
		return out[:]
	case SHA512256:
		*out = sha512.Sum512_256(data)
		return out[:]
	}
	s := md5.Sum(data)
	return out[:copy(out[:], s[:])]
}

// HA1 returns H(username:realm:password) in lower-case hex (RFC 7616 3.4.2).
func HA1(a Algorithm, username, realm, password string) string {
	var out [maxSize]byte
	return hex.EncodeToString(a.sum(&out, []byte(username+":"+realm+":"+password)))
}

// equalFold compares ASCII letters in any case.
func equalFold[T string | []byte](a T, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(b) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
