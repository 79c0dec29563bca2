package message

// Splice writes a changed copy of a message: it copies what is not touched byte for byte. Edits may be asked for in any
// order, each at most once a place. The zero value is ready for Reset; reused without allocation. Edits keep the slices
// they are given until Append.
type Splice struct {
	// ...
}

// Reset starts a new copy of m without edits. When m is a request with a Source, received and rport are already among
// the edits (RFC 3261 18.2.1, RFC 3581 4).
func (s *Splice) Reset(m *Message) {}

// RequestURI replaces the Request-URI.
func (s *Splice) RequestURI(uri []byte) {}

// PushVia puts a Via line (value given, "SIP/2.0/UDP host;branch=...") above all others.
func (s *Splice) PushVia(value []byte) {}

// PopVia removes the topmost Via value (RFC 3261 16.7 step 3).
func (s *Splice) PopVia() {}

// SetMaxForwards replaces Max-Forwards, or adds it behind the Vias when missing.
func (s *Splice) SetMaxForwards(n int) {}

// PushRecordRoute puts a Record-Route line above the others (RFC 3261 16.6 step 4).
func (s *Splice) PushRecordRoute(value []byte) {}

// PopRoute removes the first n Route values (16.4); PushRoute puts a Route line above the rest; AppendRoute one below.
func (s *Splice) PopRoute(n int)           {}
func (s *Splice) PushRoute(value []byte)   {}
func (s *Splice) AppendRoute(value []byte) {}

// PopLastRoute removes the last Route value (16.4: a strict router put the Request-URI there).
func (s *Splice) PopLastRoute() {}

// Remove removes a whole header line.
func (s *Splice) Remove(h Header) {}

// SetValue replaces the value of a header line.
func (s *Splice) SetValue(h Header, value []byte) {}

// AddHeader adds a header line (name and value) behind the last header.
func (s *Splice) AddHeader(name string, value []byte) {}

// SetContentLength makes sure that a Content-Length with the body's length is there (streams need it, 18.3).
func (s *Splice) SetContentLength() {}

// SetBody replaces the body and Content-Length.
func (s *Splice) SetBody(body []byte) {}

// Append writes the changed message behind dst.
func (s *Splice) Append(dst []byte) []byte { return dst }
