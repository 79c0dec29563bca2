package server_test

import (
	"strings"
	"testing"
	"time"
)

// RFC 3261 18.3: what follows the body in a datagram is dropped; a response that ends before its body does, too.
func TestFraming(t *testing.T) {
	onRig(t, bobAtHome, func(r *rig) {
		alice, bob := r.host("10.0.0.1"), r.host("10.0.0.11")
		message := strings.Replace(request("MESSAGE", "sip:bob@example.org", "f1", "Content-Type: text/plain\n"), "Content-Length: 0\n", "Content-Length: 5\n", 1)
		r.send(alice, message+"hello, world\n")
		got := r.arrived(bob, "MESSAGE sip:bob@10.0.0.11")[0]
		if !strings.HasSuffix(got, "\n\nhello") {
			t.Errorf("forwarded with the body %q, want hello alone", got[strings.Index(got, "\n\n"):])
		}
		ok := response(got, "200 OK", 2)
		r.send(bob, strings.Replace(ok, "Content-Length: 0\n", "Content-Length: 6\n", 1)+"short")
		r.arrived(alice)
		r.send(bob, ok+"behind the body")
		if up := r.arrived(alice, "SIP/2.0 200")[0]; !strings.HasSuffix(up, "Content-Length: 0\n\n") {
			t.Errorf("the answer went upstream as %q, want it without what is behind its body", up)
		}
		r.wait(40 * time.Second)
		r.unused()
	})
}

// RFC 3261 18.1.2: a response whose topmost Via has a sent-by that we do not write goes nowhere, whatever its branch.
func TestSentBy(t *testing.T) {
	onRig(t, bobAtHome, func(r *rig) {
		alice, bob := r.host("10.0.0.1"), r.host("10.0.0.11")
		r.send(alice, request("MESSAGE", "sip:bob@example.org", "v1", ""))
		ok := response(r.arrived(bob, "MESSAGE sip:bob@10.0.0.11")[0], "200 OK", 2)
		for _, sentBy := range []string{"10.0.0.99:5060", "10.0.0.100:5070", "proxy.example.com:5060", "[2001:db8::99]:5060"} {
			r.send(bob, strings.Replace(ok, "10.0.0.100:5060", sentBy, 1))
			r.arrived(alice)
		}
		r.send(bob, strings.Replace(ok, "10.0.0.100:5060", "10.0.0.100", 1))
		r.arrived(alice, "SIP/2.0 200")
		r.wait(40 * time.Second)
		r.unused()
	})
	onRig(t, bobAtHome+"\nset ProxyName proxy.example.com", func(r *rig) {
		alice, bob := r.host("10.0.0.1"), r.host("10.0.0.11")
		r.send(alice, request("MESSAGE", "sip:bob@example.org", "v2", ""))
		ok := response(r.arrived(bob, "MESSAGE sip:bob@10.0.0.11")[0], "200 OK", 2)
		r.send(bob, strings.Replace(ok, "proxy.example.com", "other.example.com", 1))
		r.arrived(alice)
		r.send(bob, strings.Replace(ok, "proxy.example.com", "Proxy.Example.COM", 1))
		r.arrived(alice, "SIP/2.0 200")
		r.wait(40 * time.Second)
		r.unused()
	})
}
