package server

import (
	"bytes"
	"testing"

	"sipd/server/target"
	"sipd/server/transport"
)

// later keeps the question for the test to answer.
type later struct{ done func([]target.Found) }

func (l *later) Ask(_ target.Question, done func([]target.Found)) ([]target.Found, bool) {
	l.done = done
	return nil, false
}

// TestPanicOfADecision: a call whose decision panics when the answer has come ends with 500, and nothing waits any more.
func TestPanicOfADecision(t *testing.T) {
	s, w := benchServer(t, map[string]string{"Locator": "exec:/bin/false"}, 0)
	asks := &later{}
	s.asker = asks
	out := s.net.NewOut()
	s.Receive(out, transport.Flow{Remote: aliceAddr, Local: proxyAddr}, []byte("INVITE sip:alice@example.org SIP/2.0\r\n"+
		"Via: SIP/2.0/UDP 10.0.0.10:5060;branch=z9hG4bK1\r\nMax-Forwards: 70\r\nFrom: <sip:bob@elsewhere.example>;tag=a\r\n"+
		"To: <sip:alice@example.org>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\nContact: <sip:bob@10.0.0.10>\r\nContent-Length: 0\r\n\r\n"))
	out.Flush()
	if asks.done == nil || s.open() != 1 {
		t.Fatalf("got %d open requests, want one that waits for an answer", s.open())
	}
	s.machine = func() target.Names { panic("the names are broken") }
	asks.done(nil)
	if !bytes.HasPrefix(w.toAlice, []byte("SIP/2.0 500 ")) {
		t.Errorf("got %q, want 500", w.toAlice)
	}
	if st := s.Status(); st.Panics != 1 || st.OpenRequests != 0 {
		t.Errorf("got %+v, want one panic and nothing open", st)
	}
	asks.done(nil) // It comes twice: the call has ended.
	if st := s.Status(); st.Panics != 1 {
		t.Errorf("got %d panics after a second answer, want one", st.Panics)
	}
}
