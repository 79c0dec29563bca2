package message

import (
	"net/netip"

	"sipd/sipaddr"
)

// Message is an index over the bytes of one SIP message. The zero value is ready for Index; a Message is used again and
// again without allocation once its header slice has grown. It holds no copy: raw must stay unchanged while it is used.
type Message struct {
	Source netip.AddrPort // where it came from; when set, responses and forwarded requests carry received and rport (RFC 3581)

	raw     []byte
	own     []byte // the buffer of Copy
	headers []Header
	facts

	views    uint8 // which of the following are made
	uriView  sipaddr.URI
	top      ViaValue
	fromView Address
	toView   Address
}

// The views that are made on first use.
const (
	viewURI = 1 << iota
	viewTop
	viewFrom
	viewTo
)

// facts are what Index found, without pointers.
type facts struct {
	first, last   [numHeaders]int16 // first and last header line of an id, counted from 1; 0 is none
	methodText    span
	uriText       span
	callID        span
	body          span
	headEnd       uint16 // where the empty line starts
	status        uint16
	maxForwards   int16 // -1 when missing
	method        Method
	request       bool
	cseq          uint32
	contentLength int32 // -1 when missing
	uri           sipaddr.Parts
	via           viaParts
	from, to      addressParts
}

// Malformed says why a message is not taken.
type Malformed struct {
	Status int    // what RFC 3261 asks to answer (400, 505, ...); 0: drop silently (a response, an ACK, or too broken to be answered)
	What   string // for the reason phrase and the log: "CSeq is not a number"
}

// Error returns What.
func (e *Malformed) Error() string { return e.What }

// Raw returns the indexed bytes (without what lies behind the body).
func (m *Message) Raw() []byte { return m.raw }

// IsRequest tells requests from responses.
func (m *Message) IsRequest() bool { return m.request }

// Method returns the method of a request; of a response the one in CSeq.
func (m *Message) Method() Method { return m.method }

// MethodText returns it as written.
func (m *Message) MethodText() []byte { return m.methodText.of(m.raw) }

// RequestURI returns the parsed Request-URI of a request.
func (m *Message) RequestURI() *sipaddr.URI {
	if m.views&viewURI == 0 {
		m.views |= viewURI
		m.uriView = m.uri.URI(m.uriText.of(m.raw))
	}
	return &m.uriView
}

// Status returns the status code of a response, 0 for a request.
func (m *Message) Status() int { return int(m.facts.status) }

// CallID returns the Call-ID as written.
func (m *Message) CallID() []byte { return m.callID.of(m.raw) }

// CSeq returns the sequence number.
func (m *Message) CSeq() uint32 { return m.cseq }

// Body returns the body, as long as Content-Length says.
func (m *Message) Body() []byte { return m.body.of(m.raw) }

// Has tells whether a header of this id is there.
func (m *Message) Has(id HeaderID) bool { return id < numHeaders && m.first[id] != 0 }

// Value returns the value of the first header of this id, nil if there is none.
func (m *Message) Value(id HeaderID) []byte {
	h, ok := m.First(id)
	if !ok {
		return nil
	}
	return m.HeaderValue(h)
}

// Headers returns all header lines in order.
func (m *Message) Headers() []Header { return m.headers }

// MaxForwards returns Max-Forwards, ok false when the header is missing.
func (m *Message) MaxForwards() (n int, ok bool) {
	return max(int(m.maxForwards), 0), m.maxForwards >= 0 && m.request
}

// Seconds reads the delta-seconds of a header such as Expires; ok false when it is missing or not a number.
// A number beyond 2^31-1 is 2^31-1 (RFC 3261 20.19).
func (m *Message) Seconds(id HeaderID) (n int, ok bool) {
	h, ok := m.First(id)
	if !ok {
		return 0, false
	}
	// Retry-After and Min-Expires may have a comment or parameters behind the number (20.33).
	b, i := m.raw[:h.ValEnd], int(h.ValStart)
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	if rest := skipLWS(b, i, len(b)); rest < len(b) && (id != RetryAfter || b[rest] != ';' && b[rest] != '(') {
		return 0, false
	}
	if n, ok = number(b[h.ValStart:i]); !ok {
		return 0, false
	}
	return min(n, maxSeconds), true
}

// Copy makes m an independent copy of src, in m's own buffer, which it reuses.
func (m *Message) Copy(src *Message) {
	if m == src {
		m.own = append(m.own[:0], m.raw...)
	} else {
		m.own = append(m.own[:0], src.raw...)
		m.headers = append(m.headers[:0], src.headers...)
		m.facts = src.facts
		m.Source = src.Source
	}
	m.raw = m.own
	m.dropViews()
}

// Release drops the buffer kept by Copy, and the index over it: m is empty afterwards, and what was sliced from it must
// not be used any more.
func (m *Message) Release() { *m = Message{} }

// dropViews forgets the views, which point into bytes that m no longer speaks of.
func (m *Message) dropViews() { m.views = 0 }
