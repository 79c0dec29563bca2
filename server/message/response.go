package message

// Field is a header line to add to a message sipd builds.
type Field struct {
	Name  string
	Value []byte
}

// AppendResponse writes a response to req behind dst (RFC 3261 8.2.6): all Vias (the topmost with received and rport),
// From, To with toTag added when it has none and toTag is not empty, Call-ID, CSeq, Timestamp for a 100, Record-Route
// for a dialog-making 1xx (not 100) or 2xx, then fields, Content-Length and body. reason "" takes the standard phrase.
func AppendResponse(dst []byte, req *Message, code int, reason string, toTag []byte, fields []Field, body []byte) []byte {
	return dst
}

// AppendAck writes the ACK for a non-2xx final response resp to the INVITE whose sent bytes are invite (17.1.1.3):
// same Request-URI, topmost Via, From, Call-ID, Route, CSeq number; To of resp; Max-Forwards 70.
func AppendAck(dst []byte, invite, resp *Message) []byte { return dst }

// AppendCancel writes the CANCEL for the INVITE whose sent bytes are invite (9.1). fields are added, e.g. Reason (RFC 3326).
func AppendCancel(dst []byte, invite *Message, fields []Field) []byte { return dst }
