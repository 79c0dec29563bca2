package message

// param is one parameter as offsets: name and value, the value with its quotes.
type param struct {
	name, nameEnd   int
	value, valueEnd int // equal without "="; a value cannot be empty
	next            int // behind it and the white space that follows
}

// scanParam reads one parameter, i standing behind its ';'. RFC 3261 25.1: generic-param with white space around it and
// around "=". what says what is wrong, "" when nothing is.
func scanParam(b []byte, i, end int) (p param, what string) {
	if i < end && class[b[i]]&cLWS != 0 {
		i = skipLWS(b, i, end)
	}
	p.name = i
	for i < end && class[b[i]]&cToken != 0 {
		i++
	}
	p.nameEnd = i
	if i == p.name {
		return p, "has a parameter without a name"
	}
	if i < end && class[b[i]]&cLWS != 0 {
		i = skipLWS(b, i, end)
	}
	if i < end && b[i] == '=' {
		i++
		if i < end && class[b[i]]&cLWS != 0 {
			i = skipLWS(b, i, end)
		}
		p.value = i
		if i < end && b[i] == '"' {
			if i = quotedEnd(b, i, end); i < 0 {
				return p, "has a quoted string without end"
			}
		} else {
			i = run(b, i, end, cValue)
		}
		if p.valueEnd = i; i == p.value {
			return p, "has a parameter without the value that '=' announces"
		}
		if i < end && class[b[i]]&cLWS != 0 {
			i = skipLWS(b, i, end)
		}
	}
	p.next = i
	return p, ""
}

// NextParam reads the first parameter of params, which starts with ';' after optional white space, such as
// Address.Params. value keeps its quotes and is nil for a parameter without "=". ok is false at the end and at
// something that is no parameter.
func NextParam(params []byte) (name, value, rest []byte, ok bool) {
	i := skipLWS(params, 0, len(params))
	if i == len(params) || params[i] != ';' {
		return nil, nil, nil, false
	}
	p, what := scanParam(params, i+1, len(params))
	if what != "" {
		return nil, nil, nil, false
	}
	if p.valueEnd > p.value {
		value = params[p.value:p.valueEnd:p.valueEnd]
	}
	return params[p.name:p.nameEnd:p.nameEnd], value, params[p.next:], true
}

// findParam returns the value of parameter name, without quotes when it is a quoted string without escapes.
func findParam(params []byte, name string) (value []byte, ok bool) {
	for {
		n, v, rest, more := NextParam(params)
		if !more {
			return nil, false
		}
		if equalFold(n, name) {
			return unquote(v), true
		}
		params = rest
	}
}

func unquote(v []byte) []byte {
	if len(v) < 2 || v[0] != '"' {
		return v
	}
	for _, c := range v {
		if c == '\\' {
			return v
		}
	}
	return v[1 : len(v)-1]
}
