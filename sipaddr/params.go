package sipaddr

import "bytes"

// Param returns the value of parameter name (any case; value "" with ok true for a flag). Of a name that stands there
// twice the first counts.
func (u *URI) Param(name string) (value []byte, ok bool) {
	for p := u.Params; len(p) > 0; {
		var n, v []byte
		if n, v, p = nextParam(p); equalFold(n, name) {
			return v, true
		}
	}
	return nil, false
}

// HasParam tells whether parameter name is there, as a flag or with a value.
func (u *URI) HasParam(name string) bool {
	_, ok := u.Param(name)
	return ok
}

// Maddr returns the maddr parameter, an IPv6 address without its brackets: where requests to the URI go, whatever its host
// says (RFC 3261 19.1.1).
func (u *URI) Maddr() (host []byte, ok bool) {
	host, ok = u.Param("maddr")
	if n := len(host); n > 2 && host[0] == '[' && host[n-1] == ']' {
		host = host[1 : n-1]
	}
	return host, ok
}

// nextParam cuts the first parameter off p, which starts with ';'.
func nextParam(p []byte) (name, value, rest []byte) {
	p = p[1:]
	if i := bytes.IndexByte(p, ';'); i >= 0 {
		p, rest = p[:i], p[i:]
	}
	if i := bytes.IndexByte(p, '='); i >= 0 {
		return p[:i], p[i+1:], rest
	}
	return p, nil, rest
}

// nextHeader cuts the first header off h, what follows '?'.
func nextHeader(h []byte) (name, value, rest []byte) {
	if i := bytes.IndexByte(h, '&'); i >= 0 {
		h, rest = h[:i], h[i+1:]
	}
	if i := bytes.IndexByte(h, '='); i >= 0 {
		return h[:i], h[i+1:], rest
	}
	return h, nil, rest
}
