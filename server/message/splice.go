package message

import "strconv"

// Splice writes a changed copy of a message: it copies what is not touched byte for byte. Edits may be asked for in any
// order, each at most once a place; of headers pushed at the same place the last comes first, and of headers added the
// first. The zero value is ready for Reset; reused without allocation. Edits keep the slices they are given until Append.
type Splice struct {
	m         *Message
	edits     []edit // in the order of their places
	added     []Field
	popRoutes int
	popLast   bool
	source    sourceText
	digits    [24]byte // Max-Forwards, then Content-Length
}

// edit replaces the bytes from start to end, which are equal for an insertion.
type edit struct {
	start, end uint32
	line       bool // a whole line of header id
	id         HeaderID
	value      []byte
}

// Reset starts a new copy of m without edits. When m is a request with a Source, received and rport are already among
// the edits (RFC 3261 18.2.1, RFC 3581 4).
func (s *Splice) Reset(m *Message) {
	s.m = m
	clear(s.edits) // they hold slices of other messages
	clear(s.added)
	s.edits, s.added = s.edits[:0], s.added[:0]
	s.popRoutes, s.popLast = 0, false
	s.upperVersion()
	if !m.request || !m.via.usable || !m.Source.IsValid() {
		return
	}
	s.source.fill(m)
	for i := range s.source.edits {
		e := &s.source.edits[i]
		if !e.text.empty() {
			s.replace(uint32(e.at.start), uint32(e.at.end), e.text.of(s.source.buf[:]))
		}
	}
}

// sipVersion is what every message that is sent says.
var sipVersion = []byte("SIP/2.0")

// upperVersion is RFC 3261 7.1: the version is taken in any case, but MUST be sent in upper case.
func (s *Splice) upperVersion() {
	m, at := s.m, 0
	if m.request {
		at = int(m.uriText.end) + 1
	}
	if end := at + len(sipVersion); end <= len(m.raw) && string(m.raw[at:end]) != string(sipVersion) {
		s.replace(uint32(at), uint32(end), sipVersion)
	}
}

// place makes room for an edit of the bytes from start to end behind the edits that start before it. At one place
// insertions go before replacements, and of two insertions the later one goes first, unless it is to be below. The caller
// fills the rest in: an edit handed over by value would be copied, which costs more than the edit.
func (s *Splice) place(start, end uint32, below bool) *edit {
	n := len(s.edits)
	if n == cap(s.edits) {
		s.edits = append(s.edits, edit{})
	} else {
		s.edits = s.edits[:n+1]
	}
	for ; n > 0; n-- {
		p := &s.edits[n-1]
		insertBefore := p.start == start && start == end && (!below || p.start != p.end)
		if p.start <= start && !insertBefore {
			break
		}
		s.edits[n] = *p
	}
	e := &s.edits[n]
	e.start, e.end, e.line = start, end, false
	return e
}

// replace puts value in the place of the bytes from start to end.
func (s *Splice) replace(start, end uint32, value []byte) {
	s.place(start, end, true).value = value
}

// insertLine puts a header line at a place.
func (s *Splice) insertLine(at uint32, id HeaderID, value []byte, below bool) {
	e := s.place(at, at, below)
	e.line, e.id, e.value = true, id, value
}

// RequestURI replaces the Request-URI.
func (s *Splice) RequestURI(uri []byte) {
	if s.m.request {
		s.replace(uint32(s.m.uriText.start), uint32(s.m.uriText.end), uri)
	}
}

// top returns where a new first line of id goes: above the first one, or behind the Vias when there is none.
func (s *Splice) top(id HeaderID) uint32 {
	m := s.m
	if n := m.first[id]; n != 0 {
		return m.headers[n-1].Start
	}
	if n := m.last[Via]; n != 0 && id != Via {
		return m.headers[n-1].End
	}
	if len(m.headers) > 0 {
		return m.headers[0].Start
	}
	return uint32(m.headEnd)
}

// PushVia puts a Via line (value given, "SIP/2.0/UDP host;branch=...") above all others.
func (s *Splice) PushVia(value []byte) { s.insertLine(s.top(Via), Via, value, false) }

// PopVia removes the topmost Via value (RFC 3261 16.7 step 3).
func (s *Splice) PopVia() {
	n := s.m.first[Via]
	if n == 0 {
		return
	}
	h := s.m.headers[n-1]
	if next := s.m.via.next; next != 0 {
		s.replace(h.ValStart, uint32(next), nil)
		return
	}
	s.Remove(h)
}

// SetMaxForwards replaces Max-Forwards, or adds it behind the Vias when missing.
func (s *Splice) SetMaxForwards(n int) {
	value := strconv.AppendUint(s.digits[:0:12], uint64(max(n, 0)), 10)
	if h, ok := s.m.First(MaxForwards); ok {
		s.SetValue(h, value)
		return
	}
	s.insertLine(s.top(MaxForwards), MaxForwards, value, false)
}

// PushRecordRoute puts a Record-Route line above the others (RFC 3261 16.6 step 4).
func (s *Splice) PushRecordRoute(value []byte) {
	s.insertLine(s.top(RecordRoute), RecordRoute, value, false)
}

// PushPath puts a Path line above the others (RFC 3327 5.2).
func (s *Splice) PushPath(value []byte) { s.insertLine(s.top(Path), Path, value, false) }

// PopRoute removes the first n Route values (16.4).
func (s *Splice) PopRoute(n int) { s.popRoutes = n }

// PushRoute puts a Route line above the rest.
func (s *Splice) PushRoute(value []byte) { s.insertLine(s.top(Route), Route, value, false) }

// AppendRoute puts a Route line below the rest.
func (s *Splice) AppendRoute(value []byte) {
	at := s.top(Route)
	if n := s.m.last[Route]; n != 0 {
		at = s.m.headers[n-1].End
	}
	s.insertLine(at, Route, value, true)
}

// PopLastRoute removes the last Route value (16.4: a strict router put the Request-URI there).
func (s *Splice) PopLastRoute() { s.popLast = true }

// cutRoutes makes the edits of PopRoute and PopLastRoute. It goes line by line, because what remains of a line decides
// whether the line remains.
func (s *Splice) cutRoutes() {
	pop, last := s.popRoutes, s.popLast
	s.popRoutes, s.popLast = 0, false
	m := s.m
	for n := int(m.first[Route]) - 1; n >= 0 && (pop > 0 || last); n = int(m.headers[n].next) {
		h := m.headers[n]
		values, keepStart, keepEnd, beforeLast := 0, 0, 0, 0 // what remains of the line
		for i := nextValue(m.raw, int(h.ValStart), int(h.ValEnd)); i < int(h.ValEnd); {
			end := valueEnd(m.raw, i, int(h.ValEnd))
			if pop > 0 {
				pop--
			} else {
				if values++; values == 1 {
					keepStart = i
				}
				beforeLast, keepEnd = keepEnd, end
			}
			i = nextValue(m.raw, end, int(h.ValEnd))
		}
		if values > 0 && last && h.next < 0 {
			values--
			keepEnd = beforeLast
		} else {
			keepEnd = int(h.ValEnd)
		}
		if values == 0 {
			s.Remove(h)
			continue
		}
		if uint32(keepStart) > h.ValStart {
			s.replace(h.ValStart, uint32(keepStart), nil)
		}
		if uint32(keepEnd) < h.ValEnd {
			s.replace(uint32(keepEnd), h.ValEnd, nil)
		}
	}
}

// Remove removes a whole header line.
func (s *Splice) Remove(h Header) { s.replace(h.Start, h.End, nil) }

// SetValue replaces the value of a header line.
func (s *Splice) SetValue(h Header, value []byte) {
	s.replace(h.ValStart, h.ValEnd, value)
}

// AddHeader adds a header line (name and value) behind the last header.
func (s *Splice) AddHeader(name string, value []byte) {
	s.added = append(s.added, Field{Name: name, Value: value})
}

// SetContentLength makes sure that a Content-Length with the body's length is there (streams need it, 18.3).
func (s *Splice) SetContentLength() {
	if s.m.first[ContentLength] == 0 {
		s.setLength(int(s.m.body.end - s.m.body.start))
	}
}

// SetBody replaces the body and Content-Length.
func (s *Splice) SetBody(body []byte) {
	s.setLength(len(body))
	// The body comes behind everything, also behind what Append adds at the end of the headers.
	s.replace(uint32(s.m.body.start), uint32(len(s.m.raw)), body)
}

func (s *Splice) setLength(n int) {
	value := strconv.AppendUint(s.digits[12:12], uint64(n), 10)
	if h, ok := s.m.First(ContentLength); ok {
		s.SetValue(h, value)
		return
	}
	s.AddHeader(headerNames[ContentLength], value)
}

// Append writes the changed message behind dst.
func (s *Splice) Append(dst []byte) []byte {
	m := s.m
	if s.popRoutes > 0 || s.popLast {
		s.cutRoutes()
	}
	raw, at, headEnd := m.raw, 0, int(m.headEnd)
	i := 0
	for ; i < len(s.edits) && int(s.edits[i].start) <= headEnd; i++ {
		dst, at = s.apply(dst, &s.edits[i], at)
	}
	dst = append(dst, raw[at:max(at, headEnd)]...)
	at = max(at, headEnd)
	for _, f := range s.added {
		dst = appendField(dst, f.Name, f.Value)
	}
	for ; i < len(s.edits); i++ {
		dst, at = s.apply(dst, &s.edits[i], at)
	}
	return append(dst, raw[at:]...)
}

// apply copies what lies between at and the edit, and writes the edit. What an earlier edit already took stays taken.
func (s *Splice) apply(dst []byte, e *edit, at int) ([]byte, int) {
	if start := int(e.start); start > at {
		dst = append(dst, s.m.raw[at:start]...)
		at = start
	}
	if e.line {
		dst = appendField(dst, headerNames[e.id], e.value)
	} else {
		dst = append(dst, e.value...)
	}
	return dst, max(at, int(e.end))
}
