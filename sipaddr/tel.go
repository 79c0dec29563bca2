package sipaddr

// visualSeparator tells the characters of a number that aid only the reader (RFC 3966 5.1.1).
func visualSeparator(c byte) bool { return c == '-' || c == '.' || c == '(' || c == ')' }

// AppendNumber appends the telephone number of a tel URI, or of a sip or sips URI with user=phone, without visual
// separators: "+12125550100". Parameters such as phone-context are left out. ok is false when the URI has no number.
func (u *URI) AppendNumber(dst []byte) (number []byte, ok bool) {
	user := u.User
	switch u.Scheme {
	case TEL:
	case SIP, SIPS:
		if v, ok := u.Param("user"); !ok || !equalFold(v, "phone") {
			return dst, false
		}
		for i, c := range user {
			if c == ';' {
				user = user[:i] // the parameters of the telephone-subscriber (RFC 3261 19.1.6)
				break
			}
		}
	default:
		return dst, false
	}
	start := len(dst)
	for i := 0; i < len(user); {
		c := user[i]
		if escapeAt(user, i) {
			c = unhex(user[i+1])<<4 | unhex(user[i+2])
			i += 3
		} else {
			i++
		}
		switch {
		case visualSeparator(c):
		case c == '+' && len(dst) == start, class[c]&cNumber != 0:
			dst = append(dst, lower(c))
		default:
			return dst[:start], false
		}
	}
	if n := len(dst) - start; n == 0 || n == 1 && dst[start] == '+' {
		return dst[:start], false
	}
	return dst, true
}

// PhoneContext returns the phone-context of a tel URI, which tells whose local number it is (RFC 3966 5.1.5).
func (u *URI) PhoneContext() (value []byte, ok bool) {
	if u.Scheme != TEL {
		return nil, false
	}
	return u.Param("phone-context")
}

// Global tells whether a telephone number is a global one, which begins with "+" (RFC 3966 5.1.4).
func Global(number []byte) bool { return len(number) > 1 && number[0] == '+' }

// equalTel compares as RFC 3966 4 says: number without separators, every parameter in both, all in any case.
func equalTel(u, v *URI) bool {
	return equalNumber(u.User, v.User) && equalTelParams(u.Params, v.Params) && equalTelParams(v.Params, u.Params)
}

func equalNumber(a, b []byte) bool {
	i, j := 0, 0
	for {
		for i < len(a) && visualSeparator(a[i]) {
			i++
		}
		for j < len(b) && visualSeparator(b[j]) {
			j++
		}
		if i == len(a) || j == len(b) {
			return i == len(a) && j == len(b)
		}
		if lower(a[i]) != lower(b[j]) {
			return false
		}
		i++
		j++
	}
}

func equalTelParams(a, b []byte) bool {
	for rest := a; len(rest) > 0; {
		var name []byte
		name, _, rest = nextParam(rest)
		av, _ := findParam(a, name)
		bv, ok := findParam(b, name)
		if !ok {
			return false
		}
		number := equalFold(name, "ext") || equalFold(name, "phone-context") && len(av) > 0 && av[0] == '+'
		if number && !equalNumber(av, bv) || !number && !equalEscaped(av, bv, true) {
			return false
		}
	}
	return true
}
