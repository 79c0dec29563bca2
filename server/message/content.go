package message

import "bytes"

// Unacceptable returns what a UAS answers 415 with (RFC 3261 8.2.3), nil when it may go on: m has no body, one of the type that
// it understands (accepts, in lower case; "" for none), or one that is optional. Content-Language is not asked for: of no
// body is a text read.
func (m *Message) Unacceptable(accepts string) []Field {
	if len(m.Body()) == 0 || m.optionalBody() {
		return nil
	}
	encodings := m.Values(ContentEncoding)
	for e, ok := encodings.Next(); ok; e, ok = encodings.Next() {
		if !equalFold(e, "identity") {
			return []Field{{"Accept-Encoding", []byte("identity")}}
		}
	}
	kind, _, _ := bytes.Cut(m.Value(ContentType), []byte(";"))
	if kind = bytes.TrimSpace(kind); len(accepts) > 0 && equalFold(kind, accepts) {
		return nil
	}
	return []Field{{"Accept", []byte(accepts)}}
}

// optionalBody tells whether Content-Disposition says handling=optional (20.11).
func (m *Message) optionalBody() bool {
	h, ok := m.Named("Content-Disposition")
	if !ok {
		return false
	}
	_, params, _ := bytes.Cut(m.HeaderValue(h), []byte(";"))
	for param := range bytes.SplitSeq(params, []byte(";")) {
		name, value, _ := bytes.Cut(param, []byte("="))
		if equalFold(bytes.TrimSpace(name), "handling") {
			return equalFold(bytes.TrimSpace(value), "optional")
		}
	}
	return false
}
