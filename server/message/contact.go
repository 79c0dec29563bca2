package message

import "sipd/sipaddr"

// Parameters of Contact that registrars, redirect servers and proxies read.

// IsStar tells whether a Contact value is "*", which removes all bindings (RFC 3261 10.2.2).
func IsStar(text []byte) bool { return len(text) == 1 && text[0] == '*' }

// defaultExpires is what a malformed expires parameter counts as (RFC 3261 10.2.1.1: "equivalent to 3600").
const defaultExpires = 3600

// Expires returns the expires parameter in seconds, clamped to 2^31-1; 3600 when it is not a number; ok false when it is
// missing.
func (a *Address) Expires() (seconds int, ok bool) {
	v, ok := a.Param("expires")
	if !ok {
		return 0, false
	}
	n, isNumber := number(v)
	if !isNumber {
		return defaultExpires, true
	}
	return min(n, maxSeconds), true
}

// Q returns the q parameter in thousandths; ok false when it is missing. The error says that it is no qvalue.
func (a *Address) Q() (milli int, ok bool, err error) {
	v, ok := a.Param("q")
	if !ok {
		return 0, false, nil
	}
	milli, err = sipaddr.ParseQ(v)
	return milli, true, err
}

// Instance returns +sip.instance without its quotes, "<urn:uuid:...>" (RFC 5626 4.1), nil when it is missing.
func (a *Address) Instance() []byte {
	v, _ := a.Param("+sip.instance")
	return v
}

// RegID returns reg-id (RFC 5626 4.2), ok false when it is missing or not a number from 1 to 2^31-1.
func (a *Address) RegID() (id int, ok bool) {
	v, _ := a.Param("reg-id")
	n, ok := number(v)
	if !ok || n < 1 || n > maxSeconds {
		return 0, false
	}
	return n, true
}

// Action returns the action parameter of RFC 2543 6.13, "proxy" or "redirect", nil when it is missing.
func (a *Address) Action() []byte {
	v, _ := a.Param("action")
	return v
}
