package server

import (
	"bytes"
	"testing"
	"time"

	"sipd/server/transport"
)

// TestPanicInAFinalResponse lets the writing of an answer panic: the transaction, which has no timer before its final
// response, is answered 500 and does not stay for ever.
func TestPanicInAFinalResponse(t *testing.T) {
	s, w := benchServer(t, nil, 0)
	x := s.scratch.Get().(*scratch)
	raw := []byte("INVITE sip:bob@example.org SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.10:5060;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n" +
		"From: <sip:alice@example.org>;tag=a\r\nTo: <sip:bob@example.org>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n")
	if err := x.msg.Index(raw); err != nil {
		t.Fatal(err)
	}
	x.from = transport.Flow{Local: proxyAddr, Remote: aliceAddr}
	out := w.NewOut()
	sh := s.transactions.Shard(x.msg.CallID())
	func() {
		defer func() {
			if recover() == nil {
				t.Error("got no panic")
			}
		}()
		sh.Enter(out, time.Now())
		defer sh.Leave()
		s.final(sh, x, 302, func([]byte, []byte) []byte { panic("broken") })
	}()
	out.Flush()
	if !bytes.HasPrefix(w.toAlice, []byte("SIP/2.0 500 ")) {
		t.Errorf("got %.40q, want a 500", w.toAlice)
	}
	if !s.transactions.Answered(&x.msg) {
		t.Error("got a transaction without a final response")
	}
}
