package sipaddr

import "bytes"

// Equal compares as RFC 3261 19.1.4 says (tel: RFC 3966 4). The relation is reflexive and symmetric but not transitive.
// URIs of other schemes are equal when their texts are, but for the case of the scheme.
func (u *URI) Equal(v *URI) bool {
	if u.Scheme != v.Scheme {
		return false // also "a SIP and SIPS URI are never equivalent"
	}
	switch u.Scheme {
	case TEL:
		return equalTel(u, v)
	case Other:
		return equalOther(u.Text, v.Text)
	}
	return u.HasUser == v.HasUser && u.HasPassword == v.HasPassword &&
		u.HasPort == v.HasPort && u.Port == v.Port && u.IPv6 == v.IPv6 &&
		equalEscaped(u.User, v.User, false) && equalEscaped(u.Password, v.Password, false) &&
		equalHost(u, v) && equalParams(u.Params, v.Params) && equalParams(v.Params, u.Params) &&
		equalHeaders(u.Headers, v.Headers)
}

func equalOther(a, b []byte) bool {
	i := bytes.IndexByte(a, ':')
	return i >= 0 && len(a) == len(b) && bytes.EqualFold(a[:i], b[:i]) && bytes.Equal(a[i:], b[i:])
}

func equalHost(u, v *URI) bool {
	if u.IPv6 {
		// One address can be written in many ways (RFC 5954 4.2).
		a, ok := u.Addr()
		b, ok2 := v.Addr()
		return ok && ok2 && a == b
	}
	a, b := trimDot(u.Host), trimDot(v.Host)
	if len(a) != len(b) {
		return false
	}
	for i, c := range a {
		if lower(c) != lower(b[i]) {
			return false
		}
	}
	return true
}

func trimDot(host []byte) []byte {
	if n := len(host); n > 1 && host[n-1] == '.' {
		return host[:n-1]
	}
	return host
}

// nextChar reads the character at i, an escape or a plain byte. A reserved character that is escaped does not equal the
// plain one, so that its value is moved out of the range of bytes.
func nextChar(b []byte, i int, fold bool) (c, next int) {
	if escapeAt(b, i) {
		ch := unhex(b[i+1])<<4 | unhex(b[i+2])
		if class[ch]&cReserv != 0 {
			return int(ch) | 1<<8, i + 3
		}
		if fold {
			ch = lower(ch)
		}
		return int(ch), i + 3
	}
	if fold {
		return int(lower(b[i])), i + 1
	}
	return int(b[i]), i + 1
}

// equalEscaped compares two components: characters other than the reserved ones equal their escapes.
func equalEscaped(a, b []byte, fold bool) bool {
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		var x, y int
		x, i = nextChar(a, i, fold)
		if y, j = nextChar(b, j, fold); x != y {
			return false
		}
	}
	return i == len(a) && j == len(b)
}

// equalParams tells whether every parameter of a matches those of b.
func equalParams(a, b []byte) bool {
	for rest := a; len(rest) > 0; {
		var name []byte
		name, _, rest = nextParam(rest)
		av, _ := findParam(a, name) // the first of that name, so that a URI equals itself
		bv, ok := findParam(b, name)
		switch {
		case ok && !equalEscaped(av, bv, true):
			return false
		case !ok && mustMatch(name):
			return false
		}
	}
	return true
}

func findParam(p, name []byte) (value []byte, ok bool) {
	for len(p) > 0 {
		var n, v []byte
		if n, v, p = nextParam(p); equalEscaped(n, name, true) {
			return v, true
		}
	}
	return nil, false
}

// mustMatch names the parameters that stand in both URIs or in neither. Transport is among them: a URI without it does
// not match one that has its default (and the RFC's own example says so).
func mustMatch(name []byte) bool {
	switch len(name) {
	case 3:
		return equalFold(name, "ttl")
	case 4:
		return equalFold(name, "user")
	case 5:
		return equalFold(name, "maddr")
	case 6:
		return equalFold(name, "method")
	case 9:
		return equalFold(name, "transport")
	}
	return false
}

// equalHeaders compares the headers as sets: each must be present in both, equally often.
func equalHeaders(a, b []byte) bool {
	if len(a) == 0 || len(b) == 0 {
		return len(a) == len(b)
	}
	na, nb := 0, 0
	for rest := a; len(rest) > 0; na++ {
		var name, value []byte
		name, value, rest = nextHeader(rest)
		if countHeader(a, name, value) != countHeader(b, name, value) {
			return false
		}
	}
	for rest := b; len(rest) > 0; nb++ {
		_, _, rest = nextHeader(rest)
	}
	return na == nb
}

func countHeader(h, name, value []byte) (n int) {
	for len(h) > 0 {
		var hn, hv []byte
		if hn, hv, h = nextHeader(h); equalEscaped(hn, name, true) && equalEscaped(hv, value, true) {
			n++
		}
	}
	return n
}
