package message_test

import (
	"strings"
	"testing"

	"sipd/server/message"
)

// invite is what a phone sends: the measure of the hot path.
var invite = []byte(strings.ReplaceAll(`INVITE sip:bob@example.com SIP/2.0
Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK-524287-1---2b8ea46d70d4f50e;rport
Max-Forwards: 70
Contact: <sip:alice@192.0.2.10:5060;transport=udp>
To: <sip:bob@example.com>
From: "Alice" <sip:alice@example.com>;tag=a73kszlfl
Call-ID: 3848276298220188511@atlanta.example.com
CSeq: 314159 INVITE
Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, NOTIFY, MESSAGE, SUBSCRIBE, INFO
Content-Type: application/sdp
Supported: replaces, outbound
User-Agent: Example Phone 1.2
Content-Length: 248

v=0
o=alice 2890844526 2890844526 IN IP4 192.0.2.10
s=-
c=IN IP4 192.0.2.10
t=0 0
m=audio 49172 RTP/AVP 0 8 101
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=sendrecv
m=video 0 RTP/AVP 31
`, "\n", "\r\n"))

// forward makes the edits of a proxy that record-routes (RFC 3261 16.6).
func forward(s *message.Splice, m *message.Message, dst []byte) []byte {
	s.Reset(m)
	s.RequestURI(newURI)
	s.PushVia(newVia)
	s.SetMaxForwards(69)
	s.PushRecordRoute(newRecordRoute)
	return s.Append(dst)
}

var (
	newURI         = []byte("sip:bob@192.0.2.20:5062;transport=udp")
	newVia         = []byte("SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK6f2d41aa00010001c0ffee.0123456789abcdef;rport")
	newRecordRoute = []byte("<sip:192.0.2.1:5060;lr;t=0123456789abcdef>")
)

func BenchmarkIndex(b *testing.B) {
	b.ReportAllocs()
	var m message.Message
	for b.Loop() {
		if err := m.Index(invite); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkForward(b *testing.B) {
	b.ReportAllocs()
	var m message.Message
	var s message.Splice
	var dst []byte
	for b.Loop() {
		m.Source = source
		if err := m.Index(invite); err != nil {
			b.Fatal(err)
		}
		dst = forward(&s, &m, dst[:0])
	}
}

func BenchmarkResponse(b *testing.B) {
	b.ReportAllocs()
	var m message.Message
	m.Source = source
	if err := m.Index(invite); err != nil {
		b.Fatal(err)
	}
	var dst []byte
	for b.Loop() {
		dst = message.AppendResponse(dst[:0], &m, 180, "", []byte("1928301774"), nil, nil)
	}
}

// The hot path allocates nothing once its buffers have grown.
func TestNoAllocation(t *testing.T) {
	m := message.Message{Source: source}
	var s message.Splice
	dst := make([]byte, 0, 2*message.MaxMessage)
	resp := make([]byte, 0, message.MaxMessage)
	var copied message.Message
	var answer message.Message
	if err := answer.Index(message.AppendResponse(nil, index(t, invite), 486, "", []byte("x"), nil, nil)); err != nil {
		t.Fatal(err)
	}
	date := []byte("Sat, 13 Nov 2010 23:29:00 GMT")
	fields := []message.Field{{Name: "Date", Value: date}}
	tests := []struct {
		name string
		f    func()
	}{
		{"index and forward", func() {
			if err := m.Index(invite); err != nil {
				t.Fatal(err)
			}
			dst = forward(&s, &m, dst[:0])
		}},
		{"forward with every edit", func() {
			s.Reset(&m)
			s.RequestURI(newURI)
			s.PopVia()
			s.PushVia(newVia)
			s.SetMaxForwards(12)
			s.PopRoute(1)
			s.PopLastRoute()
			s.PushRoute(newRecordRoute)
			s.AppendRoute(newRecordRoute)
			s.AddHeader("Date", date)
			s.SetBody(date)
			dst = s.Append(dst[:0])
		}},
		{"response", func() { resp = message.AppendResponse(resp[:0], &m, 404, "", []byte("tag"), fields, date) }},
		{"ack", func() { resp = message.AppendAck(resp[:0], &m, &answer) }},
		{"cancel", func() { resp = message.AppendCancel(resp[:0], &m, fields) }},
		{"views", func() {
			m.RequestURI()
			m.Top()
			m.FromAddress()
			m.ToAddress()
			for v := m.Values(message.Contact); ; {
				text, ok := v.Next()
				if !ok {
					break
				}
				if a, err := message.ParseAddress(text); err != nil || a.URI.Port != 5060 {
					t.Fatal(err)
				}
			}
			m.HasToken(message.Supported, "outbound")
			m.Vias(func(v *message.ViaValue) bool { return len(v.Branch) > 0 })
		}},
		{"copy", func() { copied.Copy(&m) }},
		{"frame", func() {
			if _, n, err := message.Frame(invite); n != len(invite) || err != nil {
				t.Fatal(n, err)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if n := testing.AllocsPerRun(100, tt.f); n != 0 {
				t.Errorf("got %v allocations, want 0", n)
			}
		})
	}
}

func BenchmarkFrame(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, n, err := message.Frame(invite); n != len(invite) || err != nil {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkCopy(b *testing.B) {
	b.ReportAllocs()
	var m, c message.Message
	if err := m.Index(invite); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		c.Copy(&m)
	}
}
