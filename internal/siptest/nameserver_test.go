package siptest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"sipd/internal/siptest"
	"sipd/internal/siptest/flow"
)

// TestNameServer asks for what the dns lines of a flow say.
func TestNameServer(t *testing.T) {
	f, err := flow.Parse("t.flow", `# RFC 3263 4: names
dns other.example NAPTR 10 50 s SIPS+D2T _sips._tcp.other.example
dns 1.4.4.e164.arpa NAPTR 10 50 u E2U+sip !^\+44(.*)$!sip:\1@other.example! .
dns _sips._tcp.other.example SRV 10 60 5061 sip1.other.example
dns sip1.other.example A 10.0.0.51 ttl=7
dns sip1.other.example AAAA 2001:db8::51
dns www.other.example CNAME sip1.other.example
dns broken.example servfail
dns away.example refused
dns mute.example silent
dns late.example slow=2s
dns late.example A 10.0.0.52
at 0s dns SIP1.other.example gone
at 0s dns mute.example answers
quiet 1s
`)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		n := siptest.NewNet()
		for _, d := range f.DNS {
			if err := n.Names.Change(d); err != nil {
				t.Fatal(err)
			}
		}
		ask := func(name string, kind uint16, wait time.Duration) string {
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			defer cancel()
			r, err := n.Names.Exchange(ctx, "udp", siptest.NameServerAddr, new(dns.Msg).SetQuestion(name, kind))
			if errors.Is(err, context.DeadlineExceeded) {
				return "silence"
			}
			if err != nil {
				return "error"
			}
			text := dns.RcodeToString[r.Rcode]
			for _, rr := range r.Answer {
				text += fmt.Sprintf(" %s %d %s", rr.Header().Name, rr.Header().Ttl, strings.TrimPrefix(rr.String(), rr.Header().String()))
			}
			return text
		}
		for _, tt := range []struct {
			name string
			kind uint16
			want string
		}{
			{"Other.Example.", dns.TypeNAPTR, `NOERROR other.example. 300 10 50 "s" "SIPS+D2T" "" _sips._tcp.other.example.`},
			{"1.4.4.e164.arpa.", dns.TypeNAPTR, `NOERROR 1.4.4.e164.arpa. 300 10 50 "u" "E2U+sip" "!^\\+44(.*)$!sip:\\1@other.example!" .`},
			{"_sips._tcp.other.example.", dns.TypeSRV, "NOERROR _sips._tcp.other.example. 300 10 60 5061 sip1.other.example."},
			{"sip1.other.example.", dns.TypeA, "NOERROR sip1.other.example. 7 10.0.0.51"},
			{"www.other.example.", dns.TypeAAAA, "NOERROR www.other.example. 300 sip1.other.example. sip1.other.example. 300 2001:db8::51"},
			{"sip1.other.example.", dns.TypeSRV, "NOERROR"},
			{"_tcp.other.example.", dns.TypeA, "NOERROR"},
			{"nowhere.example.", dns.TypeA, "NXDOMAIN"},
			{"broken.example.", dns.TypeA, "SERVFAIL"},
			{"away.example.", dns.TypeA, "error"},
			{"mute.example.", dns.TypeA, "silence"},
			{"late.example.", dns.TypeA, "silence"},
		} {
			if got := ask(tt.name, tt.kind, time.Second); got != tt.want {
				t.Errorf("%s %s: got %q, want %q", tt.name, dns.TypeToString[tt.kind], got, tt.want)
			}
		}
		if got, want := ask("late.example.", dns.TypeA, 3*time.Second), "NOERROR late.example. 300 10.0.0.52"; got != want {
			t.Errorf("after 2 s: got %q, want %q", got, want)
		}
		for _, s := range f.Steps {
			if s.Kind == flow.Change {
				if err := n.Names.Change(s.DNS); err != nil {
					t.Error(err)
				}
			}
		}
		if got := ask("sip1.other.example.", dns.TypeA, time.Second) + ask("mute.example.", dns.TypeA, time.Second); got != "NXDOMAINNXDOMAIN" {
			t.Errorf("after the changes: got %q, want that neither name exists", got)
		}
		if err := n.Names.Change(&flow.DNS{Name: "x.example", Type: "A", Data: "10.0.0.300"}); err == nil {
			t.Error("got no error for an address that is none")
		}
		if got := n.Names.Asked(); got != 15 {
			t.Errorf("got %d questions, want 15", got)
		}
	})
}
