package message

// Warn codes of RFC 5630 5.1.2.
const (
	WarnSIPSNotAllowed = 380
	WarnSIPSRequired   = 381
)

var (
	warnSIPSNotAllowed = []Field{{Name: "Warning", Value: []byte(`380 sipd "SIPS Not Allowed"`)}}
	warnSIPSRequired   = []Field{{Name: "Warning", Value: []byte(`381 sipd "SIPS Required"`)}}
)

// WarningFields returns the Warning header field (RFC 3261 20.43) with a warn code, which is for a response of ours; nil for a code
// that we never send.
func WarningFields(code int) []Field {
	switch code {
	case WarnSIPSNotAllowed:
		return warnSIPSNotAllowed
	case WarnSIPSRequired:
		return warnSIPSRequired
	}
	return nil
}
