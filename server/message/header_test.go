package message_test

import (
	"strings"
	"testing"

	"sipd/server/message"
)

// Every name is recognised long, in any case, and, where IANA registered one, compact; the usual spelling too, which takes
// another path.
func TestLookupHeader(t *testing.T) {
	compact := map[message.HeaderID]string{
		message.Contact: "m", message.ContentEncoding: "e", message.ContentLength: "l", message.ContentType: "c", message.CallID: "i",
		message.Event: "o", message.From: "f", message.Supported: "k", message.To: "t", message.Via: "v",
	}
	n := 0
	for id := message.Via; id.String() != ""; id++ {
		n++
		name := id.String()
		for _, spelling := range []string{name, strings.ToLower(name), strings.ToUpper(name), compact[id], strings.ToUpper(compact[id])} {
			if spelling == "" {
				continue
			}
			if got := message.LookupHeader([]byte(spelling)); got != id {
				t.Errorf("%s: got %v, want %v", spelling, got, id)
			}
			var m message.Message
			// Some of these make the message malformed; the index of its lines is there all the same.
			_ = m.Index(crlf(line0 + "X: y\n" + spelling + ": some value\n\n"))
			if got := string(m.Value(id)); got != "some value" {
				t.Errorf("%s in a message: got %q, want %q", spelling, got, "some value")
			}
		}
	}
	is(t, "names", n, int(message.HistoryInfo))
	for _, other := range []string{"", "x", "Subject", "s", "Content-Lengths", "Via ", "1", strings.Repeat("a", 40)} {
		if got := message.LookupHeader([]byte(other)); got != message.OtherHeader {
			t.Errorf("%q: got %v, want OtherHeader", other, got)
		}
	}
}

func TestNamed(t *testing.T) {
	m := index(t, crlf(line0+lines+"s: x\nSession-Expires: 90\nRefer-To: <sip:c@d>\n\n"))
	tests := []struct{ name, want string }{
		{"Subject", "x"}, {"s", "x"}, {"SUBJECT", "x"}, {"x", "90"}, {"session-expires", "90"}, {"r", "<sip:c@d>"}, {"via", "SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bKabc"},
	}
	for _, tt := range tests {
		h, ok := m.Named(tt.name)
		if !ok || string(m.HeaderValue(h)) != tt.want {
			t.Errorf("%s: got %q %v, want %q", tt.name, m.HeaderValue(h), ok, tt.want)
		}
	}
	if h, ok := m.Named("Organization"); ok {
		t.Errorf("got %q for a header that is not there", m.HeaderName(h))
	}
}

func TestFirstAndAfter(t *testing.T) {
	m := index(t, crlf(request))
	var got []string
	for h, ok := m.First(message.Route); ok; h, ok = m.After(h) {
		got = append(got, string(m.HeaderName(h)))
	}
	is(t, "Route lines", strings.Join(got, "|"), "Route|route")
	is(t, "last Route", text(m.Last(message.Route)), "<sip:p4.example.com;lr>")
	is(t, "no last Path", m.Last(message.Path) == nil, true)
}

func TestValues(t *testing.T) {
	tests := []struct{ name, lines, want string }{
		{"none", "", ""},
		{"empty", "Supported:\n", ""},
		{"one", "Supported: a\n", "a"},
		{"several", "Supported: a,b , c\n", "a | b | c"},
		{"several lines and names", "Supported: a\nX: y\nk: b,c\nSUPPORTED : d\n", "a | b | c | d"},
		{"empty values", "Supported: ,a,, ,b,\n", "a | b"},
		{"folded", "Supported: a,\n\tb\n ,c\n", "a | b | c"},
		{"comma in quotes", "Supported: \"a,b\",c\n", `"a,b" | c`},
		{"escaped quote", "Supported: \"a\\\",b\",c\n", `"a\",b" | c`},
		{"comma in brackets", "Supported: <sip:a,b@h>,c\n", "<sip:a,b@h> | c"},
		{"quote in brackets", "Supported: <sip:a\">,c\n", `<sip:a"> | c`},
		{"open quote", "Supported: \"a,b\n", `"a,b`},
		{"open bracket", "Supported: <a,b\n", `<a,b`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := index(t, crlf(line0+lines+tt.lines+"\n"))
			is(t, "values", values(m, message.Supported), tt.want)
		})
	}
}

func TestParseMethod(t *testing.T) {
	for m := message.INVITE; m <= message.REFER; m++ {
		if got := message.ParseMethod([]byte(m.String())); got != m {
			t.Errorf("%s: got %v", m, got)
		}
	}
	for _, other := range []string{"", "invite", "IN%56ITE", "Unknown", "INVITEE"} {
		if got := message.ParseMethod([]byte(other)); got != message.Unknown {
			t.Errorf("%q: got %v, want Unknown", other, got)
		}
	}
	is(t, "no method", message.Method(200).String(), "Unknown")
}
