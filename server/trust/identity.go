package trust

import (
	"bytes"

	"sipd/server/message"
	"sipd/sipaddr"
	"sipd/store/cache"
)

// Identity returns the P-Asserted-Identity value for a request of u, who has proven that he is u (RFC 3325 5): his
// address-of-record, or the one among his own that P-Preferred-Identity hints at (6). A hint at what is not his counts for
// nothing. It is at most one sip URI; the display name is the one in our tables, since nobody has verified another.
func Identity(t *cache.Snapshot, u cache.User, m *message.Message) []byte {
	aor := u.Key
	v := m.Values(message.PPreferredIdentity)
	for range maxHints {
		text, ok := v.Next()
		if !ok {
			break
		}
		if own := owned(t, u, text); own != "" {
			aor = own
			break
		}
	}
	value := make([]byte, 0, len(u.DisplayName)+len(aor)+len(`"" <sip:>`))
	value = appendDisplay(value, u.DisplayName)
	value = append(value, '<')
	return append(aor.AppendURI(value), '>')
}

// maxHints is how many values of P-Preferred-Identity are looked at: there are one or two (9.2).
const maxHints = 2

// owned returns the address-of-record of a hint if it is u's, "" if not.
func owned(t *cache.Snapshot, u cache.User, text []byte) sipaddr.AOR {
	a, err := message.ParseAddress(text)
	if err != nil || a.URI.Scheme != sipaddr.SIP && a.URI.Scheme != sipaddr.SIPS || !a.URI.HasUser {
		return ""
	}
	dom := t.Domain(a.URI.Host)
	if dom == nil {
		return ""
	}
	aor := a.URI.AppendAOR(make([]byte, 0, 64))
	aor = append(aor[:bytes.LastIndexByte(aor, '@')+1], dom.Canonical...)
	if !t.Owns(u, aor) {
		return ""
	}
	return sipaddr.AOR(aor)
}

// appendDisplay writes a display name as a quoted string (RFC 3261 25.1), and a space behind it; nothing for none. What cannot stand
// there is left out.
func appendDisplay(dst []byte, name string) []byte {
	at := len(dst)
	dst = append(dst, '"')
	for i := range len(name) {
		switch c := name[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c >= ' ' && c != 0x7f:
			dst = append(dst, c)
		}
	}
	if len(dst) == at+1 {
		return dst[:at]
	}
	return append(dst, `" `...)
}
