package message_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sipd/server/message"
	"sipd/sipaddr"
)

// taken is the verdict of a message that Index takes.
const taken = -1

// torture is a row of the tables below: the verdict on one message of an RFC, and the facts that later stages decide by.
type torture struct {
	name  string // of the file
	want  int    // status of the Malformed, 0 for a drop, or taken
	why   string // what the error says
	facts func(t *testing.T, m *message.Message)
}

// TestRFC4475 holds a verdict for every message of RFC 4475, from the exact bytes of its appendix A.
func TestRFC4475(t *testing.T) {
	rows := []torture{
		// 3.1.1: "well-formed", "must accept".
		{"wsinv", taken, "", func(t *testing.T, m *message.Message) { // 3.1.1.1
			is(t, "method", m.Method(), message.INVITE)
			is(t, "Request-URI", text(m.RequestURI().Text), "sip:vivekg@chair-dnrc.example.com;unknownparam")
			is(t, "To tag", text(m.ToTag()), "1918181833n")
			is(t, "From tag", text(m.FromTag()), "98asjd8")
			is(t, "From display name", text(m.FromAddress().Display), `"J Rosenberg \\\""`)
			is(t, "From URI", text(m.FromAddress().URI.Text), "sip:jdrosen@example.com")
			n, ok := m.MaxForwards()
			is(t, "Max-Forwards", n, 68)
			is(t, "has Max-Forwards", ok, true)
			is(t, "CSeq", m.CSeq(), 9)
			is(t, "top Via host", text(m.Top().Host), "192.0.2.2")
			is(t, "top Via transport", text(m.Top().Transport), "UDP")
			is(t, "top Via branch", text(m.Top().Branch), "390skdjuw")
			is(t, "Vias", vias(m), "UDP 192.0.2.2 390skdjuw, TCP spindle.example.com z9hG4bK9ikj8, UDP 192.168.255.111 z9hG4bK30239")
			is(t, "Routes", values(m, message.Route), "<sip:services.example.com;lr;unknownwith=value;unknown-no-value>")
			c := address(t, m.Value(message.Contact))
			is(t, "Contact display name", text(c.Display), `"Quoted string \"\""`)
			v, _ := c.Param("newparam")
			is(t, "Contact newparam", text(v), "newvalue")
			q, _, err := c.Q()
			is(t, "Contact q", q, 330)
			is(t, "Contact q error", err, nil)
			h, ok := m.Named("subject")
			is(t, "has Subject", ok, true)
			is(t, "Subject", text(m.HeaderValue(h)), "")
			h, _ = m.Named("NewFangledHeader")
			is(t, "folded value", text(m.HeaderValue(h)), "newfangled value\r\n continued newfangled value")
			is(t, "body", len(m.Body()), 150)
		}},
		{"intmeth", taken, "", func(t *testing.T, m *message.Message) { // 3.1.1.2: IN%56ITE is no INVITE; forward normally
			is(t, "method", m.Method(), message.Unknown)
			is(t, "method text", text(m.MethodText()), "!interesting-Method0123456789_*+`.%indeed'~")
			is(t, "user", text(m.RequestURI().User), "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*")
			is(t, "branch", text(m.Top().Branch), "z9hG4bK-.!%66*_+`'~")
			is(t, "From tag", text(m.FromTag()), "_token~1'+`*%!-.")
			is(t, "From display name", text(m.FromAddress().Display), "token1~` token2'+_ token3*%!.-")
			is(t, "Call-ID", text(m.CallID()), "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{")
			n, _ := m.MaxForwards()
			is(t, "Max-Forwards", n, 255)
		}},
		{"esc01", taken, "", func(t *testing.T, m *message.Message) { // 3.1.1.3
			is(t, "Request-URI", text(m.RequestURI().AppendAOR(nil)), "sips:user@example.com@example.net")
			is(t, "To", text(m.ToAddress().URI.AppendAOR(nil)), "user@example.com")
			is(t, "From", text(m.FromAddress().URI.AppendAOR(nil)), "I have spaces@example.net")
			c := address(t, m.Value(message.Contact))
			same, _ := sipaddr.Parse([]byte("sip:caller@host5.example.net;lr;name=value%2541"))
			is(t, "Contact equals its unescaped form", c.URI.Equal(&same), true)
		}},
		{"escnull", taken, "", func(t *testing.T, m *message.Message) { // 3.1.1.4: two distinct contacts
			is(t, "AOR", text(m.ToAddress().URI.AppendAOR(nil)), "null-\x00-null@example.com")
			is(t, "Contacts", values(m, message.Contact), "<sip:%00@host5.example.com> | <sip:%00%00@host5.example.com>")
		}},
		{"esc02", taken, "", func(t *testing.T, m *message.Message) { // 3.1.1.5: not REGISTER; two Contacts, not three
			is(t, "method", m.Method(), message.Unknown)
			is(t, "Contacts", values(m, message.Contact), "<sip:alias1@host1.example.com> | <sip:alias3@host3.example.com>")
			is(t, "display name", text(m.ToAddress().Display), `"%Z%45"`)
		}},
		{"lwsdisp", taken, "", func(t *testing.T, m *message.Message) { // 3.1.1.6
			is(t, "display name", text(m.FromAddress().Display), "caller")
			is(t, "From", text(m.FromAddress().URI.Text), "sip:caller@example.com")
			is(t, "tag", text(m.FromTag()), "323")
		}},
		{"longreq", taken, "", func(t *testing.T, m *message.Message) { // 3.1.1.7
			is(t, "From tag", text(m.FromTag()), "12"+strings.Repeat("982", 50)+"424")
			is(t, "Call-ID", text(m.CallID()), "longreq.one"+strings.Repeat("really", 20)+"longcallid")
			is(t, "To port", m.ToAddress().URI.Port, 6000)
			n := 0
			m.Vias(func(*message.ViaValue) bool { n++; return true })
			is(t, "Vias", n, 34)
			is(t, "top Via", text(m.Top().Host), "sip33.example.com")
			is(t, "body", len(m.Body()), 150)
		}},
		{"dblreq", taken, "", func(t *testing.T, m *message.Message) { // 3.1.1.8: the rest "must be ignored"
			is(t, "method", m.Method(), message.REGISTER)
			is(t, "body", len(m.Body()), 0)
			is(t, "INVITE behind it", bytes.Contains(m.Raw(), []byte("INVITE")), false)
		}},
		{"semiuri", taken, "", func(t *testing.T, m *message.Message) { // 3.1.1.9
			is(t, "AOR", text(m.RequestURI().AppendAOR(nil)), "user;par=u@example.net@example.com")
			is(t, "params", text(m.RequestURI().Params), "")
			is(t, "Accept", values(m, message.Accept), "application/sdp | application/pkcs7-mime | multipart/mixed | multipart/signed | message/sip | message/sipfrag")
		}},
		{"transports", taken, "", func(t *testing.T, m *message.Message) { // 3.1.1.10
			is(t, "Vias", vias(m), "UDP t1.example.com z9hG4bKkdjuw, SCTP t2.example.com z9hG4bKklasjdhf, TLS t3.example.com z9hG4bK2980unddj, "+
				"UNKNOWN t4.example.com z9hG4bKasd0f3en, TCP t5.example.com z9hG4bK0a9idfnee")
		}},
		{"mpart01", taken, "", func(t *testing.T, m *message.Message) { // 3.1.1.11
			is(t, "body", len(m.Body()), 553)
			is(t, "NUL in the body", bytes.IndexByte(m.Body(), 0) > 0, true)
			is(t, "rport asked for", m.Top().HasRport, true)
			is(t, "port", m.Top().Port, 5070)
			is(t, "Route", values(m, message.Route), "<sip:127.0.0.1:5080>")
		}},
		{"unreason", taken, "", func(t *testing.T, m *message.Message) { // 3.1.1.12
			is(t, "status", m.Status(), 200)
			is(t, "method", m.Method(), message.INVITE)
			is(t, "body", len(m.Body()), 154)
		}},
		{"noreason", taken, "", func(t *testing.T, m *message.Message) { // 3.1.1.13
			is(t, "status", m.Status(), 100)
		}},

		// 3.1.2: invalid.
		{"badinv01", 400, "Via has a parameter without a name", nil},                                                    // 3.1.2.1: "should respond with a 400"
		{"clerr", 400, "Content-Length is greater than the body", nil},                                                  // 3.1.2.2: over UDP "should respond with a 400"
		{"ncl", 400, "Content-Length is not a number", nil},                                                             // 3.1.2.3: "should respond with an error"
		{"scalar02", 400, "CSeq is greater than 2147483647", nil},                                                       // 3.1.2.4: "should respond with a 400 Bad Request due to the CSeq error"
		{"scalarlg", 0, "CSeq is greater than 2147483647", nil},                                                         // 3.1.2.5: "will simply discard it"
		{"quotbal", 400, "To has a quoted string without end", nil},                                                     // 3.1.2.6: "should return a 400"
		{"ltgtruri", 400, "Request-URI is in angle brackets", nil},                                                      // 3.1.2.7: "reasonable always to reject with a 400"
		{"lwsruri", 400, "Request-URI is bad", nil},                                                                     // 3.1.2.8: "should respond with a 400"
		{"lwsstart", 400, "spaces around it", nil},                                                                      // 3.1.2.9: "acceptable to reject this request as malformed"
		{"trws", 400, "space at the end of the request line", nil},                                                      // 3.1.2.10: the same
		{"escruri", 400, "Request-URI has headers", nil},                                                                // 3.1.2.11: "acceptable to reject with a 400"; RFC 3261 19.1.1
		{"baddate", taken, "", func(t *testing.T, m *message.Message) { is(t, "has Date", m.Has(message.Date), true) }}, // 3.1.2.12: "an element shouldn't do that unless the Date were actually important"
		{"regbadct", 400, "Contact has a URI with a comma or question mark without angle brackets", nil},                // 3.1.2.13: "reasonable to respond with a 400"
		{"badaspec", 400, "To has a bad URI", nil},                                                                      // 3.1.2.14: "reasonable to reject with a 400"
		{"baddn", 400, "headers do not end with an empty line", nil},                                                    // 3.1.2.15: 400; the bytes of appendix A lack the empty line
		{"baddn+", 400, "From has a display name that must stand in quotes", nil},                                       // 3.1.2.15, with it: "reasonable always to reject with a 400"
		{"badvers", 505, "SIP version is not 2.0", nil},                                                                 // 3.1.2.16: "should respond with a 505"
		{"mismatch01", 400, "CSeq has another method", nil},                                                             // 3.1.2.17: "will respond with a 400"
		{"mismatch02", 501, "method is unknown", nil},                                                                   // 3.1.2.18: "should respond with a 501"
		{"bigcode", 0, "status code", nil},                                                                              // 3.1.2.19: "should simply drop it"

		// 3.2
		{"badbranch", 400, "magic cookie alone", nil}, // 3.2.1: "could reject the request with a 400 (preferably statelessly)"

		// 3.3
		{"insuf", 400, "is missing", nil}, // 3.3.1: "ideally, it will respond with a 400"
		{"unkscm", taken, "", func(t *testing.T, m *message.Message) { // 3.3.2: "must accept"; 416 follows from the scheme
			is(t, "scheme", m.RequestURI().Scheme, sipaddr.Other)
			is(t, "Request-URI", text(m.RequestURI().Text), "nobodyKnowsThisScheme:totallyopaquecontent")
		}},
		{"novelsc", taken, "", func(t *testing.T, m *message.Message) { // 3.3.3: "must accept"; 416
			is(t, "scheme", m.RequestURI().Scheme, sipaddr.Other)
		}},
		{"unksm2", taken, "", func(t *testing.T, m *message.Message) { // 3.3.4: "syntactically valid"; a registrar answers 400 by the scheme of To
			is(t, "To scheme", m.ToAddress().URI.Scheme, sipaddr.Other)
			is(t, "To", text(m.ToAddress().URI.Text), "isbn:2983792873")
			is(t, "From", text(m.FromAddress().URI.Text), "http://www.example.com")
			is(t, "Contact", text(address(t, m.Value(message.Contact)).URI.Text), "name:John_Smith")
		}},
		{"bext01", taken, "", func(t *testing.T, m *message.Message) { // 3.3.5: 420 with Unsupported
			is(t, "Require", values(m, message.Require), "nothingSupportsThis | nothingSupportsThisEither")
			is(t, "Proxy-Require", values(m, message.ProxyRequire), "noProxiesSupportThis | norDoAnyProxiesSupportThis")
			is(t, "option tag in any case", m.HasToken(message.ProxyRequire, "NORDOANYPROXIESSUPPORTTHIS"), true)
			is(t, "another option tag", m.HasToken(message.ProxyRequire, "norDoAny"), false)
		}},
		{"invut", taken, "", func(t *testing.T, m *message.Message) { // 3.3.6: "would process it just as any other INVITE"
			is(t, "Content-Type", text(m.Value(message.ContentType)), "application/unknownformat")
			is(t, "body", len(m.Body()), 40)
		}},
		{"regaut01", taken, "", func(t *testing.T, m *message.Message) { // 3.3.7: well-formed; a registrar answers 401
			is(t, "Authorization", text(m.Value(message.Authorization)), "NoOneKnowsThisScheme opaque-data=here")
		}},
		{"multi01", 400, "stands there more than once", nil},              // 3.3.8: "would respond with a 400"
		{"mcl01", 400, "Content-Length stands there more than once", nil}, // 3.3.9: "should respond with an error"
		{"bcast", taken, "", func(t *testing.T, m *message.Message) { // 3.3.10: well-formed; "proxies should drop such responses"
			is(t, "Vias", vias(m), "UDP 192.0.2.198 z9hG4bK1324923, UDP 255.255.255.255 z9hG4bK1saber23")
		}},
		{"zeromf", taken, "", func(t *testing.T, m *message.Message) { // 3.3.11: legal; a proxy answers 483
			n, ok := m.MaxForwards()
			is(t, "Max-Forwards", n, 0)
			is(t, "has Max-Forwards", ok, true)
		}},
		{"cparam01", taken, "", func(t *testing.T, m *message.Message) { // 3.3.12: a contact-param and not a uri-parameter
			c := address(t, m.Value(message.Contact))
			is(t, "URI", text(c.URI.Text), "sip:+19725552222@gw1.example.net")
			is(t, "params", text(c.Params), ";unknownparam")
		}},
		{"cparam02", taken, "", func(t *testing.T, m *message.Message) { // 3.3.13: a uri-parameter
			c := address(t, m.Value(message.Contact))
			is(t, "URI", text(c.URI.Text), "sip:+19725552222@gw1.example.net;unknownparam")
			is(t, "params", text(c.Params), "")
		}},
		{"regescrt", taken, "", func(t *testing.T, m *message.Message) { // 3.3.14: the escaped header stays in the URI
			is(t, "headers", text(address(t, m.Value(message.Contact)).URI.Headers), "Route=%3Csip:sip.example.com%3E")
		}},
		{"sdp01", taken, "", func(t *testing.T, m *message.Message) { // 3.3.15: 406 is the endpoint's
			is(t, "Accept", values(m, message.Accept), "text/nobodyKnowsThis")
		}},

		// 3.4
		{"inv2543", taken, "", func(t *testing.T, m *message.Message) { // 3.4.1: "should be accepted"; body to the end of the datagram
			is(t, "branch", text(m.Top().Branch), "")
			is(t, "From tag", text(m.FromTag()), "")
			_, ok := m.MaxForwards()
			is(t, "has Max-Forwards", ok, false)
			is(t, "body", len(m.Body()), 105)
			v, ok := m.ToAddress().Param("user")
			is(t, "user=phone belongs to the header", text(v), "phone")
			is(t, "has user", ok, true)
			is(t, "To", text(m.ToAddress().URI.Text), "sip:+16505552222@ss1.example.net")
		}},

		// In the archive, though not in the text: no SIP version, no Via.
		{"test", 0, "does not end in a SIP version", nil},
	}
	checkTorture(t, "testdata/rfc4475", rows)
}

// TestRFC5118 holds a verdict for every message of RFC 5118, as printed, with CRLF.
func TestRFC5118(t *testing.T) {
	contact := func(want string) func(*testing.T, *message.Message) {
		return func(t *testing.T, m *message.Message) {
			is(t, "Contact", text(address(t, m.Value(message.Contact)).URI.Host), want)
		}
	}
	inSDP := contact("2001:db8::20")
	rows := []torture{
		{"ipv6-good", taken, "", func(t *testing.T, m *message.Message) { // 4.1: well-formed
			is(t, "Request-URI", text(m.RequestURI().Host), "2001:db8::10")
			is(t, "Via", text(m.Top().Host), "2001:db8::9:1")
			contact("2001:db8::1")(t, m)
		}},
		{"ipv6-bad", 400, "Request-URI is bad", nil}, // 4.2: "should respond with a 400"
		{"port-ambiguous", taken, "", func(t *testing.T, m *message.Message) { // 4.3: "well-formed", the port is part of the address
			is(t, "Request-URI", text(m.RequestURI().Host), "2001:db8::10:5070")
			is(t, "has port", m.RequestURI().HasPort, false)
		}},
		{"port-unambiguous", taken, "", func(t *testing.T, m *message.Message) { // 4.4
			is(t, "Request-URI", text(m.RequestURI().Host), "2001:db8::10")
			is(t, "port", m.RequestURI().Port, 5070)
		}},
		{"via-received-param-with-delim", taken, "", func(t *testing.T, m *message.Message) { // 4.5: "must parse them successfully"
			is(t, "received", text(m.Top().Received), "2001:db8::9:255")
			is(t, "branch", text(m.Top().Branch), "z9hG4bKas3-111")
		}},
		{"via-received-param-no-delim", taken, "", func(t *testing.T, m *message.Message) { // 4.5
			is(t, "received", text(m.Top().Received), "2001:db8::9:255")
			is(t, "branch", text(m.Top().Branch), "z9hG4bKas3")
		}},
		// 4.6 calls it valid, but its Content-Length says 268 and 251 bytes are printed: in a datagram that is a 400 by
		// RFC 3261 18.3. With the length that the body has it is taken.
		{"ipv6-in-sdp", 400, "Content-Length is greater than the body", nil},
		{"ipv6-in-sdp+", taken, "", func(t *testing.T, m *message.Message) {
			inSDP(t, m)
			is(t, "body", len(m.Body()), 251)
		}},
		{"mult-ip-in-header", taken, "", func(t *testing.T, m *message.Message) { // 4.7
			is(t, "Vias", vias(m), "UDP 2001:db8::9:1 z9hG4bKas3-111, UDP 192.0.2.1 z9hG4bKjhja8781hjuaij65144, TCP 2001:db8::9:255 z9hG4bK451jj")
			is(t, "port", m.Top().Port, 6050)
		}},
		{"mult-ip-in-sdp", taken, "", func(t *testing.T, m *message.Message) { // 4.8: Content-Length 181 of 189 bytes: the rest is dropped (18.3)
			contact("2001:db8::9:1")(t, m)
			is(t, "body", len(m.Body()), 181)
		}},
		{"ipv4-mapped-ipv6", taken, "", func(t *testing.T, m *message.Message) { // 4.9
			is(t, "Vias", vias(m), "UDP ::ffff:192.0.2.10 z9hG4bKbh19, UDP ::ffff:192.0.2.2 z9hG4bKas3-111")
			is(t, "port", m.Top().Port, 19823)
			contact("::ffff:192.0.2.2")(t, m)
		}},
		{"ipv6-bug-abnf-3-colons", taken, "", func(t *testing.T, m *message.Message) { // 4.10: "must tolerate both"
			a, ok := m.RequestURI().Addr()
			is(t, "is an address", ok, true)
			is(t, "address", a.String(), "2001:db8::c000:201")
		}},
		{"ipv6-correct-abnf-2-colons", taken, "", func(t *testing.T, m *message.Message) { // 4.10
			a, _ := m.RequestURI().Addr()
			is(t, "address", a.String(), "2001:db8::c000:201")
		}},
	}
	checkTorture(t, "testdata/rfc5118", rows)
}

// repaired are messages with one defect of their file mended, to see what stands behind it.
var repaired = map[string]func([]byte) []byte{
	"baddn+":       func(b []byte) []byte { return append(b, "\r\n"...) },
	"ipv6-in-sdp+": func(b []byte) []byte { return bytes.Replace(b, []byte("268"), []byte("251"), 1) },
}

func checkTorture(t *testing.T, dir string, rows []torture) {
	files, err := filepath.Glob(dir + "/*.dat")
	if err != nil {
		t.Fatal(err)
	}
	left := map[string]bool{}
	for _, f := range files {
		left[strings.TrimSuffix(filepath.Base(f), ".dat")] = true
	}
	for _, row := range rows {
		delete(left, row.name)
		t.Run(row.name, func(t *testing.T) {
			raw, err := os.ReadFile(dir + "/" + strings.TrimSuffix(row.name, "+") + ".dat")
			if err != nil {
				t.Fatal(err)
			}
			if repair := repaired[row.name]; repair != nil {
				raw = repair(raw)
			}
			m := message.Message{Source: source}
			got := taken
			err = m.Index(raw)
			var bad *message.Malformed
			if errors.As(err, &bad) {
				got = bad.Status
			}
			if got != row.want {
				t.Fatalf("got %d (%v), want %d", got, err, row.want)
			}
			if err != nil && !strings.Contains(err.Error(), row.why) {
				t.Errorf("got %q, want %q", err, row.why)
			}
			if row.facts != nil {
				row.facts(t, &m)
			}
			switch {
			case got == taken:
				checkUntouched(t, &m)
			case got > 0:
				checkAnswer(t, &m, bad)
			}
		})
	}
	for name := range left {
		t.Errorf("%s/%s.dat has no row", dir, name)
	}
}

// checkUntouched forwards m without edits: not a byte may differ.
func checkUntouched(t *testing.T, m *message.Message) {
	t.Helper()
	saved := m.Source
	m.Source = none
	var s message.Splice
	s.Reset(m)
	if got := s.Append(nil); !bytes.Equal(got, m.Raw()) {
		t.Errorf("forwarded without edits: got %q, want %q", got, m.Raw())
	}
	m.Source = saved
}

// checkAnswer builds the response to a malformed request: it has what the request had, and is a response.
func checkAnswer(t *testing.T, m *message.Message, bad *message.Malformed) {
	t.Helper()
	resp := message.AppendResponse(nil, m, bad.Status, bad.What, []byte("t1"), nil, nil)
	for _, id := range []message.HeaderID{message.Via, message.From, message.To, message.CallID, message.CSeq} {
		h, ok := m.First(id)
		if !ok {
			continue
		}
		want := m.Raw()[h.Start:h.ValEnd]
		if id == message.Via {
			want = want[:len("Via: SIP/")] // source and port go into the value
		}
		if !bytes.Contains(resp, want) {
			t.Errorf("response lacks %q: %q", want, resp)
		}
	}
	if !bytes.HasPrefix(resp, []byte("SIP/2.0 ")) || !bytes.HasSuffix(resp, []byte("Content-Length: 0\r\n\r\n")) {
		t.Errorf("got %q, want a response", resp)
	}
	if !bytes.Contains(resp, []byte("203.0.113.7")) {
		t.Errorf("response lacks the source address: %q", resp)
	}
}
