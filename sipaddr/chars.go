package sipaddr

// The character classes of RFC 3261 25.1 and RFC 3966 3, one bit each.
const (
	cUser   = 1 << iota // unreserved and user-unreserved; "%" and ":" are looked at one by one
	cHost               // hostname and IPv4address
	cParam              // inside uri-parameters
	cOpaque             // uric of an absoluteURI, and headers after "?"
	cScheme             // after the first letter of a scheme
	cNumber             // phonedigit-hex of a tel URI
	cHex                // HEXDIG
	cReserv             // the reserved set of RFC 2396
)

var class = makeClass()

func makeClass() (t [256]uint8) {
	set := func(bits uint8, chars string) {
		for i := range len(chars) {
			t[chars[i]] |= bits
		}
	}
	const digits = "0123456789"
	const alpha = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	const mark = "-_.!~*'()"
	set(cUser|cHost|cScheme, alpha+digits)
	set(cUser, mark+"&=+$,;?/")
	// Deviates from RFC 3261 25.1: "#" in the user part need not be escaped, because phones dial *21# like that.
	set(cUser, "#")
	// Deviates from RFC 3261 25.1: "_" in host names, because names of containers and Windows hosts carry it.
	set(cHost, "-._")
	set(cScheme, "+-.")
	set(cNumber, digits+"abcdefABCDEF*#-.()")
	set(cHex, digits+"abcdefABCDEF")
	set(cReserv, ";/?:@&=+$,")
	for c := byte('!'); c <= '~'; c++ {
		switch c {
		case '<', '>', '"', '\\', '^', '`', '{', '|', '}':
			continue
		}
		t[c] |= cOpaque
		if c != ';' && c != '?' {
			// Deviates from RFC 3261 25.1: parameter values of Route and Record-Route are the private text of other
			// proxies, and some of them put "=" or "@" there unescaped.
			t[c] |= cParam
		}
	}
	return t
}

// lower folds an ASCII letter.
func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// unhex returns the value of a HEXDIG.
func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}

// escapeAt tells whether an escape ("%" HEXDIG HEXDIG) stands at i.
func escapeAt(b []byte, i int) bool {
	return i+2 < len(b) && b[i] == '%' && class[b[i+1]]&cHex != 0 && class[b[i+2]]&cHex != 0
}

// equalFold compares ASCII without regard to case.
func equalFold(a []byte, b string) bool {
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
