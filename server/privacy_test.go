package server_test

import "testing"

// RFC 3323 5: a 500 for want of privacy says so in its reason phrase, and what is not provided.
func TestPrivacyFailure(t *testing.T) {
	onRig(t, bobAtHome, func(r *rig) {
		alice, bob := r.host("10.0.0.1"), r.host("10.0.0.11")
		r.send(alice, request("MESSAGE", "sip:bob@example.org", "c1", "Privacy: session; id;header ;critical\n"))
		r.arrived(alice, "SIP/2.0 500 Privacy Is Not Provided: session, header\n")
		r.arrived(bob)
		r.send(alice, request("MESSAGE", "sip:bob@example.org", "c2", "Privacy: critical;id\n"))
		r.arrived(bob, "MESSAGE")
		r.arrived(alice)
	})
}
