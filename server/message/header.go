package message

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
	RequestDisposition
	PAssertedIdentity
	PPreferredIdentity
	Privacy
	Diversion
	HistoryInfo
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

var headerNames = [numHeaders]string{
	Via: "Via", From: "From", To: "To", CallID: "Call-ID", CSeq: "CSeq", MaxForwards: "Max-Forwards",
	Contact: "Contact", Route: "Route", RecordRoute: "Record-Route", ContentLength: "Content-Length",
	ContentType: "Content-Type", Expires: "Expires", MinExpires: "Min-Expires", Require: "Require",
	ProxyRequire: "Proxy-Require", Supported: "Supported", Authorization: "Authorization",
	ProxyAuthorization: "Proxy-Authorization", WWWAuthenticate: "WWW-Authenticate",
	ProxyAuthenticate: "Proxy-Authenticate", Path: "Path", Timestamp: "Timestamp", UserAgent: "User-Agent",
	MaxBreadth: "Max-Breadth", Reason: "Reason", Date: "Date", Event: "Event", ContentEncoding: "Content-Encoding",
	Accept: "Accept", Allow: "Allow", Warning: "Warning", RetryAfter: "Retry-After", Unsupported: "Unsupported",
	RequestDisposition: "Request-Disposition",
	PAssertedIdentity:  "P-Asserted-Identity", PPreferredIdentity: "P-Preferred-Identity", Privacy: "Privacy",
	Diversion: "Diversion", HistoryInfo: "History-Info",
}

// String returns the long name, "" for OtherHeader.
func (id HeaderID) String() string {
	if id < numHeaders {
		return headerNames[id]
	}
	return ""
}

// compactNames are the long names of the compact forms registered with IANA.
var compactNames = ['z' + 1]string{
	'a': "Accept-Contact", 'b': "Referred-By", 'c': "Content-Type", 'd': "Request-Disposition",
	'e': "Content-Encoding", 'f': "From", 'i': "Call-ID", 'j': "Reject-Contact",
	'k': "Supported", 'l': "Content-Length", 'm': "Contact", 'n': "Identity-Info",
	'o': "Event", 'r': "Refer-To", 's': "Subject", 't': "To", 'u': "Allow-Events",
	'v': "Via", 'x': "Session-Expires", 'y': "Identity",
}

// longName returns the long name of a compact form, "" when there is none.
func longName(c byte) string {
	if c = lower(c); int(c) < len(compactNames) {
		return compactNames[c]
	}
	return ""
}

// longestName is the longest of headerNames.
const longestName = len("P-Preferred-Identity")

// byLength and byLetter find the id of a name in any case: the names of each length, and the compact forms.
var byLength, byLetter = makeNames()

func makeNames() (names [longestName + 1][]HeaderID, letters [26]HeaderID) {
	for id := Via; id < numHeaders; id++ {
		name := headerNames[id]
		names[len(name)] = append(names[len(name)], id)
		for c, long := range compactNames {
			if long == name {
				letters[c-'a'] = id
			}
		}
	}
	return names, letters
}

// LookupHeader returns the id of a header name in any case, long or compact.
func LookupHeader(name []byte) HeaderID {
	if len(name) == 1 {
		if c := lower(name[0]) - 'a'; c < 26 {
			return byLetter[c]
		}
		return OtherHeader
	}
	if len(name) > longestName {
		return OtherHeader
	}
	for _, id := range byLength[len(name)] {
		if equalFold(name, headerNames[id]) {
			return id
		}
	}
	return OtherHeader
}

// usualName recognises the names that nearly every message has, in their usual spelling and with the colon right behind,
// by a few comparisons of words. n is the length of the name, 0 when line must be looked at byte by byte.
func usualName(line []byte) (id HeaderID, n int) {
	if len(line) < 16 {
		return 0, 0
	}
	switch line[0] {
	case 'V':
		if string(line[:4]) == "Via:" {
			return Via, 3
		}
	case 'F':
		if string(line[:5]) == "From:" {
			return From, 4
		}
	case 'T':
		if string(line[:3]) == "To:" {
			return To, 2
		}
	case 'C':
		switch line[1] {
		case 'S':
			if string(line[:5]) == "CSeq:" {
				return CSeq, 4
			}
		case 'a':
			if string(line[:8]) == "Call-ID:" {
				return CallID, 7
			}
		case 'o':
			switch {
			case string(line[:8]) == "Contact:":
				return Contact, 7
			case string(line[:15]) == "Content-Length:":
				return ContentLength, 14
			case string(line[:13]) == "Content-Type:":
				return ContentType, 12
			}
		}
	case 'M':
		if string(line[:13]) == "Max-Forwards:" {
			return MaxForwards, 12
		}
	case 'R':
		switch {
		case string(line[:6]) == "Route:":
			return Route, 5
		case string(line[:13]) == "Record-Route:":
			return RecordRoute, 12
		}
	case 'U':
		if string(line[:11]) == "User-Agent:" {
			return UserAgent, 10
		}
	case 'A':
		switch {
		case string(line[:6]) == "Allow:":
			return Allow, 5
		case string(line[:14]) == "Authorization:":
			return Authorization, 13
		}
	case 'S':
		if string(line[:10]) == "Supported:" {
			return Supported, 9
		}
	case 'E':
		if string(line[:8]) == "Expires:" {
			return Expires, 7
		}
	}
	return 0, 0
}
