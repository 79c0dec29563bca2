package server

import (
	"strings"
	"testing"

	"sipd/server/message"
	"sipd/server/target"
)

// TestDispositionIsBounded: of a Request-Disposition of a thousand words as many are read as there can be of sense (RFC 3841 11).
func TestDispositionIsBounded(t *testing.T) {
	for _, tt := range []struct {
		name, header string
		want         target.Disposition
	}{
		{"both forms, several lines", "Request-Disposition: no-fork ,\r\n sequential\r\nd: no-recurse\r\n", target.NoFork | target.Sequential | target.NoRecurse},
		{"the last that is read", "d: " + strings.Repeat("x,", maxDirectives-1) + "no-fork\r\n", target.NoFork},
		{"the first that is not", "d: " + strings.Repeat("x,", maxDirectives) + "no-fork\r\n", 0},
		{"none", "", 0},
	} {
		var m message.Message
		if err := m.Index([]byte("MESSAGE sip:bob@example.org SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKx\r\nFrom: <sip:a@h>;tag=1\r\n" +
			"To: <sip:bob@example.org>\r\nCall-ID: c\r\nCSeq: 1 MESSAGE\r\nMax-Forwards: 70\r\n" + tt.header + "Content-Length: 0\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		if got := disposition(&m); got != tt.want {
			t.Errorf("%s: got %b, want %b", tt.name, got, tt.want)
		}
	}
}
