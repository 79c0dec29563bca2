package message

// The checks of Index behind the header scan: what RFC 3261 16.3 step 1 wants well-formed.

// checkVia parses the topmost Via value and counts them all.
func (m *Message) checkVia(f *fault) {
	n := m.first[Via]
	if n == 0 {
		f.note(400, "Via is missing") // 8.1.1: dropped by malformed, there is nowhere to answer to
		return
	}
	h := &m.headers[n-1]
	if what := m.via.scan(m.raw, int(h.ValStart), int(h.ValEnd)); what != "" {
		f.note(400, what)
	}
	if branch := m.via.branch; int(branch.end-branch.start) == len(MagicCookie) && HasCookie(branch.of(m.raw)) {
		// RFC 4475 3.2.1: the cookie promises an identifier and none follows.
		f.note(400, "Via has a branch that is the magic cookie alone")
	}
	const shortest = len("SIP/2.0/UDP a,")
	if m.more(Via, MaxVias, shortest) {
		f.note(483, "message has more than 70 Via values")
	}
}

// checkRoute counts the Route values.
func (m *Message) checkRoute(f *fault) {
	const shortest = len("<sip:a>,")
	if m.first[Route] != 0 && m.more(Route, MaxRoutes, shortest) {
		f.note(400, "message has more than 70 Route values")
	}
}

// more tells whether header id has more than limit values. It counts only when as many of the shortest would fit.
func (m *Message) more(id HeaderID, limit, shortest int) bool {
	length := 0
	for n := int(m.first[id]) - 1; n >= 0; n = int(m.headers[n].next) {
		length += int(m.headers[n].End - m.headers[n].ValStart)
	}
	if length <= limit*shortest {
		return false
	}
	v := m.Values(id)
	for range limit {
		if _, _, ok := v.next(); !ok {
			return false
		}
	}
	_, _, ok := v.next()
	return ok
}

// checkCSeq reads sequence number and method (RFC 3261 8.1.1.5, 20.16).
func (m *Message) checkCSeq(f *fault) {
	h := m.single(CSeq, f)
	if h == nil {
		return
	}
	b, i, end := m.raw, int(h.ValStart), int(h.ValEnd)
	n, start := uint64(0), i
	for ; i < end && b[i]-'0' <= 9; i++ {
		if n = n*10 + uint64(b[i]-'0'); n > MaxCSeq {
			f.note(400, "CSeq is greater than 2147483647")
			return
		}
	}
	if i == start || i == end || class[b[i]]&cLWS == 0 {
		f.note(400, "CSeq is not a number and a method")
		return
	}
	i = skipLWS(b, i, end)
	method := b[i:end]
	m.cseq = uint32(n)
	if m.request && string(method) == string(m.methodText.of(b)) {
		return
	}
	switch {
	case run(b, i, end, cToken) < end:
		f.note(400, "CSeq has a method that is not a token")
	case !m.request:
		m.methodText = makeSpan(i, end)
		m.method = ParseMethod(method)
	case m.method == Unknown:
		f.note(501, "method is unknown, and CSeq has another one") // RFC 4475 3.1.2.18
	default:
		f.note(400, "CSeq has another method than the request line") // RFC 4475 3.1.2.17
	}
}

// checkSingles reads the headers that stand once in every message: From, To, Call-ID and, if there, Max-Forwards.
func (m *Message) checkSingles(f *fault) {
	if h := m.single(From, f); h != nil {
		if what := m.from.scan(m.raw, int(h.ValStart), int(h.ValEnd)); what != "" {
			f.noteMore(400, "From ", what)
		}
	}
	if h := m.single(To, f); h != nil {
		if what := m.to.scan(m.raw, int(h.ValStart), int(h.ValEnd)); what != "" {
			f.noteMore(400, "To ", what)
		}
	}
	if h := m.single(CallID, f); h != nil {
		m.callID = makeSpan(int(h.ValStart), int(h.ValEnd))
		id := m.callID.of(m.raw)
		if len(id) == 0 {
			f.note(400, "Call-ID is empty")
		}
		if run(id, 0, len(id), cWord) < len(id) {
			f.note(400, "Call-ID has a character that does not belong there")
		}
	}
	if m.first[MaxForwards] != 0 && m.request {
		h := m.single(MaxForwards, f)
		n, ok := number(m.raw[h.ValStart:h.ValEnd])
		if !ok || n > maxForwardsMost {
			f.note(400, "Max-Forwards is not a number from 0 to 255")
			return
		}
		m.maxForwards = int16(n)
	}
}

// single returns the only header line of this id, nil when there is none. Its absence and a second line are faults (RFC 3261 7.3.1, 8.1.1;
// RFC 4475 3.3.1 and 3.3.8); the first of several is returned all the same, so that a response can be built.
func (m *Message) single(id HeaderID, f *fault) *Header {
	n := m.first[id]
	if n == 0 {
		f.noteMore(400, headerNames[id], " is missing")
		return nil
	}
	if m.last[id] != n {
		f.noteMore(400, headerNames[id], " stands there more than once")
	}
	return &m.headers[n-1]
}

// checkBody applies Content-Length (RFC 3261 18.3): bytes behind the body are dropped, a body that is too short is a
// fault, and without the header the body goes to the end of the datagram.
func (m *Message) checkBody(f *fault) {
	if m.first[ContentLength] == 0 {
		return
	}
	h := m.single(ContentLength, f)
	n, ok := number(m.raw[h.ValStart:h.ValEnd])
	switch {
	case !ok:
		f.note(400, "Content-Length is not a number") // RFC 4475 3.1.2.3
	case n > int(m.body.end-m.body.start):
		f.note(400, "Content-Length is greater than the body") // RFC 4475 3.1.2.2
	case f.what == "":
		m.contentLength = int32(n)
		m.body.end = m.body.start + uint16(n)
		m.raw = m.raw[:m.body.end:m.body.end]
	}
}

// checkContacts parses the Contacts of a REGISTER, before anybody is asked for credentials. In other requests Contact is
// not the proxy's (16.3 step 1).
func (m *Message) checkContacts(f *fault) {
	for v := m.Values(Contact); ; {
		start, end, ok := v.next()
		if !ok {
			return
		}
		if end-start == 1 && m.raw[start] == '*' {
			continue
		}
		var a addressParts
		if what := a.scan(m.raw, start, end); what != "" {
			f.noteMore(400, "Contact ", what)
			return
		}
	}
}
