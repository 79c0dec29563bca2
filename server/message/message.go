package message

import (
	"net/netip"

	"sipd/sipaddr"
)

// Limits of what is taken from outside.
const (
	MaxMessage = 65535 // bytes of a whole message: the largest UDP datagram
	MaxHeaders = 256   // header lines
	MaxVias    = 70    // Via values: Max-Forwards starts at 70
)

// Method is a request method sipd knows by number; any other token is Unknown and passes by its text.
type Method uint8

// The methods.
const (
	Unknown Method = iota
	INVITE
	ACK
	BYE
	CANCEL
	OPTIONS
	REGISTER
	MESSAGE
	SUBSCRIBE
	NOTIFY
	PUBLISH
	INFO
	PRACK
	UPDATE
	REFER
)

// HeaderID names a header field sipd looks at; compact forms have the id of the long one.
type HeaderID uint8

// The header fields.
const (
	OtherHeader HeaderID = iota
	Via
	From
	To
	CallID
	CSeq
	MaxForwards
	Contact
	Route
	RecordRoute
	ContentLength
	ContentType
	Expires
	MinExpires
	Require
	ProxyRequire
	Supported
	Authorization
	ProxyAuthorization
	WWWAuthenticate
	ProxyAuthenticate
	Path
	Timestamp
	UserAgent
	MaxBreadth
	Reason
	Date
	Event
	ContentEncoding
	Accept
	Allow
	Warning
	RetryAfter
	Unsupported
	numHeaders
)

// Header is one header line of a message, as offsets into its bytes.
type Header struct {
	ID       HeaderID
	Start    uint32 // of the name
	NameEnd  uint32
	ValStart uint32 // first byte of the value, leading white space skipped
	ValEnd   uint32 // after the last byte of the value, trailing white space skipped; folds stay inside
	End      uint32 // after the line's (and its folded lines') CRLF
	next     int16  // index of the next header of the same ID, -1 at the end
}

// Message is an index over the bytes of one SIP message. The zero value is ready for Index; a Message is used again and
// again without allocation once its header slice has grown. It holds no copy: raw must stay unchanged while it is used.
type Message struct {
	Source netip.AddrPort // where it came from; when set, responses and forwarded requests carry received and rport (RFC 3581)
	// ...
}

// Index reads raw, one message of a datagram or one framed by Frame. The error is a *Malformed.
func (m *Message) Index(raw []byte) error { return nil }

// Malformed says why a message is not taken.
type Malformed struct {
	Status int    // what RFC 3261 asks to answer (400, 505, ...); 0: drop silently (a response, or too broken to be answered)
	What   string // for the reason phrase and the log: "CSeq is not a number"
}

func (e *Malformed) Error() string { return e.What }

// Frame finds the end of the first message on a stream. n is its length; 0 with nil error: more bytes are needed.
// skip counts leading CRLF bytes (keepalives) to drop before it. The error means the stream cannot be resynchronised.
func Frame(buf []byte) (skip, n int, err error) { return 0, 0, nil }

// Copy makes m an independent copy of src, in m's own buffer, which it reuses.
func (m *Message) Copy(src *Message) {}

// Release drops the buffer kept by Copy.
func (m *Message) Release() {}

// Raw returns the indexed bytes (without what lies behind the body).
func (m *Message) Raw() []byte { return nil }

// IsRequest tells requests from responses.
func (m *Message) IsRequest() bool { return false }

// Method returns the method of a request; of a response the one in CSeq.
func (m *Message) Method() Method { return 0 }

// MethodText returns it as written.
func (m *Message) MethodText() []byte { return nil }

// RequestURI returns the parsed Request-URI of a request.
func (m *Message) RequestURI() *sipaddr.URI { return nil }

// Status returns the status code of a response, 0 for a request.
func (m *Message) Status() int { return 0 }

// CallID returns the Call-ID as written.
func (m *Message) CallID() []byte { return nil }

// CSeq returns the sequence number.
func (m *Message) CSeq() uint32 { return 0 }

// Body returns the body, as long as Content-Length says.
func (m *Message) Body() []byte { return nil }

// Has tells whether a header of this id is there.
func (m *Message) Has(id HeaderID) bool { return false }

// Value returns the value of the first header of this id, nil if there is none.
func (m *Message) Value(id HeaderID) []byte { return nil }

// Headers returns all header lines in order.
func (m *Message) Headers() []Header { return nil }

// Values walks the comma-separated values of all headers of this id, in order. Commas in quotes and in <> do not separate.
func (m *Message) Values(id HeaderID) Values { return Values{} }

// Values is the walk that Message.Values starts.
type Values struct {
	m *Message
	// ...
}

// Next returns the next value; ok is false at the end. text has no surrounding white space.
func (v *Values) Next() (text []byte, ok bool) { return nil, false }

// ViaValue is one parsed Via value; slices point into the message.
type ViaValue struct {
	Transport []byte // "UDP"
	Host      []byte // of sent-by, IPv6 without brackets
	Port      uint16 // of sent-by, 0 when none
	Branch    []byte
	Received  []byte
	HasRport  bool
	Rport     uint16 // 0 when empty
	Maddr     []byte
	TTL       []byte
	Text      []byte // the whole value
}

// Top returns the topmost Via, parsed by Index.
func (m *Message) Top() *ViaValue { return nil }

// Vias calls f for every Via value from the top until it returns false.
func (m *Message) Vias(f func(v *ViaValue) bool) {}

// Address is a name-addr or addr-spec with its parameters: From, To, Contact, Route, Record-Route, Path.
type Address struct {
	Display []byte // as written, quotes kept; may be empty
	URI     sipaddr.URI
	Params  []byte // header parameters from the first ';' on, may be empty
	Text    []byte // the whole value
}

// ParseAddress parses one value. Without <> the parameters belong to the header (RFC 3261 20).
func ParseAddress(text []byte) (Address, error) { return Address{}, nil }

// Param returns the header parameter name (any case), unquoted when it is a quoted string without escapes.
func (a *Address) Param(name string) (value []byte, ok bool) { return nil, false }

// FromAddress and ToAddress return From and To as Index parsed them.
func (m *Message) FromAddress() *Address { return nil }
func (m *Message) ToAddress() *Address   { return nil }

// FromTag and ToTag return the tags, nil if there is none.
func (m *Message) FromTag() []byte { return nil }
func (m *Message) ToTag() []byte   { return nil }

// MaxForwards returns Max-Forwards, ok false when the header is missing.
func (m *Message) MaxForwards() (n int, ok bool) { return 0, false }

// Seconds reads the delta-seconds of a header such as Expires; ok false when it is missing or not a number.
// A number beyond 2^31-1 is 2^31-1 (RFC 3261 20.19).
func (m *Message) Seconds(id HeaderID) (n int, ok bool) { return 0, false }
