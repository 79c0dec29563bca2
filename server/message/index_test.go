package message_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"sipd/server/message"
)

// The head of a request that is in order, to be spoilt line by line.
const (
	line0   = "OPTIONS sip:bob@example.com SIP/2.0\n"
	lineVia = "Via: SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bKabc\n"
	lineFT  = "From: <sip:alice@example.com>;tag=1\nTo: <sip:bob@example.com>\n"
	lineID  = "Call-ID: abc@192.0.2.1\nCSeq: 7 OPTIONS\n"
	lines   = lineVia + lineFT + lineID
)

func TestIndexFaults(t *testing.T) {
	repeat := strings.Repeat
	tests := []struct {
		name, raw string
		want      int // status of the Malformed, or taken
		why       string
	}{
		{"in order", line0 + lines + "\n", taken, ""},
		// Start line.
		{"nothing", "", 0, "no start line"},
		{"keepalive", "\n\n", 0, "no start line"},
		{"CRLF before the request, RFC 3261 7.5", "\n\n\n" + line0 + lines + "\n", taken, ""},
		{"HTTP", "GET / HTTP/1.1\n\n", 0, "SIP version"},
		{"garbage", "hello\n\n", 0, "neither a request nor a response"},
		{"binary", "\x00\x01\x02\x03\n\n", 0, "neither"},
		{"no version", "OPTIONS sip:bob@example.com\n" + lines + "\n", 0, "SIP version"},
		{"version in lower case, RFC 3261 7.1", "OPTIONS sip:bob@example.com sip/2.0\n" + lines + "\n", taken, ""},
		{"version 3", "OPTIONS sip:bob@example.com SIP/3.0\n" + lines + "\n", 505, "not 2.0"},
		{"no Request-URI", "OPTIONS  SIP/2.0\n" + lines + "\n", 400, "Request-URI is bad"},
		{"tab in the request line", "OPTIONS\tsip:bob@example.com SIP/2.0\n" + lines + "\n", 0, "neither"},
		{"method is no token", "OPT(IONS sip:bob@example.com SIP/2.0\n" + lines + "\n", 0, "neither"},
		{"Request-URI of 4096 bytes", "OPTIONS sip:" + repeat("a", 4092) + " SIP/2.0\n" + lines + "\n", taken, ""},
		{"Request-URI of 4097 bytes", "OPTIONS sip:" + repeat("a", 4093) + " SIP/2.0\n" + lines + "\n", 414, "longer than 4096"},
		{"unknown scheme", "OPTIONS foo:bar SIP/2.0\n" + lines + "\n", taken, ""},
		// Lines.
		{"no empty line", line0 + lines, 400, "do not end with an empty line"},
		{"cut in a line", line0 + lines + "Subject: x", 400, "do not end with an empty line"},
		{"line of white space before the body, BEHAVIOUR C12", line0 + lines + " \nv=0\n", 400, "line of white space"},
		{"line of white space in a fold", line0 + lines + "Subject:\n \n x\n\n", 400, "line of white space"},
		{"no colon", line0 + lines + "Subject x\n\n", 400, "not a name, a colon and a value"},
		{"no name", line0 + lines + ": x\n\n", 400, "not a name"},
		{"name is no token", line0 + lines + "Sub(ject: x\n\n", 400, "not a name"},
		{"fold before any header", line0 + " x: y\n" + lines + "\n", 400, "not a name"},
		{"white space before the colon", line0 + strings.NewReplacer("Via:", "Via \t:", "To:", "TO\t:", "Call-ID:", "CALL-id :").Replace(lines) + "\n", taken, ""},
		// Headers that must be there.
		{"no Via", line0 + lineFT + lineID + "\n", 0, "Via is missing"},
		{"no From and To", line0 + lineVia + lineID + "\n", 400, "From is missing"},
		{"no Call-ID and CSeq", line0 + lineVia + lineFT + "\n", 400, "CSeq is missing"},
		{"no Max-Forwards, RFC 2543", line0 + lines + "\n", taken, ""},
		// Headers that stand there once.
		{"From twice", line0 + lines + "f: <sip:a@b>;tag=2\n\n", 400, "From stands there more than once"},
		{"To twice", line0 + lines + "t: <sip:a@b>\n\n", 400, "To stands there more than once"},
		{"Call-ID twice", line0 + lines + "i: abc@192.0.2.1\n\n", 400, "Call-ID stands there more than once"},
		{"CSeq twice", line0 + lines + "cseq: 7 OPTIONS\n\n", 400, "CSeq stands there more than once"},
		{"Max-Forwards twice", line0 + lines + "Max-Forwards: 1\nMax-Forwards: 2\n\n", 400, "Max-Forwards stands there more than once"},
		{"Content-Length twice, equal", line0 + lines + "Content-Length: 0\nl: 0\n\n", 400, "Content-Length stands there more than once"},
		// Numbers.
		{"CSeq 2^31-1", line0 + lineVia + lineFT + "Call-ID: x\nCSeq: 2147483647 OPTIONS\n\n", taken, ""},
		{"CSeq 2^31", line0 + lineVia + lineFT + "Call-ID: x\nCSeq: 2147483648 OPTIONS\n\n", 400, "greater than 2147483647"},
		{"CSeq negative", line0 + lineVia + lineFT + "Call-ID: x\nCSeq: -1 OPTIONS\n\n", 400, "not a number and a method"},
		{"CSeq without method", line0 + lineVia + lineFT + "Call-ID: x\nCSeq: 1\n\n", 400, "not a number and a method"},
		{"CSeq with two methods", line0 + lineVia + lineFT + "Call-ID: x\nCSeq: 1 OPTIONS INVITE\n\n", 400, "not a token"},
		{"CSeq with method in lower case", line0 + lineVia + lineFT + "Call-ID: x\nCSeq: 1 options\n\n", 400, "another method"},
		{"Max-Forwards 255", line0 + lines + "Max-Forwards: 255\n\n", taken, ""},
		{"Max-Forwards 256", line0 + lines + "Max-Forwards: 256\n\n", 400, "from 0 to 255"},
		{"Max-Forwards negative", line0 + lines + "Max-Forwards: -1\n\n", 400, "from 0 to 255"},
		{"Max-Forwards empty", line0 + lines + "Max-Forwards:\n\n", 400, "from 0 to 255"},
		{"Max-Forwards huge", line0 + lines + "Max-Forwards: 18446744073709551617\n\n", 400, "from 0 to 255"},
		{"Content-Length with sign", line0 + lines + "Content-Length: +0\n\n", 400, "not a number"},
		{"Content-Length huge", line0 + lines + "Content-Length: 18446744073709551617\n\n", 400, "greater than the body"},
		{"Content-Length one too many", line0 + lines + "Content-Length: 2\n\nx", 400, "greater than the body"},
		{"Call-ID empty", line0 + lineVia + lineFT + "Call-ID:\nCSeq: 7 OPTIONS\n\n", 400, "Call-ID is empty"},
		{"Call-ID with a space", line0 + lineVia + lineFT + "Call-ID: a b\nCSeq: 7 OPTIONS\n\n", 400, "does not belong there"},
		// Via.
		{"Via empty", line0 + "Via:\n" + lineFT + lineID + "\n", 0, "Via does not start"},
		{"Via without transport", line0 + "Via: SIP/2.0 192.0.2.1\n" + lineFT + lineID + "\n", 0, "Via does not start"},
		{"Via without sent-by", line0 + "Via: SIP/2.0/UDP\n" + lineFT + lineID + "\n", 0, "no sent-by"},
		{"Via with parameters alone", line0 + "Via: SIP/2.0/UDP ;branch=z9hG4bKa\n" + lineFT + lineID + "\n", 0, "no host"},
		{"Via with bad port", line0 + "Via: SIP/2.0/UDP h:x\n" + lineFT + lineID + "\n", 0, "port"},
		{"Via with port 65536", line0 + "Via: SIP/2.0/UDP h:65536\n" + lineFT + lineID + "\n", 0, "port"},
		{"Via with open bracket", line0 + "Via: SIP/2.0/UDP [::1\n" + lineFT + lineID + "\n", 0, "without its closing bracket"},
		{"Via with bad IPv6 address", line0 + "Via: SIP/2.0/UDP [::g]\n" + lineFT + lineID + "\n", 0, "no IPv6 address"},
		{"Via with two hosts", line0 + "Via: SIP/2.0/UDP h g\n" + lineFT + lineID + "\n", 400, "behind sent-by"},
		{"Via with empty branch", line0 + "Via: SIP/2.0/UDP h;branch=\n" + lineFT + lineID + "\n", 400, "without the value"},
		{"Via with branch flag", line0 + "Via: SIP/2.0/UDP h;branch\n" + lineFT + lineID + "\n", 400, "branch without a value"},
		{"Via with open quote", line0 + "Via: SIP/2.0/UDP h;a=\"b\n" + lineFT + lineID + "\n", 400, "quoted string without end"},
		{"Via with comma at the end", line0 + "Via: SIP/2.0/UDP h,\n" + lineFT + lineID + "\n", 400, "comma without a value"},
		{"Via with bad ttl", line0 + "Via: SIP/2.0/UDP h;ttl=256\n" + lineFT + lineID + "\n", 400, "ttl"},
		{"Via with bad rport", line0 + "Via: SIP/2.0/UDP h;rport=x\n" + lineFT + lineID + "\n", 400, "rport"},
		{"second Via is not ours to judge", line0 + lines + "Via: nonsense\n\n", taken, ""},
		{"70 Vias", line0 + lines + "Via: SIP/2.0/UDP a" + repeat(",SIP/2.0/UDP a", 68) + "\n\n", taken, ""},
		{"71 Vias", line0 + lines + "Via: SIP/2.0/UDP a" + repeat(",SIP/2.0/UDP a", 69) + "\n\n", 483, "more than 70 Via"},
		{"71 Via lines", line0 + lines + repeat("Via: SIP/2.0/UDP a\n", 70) + "\n", 483, "more than 70 Via"},
		{"70 Routes", line0 + lines + "Route: <sip:a>" + repeat(",<sip:a>", 69) + "\n\n", taken, ""},
		{"71 Routes", line0 + lines + "Route: <sip:a>" + repeat(",<sip:a>", 70) + "\n\n", 400, "more than 70 Route"},
		{"256 header lines", line0 + lines + repeat("X: y\n", 251) + "\n", taken, ""},
		{"257 header lines", line0 + lines + repeat("X: y\n", 252) + "\n", 513, "more than 256 header lines"},
		{"65536 bytes", line0 + lines + "\n" + repeat("x", 65536), 513, "longer than 65535"},
		// From, To, Contact.
		{"From without URI", line0 + lineVia + "From: Alice\nTo: <sip:b@h>\n" + lineID + "\n", 400, "From has no URI"},
		{"From empty", line0 + lineVia + "From:\nTo: <sip:b@h>\n" + lineID + "\n", 400, "From has"},
		{"From without >", line0 + lineVia + "From: <sip:a@b\nTo: <sip:b@h>\n" + lineID + "\n", 400, "not closed"},
		{"From with text behind", line0 + lineVia + "From: <sip:a@b> x\nTo: <sip:b@h>\n" + lineID + "\n", 400, "behind its URI"},
		{"From with two values", line0 + lineVia + "From: <sip:a@b>, <sip:c@d>\nTo: <sip:b@h>\n" + lineID + "\n", 400, "behind its URI"},
		{"From with empty parameter", line0 + lineVia + "From: <sip:a@b>;;tag=1\nTo: <sip:b@h>\n" + lineID + "\n", 400, "without a name"},
		{"From with empty tag", line0 + lineVia + "From: <sip:a@b>;tag\nTo: <sip:b@h>\n" + lineID + "\n", 400, "tag without a value"},
		{"To with name and no <", line0 + lineVia + "From: <sip:a@b>;tag=1\nTo: \"Bob\" sip:b@h\n" + lineID + "\n", 400, "no URI in angle brackets"},
		{"To with a comma in the bare URI, RFC 8217", line0 + lineVia + "From: <sip:a@b>;tag=1\nTo: sip:b,c@h\n" + lineID + "\n", 400, "comma or question mark"},
		{"Contact of a proxied request is not ours to judge", line0 + lines + "Contact: <<<\n\n", taken, ""},
		{"Contact of a REGISTER is", strings.ReplaceAll(line0+lines, "OPTIONS", "REGISTER") + "Contact: <sip:a@b>, <<<\n\n", 400, "Contact has"},
		{"Contact *", strings.ReplaceAll(line0+lines, "OPTIONS", "REGISTER") + "Contact: *\n\n", taken, ""},
		// Who gets no answer.
		{"bad ACK", strings.ReplaceAll(line0+lines, "OPTIONS", "ACK") + "Max-Forwards: x\n\n", 0, "Max-Forwards"},
		{"response", "SIP/2.0 200 OK\n" + lines + "\n", taken, ""},
		{"response without a phrase or its space", "SIP/2.0 200\n" + lines + "\n", taken, ""},
		{"response of another version", "SIP/3.0 200 OK\n" + lines + "\n", 0, "SIP/2.0"},
		{"response with status 99", "SIP/2.0 099 OK\n" + lines + "\n", 0, "100 to 699"},
		{"response with status 700", "SIP/2.0 700 OK\n" + lines + "\n", 0, "100 to 699"},
		{"response with a word", "SIP/2.0 abc OK\n" + lines + "\n", 0, "100 to 699"},
		{"response without Via", "SIP/2.0 200 OK\n" + lineFT + lineID + "\n", 0, "Via is missing"},
		{"response with short body", "SIP/2.0 200 OK\n" + lines + "Content-Length: 1\n\n", 0, "greater than the body"},
		{"response with a carriage return in its phrase", "SIP/2.0 200 OK\rX: y\n" + lines + "\n", 0, "carriage return without line feed in the status line"},
		{"response with two Froms", "SIP/2.0 200 OK\n" + lines + "From: <sip:a@b>\n\n", 0, "From stands"},
		{"response with CSeq too large", "SIP/2.0 200 OK\n" + lineVia + lineFT + "Call-ID: x\nCSeq: 4294967296 INVITE\n\n", 0, "CSeq"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checkFault(t, crlf(tt.raw), tt.want, tt.why)
		})
	}
	// Line ends that crlf cannot write.
	t.Run("line feed alone", func(t *testing.T) {
		checkFault(t, append(crlf(line0+lines), "X: y\nVia: z\r\n\r\n"...), 400, "line feed without carriage return")
	})
	t.Run("carriage return alone", func(t *testing.T) {
		checkFault(t, append(crlf(line0+lines), "X: y\rVia: z\r\n\r\n"...), 400, "carriage return without line feed")
	})
	t.Run("line feed behind the start line", func(t *testing.T) {
		checkFault(t, append([]byte(line0), crlf(lines+"\n")...), 400, "start line does not end in CRLF")
	})
	t.Run("line feeds alone, body", func(t *testing.T) {
		checkFault(t, append(crlf(line0+lines), "\r\na\nb\rc"...), taken, "")
	})
}

func checkFault(t *testing.T, raw []byte, want int, why string) {
	t.Helper()
	m := message.Message{Source: source}
	err := m.Index(raw)
	got := taken
	var bad *message.Malformed
	if errors.As(err, &bad) {
		got = bad.Status
	}
	if got != want {
		t.Fatalf("got %d (%v), want %d (%s)", got, err, want, why)
	}
	if err != nil && !strings.Contains(err.Error(), why) {
		t.Errorf("got %q, want %q", err, why)
	}
	if bad != nil && !reasonPhrase(bad.What) {
		t.Errorf("%q cannot stand in a status line", bad.What)
	}
	if got > 0 {
		checkAnswer(t, &m, bad)
	}
}

// A message is used again and again: nothing of the one before may remain.
func TestIndexAgain(t *testing.T) {
	var m message.Message
	if err := m.Index(invite); err != nil {
		t.Fatal(err)
	}
	m.Top()
	m.FromAddress()
	m.ToAddress()
	m.RequestURI()
	raw := crlf("SIP/2.0 180 Ringing\nv: SIP/2.0/TCP 192.0.2.9;branch=z9hG4bKx;received=192.0.2.77;rport=9\nf: <sip:c@d>;tag=2\nt: <sip:e@f>;tag=3\ni: z\nCSeq: 1 BYE\n\n")
	if err := m.Index(raw); err != nil {
		t.Fatal(err)
	}
	is(t, "request", m.IsRequest(), false)
	is(t, "status", m.Status(), 180)
	is(t, "method", m.Method(), message.BYE)
	is(t, "method text", text(m.MethodText()), "BYE")
	is(t, "Via", vias(&m), "TCP 192.0.2.9 z9hG4bKx")
	is(t, "received", text(m.Top().Received), "192.0.2.77")
	is(t, "rport", m.Top().Rport, 9)
	is(t, "From", text(m.FromAddress().URI.Text), "sip:c@d")
	is(t, "To", text(m.ToAddress().URI.Text), "sip:e@f")
	is(t, "tags", text(m.FromTag())+" "+text(m.ToTag()), "2 3")
	is(t, "Call-ID", text(m.CallID()), "z")
	is(t, "has Contact", m.Has(message.Contact), false)
	is(t, "Contact", values(&m, message.Contact), "")
	is(t, "body", len(m.Body()), 0)
	_, ok := m.MaxForwards()
	is(t, "has Max-Forwards", ok, false)
	if err := m.Index(nil); err == nil {
		t.Fatal("nothing was taken")
	}
	is(t, "has Via after nothing", m.Has(message.Via), false)
	is(t, "bytes after nothing", len(m.Raw()), 0)
}

// The zero value answers every question.
func TestZeroMessage(t *testing.T) {
	var m message.Message
	m.Vias(func(*message.ViaValue) bool { t.Error("a Via"); return true })
	is(t, "everything", fmt.Sprint(m.Raw(), m.IsRequest(), m.Method(), string(m.MethodText()), m.Status(), m.CallID(), m.CSeq(), m.Body(), len(m.Headers()),
		m.FromTag(), m.ToTag(), m.Value(message.Via), len(m.RequestURI().Text), len(m.Top().Text), len(m.FromAddress().Text), len(m.ToAddress().Text)),
		"[] false Unknown0 [] 0 [] 0 [] [] [] 0 0 0 0")
}

func TestCopy(t *testing.T) {
	raw := append([]byte(nil), invite...)
	m := index(t, raw)
	m.Source = source
	var c message.Message
	c.Copy(m)
	clear(raw)
	is(t, "Request-URI", text(c.RequestURI().Text), "sip:bob@example.com")
	is(t, "From tag", text(c.FromTag()), "a73kszlfl")
	is(t, "Contact", values(&c, message.Contact), "<sip:alice@192.0.2.10:5060;transport=udp>")
	is(t, "Source", c.Source, source)
	is(t, "bytes", text(c.Raw()), text(invite))
	c.Copy(&c)
	is(t, "bytes after a copy of itself", text(c.Raw()), text(invite))
	c.Release()
	is(t, "bytes after Release", len(c.Raw()), 0)
	is(t, "has Via after Release", c.Has(message.Via), false)
	c.Copy(index(t, invite))
	is(t, "Via after the next Copy", text(c.Top().Host), "192.0.2.10")
}

func TestSeconds(t *testing.T) {
	tests := []struct {
		name, line string
		id         message.HeaderID
		want       int
		ok         bool
	}{
		{"expires", "Expires: 3600", message.Expires, 3600, true},
		{"zero", "Expires: 0", message.Expires, 0, true},
		{"missing", "X: y", message.Expires, 0, false},
		{"not a number", "Expires: soon", message.Expires, 0, false},
		{"a date, as RFC 2543 had it", "Expires: Thu, 01 Dec 1994 16:00:00 GMT", message.Expires, 0, false},
		{"negative", "Expires: -1", message.Expires, 0, false},
		{"2^31-1", "Expires: 2147483647", message.Expires, 2147483647, true},
		{"2^31, RFC 3261 20.19", "Expires: 2147483648", message.Expires, 2147483647, true},
		{"googol, RFC 4475 3.1.2.4", "Expires: 1" + strings.Repeat("0", 100), message.Expires, 2147483647, true},
		{"Retry-After with comment", "Retry-After: 120 (I'm in a meeting)", message.RetryAfter, 120, true},
		{"Retry-After with parameter", "Retry-After: 18000;duration=3600", message.RetryAfter, 18000, true},
		{"Expires with parameter", "Expires: 18000;duration=3600", message.Expires, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := index(t, crlf(line0+lines+tt.line+"\n\n")).Seconds(tt.id)
			if got != tt.want || ok != tt.ok {
				t.Errorf("got %d %v, want %d %v", got, ok, tt.want, tt.ok)
			}
		})
	}
}
