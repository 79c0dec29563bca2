package message

// The character classes of RFC 3261 25.1, one bit each.
const (
	cToken   = 1 << iota // token
	cWord                // word, and "@", for Call-ID
	cValue               // an unquoted parameter value
	cDisplay             // an unquoted display name, white space included
	cLWS                 // white space; CR and LF stand in a value only where it is folded
	cHost                // hostname and IPv4address
	cURI                 // what may stand in a URI, angle brackets excluded
)

var class = makeClass()

func makeClass() (t [256]uint8) {
	set := func(bits uint8, chars string) {
		for i := range len(chars) {
			t[chars[i]] |= bits
		}
	}
	const alnum = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	const token = alnum + "-.!%*_+`'~"
	set(cToken|cWord|cDisplay, token)
	set(cWord, "()<>:\\\"/[]?{}@")
	// Deviates from RFC 3261 25.1: Call-ID may hold these too, as some gateways write them; nothing splits there.
	set(cWord, "=;,&$#|^")
	// Deviates from RFC 3261 25.1: "_" in host names, because names of containers and Windows hosts carry it.
	set(cHost, alnum+"-._")
	set(cLWS|cDisplay, " \t\r\n")
	for c := 0x21; c < 0x7f; c++ {
		switch c {
		case '<', '>', '"':
			continue
		}
		t[c] |= cURI
		if c != ';' && c != ',' {
			// Deviates from RFC 3261 25.1: an unquoted parameter value may hold separators that separate nothing
			// there; tags and branches of some implementations are base64 with "=" and "/".
			t[c] |= cValue
		}
	}
	for c := 0x80; c < 0x100; c++ {
		// Deviates from RFC 3261 25.1: names that are not ASCII are taken without quotes.
		t[c] |= cDisplay | cValue
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

// equalFold compares ASCII without regard to case.
func equalFold(a []byte, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i, c := range a {
		if c != b[i] && lower(c) != lower(b[i]) {
			return false
		}
	}
	return true
}

// run returns the first position from i on whose character is not of the class. Four at a time: identifiers are long.
func run(b []byte, i, end int, bit uint8) int {
	b = b[:end]
	for ; i+4 <= len(b); i += 4 {
		if class[b[i]]&class[b[i+1]]&class[b[i+2]]&class[b[i+3]]&bit == 0 {
			break
		}
	}
	for i < len(b) && class[b[i]]&bit != 0 {
		i++
	}
	return i
}

// skipLWS returns the first position from i on that is not white space, or end.
func skipLWS(b []byte, i, end int) int {
	for i < end && class[b[i]]&cLWS != 0 {
		i++
	}
	return i
}

// trimLWS returns end moved before trailing white space.
func trimLWS(b []byte, start, end int) int {
	for end > start && class[b[end-1]]&cLWS != 0 {
		end--
	}
	return end
}

// quotedEnd returns the position after the quoted string that starts at i, or -1 when its end is missing.
func quotedEnd(b []byte, i, end int) int {
	for i++; i < end; i++ {
		switch b[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
	return -1
}

// number reads 1*DIGIT, clamped to maxSeconds+1; ok is false for anything else.
func number(b []byte) (n int, ok bool) {
	for _, c := range b {
		if c -= '0'; c > 9 {
			return 0, false
		}
		if n = n*10 + int(c); n > maxSeconds {
			n = maxSeconds + 1
		}
	}
	return n, len(b) > 0
}
