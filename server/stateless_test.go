package server_test

import (
	"strings"
	"testing"
)

const stateless = "set TryStateless true\nset RequestLog none\n" + bobAtHome

// TestStatelessResponses sends responses to a request that was forwarded statelessly, changed in one place: only what answers it, to
// the address that it came from, goes on (RFC 3261 16.11, 18.2.2). Otherwise anybody could have us send to anybody.
func TestStatelessResponses(t *testing.T) {
	onRig(t, stateless, func(r *rig) {
		alice, bob := r.host("10.0.0.1"), r.host("10.0.0.11")
		victim := r.host("10.0.0.66")
		r.send(alice, request("MESSAGE", "sip:bob@example.org", "v1", ""))
		ok := response(r.arrived(bob, "MESSAGE sip:bob@10.0.0.11")[0], "200 OK", 2)
		const below = "Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK-v1"
		if !strings.Contains(ok, below) {
			t.Fatalf("got %q, want %q in it", ok, below)
		}
		i := strings.Index(ok, ";branch=z9hG4bK") + len(";branch=z9hG4bK")
		for _, tt := range []struct{ name, text string }{
			{"our branch", ok[:i+3] + string(ok[i+3]^1) + ok[i+4:]},
			{"Call-ID", strings.Replace(ok, "Call-ID: v1", "Call-ID: v2", 1)},
			{"CSeq number", strings.Replace(ok, "CSeq: 1", "CSeq: 2", 1)},
			{"the caller's branch", strings.Replace(ok, "z9hG4bK-v1", "z9hG4bK-v2", 1)},
			{"no caller's branch", strings.Replace(ok, ";branch=z9hG4bK-v1", "", 1)},
			{"sent-by", strings.Replace(ok, "UDP 10.0.0.1;", "UDP 10.0.0.66;", 1)},
			{"the port of sent-by", strings.Replace(ok, "UDP 10.0.0.1;", "UDP 10.0.0.1:5070;", 1)},
			{"received", strings.Replace(ok, "-v1\n", "-v1;received=10.0.0.66\n", 1)},
			{"received is no address", strings.Replace(ok, "-v1\n", "-v1;received=victim.example\n", 1)},
			{"the caller's Via cannot be read", strings.Replace(ok, "UDP 10.0.0.1;", "UDP ;", 1)},
			{"no Via but ours", strings.Replace(ok, below+"\n", "", 1)},
			{"another sent-by of ours", strings.Replace(ok, "UDP 10.0.0.100:5060;", "UDP 10.0.0.99:5060;", 1)},
		} {
			if tt.text == ok {
				t.Fatalf("%s: nothing was changed", tt.name)
			}
			r.send(bob, tt.text)
			if got := append(alice.Take(), victim.Take()...); len(got) != 0 {
				t.Errorf("%s: %q went on", tt.name, got[0].Data)
			}
		}
		for range 2 { // A retransmission, too.
			r.send(bob, ok)
			if up := r.arrived(alice, "SIP/2.0 200")[0]; strings.Count(up, "Via: ") != 1 || !strings.Contains(up, below+"\n") {
				t.Errorf("went upstream as %q, want the caller's Via alone", up)
			}
		}
		if got := r.net.Nobody().Take(); len(got) != 0 {
			t.Errorf("%q went to an address without a host", got[0].Data)
		}
		r.unused()
	})
}

// TestStatelessLarge: what is too large for UDP tries TCP first and needs state for that, unless the phone itself registered over
// UDP (RFC 3261 18.1.1).
func TestStatelessLarge(t *testing.T) {
	subject := "Subject: " + strings.Repeat("x", 1400) + "\n"
	onRig(t, stateless, func(r *rig) {
		alice, bob := r.host("10.0.0.1"), r.host("10.0.0.11")
		r.send(alice, request("MESSAGE", "sip:bob@example.org", "l1", subject))
		r.arrived(bob, "MESSAGE sip:bob@10.0.0.11")
		r.unused()
	})
	onRig(t, stateless+" static", func(r *rig) {
		alice, bob := r.host("10.0.0.1"), r.host("10.0.0.11")
		r.send(alice, request("MESSAGE", "sip:bob@example.org", "l2", subject))
		got := r.arrived(bob, "MESSAGE sip:bob@10.0.0.11")[0]
		if !strings.Contains(got, "Via: SIP/2.0/TCP 10.0.0.100") {
			t.Errorf("got %q, want it over TCP", got)
		}
		if servers, clients := r.system.Transactions(); servers != 1 || clients != 1 {
			t.Errorf("got %d server and %d client transactions, want one each", servers, clients)
		}
	})
}
