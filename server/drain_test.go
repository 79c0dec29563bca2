package server_test

import (
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestDrain stops the server while one call is up and another rings (CONTRACT 2, BEHAVIOUR Drain): what is new is refused,
// what belongs to a call goes on, and at the end of the time what still rings is cancelled and answered.
func TestDrain(t *testing.T) {
	onRig(t, bobAtHome, func(r *rig) {
		alice, bob := r.host("10.0.0.1"), r.host("10.0.0.11")
		r.send(alice, request("INVITE", "sip:bob@example.org", "up", ""))
		invite := r.arrived(bob, "INVITE")[0]
		r.send(bob, response(invite, "200 OK", 2))
		r.arrived(alice, "SIP/2.0 200")
		_, rr, _ := strings.Cut(invite, "Record-Route: ")
		rr, _, _ = strings.Cut(rr, "\n")
		inDialog := func(method string) string {
			req := request(method, "sip:bob@10.0.0.11", "up", "Route: "+rr+"\n")
			req = strings.Replace(req, "z9hG4bK-up", "z9hG4bK-"+method, 1)
			return strings.Replace(req, "To: <sip:bob@example.org>", "To: <sip:bob@example.org>;tag=phone", 1)
		}
		r.send(alice, inDialog("ACK"))
		r.arrived(bob, "ACK")
		r.send(alice, request("INVITE", "sip:bob@example.org", "ringing", ""))
		ringing := r.arrived(bob, "INVITE")[0]
		r.send(bob, response(ringing, "180 Ringing", 2))
		r.arrived(alice, "SIP/2.0 180")

		stopped := make(chan struct{})
		stop := r.system.Stop
		r.system.Stop = func() { <-stopped }
		begin := time.Now()
		go func() {
			stop()
			close(stopped)
		}()
		r.wait(time.Second)
		r.send(alice, request("INVITE", "sip:bob@example.org", "new", ""))
		if final := r.arrived(alice, "SIP/2.0 503")[0]; !strings.Contains(final, "\nRetry-After: ") {
			t.Errorf("the 503 has no Retry-After:\n%s", final)
		}
		r.send(alice, request("OPTIONS", "sip:example.org", "options", ""))
		r.arrived(alice, "SIP/2.0 503")
		r.send(alice, inDialog("BYE"))
		r.send(bob, response(r.arrived(bob, "BYE")[0], "200 OK", 2))
		r.arrived(alice, "SIP/2.0 200")
		<-stopped
		if took := time.Since(begin); took < 5*time.Second || took > 6*time.Second {
			t.Errorf("the stop took %v, want 5 s", took)
		}
		synctest.Wait()
		r.arrived(alice, "SIP/2.0 503")
		if cancel := r.arrived(bob, "CANCEL")[0]; !strings.Contains(cancel, "\nReason: SIP;cause=503") {
			t.Errorf("the CANCEL gives no reason:\n%s", cancel)
		}
		var finals []string
		for _, row := range r.system.Log() {
			finals = append(finals, row.Method+" "+strconv.Itoa(row.Status))
		}
		if got := strings.Join(finals, ", "); got != "INVITE 200, BYE 200, INVITE 503" {
			t.Errorf("the request log has %s, want INVITE 200, BYE 200, INVITE 503", got)
		}
	})
}

// TestDrainWhileAsked: a call that waits for one answer after the other when the server stops has its final response in time.
func TestDrainWhileAsked(t *testing.T) {
	asker = &oracle{t: t, after: -1}
	defer func() { asker = nil }()
	const head = "set AuthMethod none\nset EnumRoot e164.arpa\nset Locator http://10.0.0.60/where\nuser alice\npeer alice 10.0.0.1"
	onRig(t, head, func(r *rig) {
		alice := r.host("10.0.0.1")
		r.send(alice, request("INVITE", "tel:+4411", "asked", ""))
		r.wait(time.Second)
		r.arrived(alice, "SIP/2.0 100")
		begin := time.Now()
		r.system.Stop()
		r.system.Stop = func() {}
		if took := time.Since(begin); took < 5*time.Second || took > 6*time.Second {
			t.Errorf("the stop took %v, want 5 s: two questions take longer", took)
		}
		r.arrived(alice, "SIP/2.0 503")
		rows := r.system.Log()
		if len(rows) != 1 || rows[0].Status != 503 {
			t.Errorf("the request log has %v, want one row with 503", rows)
		}
	})
}

// TestStopWithNothingOpen takes no time.
func TestStopWithNothingOpen(t *testing.T) {
	onRig(t, bobAtHome, func(r *rig) {
		begin := time.Now()
		r.system.Stop()
		r.system.Stop = func() {}
		if took := time.Since(begin); took != 0 {
			t.Errorf("the stop took %v, want none", took)
		}
	})
}
