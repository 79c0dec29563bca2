package token

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"sipd/server/message"
)

func index(t *testing.T, text string) *message.Message {
	t.Helper()
	m := new(message.Message)
	if err := m.Index([]byte(strings.ReplaceAll(text, "\n", "\r\n"))); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestLoop changes one field at a time, as TestLoopHash of package proxy: CANCEL and ACK have the value of their INVITE, and so has the
// request in another process.
func TestLoop(t *testing.T) {
	const text = "INVITE sip:bob@example.org SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKa\nRoute: <sip:10.0.0.100;lr>, <sip:p2;lr>\n" +
		"Max-Forwards: 70\nFrom: <sip:alice@example.org>;tag=1\nTo: <sip:bob@example.org>;tag=2\nCall-ID: c1\n" +
		"CSeq: 7 INVITE\nProxy-Authorization: Digest username=\"a\", nonce=\"1\"\nContent-Length: 0\n\n"
	base := Loop(index(t, text), &testSecret)
	for _, tt := range []struct {
		name, old, with string
		same            bool
	}{
		{"nothing", "", "", true},
		{"Request-URI", "sip:bob@example.org SIP", "sip:carol@example.org SIP", false},
		{"Route, the order", "<sip:10.0.0.100;lr>, <sip:p2;lr>", "<sip:p2;lr>, <sip:10.0.0.100;lr>", false},
		{"From", "sip:alice@", "sip:carol@", false},
		{"From tag", "tag=1", "tag=11", false},
		{"Call-ID", "c1", "c2", false},
		{"CSeq number", "CSeq: 7", "CSeq: 8", false},
		{"To tag", ";tag=2", "", true},
		{"Proxy-Authorization", "Proxy-Authorization: Digest username=\"a\", nonce=\"1\"\n", "", true},
		{"the method", "INVITE", "CANCEL", true},
		{"Via", "SIP/2.0/UDP 10.0.0.1;", "SIP/2.0/UDP 10.0.0.2;branch=z9hG4bKb, SIP/2.0/UDP 10.0.0.1;", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Loop(index(t, strings.ReplaceAll(text, tt.old, tt.with)), &testSecret)
			if (got == base) != tt.same {
				t.Errorf("the value is the same: got %v, want %v", got == base, tt.same)
			}
		})
	}
	other := testSecret
	other[0]++
	if got := Loop(index(t, text), &other); got == base {
		t.Error("another key makes the same value: strangers could work out what to write into a Via")
	}
}

// TestAppendSent changes one thing at a time: what CANCEL, ACK and the responses have in common with their request stays the same.
func TestAppendSent(t *testing.T) {
	const text = "INVITE sip:bob@example.org SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bKa\nMax-Forwards: 70\n" +
		"From: <sip:alice@example.org>;tag=1\nTo: <sip:bob@example.org>\nCall-ID: c1\nCSeq: 7 INVITE\nContent-Length: 0\n\n"
	source := netip.MustParseAddr("10.0.0.9")
	sent := func(text string, secret *[32]byte, source netip.Addr, port uint16) []byte {
		m := index(t, text)
		return AppendSent(nil, secret, m, m.Top(), source, port)
	}
	base := sent(text, &testSecret, source, 5060)
	const old = ";branch=z9hG4bKa"
	for _, tt := range []struct {
		name, old, with string
		same            bool
	}{
		{"the method", "INVITE", "CANCEL", true},
		{"To tag", "To: <sip:bob@example.org>", "To: <sip:bob@example.org>;tag=2", true},
		{"Request-URI", "sip:bob@example.org SIP", "sip:bob@10.0.0.11 SIP", true},
		{"the case of a Via", "branch=z9hG4bKa", "branch=Z9HG4BKA", true},
		{"received and rport", old, old + ";received=10.0.0.9;rport=5060", true},
		{"branch", old, ";branch=z9hG4bKb", false},
		{"sent-by", "10.0.0.1:5070", "10.0.0.2:5070", false},
		{"its port", "10.0.0.1:5070", "10.0.0.1:5071", false},
		{"Call-ID", "c1", "c2", false},
		{"CSeq number", "CSeq: 7", "CSeq: 8", false},
		{"RFC 2543", old, "", false},
	} {
		if got := sent(strings.ReplaceAll(text, tt.old, tt.with), &testSecret, source, 5060); bytes.Equal(got, base) != tt.same {
			t.Errorf("%s: the same is %v, want %v", tt.name, !tt.same, tt.same)
		}
	}
	other := testSecret
	other[31]++
	for name, got := range map[string][]byte{
		"key":    sent(text, &other, source, 5060),
		"source": sent(text, &testSecret, netip.MustParseAddr("10.0.0.8"), 5060),
		"family": sent(text, &testSecret, netip.MustParseAddr("2001:db8::9"), 5060),
		"port":   sent(text, &testSecret, source, 5061),
	} {
		if bytes.Equal(got, base) {
			t.Errorf("another %s: got the same text", name)
		}
	}
	if got := sent(text, &testSecret, netip.MustParseAddr("::ffff:10.0.0.9"), 5060); !bytes.Equal(got, base) {
		t.Error("the source in IPv6 spelling: got another text")
	}
	// Two requests of RFC 2543 differ in what 16.11 names.
	without := strings.ReplaceAll(text, old, "")
	first := sent(without, &testSecret, source, 5060)
	for _, change := range [][2]string{{"sip:bob@example.org SIP", "sip:bob@10.0.0.11 SIP"}, {";tag=1", ";tag=2"}, {"To: <sip:bob@example.org>", "To: <sip:bob@example.org>;tag=2"}, {"5070", "5070;x"}} {
		if got := sent(strings.ReplaceAll(without, change[0], change[1]), &testSecret, source, 5060); bytes.Equal(got, first) {
			t.Errorf("RFC 2543, %s: got the same text", change[1])
		}
	}
}
