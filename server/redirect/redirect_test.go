package redirect

import (
	"strings"
	"testing"

	"sipd/location"
	"sipd/server/message"
	"sipd/server/target"
	"sipd/sipaddr"
)

func TestAppend(t *testing.T) {
	const invite = "INVITE sip:bob@example.org SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKx\r\nFrom: <sip:a@h>;tag=1\r\n" +
		"To: <sip:bob@example.org>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
	var req message.Message
	if err := req.Index([]byte(invite)); err != nil {
		t.Fatal(err)
	}
	contact := func(uri string, q int) target.Target {
		return target.Target{Binding: &location.Binding{URI: uri, Q: q}}
	}
	for _, tt := range []struct {
		name     string
		decision target.Decision
		want     string // the status line and Contact
	}{
		{"one contact", target.Decision{Status: 302, Targets: []target.Target{contact("sip:b@10.0.0.11", 1000)}},
			"SIP/2.0 302 Moved Temporarily Contact: <sip:b@10.0.0.11>"},
		{"several, with q", target.Decision{Status: 302, Targets: []target.Target{contact("sip:b@10.0.0.11;transport=tcp", 1000), contact("tel:+12125551", 500)}},
			"SIP/2.0 302 Moved Temporarily Contact: <sip:b@10.0.0.11;transport=tcp>, <tel:+12125551>;q=0.5"},
		{"ambiguous", target.Decision{Status: 485, AORs: []sipaddr.AOR{"bob@example.org", "b%3Fb@example.org"}},
			"SIP/2.0 485 Ambiguous Contact: <sip:bob@example.org>, <sip:b%3Fb@example.org>"},
		{"ambiguous, not shown", target.Decision{Status: 485}, "SIP/2.0 485 Ambiguous"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := Append([]byte("before"), &req, &tt.decision, []byte("tag"))
			var m message.Message
			if err := m.Index(text[len("before"):]); err != nil {
				t.Fatalf("%v:\n%s", err, text)
			}
			got, _, _ := strings.Cut(string(m.Raw()), "\r\n")
			if h, ok := m.First(message.Contact); ok {
				got += " Contact: " + string(m.HeaderValue(h))
			}
			if got != tt.want || string(m.ToTag()) != "tag" {
				t.Errorf("got %s and tag %s, want %s and tag", got, m.ToTag(), tt.want)
			}
		})
	}
}
