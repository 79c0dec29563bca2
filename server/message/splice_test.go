package message_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sipd/server/message"
)

// request is a request whose headers are written in every way that matters to edits.
const request = `INVITE sip:bob@example.com SIP/2.0
Via: SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bKa;rport , SIP/2.0/TCP [2001:db8::1];branch=z9hG4bKb
v: SIP/2.0/UDP c.example.com;branch=z9hG4bKc
X-Odd:  ;;,,"
Route: <sip:p1.example.com;lr>, "x, y" <sip:p2.example.com;lr> ,
 <sip:p3.example.com;lr>
route : <sip:p4.example.com;lr>
Max-Forwards: 0068
From: <sip:alice@example.com>;tag=1
To: <sip:bob@example.com>
Call-ID: abc
CSeq: 1 INVITE
Record-Route: <sip:r1.example.com;lr>
l: 5

hello`

func TestSplice(t *testing.T) {
	const (
		uri   = "INVITE sip:bob@example.com SIP/2.0\n"
		via1  = "Via: SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bKa;rport , SIP/2.0/TCP [2001:db8::1];branch=z9hG4bKb\n"
		route = "Route: <sip:p1.example.com;lr>, \"x, y\" <sip:p2.example.com;lr> ,\n <sip:p3.example.com;lr>\n"
		last  = "route : <sip:p4.example.com;lr>\n"
	)
	value := func(s string) []byte { return []byte(s) }
	header := func(t *testing.T, m *message.Message, name string) message.Header {
		h, ok := m.Named(name)
		if !ok {
			t.Fatalf("no %s", name)
		}
		return h
	}
	tests := []struct {
		name string
		edit func(t *testing.T, s *message.Splice, m *message.Message)
		// what differs: pairs of old and new
		want []string
	}{
		{"nothing", func(*testing.T, *message.Splice, *message.Message) {}, nil},
		{"Request-URI", func(_ *testing.T, s *message.Splice, _ *message.Message) { s.RequestURI(value("sip:bob@192.0.2.20")) },
			[]string{uri, "INVITE sip:bob@192.0.2.20 SIP/2.0\n"}},
		{"push Via", func(_ *testing.T, s *message.Splice, _ *message.Message) { s.PushVia(value("SIP/2.0/UDP h")) },
			[]string{via1, "Via: SIP/2.0/UDP h\n" + via1}},
		{"pop Via: one of two values", func(_ *testing.T, s *message.Splice, _ *message.Message) { s.PopVia() },
			[]string{"Via: SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bKa;rport , SIP", "Via: SIP"}},
		{"pop and push Via", func(_ *testing.T, s *message.Splice, _ *message.Message) {
			s.PopVia()
			s.PushVia(value("SIP/2.0/UDP h"))
		}, []string{"Via: SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bKa;rport , SIP", "Via: SIP/2.0/UDP h\nVia: SIP"}},
		{"Max-Forwards", func(_ *testing.T, s *message.Splice, _ *message.Message) { s.SetMaxForwards(67) },
			[]string{"Max-Forwards: 0068", "Max-Forwards: 67"}},
		{"Max-Forwards never negative", func(_ *testing.T, s *message.Splice, _ *message.Message) { s.SetMaxForwards(-1) },
			[]string{"Max-Forwards: 0068", "Max-Forwards: 0"}},
		{"push Record-Route", func(_ *testing.T, s *message.Splice, _ *message.Message) { s.PushRecordRoute(value("<sip:me;lr>")) },
			[]string{"Record-Route: ", "Record-Route: <sip:me;lr>\nRecord-Route: "}},
		{"push two Record-Routes, RFC 5658", func(_ *testing.T, s *message.Splice, _ *message.Message) {
			s.PushRecordRoute(value("<sip:in;lr>"))
			s.PushRecordRoute(value("<sip:out;lr>"))
		}, []string{"Record-Route: ", "Record-Route: <sip:out;lr>\nRecord-Route: <sip:in;lr>\nRecord-Route: "}},
		{"push Path where none is", func(_ *testing.T, s *message.Splice, _ *message.Message) { s.PushPath(value("<sip:me;lr>")) },
			[]string{"X-Odd", "Path: <sip:me;lr>\nX-Odd"}},
		{"pop no Route", func(_ *testing.T, s *message.Splice, _ *message.Message) { s.PopRoute(0) }, nil},
		{"pop one Route", func(_ *testing.T, s *message.Splice, _ *message.Message) { s.PopRoute(1) },
			[]string{"Route: <sip:p1.example.com;lr>, ", "Route: "}},
		{"pop two Routes", func(_ *testing.T, s *message.Splice, _ *message.Message) { s.PopRoute(2) },
			[]string{route, "Route: <sip:p3.example.com;lr>\n"}},
		{"pop a whole Route line", func(_ *testing.T, s *message.Splice, _ *message.Message) { s.PopRoute(3) }, []string{route, ""}},
		{"pop every Route", func(_ *testing.T, s *message.Splice, _ *message.Message) { s.PopRoute(4) }, []string{route + last, ""}},
		{"pop more Routes than there are", func(_ *testing.T, s *message.Splice, _ *message.Message) { s.PopRoute(9) }, []string{route + last, ""}},
		{"push Route", func(_ *testing.T, s *message.Splice, _ *message.Message) { s.PushRoute(value("<sip:n;lr>")) },
			[]string{route, "Route: <sip:n;lr>\n" + route}},
		{"append Route", func(_ *testing.T, s *message.Splice, _ *message.Message) { s.AppendRoute(value("<sip:n>")) },
			[]string{last, last + "Route: <sip:n>\n"}},
		{"pop last Route", func(_ *testing.T, s *message.Splice, _ *message.Message) { s.PopLastRoute() }, []string{last, ""}},
		{"strict router behind us, 16.6 step 6", func(_ *testing.T, s *message.Splice, _ *message.Message) {
			s.PopRoute(1)
			s.AppendRoute(value("<sip:bob@example.com>"))
			s.RequestURI(value("sip:p1.example.com;lr"))
		}, []string{uri, "INVITE sip:p1.example.com;lr SIP/2.0\n", "Route: <sip:p1.example.com;lr>, ", "Route: ", last, last + "Route: <sip:bob@example.com>\n"}},
		{"strict router before us, 16.4", func(_ *testing.T, s *message.Splice, _ *message.Message) {
			s.PopLastRoute()
			s.RequestURI(value("sip:p4.example.com;lr"))
		}, []string{uri, "INVITE sip:p4.example.com;lr SIP/2.0\n", last, ""}},
		{"all Routes anew", func(_ *testing.T, s *message.Splice, _ *message.Message) {
			s.PopRoute(3)
			s.PopLastRoute()
			s.AppendRoute(value("<sip:b>"))
			s.PushRoute(value("<sip:a>"))
		}, []string{route + last, "Route: <sip:a>\nRoute: <sip:b>\n"}},
		{"remove a line", func(t *testing.T, s *message.Splice, m *message.Message) { s.Remove(header(t, m, "x-odd")) },
			[]string{"X-Odd:  ;;,,\"\n", ""}},
		{"set a value", func(t *testing.T, s *message.Splice, m *message.Message) {
			s.SetValue(header(t, m, "call-id"), value("def"))
		}, []string{"Call-ID: abc", "Call-ID: def"}},
		{"add headers", func(_ *testing.T, s *message.Splice, _ *message.Message) {
			s.AddHeader("A", value("1"))
			s.AddHeader("B", value("2"))
		}, []string{"l: 5\n", "l: 5\nA: 1\nB: 2\n"}},
		{"a value cannot start a header", func(_ *testing.T, s *message.Splice, _ *message.Message) { s.AddHeader("A", value("1\r\nB: 2")) },
			[]string{"l: 5\n", "l: 5\nA: 1  B: 2\n"}},
		{"Content-Length is there", func(_ *testing.T, s *message.Splice, _ *message.Message) { s.SetContentLength() }, nil},
		{"body", func(_ *testing.T, s *message.Splice, _ *message.Message) { s.SetBody(value("good morning")) },
			[]string{"l: 5\n\nhello", "l: 12\n\ngood morning"}},
		{"no body, and a header", func(_ *testing.T, s *message.Splice, _ *message.Message) {
			s.SetBody(nil)
			s.AddHeader("A", value("1"))
		}, []string{"l: 5\n\nhello", "l: 0\nA: 1\n\n"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := index(t, crlf(request))
			var s message.Splice
			s.Reset(m)
			tt.edit(t, &s, m)
			want := request
			for i := 0; i < len(tt.want); i += 2 {
				if strings.Count(want, tt.want[i]) != 1 {
					t.Fatalf("%q stands there %d times", tt.want[i], strings.Count(want, tt.want[i]))
				}
				want = strings.Replace(want, tt.want[i], tt.want[i+1], 1)
			}
			got := s.Append([]byte("dst"))
			if string(got) != "dst"+string(crlf(want)) {
				t.Errorf("got %q, want %q", got, "dst"+string(crlf(want)))
			}
			if again := s.Append(nil); !bytes.Equal(again, got[3:]) {
				t.Errorf("a second Append: got %q, want %q", again, got[3:])
			}
			index(t, got[3:])
		})
	}
}

// TestSpliceVersion: the version is taken in any case and sent in upper case (RFC 3261 7.1).
func TestSpliceVersion(t *testing.T) {
	const lines = "Via: SIP/2.0/UDP h;branch=z9hG4bKa\nFrom: <sip:a@h>;tag=1\nTo: <sip:b@h>\nCall-ID: x\nCSeq: 1 BYE\n\n"
	for _, tt := range []struct{ name, start, want string }{
		{"request", "BYE sip:b@h SiP/2.0\n", "BYE sip:new SIP/2.0\n"},
		{"response", "sip/2.0 200 OK\n", "SIP/2.0 200 OK\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var m message.Message
			if err := m.Index([]byte(strings.ReplaceAll(tt.start+lines, "\n", "\r\n"))); err != nil {
				t.Fatal(err)
			}
			var s message.Splice
			s.Reset(&m)
			s.RequestURI([]byte("sip:new"))
			if got := strings.ReplaceAll(string(s.Append(nil)), "\r\n", "\n"); got != tt.want+lines {
				t.Errorf("got %q, want %q", got, tt.want+lines)
			}
		})
	}
}

func TestSpliceMissingHeaders(t *testing.T) {
	raw := crlf(line0 + lineVia + lineVia + lineFT + lineID + "\nbody")
	var s message.Splice
	s.Reset(index(t, raw))
	s.SetMaxForwards(70)
	s.SetContentLength()
	want := crlf(line0 + lineVia + lineVia + "Max-Forwards: 70\n" + lineFT + lineID + "Content-Length: 4\n\nbody")
	if got := s.Append(nil); !bytes.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	s.Reset(index(t, raw))
	s.SetBody([]byte("x"))
	want = crlf(line0 + lineVia + lineVia + lineFT + lineID + "Content-Length: 1\n\nx")
	if got := s.Append(nil); !bytes.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	s.Reset(index(t, raw))
	s.PushRoute([]byte("<sip:a>"))
	s.AppendRoute([]byte("<sip:b>"))
	want = crlf(line0 + lineVia + lineVia + "Route: <sip:a>\nRoute: <sip:b>\n" + lineFT + lineID + "\nbody")
	if got := s.Append(nil); !bytes.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// RFC 3261 18.2.1 and RFC 3581 4, in forwarded requests and in responses.
func TestSource(t *testing.T) {
	const v6 = "[2001:db8::7]:40961"
	tests := []struct{ name, via, source, want string }{
		{"the same address", "SIP/2.0/UDP 203.0.113.7:5060;branch=z9hG4bKa", "203.0.113.7:40961", "SIP/2.0/UDP 203.0.113.7:5060;branch=z9hG4bKa"},
		{"another address", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa", "203.0.113.7:40961", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa;received=203.0.113.7"},
		{"a name", "SIP/2.0/UDP h.example.com", "203.0.113.7:40961", "SIP/2.0/UDP h.example.com;received=203.0.113.7"},
		{"rport, the same address", "SIP/2.0/UDP 203.0.113.7;rport;branch=z9hG4bKa", "203.0.113.7:40961", "SIP/2.0/UDP 203.0.113.7;rport=40961;branch=z9hG4bKa;received=203.0.113.7"},
		{"rport at the end", "SIP/2.0/UDP 192.0.2.1;rport", "203.0.113.7:40961", "SIP/2.0/UDP 192.0.2.1;rport=40961;received=203.0.113.7"},
		{"rport of the sender", "SIP/2.0/UDP 192.0.2.1;rport = 5", "203.0.113.7:40961", "SIP/2.0/UDP 192.0.2.1;rport = 40961;received=203.0.113.7"},
		{"received of the sender before rport", "SIP/2.0/UDP 192.0.2.1;received=1.2.3.4;rport;a=b", "203.0.113.7:40961", "SIP/2.0/UDP 192.0.2.1;received=203.0.113.7;rport=40961;a=b"},
		{"received of the sender behind rport", "SIP/2.0/UDP 192.0.2.1;rport;received=1.2.3.4", "203.0.113.7:40961", "SIP/2.0/UDP 192.0.2.1;rport=40961;received=203.0.113.7"},
		{"received of the sender, which is right", "SIP/2.0/UDP 203.0.113.7;received=1.2.3.4", "203.0.113.7:40961", "SIP/2.0/UDP 203.0.113.7;received=203.0.113.7"},
		{"received without a value", "SIP/2.0/UDP 192.0.2.1;received;a=b", "203.0.113.7:40961", "SIP/2.0/UDP 192.0.2.1;received;a=b;received=203.0.113.7"},
		{"two values", "SIP/2.0/UDP 192.0.2.1;rport , SIP/2.0/UDP h", "203.0.113.7:40961", "SIP/2.0/UDP 192.0.2.1;rport=40961;received=203.0.113.7 , SIP/2.0/UDP h"},
		{"ipv6", "SIP/2.0/UDP [2001:db8::1]:5070;rport", v6, "SIP/2.0/UDP [2001:db8::1]:5070;rport=40961;received=2001:db8::7"},
		{"ipv6 in another spelling", "SIP/2.0/UDP [2001:DB8:0::7]", v6, "SIP/2.0/UDP [2001:DB8:0::7]"},
		{"ipv6 received in brackets", "SIP/2.0/UDP h;received=[::1]", v6, "SIP/2.0/UDP h;received=2001:db8::7"},
		{"zone is not for others", "SIP/2.0/UDP h", "[fe80::1%eth0]:5060", "SIP/2.0/UDP h;received=fe80::1"},
		{"IPv4 on an IPv6 socket", "SIP/2.0/UDP 203.0.113.7", "[::ffff:203.0.113.7]:40961", "SIP/2.0/UDP 203.0.113.7"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := index(t, crlf(line0+"Via: "+tt.via+"\n"+lineFT+lineID+"\n"))
			m.Source = addrPort(tt.source)
			want := "\r\nVia: " + tt.want + "\r\n"
			var s message.Splice
			s.Reset(m)
			if got := s.Append(nil); !bytes.Contains(got, []byte(want)) {
				t.Errorf("forwarded: got %q, want %q", got, want)
			}
			if got := message.AppendResponse(nil, m, 100, "", nil, nil, nil); !bytes.Contains(got, []byte(want)) {
				t.Errorf("response: got %q, want %q", got, want)
			}
		})
	}
}

// Whatever is edited, every line that no edit speaks of is there as it was, in its order.
func TestSpliceKeepsTheRest(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.dat")
	if err != nil {
		t.Fatal(err)
	}
	var all []*message.Message
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		m := new(message.Message)
		if m.Index(raw) == nil {
			all = append(all, m)
		}
	}
	all = append(all, index(t, crlf(request)), index(t, invite))
	if len(all) < 30 {
		t.Fatalf("got %d messages, want the torture tests", len(all))
	}
	var s message.Splice
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.SampledFrom(all).Draw(t, "message")
		touched := map[message.HeaderID]bool{}
		m.Source = none
		if rapid.Bool().Draw(t, "source") {
			m.Source, touched[message.Via] = source, m.IsRequest()
		}
		s.Reset(m)
		gone := map[uint32]bool{}
		for _, e := range rapid.Permutation([]int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}).Draw(t, "edits")[:rapid.IntRange(0, 10).Draw(t, "number")] {
			switch e {
			case 0:
				s.RequestURI([]byte("sip:new@example.com"))
			case 1:
				s.PushVia([]byte("SIP/2.0/UDP new;branch=z9hG4bKnew"))
			case 2:
				s.PopVia()
				touched[message.Via] = true
			case 3:
				s.SetMaxForwards(3)
				touched[message.MaxForwards] = true
			case 4:
				s.PushRecordRoute([]byte("<sip:new;lr>"))
			case 5:
				s.PopRoute(rapid.IntRange(0, 5).Draw(t, "routes"))
				touched[message.Route] = true
			case 6:
				s.PopLastRoute()
				touched[message.Route] = true
			case 7:
				s.PushRoute([]byte("<sip:new>"))
				s.AppendRoute([]byte("<sip:newer>"))
			case 8:
				s.AddHeader("X-New", []byte("new"))
			case 9:
				h := rapid.SampledFrom(m.Headers()).Draw(t, "header")
				if h.ID == message.OtherHeader {
					s.Remove(h)
					gone[h.Start] = true
				}
			}
		}
		got := s.Append(nil)
		at := 0
		for _, h := range m.Headers() {
			if touched[h.ID] || gone[h.Start] {
				continue
			}
			line := m.Raw()[h.Start:h.End]
			n := bytes.Index(got[at:], line)
			if n < 0 {
				t.Fatalf("%q is not in %q behind byte %d", line, got, at)
			}
			at += n + len(line)
		}
		if !bytes.HasSuffix(got, append([]byte("\r\n\r\n"), m.Body()...)) {
			t.Fatalf("body %q is not at the end of %q", m.Body(), got)
		}
	})
}
