package canonicalize

import (
	"bytes"
	"encoding/hex"

	"sipd/canonicalize/pattern"
	"sipd/sipaddr"
)

// Number appends the telephone number that u is about, without separators: of a tel URI, of a sip or sips URI with user=phone, and of one
// whose user looks like a number, as many telephones write them. A local number with a global phone-context is completed by it (RFC 3966
// 5.1.5); one whose context is a domain has a number only when local says that the domain is ours. The parameters of the number (ext,
// isub) are left out. ok is false, and dst unchanged, when u is about no number.
func Number(dst []byte, u *sipaddr.URI, local func(domain []byte) bool) (number []byte, ok bool) {
	start := len(dst)
	context, has := phoneContext(u)
	switch {
	case !has:
	case len(context) > 0 && context[0] == '+', len(context) > 2 && bytes.EqualFold(context[:3], []byte("%2B")):
		if len(u.User) > 0 && u.User[0] != '+' {
			dst = appendContext(dst, context)
		}
	case !local(context):
		return dst, false
	}
	from := len(dst)
	if dst, ok = u.AppendNumber(dst); !ok {
		dst, ok = looksLikeNumber(dst, u)
	}
	switch {
	case !ok, len(dst)-start > pattern.MaxLen:
		return dst[:start], false
	case from > start && dst[from] == '+': // An escaped + is one, too: the number is global already.
		return append(dst[:start], dst[from:]...), true
	}
	return dst, true
}

// appendContext appends a context that is a number, without its escapes and separators.
func appendContext(dst, context []byte) []byte {
	for i := 0; i < len(context); i++ {
		c := [1]byte{context[i]}
		if c[0] == '%' && i+2 < len(context) {
			if _, err := hex.Decode(c[:], context[i+1:i+3]); err == nil {
				i += 2
			}
		}
		dst = pattern.Strip(dst, c[:])
	}
	return dst
}

// phoneContext is the phone-context of a tel URI, or of the telephone-subscriber in the user part of a sip URI (RFC 3261 19.1.6).
func phoneContext(u *sipaddr.URI) (value []byte, ok bool) {
	if u.Scheme == sipaddr.TEL {
		return u.PhoneContext()
	}
	for i, c := range u.User {
		if c == ';' {
			tel := sipaddr.URI{Scheme: sipaddr.TEL, Params: u.User[i:]}
			return tel.PhoneContext()
		}
	}
	return nil, false
}

// looksLikeNumber reads the user of a sip URI that has digits and hyphens, + in front, and is nothing else.
func looksLikeNumber(dst []byte, u *sipaddr.URI) (number []byte, ok bool) {
	if u.Scheme != sipaddr.SIP && u.Scheme != sipaddr.SIPS {
		return dst, false
	}
	tel := sipaddr.URI{Scheme: sipaddr.TEL, User: u.User}
	for i, c := range u.User {
		if c == ';' {
			tel.User = u.User[:i]
			break
		}
	}
	start := len(dst)
	if number, ok = tel.AppendNumber(dst); !ok {
		return dst, false
	}
	for _, c := range number[start:] {
		if 'a' <= c && c <= 'f' { // "abba" is a name; A to D are digits only where user=phone says so.
			return number[:start], false
		}
	}
	return number, true
}
