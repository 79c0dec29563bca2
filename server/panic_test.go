package server_test

import (
	"testing"
	"time"

	"sipd/store"
)

// TestPanicCostsOneRequest lets the request log panic wherever the server calls it: the process, the shard and other
// requests go on.
func TestPanicCostsOneRequest(t *testing.T) {
	fault := func(row store.LogRow) {
		if row.CallID == "bad" {
			panic("the request log is broken")
		}
	}
	for _, tt := range []struct {
		name, settings string
		bad            func(r *rig)
	}{
		{"an answer of ours", "", func(r *rig) {
			alice := r.host("10.0.0.1")
			r.send(alice, request("INVITE", "sip:gone@example.org", "bad", ""))
			r.arrived(alice, "SIP/2.0 480") // And no 500: it has had its final response.
		}},
		{"an answer of a phone", "", func(r *rig) {
			alice, bob := r.host("10.0.0.1"), r.host("10.0.0.11")
			r.send(alice, request("MESSAGE", "sip:bob@example.org", "bad", ""))
			r.send(bob, response(r.arrived(bob, "MESSAGE")[0], "200 OK", 2))
			r.arrived(alice, "SIP/2.0 200")
		}},
		{"a commit", "set AuthMethod none", func(r *rig) {
			r.send(r.host("10.0.0.11"), "REGISTER sip:example.org SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.11;branch=z9hG4bK-r\nMax-Forwards: 70\n"+
				"From: <sip:bob@example.org>;tag=r\nTo: <sip:bob@example.org>\nCall-ID: bad\nCSeq: 1 REGISTER\n"+
				"Contact: <sip:bob@10.0.0.11>\nContent-Length: 0\n\n")
			r.arrived(r.host("10.0.0.11"), "SIP/2.0 200")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onFaultyRig(t, tt.settings+"\nuser gone\n"+bobAtHome, fault, 1, func(r *rig) {
				tt.bad(r)
				r.wait(time.Minute)
				alice, bob := r.host("10.0.0.1"), r.host("10.0.0.11")
				alice.Take()
				r.send(alice, request("MESSAGE", "sip:bob@example.org", "good", ""))
				r.send(bob, response(r.arrived(bob, "MESSAGE")[0], "200 OK", 2))
				r.arrived(alice, "SIP/2.0 200")
				r.wait(time.Minute)
				r.unused()
			})
		})
	}
}

// TestPanicOfAnAnswer: what panics when an answer has come ends the call that waited, and nothing else.
func TestPanicOfAnAnswer(t *testing.T) {
	fault := func(row store.LogRow) {
		if row.CallID == "bad" {
			panic("the request log is broken")
		}
	}
	asker = &oracle{t: t, after: time.Second}
	defer func() { asker = nil }()
	onFaultyRig(t, "set Locator http://10.0.0.60/where\nuser carol\n"+bobAtHome, fault, 1, func(r *rig) {
		alice, bob := r.host("10.0.0.1"), r.host("10.0.0.11")
		r.send(alice, request("MESSAGE", "sip:carol@example.org", "bad", ""))
		r.wait(time.Second)
		r.arrived(alice, "SIP/2.0 480") // And no 500: it has had its final response.
		r.wait(time.Minute)
		r.send(alice, request("MESSAGE", "sip:bob@example.org", "good", ""))
		r.send(bob, response(r.arrived(bob, "MESSAGE")[0], "200 OK", 2))
		r.arrived(alice, "SIP/2.0 200")
		r.wait(time.Minute)
		r.unused()
	})
}
