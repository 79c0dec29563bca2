package server

import (
	"bytes"
	"fmt"
	"testing"

	"sipd/server/transaction"
	"sipd/server/transport"
)

// TestTransactionTableIsFull: what would need a transaction when there is room for none is 503 with Retry-After (RFC 3261 21.5.4),
// whoever would have answered it.
func TestTransactionTableIsFull(t *testing.T) {
	for _, tt := range []struct {
		name, method, uri string
		branch            int
		want              string
	}{
		{"registrar", "REGISTER", "sip:example.org", 2, "503 "},
		{"proxy", "MESSAGE", "sip:bob@example.org", 2, "503 "},
		{"server", "MESSAGE", "sip:nobody@example.org", 2, "503 "},
		{"CANCEL of what is there", "CANCEL", "sip:bob@example.org", 1, "200 "}, // 9.2: it is answered and done all the same.
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, w := benchServer(t, map[string]string{"AuthMethod": "none"}, 0)
			var err error
			if s.transactions, err = transaction.New(transaction.Config{Net: w, Max: 1}); err != nil { // One in each shard.
				t.Fatal(err)
			}
			out := s.net.NewOut()
			receive := func(branch int, method, uri string) {
				s.Receive(out, transport.Flow{Remote: aliceAddr, Local: proxyAddr}, fmt.Appendf(nil, "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.10:5060;branch=z9hG4bK%d\r\nMax-Forwards: 70\r\nFrom: <sip:alice@example.org>;tag=a\r\nTo: <sip:alice@example.org>\r\nCall-ID: one\r\nCSeq: %d %s\r\nContact: <sip:alice@10.0.0.10>\r\nContent-Length: 0\r\n\r\n", method, uri, branch, branch, method))
				out.Flush()
			}
			receive(1, "INVITE", "sip:bob@example.org")
			if !bytes.HasPrefix(w.toBob, []byte("INVITE ")) {
				t.Fatalf("got %q, want the first call forwarded", w.toBob)
			}
			receive(tt.branch, tt.method, tt.uri)
			if !bytes.HasPrefix(w.toAlice, []byte("SIP/2.0 "+tt.want)) || tt.want == "503 " != bytes.Contains(w.toAlice, []byte("\r\nRetry-After: 5\r\n")) {
				t.Errorf("got %q, want %s, and Retry-After with a 503 alone", w.toAlice, tt.want)
			}
		})
	}
}
