package digest

import (
	"bytes"
	"errors"
)

// maxParams bounds what one header value may make us look at: RFC 7616 defines 13 parameters, others are ignored.
const maxParams = 32

// The errors of parsing.
var (
	ErrScheme = errors.New("digest: the scheme is not Digest")
	errSyntax = errors.New(`digest: not a comma-separated list of name=value or name="value"`)
	errTwice  = errors.New("digest: a parameter stands twice")
	errMany   = errors.New("digest: too many parameters")
)

// value is a parameter's value as written; of a quoted string what stands between the quotes.
type value struct {
	text    []byte
	escaped bool // quoted-pairs are in it
}

// scanner walks the parameters of a header value.
type scanner struct {
	rest  []byte
	count int
}

// scan starts behind the scheme; ErrScheme says that it is another one.
func scan(header []byte) (scanner, error) {
	header = skipSpace(header)
	n := len(header)
	if i := bytes.IndexFunc(header, func(r rune) bool { return r == ' ' || r == '\t' || r == '\r' || r == '\n' }); i >= 0 {
		n = i
	}
	if !equalFold(header[:n], "Digest") {
		return scanner{}, ErrScheme
	}
	return scanner{rest: skipSpace(header[n:])}, nil
}

// next returns the next parameter; name is nil at the end. RFC 7235 2.1: auth-param = token BWS "=" BWS ( token /
// quoted-string ), empty list elements allowed.
func (s *scanner) next() (name []byte, v value, err error) {
	rest := s.rest
	for len(rest) > 0 && rest[0] == ',' {
		rest = skipSpace(rest[1:])
	}
	if len(rest) == 0 {
		return nil, value{}, nil
	}
	if s.count++; s.count > maxParams {
		return nil, value{}, errMany
	}
	n := tokenLen(rest)
	name, rest = rest[:n], skipSpace(rest[n:])
	if n == 0 || len(rest) == 0 || rest[0] != '=' {
		return nil, value{}, errSyntax
	}
	rest = skipSpace(rest[1:])
	if len(rest) > 0 && rest[0] == '"' {
		end := 1
		for ; end < len(rest) && rest[end] != '"'; end++ {
			if rest[end] == '\\' {
				v.escaped = true
				end++
			}
		}
		if end >= len(rest) {
			return nil, value{}, errSyntax
		}
		v.text, rest = rest[1:end], rest[end+1:]
	} else {
		n := 0
		for n < len(rest) && rest[n] != ',' && rest[n] != '"' && !isSpace(rest[n]) {
			n++
		}
		if n == 0 {
			return nil, value{}, errSyntax
		}
		v.text, rest = rest[:n], rest[n:]
	}
	rest = skipSpace(rest)
	if len(rest) > 0 && rest[0] != ',' {
		return nil, value{}, errSyntax
	}
	s.rest = rest
	return name, v, nil
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' } // A folded line is white space.

func skipSpace(b []byte) []byte {
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	return b
}

// tokenLen returns how many characters of RFC 3261 25.1's token b begins with, '*' of username* among them.
func tokenLen(b []byte) int {
	for i, c := range b {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '.', c == '!', c == '%', c == '*', c == '_', c == '+', c == '`', c == '\'', c == '~':
		default:
			return i
		}
	}
	return len(b)
}

// appendPlain appends v without quoting slashes (RFC 7616 3.3: unq).
func (v value) appendPlain(dst []byte) []byte {
	if !v.escaped {
		return append(dst, v.text...)
	}
	for i := 0; i < len(v.text); i++ {
		if v.text[i] == '\\' && i+1 < len(v.text) {
			i++
		}
		dst = append(dst, v.text[i])
	}
	return dst
}

// plain returns v without quoting slashes; it allocates only when there are any.
func (v value) plain() []byte {
	if !v.escaped {
		return v.text
	}
	return v.appendPlain(make([]byte, 0, len(v.text)))
}

// appendQuoted appends s as a quoted string.
func appendQuoted[T string | []byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, s[i])
	}
	return append(dst, '"')
}
