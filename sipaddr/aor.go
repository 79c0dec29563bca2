package sipaddr

import (
	"fmt"
	"strings"
)

// AOR is a canonical address-of-record without scheme: "alice@example.com".
type AOR string

// User returns what stands before the last '@', "" if there is none.
func (a AOR) User() string {
	if i := strings.LastIndexByte(string(a), '@'); i >= 0 {
		return string(a[:i])
	}
	return ""
}

// Host returns what stands after the last '@'.
func (a AOR) Host() string { return string(a[strings.LastIndexByte(string(a), '@')+1:]) }

// AppendAOR appends the canonical address-of-record of a sip or sips URI: user unescaped (RFC 3261 10.3 step 5), '@',
// host in lower case without a trailing dot; no scheme, port, parameters or headers. Without a user: the host alone.
// An IPv6 host keeps brackets. Of URIs of other schemes nothing is appended.
func (u *URI) AppendAOR(dst []byte) []byte {
	if u.Scheme != SIP && u.Scheme != SIPS {
		return dst
	}
	if u.HasUser {
		dst = appendUnescaped(dst, u.User)
		dst = append(dst, '@')
	}
	if u.IPv6 {
		if a, ok := u.Addr(); ok {
			return append(a.AppendTo(append(dst, '[')), ']') // one form of the many that an address has
		}
	}
	return appendLower(dst, trimDot(u.Host))
}

// appendUnescaped appends b with every "%" HEX HEX replaced by its byte, once and never recursively (RFC 4475 3.1.1.3).
func appendUnescaped(dst, b []byte) []byte {
	for i := 0; i < len(b); {
		if escapeAt(b, i) {
			dst = append(dst, unhex(b[i+1])<<4|unhex(b[i+2]))
			i += 3
			continue
		}
		dst = append(dst, b[i])
		i++
	}
	return dst
}

func appendLower(dst, b []byte) []byte {
	for _, c := range b {
		dst = append(dst, lower(c))
	}
	return dst
}

// AppendURI appends the sip URI of the address-of-record, with what a user part may not hold escaped (RFC 3261 19.1.2).
func (a AOR) AppendURI(dst []byte) []byte {
	dst = append(dst, "sip:"...)
	if i := strings.LastIndexByte(string(a), '@'); i >= 0 {
		const hex = "0123456789ABCDEF"
		for _, c := range []byte(a[:i]) {
			if class[c]&cUser == 0 || c == '#' {
				dst = append(dst, '%', hex[c>>4], hex[c&15])
				continue
			}
			dst = append(dst, c)
		}
		dst = append(dst, '@')
		a = a[i+1:]
	}
	return append(dst, a...)
}

// ParseAOR makes the canonical AOR of what a person or a header wrote: "sip:Alice@EXAMPLE.com;x", "alice@example.com".
// The error names what to write instead.
func ParseAOR(s string) (AOR, error) {
	text := strings.TrimSpace(s)
	if n := len(text); n > 2 && text[0] == '<' && text[n-1] == '>' {
		text = text[1 : n-1]
	}
	if text == "" {
		return "", fmt.Errorf("the address is empty: write one such as alice@example.com")
	}
	scheme, _, ok := strings.Cut(text, ":")
	switch {
	case ok && (strings.EqualFold(scheme, "sip") || strings.EqualFold(scheme, "sips")):
	case ok && strings.EqualFold(scheme, "tel"):
		return "", fmt.Errorf("%q is a telephone number, not an address-of-record: write it as number@domain, such as +12125550100@example.com", s)
	case !strings.Contains(text, "@"):
		return "", fmt.Errorf("%q has no domain: write %s@example.com with your own domain", s, text)
	default:
		text = "sip:" + text
	}
	u, err := Parse([]byte(text))
	if err != nil {
		return "", fmt.Errorf("%q is not an address such as alice@example.com: %w", s, err)
	}
	return AOR(u.AppendAOR(nil)), nil
}
