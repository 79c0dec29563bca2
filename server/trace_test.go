package server_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"sipd/internal/siptest"
	"sipd/internal/siptest/flow"
	"sipd/server/calltrace"
)

// TestCallsAreKept plays flows and compares what is kept of them: the decision, and what became of it.
func TestCallsAreKept(t *testing.T) {
	for _, tt := range []struct{ flow, want string }{
		{"call_busy", `
			proxy sip:bob@10.0.0.11
			branch 486 from sip:bob@10.0.0.11 at 10.0.0.11:5060 UDP
			final 486`},
		{"gateway_failover", `
			proxy sip:85551234@10.0.0.51 else sip:85551234@10.0.0.52 else sip:812125551234@10.0.0.53 challenges=1
			branch 503 from sip:85551234@10.0.0.51 at 10.0.0.51:5060 UDP gateway
			branch 503 without sip:85551234@10.0.0.52 at 10.0.0.52:5060 UDP
			branch 200 from sip:812125551234@10.0.0.53 at 10.0.0.53:5060 UDP
			final 200`},
		{"forward_busy", `
			proxy sip:bob@10.0.0.11 sip:bob@10.0.0.12
			branch 486 from sip:bob@10.0.0.12 at 10.0.0.12:5060 UDP
			branch 486 from sip:bob@10.0.0.11 at 10.0.0.11:5060 UDP
			forward because of forwards
			branch 200 from sip:carol@10.0.0.13 at 10.0.0.13:5060 UDP
			final 200`},
		{"recursion_contact", `
			proxy sip:bob@10.0.0.11 sip:bob@10.0.0.12
			branch 302 from sip:bob@10.0.0.11 at 10.0.0.11:5060 UDP
			recursion because of users
			branch 200 from sip:desk@10.0.0.50 at 10.0.0.50:5060 UDP
			final 200`},
		{"cancel_before_provisional_silent_phone", `
			proxy sip:bob@10.0.0.11
			cancel
			branch 408 without sip:bob@10.0.0.11 at 10.0.0.11:5060 UDP
			final 487`},
		{"redirect_by_user", `
			redirect sip:bob@10.0.0.11
			final 302`},
		{"reject_unknown_user", `
			reject challenges=1
			final 404`},
		{"auth_challenge_is_stateless", `
			challenge
			final 407`},
	} {
		t.Run(tt.flow, func(t *testing.T) {
			f, err := flow.ParseFile(filepath.Join("testdata", tt.flow+".flow"))
			if err != nil {
				t.Fatal(err)
			}
			siptest.Run(t, f, startServer)
			list := calls.Find("call-1")
			if len(list) == 0 {
				t.Fatal("got no call")
			}
			got := outline(&list[len(list)-1])
			var want strings.Builder
			for line := range strings.Lines(strings.TrimPrefix(tt.want, "\n")) {
				want.WriteString(strings.TrimSpace(line) + "\n")
			}
			if got != want.String() {
				t.Errorf("got\n%s\nwant\n%s", got, want.String())
			}
			if c := list[0]; c.Cut || len(c.Trace) < 2 || c.Trace[0].Rule != "domain" {
				t.Errorf("got %d calls and %+v, want its reasons", len(list), c)
			}
		})
	}
}

func outline(c *calltrace.Call) string {
	var b strings.Builder
	b.WriteString(c.Decision)
	for _, x := range c.Targets {
		b.WriteString(" " + x.URI)
		for _, e := range x.Else {
			b.WriteString(" else " + e.URI)
		}
	}
	if c.Challenges > 0 {
		fmt.Fprintf(&b, " challenges=%d", c.Challenges)
	}
	b.WriteString("\n")
	for _, e := range c.Events {
		b.WriteString(e.What)
		if e.Status != 0 {
			fmt.Fprintf(&b, " %d", e.Status)
		}
		if e.URI != "" {
			b.WriteString(map[bool]string{true: " from ", false: " without "}[e.Received] + e.URI)
		}
		if e.Address != "" {
			b.WriteString(" at " + e.Address + " " + e.Proto)
		}
		if e.Gateway != 0 {
			b.WriteString(" gateway")
		}
		if len(e.Trace) > 0 {
			b.WriteString(" because of " + e.Trace[0].Table)
		}
		b.WriteString("\n")
	}
	return b.String()
}
