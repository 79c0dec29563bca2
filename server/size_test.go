//go:build !race

package server

import (
	"fmt"
	"runtime"
	"testing"

	"sipd/server/message"
	"sipd/server/transport"
)

// Twenty thousand calls that ring at once have room: what one keeps is its INVITE, a response context and two transactions.
func TestSizeOfCalls(t *testing.T) {
	const calls, most = 20_000, 8 << 10
	s, w := benchServer(t, nil, 0)
	out := s.net.NewOut()
	fromAlice := transport.Flow{Remote: aliceAddr, Local: proxyAddr}
	fromBob := transport.Flow{Remote: bobAddr, Local: proxyAddr}
	contact := []message.Field{{Name: "Contact", Value: []byte("<sip:bob@10.0.0.11:5060>")}}
	var m message.Message
	call := func(i int, answer bool) {
		s.Receive(out, fromAlice, fmt.Appendf(nil, "INVITE sip:bob@example.org SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.10:5060;rport;branch=z9hG4bK%d.i\r\nMax-Forwards: 70\r\nFrom: <sip:alice@example.org>;tag=a\r\nTo: <sip:bob@example.org>\r\nCall-ID: %d@10.0.0.10\r\nCSeq: 1 INVITE\r\nContact: <sip:alice@10.0.0.10>\r\nContent-Length: %d\r\n\r\n%s", i, i, len(sdp), sdp))
		out.Flush()
		if err := m.Index(w.toBob); err != nil || m.Method() != message.INVITE {
			t.Fatalf("INVITE %d did not arrive: %v %s", i, err, w.toAlice)
		}
		for _, status := range []int{180, 200} {
			if status == 180 || answer {
				s.Receive(out, fromBob, message.AppendResponse(nil, &m, status, "", []byte("b"), contact, []byte(sdp)))
				out.Flush()
			}
		}
	}
	for i := range 100 { // What is made once.
		call(-1-i, false)
	}
	before := liveHeap()
	for i := range calls {
		call(i, false)
	}
	each := int(liveHeap()-before) / calls
	t.Logf("%d calls that ring: %d bytes each", calls, each)
	if each > most {
		t.Errorf("got %d bytes a call that rings, want at most %d", each, most)
	}
	if n := s.Status().Contexts; n < calls {
		t.Errorf("got %d response contexts, want %d", n, calls)
	}
	before = liveHeap()
	for i := range calls {
		call(calls+i, true)
	}
	t.Logf("%d calls that were answered just now: %d bytes each until their timers end", calls, int(liveHeap()-before)/calls)
	runtime.KeepAlive(s)
}

// Registrations that were answered keep their response for as long as it may be asked for again.
func TestSizeOfRegistrations(t *testing.T) {
	const registrations, most = 20_000, 1500
	s, w := benchServer(t, map[string]string{"AuthMethod": "none"}, 0)
	out := s.net.NewOut()
	register := func(i int) {
		s.Receive(out, transport.Flow{Remote: aliceAddr, Local: proxyAddr}, fmt.Appendf(nil, "REGISTER sip:example.org SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.10:5060;rport;branch=z9hG4bK%d.r\r\nMax-Forwards: 70\r\nFrom: <sip:bob@example.org>;tag=a\r\nTo: <sip:bob@example.org>\r\nCall-ID: %d@10.0.0.10\r\nCSeq: 1 REGISTER\r\nContent-Length: 0\r\n\r\n", i, i))
		out.Flush()
		if err := m200(w.toAlice); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100 {
		register(-1 - i)
	}
	before := liveHeap()
	for i := range registrations {
		register(i)
	}
	each := int(liveHeap()-before) / registrations
	t.Logf("%d registrations that were answered just now: %d bytes each until their timers end", registrations, each)
	if each > most {
		t.Errorf("got %d bytes, want at most %d", each, most)
	}
	runtime.KeepAlive(s)
}

func m200(response []byte) error {
	var m message.Message
	if err := m.Index(response); err != nil || m.Status() != 200 {
		return fmt.Errorf("got %v %s, want 200", err, response)
	}
	return nil
}
