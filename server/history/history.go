package history

import (
	"bytes"
	"strconv"

	"sipd/server/message"
	"sipd/server/target"
	"sipd/server/trust"
	"sipd/sipaddr"
)

// maxIndex bounds the index that we go on counting from: a request passes at most 70 proxies.
const maxIndex = 256

// Write adds to sp, the copy of req for t whose Request-URI is uri, how the call came to t. Nothing is added when the caller asks for
// privacy (RFC 7044 10.1): who he wanted to call is his business.
//
// Deviates from RFC 7044 9.2: only calls that were forwarded get History-Info. Nothing of it is kept (9.3), or put into
// responses (9.4).
func Write(sp *message.Splice, req *message.Message, t *target.Target, uri []byte) {
	if t.Diverted == nil || req.Has(message.Privacy) && trust.PrivacyOf(req) != trust.None {
		return
	}
	h, has := req.First(message.Diversion)
	value := appendDiversions(nil, t.Diverted)
	if has { // The latest comes first (RFC 5806).
		sp.SetValue(h, append(append(value, ", "...), req.HeaderValue(h)...))
	} else {
		sp.AddHeader(message.Diversion.String(), value)
	}
	if value := appendHistory(nil, req, t, uri); value != nil {
		sp.AddHeader(message.HistoryInfo.String(), value)
	}
}

// appendDiversions writes the values of Diversion, the latest first.
func appendDiversions(dst []byte, v *target.Diversion) []byte {
	for ; v != nil; v = v.Before {
		if len(dst) > 0 {
			dst = append(dst, ", "...)
		}
		dst = append(dst, '<')
		dst = append(v.From.AppendURI(dst), ">;reason="...)
		dst = append(dst, v.Reason...)
	}
	return dst
}

// appendHistory writes the entries that this server adds to History-Info (9.1, 9.2): the Request-URI that came unless who sent it has
// added that, each URI that the call was forwarded to, and the contact. Each is a level below the one that led there (10.3). nil: what
// came cannot be gone on with.
func appendHistory(dst []byte, req *message.Message, t *target.Target, uri []byte) []byte {
	var all []*target.Diversion // the first one first
	for v := t.Diverted; v != nil; v = v.Before {
		all = append([]*target.Diversion{v}, all...)
	}
	index, known, ok := last(req)
	if !ok {
		return nil
	}
	if !known {
		if index == nil {
			index = []byte("1")
		} else {
			index = append(index, ".0"...) // 10.3 rule 6: an entry is missing.
		}
		dst = appendEntry(dst, string(req.RequestURI().Text), all[0].From.Host(), all[0], index)
	}
	for i, v := range all {
		var next *target.Diversion // that led on from there
		level, kind := 1, ";mp="   // 10.4: another user
		if i+1 < len(all) {
			next = all[i+1]
		} else if v.To == string(uri) {
			level = max(1, t.Nth)
		}
		from := len(index)
		index = strconv.AppendInt(append(index, '.'), int64(level), 10)
		dst = append(appendEntry(dst, v.To, v.From.Host(), next, index), kind...)
		dst = append(dst, index[:from]...)
	}
	if to := all[len(all)-1].To; to != string(uri) {
		from := len(index)
		index = strconv.AppendInt(append(index, '.'), int64(max(1, t.Nth)), 10)
		dst = append(appendEntry(dst, string(uri), "", nil, index), ";rc="...) // 10.4: a contact of the same user
		dst = append(dst, index[:from]...)
	}
	return dst
}

// last returns the index of the last entry of a request, nil when there is none. known tells whether that entry is the Request-URI. ok is
// false when it cannot be read.
func last(req *message.Message) (index []byte, known, ok bool) {
	var text []byte
	vs := req.Values(message.HistoryInfo)
	for v, more := vs.Next(); more; v, more = vs.Next() {
		text = v
	}
	if text == nil {
		return nil, false, true
	}
	a, err := message.ParseAddress(text)
	if err != nil {
		return nil, false, false
	}
	index, ok = a.Param("index")
	if !ok || len(index) == 0 || len(index) > maxIndex {
		return nil, false, false
	}
	for _, c := range index {
		if c != '.' && (c < '0' || c > '9') {
			return nil, false, false
		}
	}
	a.URI.Headers = nil
	return bytes.Clone(index), a.URI.Equal(req.RequestURI()), true
}

// appendEntry writes an entry. by is the diversion that led on from it; why is in its Reason (10.2), nil: none did. host is for what is a
// number alone.
func appendEntry(dst []byte, uri, host string, by *target.Diversion, index []byte) []byte {
	if len(dst) > 0 {
		dst = append(dst, ", "...)
	}
	dst = append(dst, '<')
	dst = appendSIP(dst, uri, host)
	if by != nil && by.Status > 0 {
		dst = append(dst, "?Reason=SIP%3Bcause%3D"...)
		dst = strconv.AppendInt(dst, int64(by.Status), 10)
	}
	return append(append(dst, ">;index="...), index...)
}

// appendSIP writes a URI as it stands in an entry: without headers, and a tel URI as a sip URI of host (9.2, RFC 3261 19.1.6).
func appendSIP(dst []byte, text, host string) []byte {
	u, err := sipaddr.Parse([]byte(text))
	switch {
	case err != nil:
		return append(dst, text...)
	case u.Scheme != sipaddr.TEL || host == "":
		text := u.Text
		if n := len(u.Headers); n > 0 {
			text = text[:len(text)-n-len("?")]
		}
		return append(dst, text...)
	}
	dst = append(append(dst, "sip:"...), u.User...)
	dst = append(append(dst, u.Params...), '@')
	return append(append(dst, host...), ";user=phone"...)
}
