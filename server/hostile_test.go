package server_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sipd/internal/siptest"
	"sipd/server/transport"
)

// TestResponseWithoutTheCallersVia is about a phone that answers with our Via alone: nothing can go upstream as it is (RFC
// 3261 16.7 step 3), but the caller must hear something.
func TestResponseWithoutTheCallersVia(t *testing.T) {
	for _, tt := range []struct{ method, status string }{
		{"INVITE", "200 OK"}, {"INVITE", "486 Busy Here"}, {"INVITE", "603 Decline"}, {"MESSAGE", "200 OK"}, {"MESSAGE", "404 Not Found"},
	} {
		t.Run(tt.method+" "+tt.status, func(t *testing.T) {
			onRig(t, bobAtHome, func(r *rig) {
				alice, bob := r.host("10.0.0.1"), r.host("10.0.0.11")
				r.send(alice, request(tt.method, "sip:bob@example.org", "c1", ""))
				req := r.arrived(bob, tt.method)[0]
				r.send(bob, response(req, "180 Ringing", 1)) // Goes nowhere.
				r.send(bob, response(req, tt.status, 1))
				final := r.arrived(alice, "SIP/2.0 502")[0]
				if !strings.Contains(final, "\nVia: SIP/2.0/UDP 10.0.0.1;") {
					t.Errorf("the answer has not the caller's Via:\n%s", final)
				}
				r.wait(2 * time.Minute)
				r.unused()
			})
		})
	}
}

// TestStrangersKeepNothing sends what anybody may send and nobody answers for: no transaction remains, and no answer is
// repeated or longer than a little more than its request (BEHAVIOUR J, ARCHITECTURE 7).
func TestStrangersKeepNothing(t *testing.T) {
	const spare = 600 // bytes: a challenge
	for _, tt := range []struct{ name, request, want string }{
		{"foreign Request-URI", request("INVITE", "sip:x@elsewhere.example", "c", ""), "403"},
		{"foreign address", request("INVITE", "sip:x@10.0.0.66", "c", ""), "403"},
		{"Route to elsewhere", request("INVITE", "sip:bob@example.org", "c", "Route: <sip:10.0.0.50;lr>\n"), "403"},
		{"maddr elsewhere", request("INVITE", "sip:bob@example.org;maddr=10.0.0.66", "c", ""), "403"},
		{"unknown user", request("INVITE", "sip:nobody@example.org", "c", ""), "407"},
		{"user who requires credentials", request("INVITE", "sip:carol@example.org", "c", ""), "407"},
		{"local From", strings.Replace(request("INVITE", "sip:bob@example.org", "c", ""), "alice@elsewhere.example", "carol@example.org", 1), "407"},
		{"CANCEL of nothing", request("CANCEL", "sip:bob@example.org", "c", ""), "481"},
		{"ACK of nothing", request("ACK", "sip:bob@example.org", "c", ""), ""},
		{"BYE of nothing", request("BYE", "sip:bob@10.0.0.11", "c", ""), "403"},
		{"OPTIONS", request("OPTIONS", "sip:example.org", "c", ""), "200"},
		{"OPTIONS with an extension", request("OPTIONS", "sip:example.org", "c", "Require: telepathy\n"), "420"},
		{"no hops left", strings.Replace(request("INVITE", "sip:bob@example.org", "c", ""), "Forwards: 70", "Forwards: 0", 1), "483"},
		{"no breadth left", request("INVITE", "sip:bob@example.org", "c", "Max-Breadth: 0\n"), "440"},
		{"extension of proxies", request("INVITE", "sip:bob@example.org", "c", "Proxy-Require: telepathy\n"), "420"},
		{"foreign scheme", request("INVITE", "im:bob@example.org", "c", ""), "416"},
		{"foreign registrar", request("REGISTER", "sip:elsewhere.example", "c", ""), "403"},
		{"REGISTER of a foreign user", strings.Replace(request("REGISTER", "sip:example.org", "c", ""), "bob@example.org", "bob@elsewhere.example", 1), "404"},
		{"REGISTER without credentials", request("REGISTER", "sip:example.org", "c", ""), "401"},
		{"REGISTER of an unknown user", strings.Replace(request("REGISTER", "sip:example.org", "c", ""), "bob@example.org", "nobody@example.org", 1), "401"},
		{"REGISTER with an extension", request("REGISTER", "sip:example.org", "c", "Require: telepathy\n"), "420"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onRig(t, "user carol required\n"+bobAtHome, func(r *rig) {
				alice := r.host("10.0.0.1")
				r.send(alice, tt.request)
				r.unused()
				if tt.want == "" {
					r.arrived(alice)
				} else if got := r.arrived(alice, "SIP/2.0 "+tt.want)[0]; len(got) > len(tt.request)+spare {
					t.Errorf("%d bytes are answered with %d", len(tt.request), len(got))
				}
				r.wait(time.Minute)
				r.arrived(alice)
				r.arrived(r.host("10.0.0.11"))
				if rows := r.system.Log(); len(rows) != 0 {
					t.Errorf("the request log has %v, want nothing", rows)
				}
			})
		})
	}
}

// TestRoomForWhatWeAdd sends requests at the limits of package message: what we forward must be within them, too, or nobody
// could be sent the ACK or CANCEL that belongs to it.
func TestRoomForWhatWeAdd(t *testing.T) {
	lines := func(n int) string { return strings.Repeat("X-A: b\n", n) }
	vias := func(n int) string { return strings.Repeat("Via: SIP/2.0/UDP p.example;branch=z9hG4bKp\n", n) }
	const own = 8 // header lines of request
	for _, tt := range []struct{ name, more, want string }{
		{"many lines", lines(248 - own), ""},
		{"one line more", lines(249 - own), "513"},
		{"as many as are read", lines(256 - own), "513"},
		{"many Vias", vias(68), ""},
		{"one Via more", vias(69), "483"},
		{"more Vias than are read", vias(70), "483"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onRig(t, bobAtHome, func(r *rig) {
				alice, bob := r.host("10.0.0.1"), r.host("10.0.0.11")
				r.send(alice, request("INVITE", "sip:bob@example.org", "c1", tt.more))
				if tt.want != "" {
					r.arrived(alice, "SIP/2.0 "+tt.want)
					r.unused()
					return
				}
				invite := r.arrived(bob, "INVITE")[0]
				r.send(bob, response(invite, "180 Ringing", 70))
				r.arrived(alice, "SIP/2.0 180")
				r.send(alice, request("CANCEL", "sip:bob@example.org", "c1", ""))
				r.arrived(alice, "SIP/2.0 200")
				cancel := r.arrived(bob, "CANCEL")[0]
				r.send(bob, response(cancel, "200 OK", 1))
				r.send(bob, response(invite, "487 Request Terminated", 70))
				r.arrived(bob, "ACK")
				r.arrived(alice, "SIP/2.0 487")
			})
		})
	}
}

// TestCopyTooLong forwards a message over a stream that with our headers is longer than a message may be.
func TestCopyTooLong(t *testing.T) {
	for _, tt := range []struct {
		name string
		size int
		want string
	}{
		{"fits", 65000, ""},
		{"does not", 65535, "SIP/2.0 513"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onRig(t, "user bob\npeer alice 10.0.0.1\npeer bob1 10.0.0.11 bob tcp bound", func(r *rig) {
				alice, bob := r.host("10.0.0.1"), r.host("10.0.0.11")
				conn, err := alice.Dial(transport.TCP)
				if err != nil {
					t.Fatal(err)
				}
				head := strings.Replace(request("MESSAGE", "sip:bob@example.org", "c1", ""), "Length: 0", "Length: %05d", 1)
				head = strings.ReplaceAll(fmt.Sprintf(head, 10000), "\n", "\r\n")
				body := tt.size - len(head)
				text := strings.Replace(head, "10000", fmt.Sprintf("%05d", body), 1) + strings.Repeat("b", body)
				if err := conn.Send([]byte(text)); err != nil {
					t.Fatal(err)
				}
				if tt.want == "" {
					r.arrived(bob, "MESSAGE")
					return
				}
				r.arrived(bob)
				r.arrived(alice, tt.want)
			})
		})
	}
}

// TestMergedChallengesFit has every branch answer with a challenge longer than what could be merged into one datagram.
func TestMergedChallengesFit(t *testing.T) {
	for _, size := range []int{10000, 30000, 60000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			onRig(t, "user bob\npeer alice 10.0.0.1\npeer bob1 10.0.0.11 bob bound\npeer bob2 10.0.0.12 bob bound\npeer bob3 10.0.0.13 bob bound", func(r *rig) {
				alice := r.host("10.0.0.1")
				phones := []*siptest.Host{r.host("10.0.0.11"), r.host("10.0.0.12"), r.host("10.0.0.13")}
				r.send(alice, request("INVITE", "sip:bob@example.org", "c1", ""))
				for _, h := range phones {
					failure := response(r.arrived(h, "INVITE")[0], "401 Unauthorized", 2)
					line := "\nWWW-Authenticate: Digest realm=\"r\", nonce=\"" + strings.Repeat("n", size) + "\"\nContent-"
					r.send(h, strings.Replace(failure, "\nContent-", line, 1))
					r.arrived(h, "ACK")
				}
				if got := len(r.arrived(alice, "SIP/2.0 401")[0]); got > 65000 {
					t.Errorf("the merged answer has %d bytes, which no datagram has", got)
				}
			})
		})
	}
}

// TestToTagInTheLog compares the To tag of a row with the one the caller has seen.
func TestToTagInTheLog(t *testing.T) {
	for _, tt := range []struct{ status, tag string }{
		{"200 OK", ""}, {"486 Busy Here", ""}, {"503 Service Unavailable", ""}, // The last one becomes a 500 of our own.
		{"200 OK", ";tag=dialog"}, {"503 Service Unavailable", ";tag=dialog"},
	} {
		t.Run(tt.status+tt.tag, func(t *testing.T) {
			onRig(t, bobAtHome, func(r *rig) {
				alice, bob := r.host("10.0.0.1"), r.host("10.0.0.11")
				r.send(alice, strings.Replace(request("MESSAGE", "sip:bob@example.org", "c1", ""), "<sip:bob@example.org>", "<sip:bob@example.org>"+tt.tag, 1))
				req := r.arrived(bob, "MESSAGE")[0]
				r.send(bob, response(req, tt.status, 2))
				final := r.arrived(alice, "SIP/2.0 ")[0]
				_, tag, _ := strings.Cut(final, "<sip:bob@example.org>;tag=")
				tag, _, _ = strings.Cut(tag, "\n")
				rows := r.system.Log()
				if len(rows) != 1 || rows[0].Fields["to_tag"] != tag || tag == "" {
					t.Errorf("got rows %v, want one with the To tag %q", rows, tag)
				}
			})
		})
	}
}
