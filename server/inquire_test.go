package server_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sipd/internal/siptest"
	"sipd/server/target"
)

// oracle answers questions: at once, later, or never.
type oracle struct {
	t     *testing.T
	after time.Duration // 0: at once; negative: never
	knows map[string]string
	asked []string
}

func (o *oracle) Ask(q target.Question, done func([]target.Found)) ([]target.Found, bool) {
	o.asked = append(o.asked, q.Subject+" by "+q.Caller)
	var found []target.Found
	if uri := o.knows[q.Subject]; uri != "" {
		found = []target.Found{{URI: uri, Q: 1000}}
	}
	switch {
	case o.after > 0:
		time.AfterFunc(o.after, func() { done(found) })
		return nil, false
	case o.after < 0:
		return nil, false
	}
	return found, true
}

// TestInquiry: a call waits for what no table says, as long as it takes and no longer, and goes on as if it had been known.
func TestInquiry(t *testing.T) {
	const head = "set Locator http://10.0.0.60/where\nuser bob\nuser carol\npeer alice 10.0.0.1\npeer bob1 10.0.0.11 bob bound"
	for _, tt := range []struct {
		name  string
		after time.Duration
		knows string
		at    time.Duration // when what is wanted comes
		phone string        // what comes to the telephone
		alice []string      // and to the caller
	}{
		{"at once", 0, "sip:bob@example.org", 0, "INVITE sip:bob@10.0.0.11", nil},
		{"later", time.Second, "sip:bob@example.org", time.Second, "INVITE sip:bob@10.0.0.11", []string{"SIP/2.0 100 "}},
		{"elsewhere", time.Second, "sip:carol@10.0.0.11", time.Second, "INVITE sip:carol@10.0.0.11", []string{"SIP/2.0 100 "}},
		{"nobody knows", time.Second, "", time.Second, "", []string{"SIP/2.0 100 ", "SIP/2.0 480 "}},
		{"nobody knows, at once", 0, "", 0, "", []string{"SIP/2.0 480 "}},
		{"no answer", -1, "", 4 * time.Second, "", []string{"SIP/2.0 100 ", "SIP/2.0 480 "}},
		{"an answer that is late", 6 * time.Second, "sip:bob@example.org", 7 * time.Second, "", []string{"SIP/2.0 100 ", "SIP/2.0 480 "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := &oracle{t: t, after: tt.after, knows: map[string]string{"carol@example.org": tt.knows}}
			asker = o
			defer func() { asker = nil }()
			onRig(t, head, func(r *rig) {
				alice, bob := r.host("10.0.0.1"), r.host("10.0.0.11")
				r.send(alice, request("INVITE", "sip:carol@example.org", "ask-1", ""))
				if tt.at > 0 {
					r.arrived(bob)
					r.wait(tt.at)
				}
				if tt.phone != "" {
					got := r.arrived(bob, tt.phone)[0]
					r.arrived(alice, tt.alice...)
					r.send(bob, response(got, "486 Busy Here", 9))
					r.arrived(bob, "ACK ")
					r.arrived(alice, "SIP/2.0 486 ")
				} else {
					r.arrived(bob)
					if got := tally(alice); !slices.Equal(got, tt.alice) {
						t.Errorf("got %q, want %q", got, tt.alice)
					}
				}
				ack := request("ACK", "sip:carol@example.org", "ask-1", "")
				r.send(alice, ack)
				if got := strings.Join(o.asked, ", "); got != "carol@example.org by " {
					t.Errorf("got questions %q, want one", got)
				}
				r.wait(time.Minute)
				r.unused()
			})
		})
	}
}

// tally returns the status of what has come, each once: an answer that is not acknowledged yet comes again.
func tally(h *siptest.Host) (got []string) {
	synctest.Wait()
	for _, a := range h.Take() {
		if s := string(a.Data[:len("SIP/2.0 100 ")]); !slices.Contains(got, s) {
			got = append(got, s)
		}
	}
	return got
}

// TestInquiryCancelled: a caller who gives up while an answer is waited for is told so at once, and the answer does nothing.
func TestInquiryCancelled(t *testing.T) {
	o := &oracle{t: t, after: 2 * time.Second, knows: map[string]string{"carol@example.org": "sip:bob@example.org"}}
	asker = o
	defer func() { asker = nil }()
	onRig(t, "set Locator http://10.0.0.60/where\nuser bob\nuser carol\npeer alice 10.0.0.1\npeer bob1 10.0.0.11 bob bound", func(r *rig) {
		alice, bob := r.host("10.0.0.1"), r.host("10.0.0.11")
		r.send(alice, request("INVITE", "sip:carol@example.org", "ask-1", ""))
		r.wait(time.Second)
		r.arrived(alice, "SIP/2.0 100 ")
		r.send(alice, request("CANCEL", "sip:carol@example.org", "ask-1", ""))
		r.arrived(alice, "SIP/2.0 200 ", "SIP/2.0 487 ")
		r.send(alice, request("ACK", "sip:carol@example.org", "ask-1", ""))
		r.wait(40 * time.Second)
		r.arrived(bob)
		r.arrived(alice)
		r.unused()
	})
}
