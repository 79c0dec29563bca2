package trust

import (
	"bytes"

	"sipd/server/message"
)

// Privacy is what a Privacy header asks for (RFC 3323 4.2, RFC 3325 9.3).
type Privacy uint8

// The priv-values.
const (
	ID       Privacy = 1 << iota // keep the asserted identity from who is not trusted: we do that
	Header                       // hide Via, Contact and such: a privacy service's, we do not
	Session                      // hide where the media come from: likewise
	User                         // do what the phone should have done: likewise
	Critical                     // rather fail than go on without
	None                         // apply nothing
	Unknown                      // a priv-value that we do not know
)

// lacking are the priv-values that only a service behind us can provide.
const lacking = Header | Session | User | Unknown

// names are the priv-values as they are written, at the place of their bit.
var names = [...]string{"id", "header", "session", "user", "critical", "none"}

// PrivacyOf reads all Privacy headers of a message. The grammar separates by semicolons; some phones write commas.
func PrivacyOf(m *message.Message) (p Privacy) {
	eachValue(m, func(value []byte) { p |= bit(value) })
	return p
}

// Private tells whether the asserted identity has to be kept from who is not trusted (RFC 3325 7).
func (p Privacy) Private() bool { return p&ID != 0 }

// Lacks tells whether something is asked for that we do not provide (RFC 3323 5).
func (p Privacy) Lacks() bool { return p&lacking != 0 }

// Fails tells whether a request must rather fail than go on to where nobody provides what we lack (RFC 3323 5).
func (p Privacy) Fails() bool { return p&Critical != 0 && p.Lacks() }

// maxNamed bounds the priv-values that a reason phrase lists: there are three, and what somebody may think of.
const maxNamed = 6

// AppendLacking appends the priv-values of m that we do not provide, for a reason phrase.
func AppendLacking(dst []byte, m *message.Message) []byte {
	n := 0
	eachValue(m, func(value []byte) {
		if bit(value)&lacking == 0 || n == maxNamed || !isToken(value) {
			return
		}
		if n > 0 {
			dst = append(dst, ", "...)
		}
		dst = append(dst, value...)
		n++
	})
	return dst
}

func bit(value []byte) Privacy {
	for i, name := range names {
		if len(value) == len(name) && bytes.EqualFold(value, []byte(name)) {
			return 1 << i
		}
	}
	return Unknown
}

func eachValue(m *message.Message, f func(value []byte)) {
	for h, ok := m.First(message.Privacy); ok; h, ok = m.After(h) {
		for rest := m.HeaderValue(h); len(rest) > 0; {
			value := rest
			if i := bytes.IndexAny(rest, ";,"); i >= 0 {
				value, rest = rest[:i], rest[i+1:]
			} else {
				rest = nil
			}
			if value = bytes.TrimSpace(value); len(value) > 0 { // Folds are white space.
				f(value)
			}
		}
	}
}

// isToken tells whether a value can stand in a reason phrase: a token (RFC 3261 25.1), no longer than any priv-value would be.
func isToken(value []byte) bool {
	if len(value) > 32 {
		return false
	}
	for _, c := range value {
		if c <= ' ' || c > '~' || bytes.IndexByte([]byte(`()<>@,;:\"/[]?={}`), c) >= 0 {
			return false
		}
	}
	return true
}
