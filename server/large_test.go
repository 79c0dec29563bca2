package server_test

import (
	"strings"
	"testing"
)

// TestLargeToStaticContact is RFC 3261 18.1.1 for a contact that did not register over UDP (BEHAVIOUR J); what phones that
// did get is in call_large_over_udp.flow.
func TestLargeToStaticContact(t *testing.T) {
	onRig(t, bobAtHome+" static", func(r *rig) {
		alice, bob := r.host("10.0.0.1"), r.host("10.0.0.11")
		for _, tt := range []struct{ callID, more, want string }{
			{"small", "", "SIP/2.0/UDP"},
			{"large", "X-Long: " + strings.Repeat("a", 1400) + "\n", "SIP/2.0/TCP"},
		} {
			r.send(alice, request("MESSAGE", "sip:bob@example.org", tt.callID, tt.more))
			got := r.arrived(bob, "MESSAGE")[0]
			if !strings.Contains(got, "\nVia: "+tt.want+" 10.0.0.100") {
				t.Errorf("%s: got over another transport than %s:\n%s", tt.callID, tt.want, got)
			}
			r.send(bob, response(got, "200 OK", 2))
			r.arrived(alice, "SIP/2.0 200")
		}
	})
	// RFC 2543 peers need not have TCP.
	onRig(t, bobAtHome+" static", func(r *rig) {
		alice, bob := r.host("10.0.0.1"), r.host("10.0.0.11")
		bob.NoTCP = true
		r.send(alice, request("MESSAGE", "sip:bob@example.org", "refused", "X-Long: "+strings.Repeat("a", 1400)+"\n"))
		got := r.arrived(bob, "MESSAGE")[0]
		if !strings.Contains(got, "\nVia: SIP/2.0/UDP 10.0.0.100") {
			t.Errorf("TCP is refused: got\n%s\nwant it over UDP", got)
		}
		r.send(bob, response(got, "200 OK", 2))
		r.arrived(alice, "SIP/2.0 200")
	})
}
