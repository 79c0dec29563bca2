package flow_test

import (
	"strings"
	"testing"

	"sipd/internal/siptest/flow"
)

func TestParseErrors(t *testing.T) {
	const head = "# RFC 3261 16: x\npeer alice 10.0.0.1\n"
	for _, tc := range []struct{ name, text, want string }{
		{"no clause", "# a call\n", "t.flow:1: the first line"},
		{"an RFC without a section", "# RFC 3261: a call\n", "t.flow:1: the first line"},
		{"a page without a part", "# BEHAVIOUR: a call\n", "t.flow:1: the first line"},
		{"restart of a phone", head + "at 0s alice restarts\n", "want: alice -> proxy"},
		{"no quiet", head + "at 0s alice -> proxy BYE sip:x@y\n", "does not end with a quiet"},
		{"nothing", head, "nothing happens"},
		{"unknown word", head + "oops\n", "t.flow:3: \"oops\""},
		{"unknown peer", head + "at 0s bob -> proxy BYE sip:x@y\n", "t.flow:3: no peer line"},
		{"time goes back", head + "at 2s alice -> proxy BYE sip:x@y\nat 1s alice -> proxy BYE sip:x@y\n", "t.flow:4: 1s is before 2s"},
		{"peer to peer", head + "at 0s alice -> alice BYE sip:x@y\n", "is to be proxy"},
		{"no message", head + "at 0s alice -> proxy\n", "message is missing"},
		{"bad status", head + "at 0s proxy -> alice 99\n", "99 is not a status"},
		{"bad regexp", head + "at 0s proxy -> alice 200  To:~ (\n", "t.flow:3:"},
		{"pattern in a sent header", head + "at 0s alice -> proxy BYE sip:x@y  To:~ x\n", "is sent"},
		{"stray header", "# RFC 3261 1: x\n  To: x\n", "goes on with the message above"},
		{"stray body", "# RFC 3261 1: x\n  | x\n", "body line"},
		{"bad time", head + "at soon alice -> proxy BYE sip:x@y\n", "is not a time"},
		{"after quiet", head + "quiet 1s\nat 1s alice -> proxy BYE sip:x@y\n", "nothing follows"},
		{"bad address", "# RFC 3261 1: x\npeer bob here\n", "not an address"},
		{"name twice", head + "peer alice 10.0.0.2\n", "taken"},
		{"q out of range", "# RFC 3261 1: x\npeer bob 10.0.0.1 bob bound q=2\n", "q is 0 to 1"},
		{"bad log", head + "log INVITE\n", "want: log"},
		{"bad log field", head + "log INVITE 200 color=red\n", "is none of url="},
		{"bad word", head + "at 0s alice -> proxy BYE sip:x@y zap\n", "zap"},
		{"no record", head + "dns other.example A\n", "\"A\" is none of silent"},
		{"bad type", head + "dns other.example MX 10 mail.example\n", "is none of A, AAAA, SRV, NAPTR, CNAME"},
		{"bad ttl", head + "dns other.example A 10.0.0.1 ttl=soon\n", "want seconds"},
		{"all names gone", head + "dns gone\n", "want: dns NAME gone"},
		{"not slow", head + "dns slow=never\n", "want slow=0.5s"},
		{"empty dns", head + "dns\n", "want: dns sip1"},
		{"bad listener", head + "listens smoke\n", "is none of udp, tcp, tls, ipv4, ipv6"},
		{"bad alias", head + "alias sales bob crowd\n", "want: alias"},
		{"bad delay", head + "alias sales bob group delay=soon\n", "want: alias"},
		{"bad class", head + "class a b\n", "want: class"},
		{"bad dial plan", head + "dialplan 911\n", "want: dialplan"},
		{"bad word of the dial plan", head + "dialplan 911 sip:911@psap urgent\n", "want: dialplan"},
		{"bad gateway", head + "gateway 1* staff\n", "want: gateway"},
		{"bad weight", head + "gateway 1* staff sip:$@gw heavy\n", "want: gateway"},
		{"or of nothing", head + "or 1* staff sip:$@gw\n", "below a gateway line"},
		{"bad trunk", head + "trunk gw\n", "want: trunk"},
		{"bad forward", head + "forward bob sometimes sip:x@y\n", "want: forward"},
		{"bad time of a forward", head + "forward bob noanswer sip:x@y soon\n", "want: forward"},
		{"bad locator", head + "locator bob\n", "want: locator"},
		{"locator that is not slow", head + "locator slow=never\n", "want: locator"},
		{"bad word of the locator", head + "locator bob sip:bob@10.0.0.51 now\n", "neither q= nor caller="},
		{"bad q of the locator", head + "locator bob sip:bob@10.0.0.51 q=2\n", "q is 0 to 1"},
		{"bad user", "# RFC 3261 1: x\nuser bob sometimes\n", "sometimes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := flow.Parse("t.flow", tc.text)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
			if err != nil && !strings.HasPrefix(err.Error(), "t.flow:") {
				t.Errorf("got %v, want file and line in front", err)
			}
		})
	}
}
