package message

import (
	"net/netip"
	"strings"
	"testing"
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

var aliceSource = netip.MustParseAddrPort("203.0.113.7:40961")

// forward makes the edits of a proxy that record-routes (RFC 3261 16.6).
func forward(s *Splice, m *Message, dst []byte) []byte {
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
	var m Message
	for b.Loop() {
		if err := m.Index(invite); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkForward(b *testing.B) {
	b.ReportAllocs()
	var m Message
	var s Splice
	var dst []byte
	for b.Loop() {
		m.Source = aliceSource
		if err := m.Index(invite); err != nil {
			b.Fatal(err)
		}
		dst = forward(&s, &m, dst[:0])
	}
}

func BenchmarkResponse(b *testing.B) {
	b.ReportAllocs()
	var m Message
	m.Source = aliceSource
	if err := m.Index(invite); err != nil {
		b.Fatal(err)
	}
	var dst []byte
	for b.Loop() {
		dst = AppendResponse(dst[:0], &m, 180, "", []byte("1928301774"), nil, nil)
	}
}
