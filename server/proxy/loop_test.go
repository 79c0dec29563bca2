package proxy

import (
	"strings"
	"testing"

	"sipd/server/message"
	"sipd/server/proxy/token"
	"sipd/server/transaction"
)

func index(t *testing.T, text string) *message.Message {
	t.Helper()
	m := new(message.Message)
	if err := m.Index([]byte(strings.ReplaceAll(text, "\n", "\r\n"))); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestLoopHash changes one field of a request at a time (RFC 5393 4.2.1, 4.2.4): what routing reads makes another hash, what
// each hop changes and the method do not.
func TestLoopHash(t *testing.T) {
	const text = "INVITE sip:bob@example.org SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKa\nRoute: <sip:10.0.0.100;lr>, <sip:p2;lr>\n" +
		"Max-Forwards: 70\nMax-Breadth: 60\nFrom: <sip:alice@example.org>;tag=1\nTo: <sip:bob@example.org>;tag=2\nCall-ID: c1\n" +
		"CSeq: 7 INVITE\nProxy-Require: x\nProxy-Authorization: Digest username=\"a\", nonce=\"1\"\nContent-Length: 0\n\n"
	p := New(Config{Net: ownNet{}})
	base := p.loopHash(index(t, text))
	for _, tt := range []struct {
		name, old, with string
		same            bool
	}{
		{"nothing", "", "", true},
		{"Request-URI", "sip:bob@example.org SIP", "sip:carol@example.org SIP", false},
		{"Request-URI, a parameter", "sip:bob@example.org SIP", "sip:bob@example.org;x SIP", false},
		{"Route", "<sip:10.0.0.100;lr>, <sip:p2;lr>", "<sip:p2;lr>", false},
		{"Route, the order", "<sip:10.0.0.100;lr>, <sip:p2;lr>", "<sip:p2;lr>, <sip:10.0.0.100;lr>", false},
		{"From", "sip:alice@", "sip:carol@", false},
		{"From tag", "tag=1", "tag=11", false},
		{"To tag", "tag=2", "tag=22", false},
		{"Call-ID", "c1", "c2", false},
		{"CSeq number", "CSeq: 7", "CSeq: 8", false},
		{"Proxy-Require", "Proxy-Require: x", "Proxy-Require: y", false},
		{"Proxy-Authorization", "nonce=\"1\"", "nonce=\"2\"", false},
		{"the method", "INVITE", "BYE", true},
		{"Via", "SIP/2.0/UDP 10.0.0.1;", "SIP/2.0/UDP 10.0.0.2;branch=z9hG4bKb, SIP/2.0/UDP 10.0.0.1;", true},
		{"Max-Forwards", "Max-Forwards: 70", "Max-Forwards: 68", true},
		{"Max-Breadth", "Max-Breadth: 60", "Max-Breadth: 1", true},
		{"a header nobody reads", "Content-Length: 0", "Subject: x\nContent-Length: 0", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := p.loopHash(index(t, strings.ReplaceAll(text, tt.old, tt.with)))
			if (got == base) != tt.same {
				t.Errorf("the hash is the same: got %v, want %v", got == base, tt.same)
			}
		})
	}
	if other := New(Config{Net: ownNet{}}); other.loopHash(index(t, text)) == base {
		t.Error("another process has the same hash: strangers could work out what to write into a Via")
	}
}

// TestHops looks for our own Via in those of a request (RFC 5393 4.2.2), whatever stands around it (4.2.4).
func TestHops(t *testing.T) {
	const head = "MESSAGE sip:bob@example.org SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.9;branch=z9hG4bKtop\n"
	const rest = "Max-Forwards: 70\nFrom: <sip:alice@example.org>;tag=1\nTo: <sip:bob@example.org>\nCall-ID: c1\nCSeq: 7 MESSAGE\nContent-Length: 0\n\n"
	named := New(Config{Net: ownNet{}, Name: "proxy.example.org"})
	plain := New(Config{Net: ownNet{}})
	for _, tt := range []struct {
		name   string
		p      *Proxy
		via    string // BRANCH is one of ours with the hash of this request
		looped bool
	}{
		{"none of ours", plain, "SIP/2.0/UDP 10.0.0.8;branch=z9hG4bKx", false},
		{"ours", plain, "SIP/2.0/UDP 10.0.0.100:5060;branch=BRANCH", true},
		{"ours without port", plain, "SIP/2.0/UDP 10.0.0.100;branch=BRANCH", true},
		{"ours by another transport", plain, "SIP/2.0/TCP 10.0.0.100:5060;branch=BRANCH", true},
		{"ours in another spelling", plain, "SIP / 2.0 / UDP  10.0.0.100 : 5060 ; flag ; branch = BRANCH", true},
		{"another port", plain, "SIP/2.0/UDP 10.0.0.100:5070;branch=BRANCH", false},
		{"somebody else with our branch", plain, "SIP/2.0/UDP 10.0.0.8:5060;branch=BRANCH", false},
		{"ours by name", named, "SIP/2.0/UDP PROXY.example.org:5060;branch=BRANCH", true},
		{"another name", named, "SIP/2.0/UDP proxy.example.com:5060;branch=BRANCH", false},
		{"behind what cannot be read", plain, "SIP/2.0/UDP ;;;, SIP/9.x/UDP 10.0.0.7;a=\"x,;\\\"\";b;branch=z9, SIP/2.0/UDP 10.0.0.100:5060;branch=BRANCH", true},
		{"another hash", plain, "SIP/2.0/UDP 10.0.0.100:5060;branch=OTHER", false},
		{"a branch of a process before", plain, "SIP/2.0/UDP 10.0.0.100:5060;branch=z9hG4bKx.0", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hash := token.Loop(index(t, head+rest), &testSecret)
			branch := func(hash uint64) string {
				return string(transaction.AppendStatelessBranch(nil, transaction.Proof{}, hash))
			}
			via := strings.NewReplacer("branch=BRANCH", "branch="+branch(hash), "branch = BRANCH", "branch = "+branch(hash), "OTHER", branch(hash+1)).Replace(tt.via)
			if _, looped := tt.p.hops(index(t, head+"Via: "+via+"\n"+rest), &testSecret); looped != tt.looped {
				t.Errorf("looped: got %v, want %v for %s", looped, tt.looped, via)
			}
		})
	}
}

var testSecret = [32]byte{1, 2, 3}
