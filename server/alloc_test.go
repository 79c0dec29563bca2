//go:build !race

package server

import (
	"bytes"
	"fmt"
	"testing"

	"sipd/server/message"
	"sipd/server/transport"
)

// TestStatelessAllocations forwards an INVITE, its response and its ACK without a transaction. What remains is the location service's: a
// binding is unpacked when it is looked up.
func TestStatelessAllocations(t *testing.T) {
	s, w := benchServer(t, map[string]string{"TryStateless": "true", "EnumRoot": "e164.arpa", "Locator": "exec:/usr/local/bin/locate"}, 0)
	s.asker = &later{} // An ordinary call asks nothing, and knowing whom it could ask costs nothing.
	out := s.net.NewOut()
	fromAlice := transport.Flow{Remote: aliceAddr, Local: proxyAddr}
	fromBob := transport.Flow{Remote: bobAddr, Local: proxyAddr}
	request := func(method, more string) []byte {
		return fmt.Appendf(nil, "%s sip:bob@example.org SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.10:5060;rport;branch=z9hG4bK1\r\nMax-Forwards: 70\r\nFrom: <sip:alice@elsewhere.example>;tag=a\r\nTo: <sip:bob@example.org>%s\r\nCall-ID: 1@10.0.0.10\r\nCSeq: 1 %s\r\nContact: <sip:alice@10.0.0.10>\r\nContent-Length: 0\r\n\r\n", method, more, method)
	}
	invite, ack := request("INVITE", ""), request("ACK", ";tag=b")
	s.Receive(out, fromAlice, invite)
	out.Flush()
	var m message.Message
	if err := m.Index(w.toBob); err != nil {
		t.Fatal(err)
	}
	busy := message.AppendResponse(nil, &m, 486, "", []byte("b"), nil, nil)
	for _, tt := range []struct {
		name string
		from transport.Flow
		text []byte
		sent *[]byte
		want string
		most float64
	}{
		{"INVITE", fromAlice, invite, &w.toBob, "INVITE sip:bob@10.0.0.11", 1},
		{"486", fromBob, busy, &w.toAlice, "SIP/2.0 486", 0},
		{"ACK", fromAlice, ack, &w.toBob, "ACK sip:bob@10.0.0.11", 1},
	} {
		if n := testing.AllocsPerRun(200, func() {
			s.Receive(out, tt.from, tt.text)
			out.Flush()
		}); n > tt.most {
			t.Errorf("%s: got %v allocations, want at most %v", tt.name, n, tt.most)
		}
		if !bytes.HasPrefix(*tt.sent, []byte(tt.want)) {
			t.Errorf("%s: went on as %q, want %s", tt.name, *tt.sent, tt.want)
		}
	}
	if st := s.Status(); st.ServerTransactions+st.ClientTransactions+st.Contexts != 0 {
		t.Errorf("got %+v, want no transaction", st)
	}
}
