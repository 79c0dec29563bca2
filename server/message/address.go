package message

import (
	"bytes"

	"sipd/sipaddr"
)

// Address is a name-addr or addr-spec with its parameters: From, To, Contact, Route, Record-Route, Path.
type Address struct {
	Display []byte // as written, quotes kept; may be empty
	URI     sipaddr.URI
	Params  []byte // header parameters from the first ';' on, may be empty
	Text    []byte // the whole value
}

// syntaxError is what ParseAddress and ParseVia found wrong.
type syntaxError string

func (e syntaxError) Error() string { return string(e) }

const errTooLong = syntaxError("value is longer than a message can be")

// addressParts are the offsets of an address.
type addressParts struct {
	text    span
	display span
	uri     span
	params  span
	tag     span
	parts   sipaddr.Parts
}

// scan reads the address that fills b[i:end]. RFC 3261 20.10 and 25.1; white space may be missing before "<"
// (RFC 4475 3.1.1.6).
func (a *addressParts) scan(b []byte, i, end int) (what string) {
	*a = addressParts{text: makeSpan(i, end)}
	uri, uriEnd, next := i, 0, 0
	if i < end && b[i] != '<' {
		var ok bool
		if uri, ok, what = scanDisplay(b, i, end); what != "" {
			return what
		}
		if ok {
			a.display = makeSpan(i, trimLWS(b, i, uri))
		}
	}
	if uri < end && b[uri] == '<' {
		uri++
		n := bytes.IndexByte(b[uri:end], '>')
		if n < 0 {
			return "has an angle bracket that is not closed"
		}
		uriEnd = uri + n
		next = uriEnd + 1
	} else {
		uriEnd = uri
		for uriEnd < end && class[b[uriEnd]]&cURI != 0 && b[uriEnd] != ';' {
			// RFC 3261 20.10, RFC 8217: such a URI must stand in <>.
			if b[uriEnd] == '?' || b[uriEnd] == ',' {
				return "has a URI with a comma or question mark without angle brackets"
			}
			uriEnd++
		}
		next = uriEnd
	}
	if err := a.parts.Split(b[uri:uriEnd]); err != nil {
		a.parts = sipaddr.Parts{}
		return "has a bad URI: " + err.Error()
	}
	a.uri = makeSpan(uri, uriEnd)
	if next < end && class[b[next]]&cLWS != 0 {
		next = skipLWS(b, next, end)
	}
	if next < end {
		return a.scanParams(b, next, end)
	}
	a.params = makeSpan(end, end)
	return ""
}

// scanDisplay finds where the URI starts: at "<" when ok, else at i.
func scanDisplay(b []byte, i, end int) (uri int, ok bool, what string) {
	if b[i] == '"' {
		j := quotedEnd(b, i, end)
		if j < 0 {
			return 0, false, "has a quoted string without end"
		}
		if j = skipLWS(b, j, end); j == end || b[j] != '<' {
			return 0, false, "has no URI in angle brackets behind its display name"
		}
		return j, true, ""
	}
	for j := i; j < end; j++ {
		switch c := b[j]; {
		case c == '<':
			return j, true, ""
		case class[c]&cDisplay == 0:
			if c == ':' {
				return i, false, ""
			}
			return 0, false, "has a display name that must stand in quotes"
		}
	}
	return 0, false, "has no URI"
}

func (a *addressParts) scanParams(b []byte, i, end int) (what string) {
	a.params = makeSpan(i, end)
	for i < end {
		if b[i] != ';' {
			return "has a character behind its URI that does not belong there"
		}
		p, what := scanParam(b, i+1, end)
		if what != "" {
			return what
		}
		if p.nameEnd-p.name == 3 && a.tag.empty() && equalFold(b[p.name:p.nameEnd], "tag") {
			if p.value == p.valueEnd {
				return "has a tag without a value"
			}
			a.tag = makeSpan(p.value, p.valueEnd)
		}
		i = p.next
	}
	return ""
}

// view makes the view of a.
func (a *addressParts) view(b []byte) Address {
	return Address{
		Display: a.display.opt(b), URI: a.parts.URI(a.uri.of(b)), Params: a.params.opt(b), Text: a.text.of(b),
	}
}

// ParseAddress parses one value. Without <> the parameters belong to the header (RFC 3261 20).
func ParseAddress(text []byte) (Address, error) {
	if len(text) > MaxMessage {
		return Address{}, errTooLong
	}
	end := trimLWS(text, 0, len(text))
	var a addressParts
	if what := a.scan(text, skipLWS(text, 0, end), end); what != "" {
		return Address{}, syntaxError(what)
	}
	return a.view(text), nil
}

// Param returns the header parameter name (any case), unquoted when it is a quoted string without escapes.
func (a *Address) Param(name string) (value []byte, ok bool) { return findParam(a.Params, name) }

// Tag returns the tag parameter, nil if there is none.
func (a *Address) Tag() []byte {
	tag, _ := a.Param("tag")
	return tag
}

// FromAddress returns From as Index parsed it.
func (m *Message) FromAddress() *Address {
	if m.views&viewFrom == 0 {
		m.views |= viewFrom
		m.fromView = m.from.view(m.raw)
	}
	return &m.fromView
}

// ToAddress returns To as Index parsed it.
func (m *Message) ToAddress() *Address {
	if m.views&viewTo == 0 {
		m.views |= viewTo
		m.toView = m.to.view(m.raw)
	}
	return &m.toView
}

// FromTag returns the tag of From, nil if there is none.
func (m *Message) FromTag() []byte { return m.from.tag.opt(m.raw) }

// ToTag returns the tag of To, nil if there is none.
func (m *Message) ToTag() []byte { return m.to.tag.opt(m.raw) }
