package history

import (
	"strings"
	"testing"

	"sipd/server/message"
	"sipd/server/target"
)

// TestWrite: what a forwarded call says of how it came (RFC 5806, RFC 7044 9 and 10).
func TestWrite(t *testing.T) {
	busy := &target.Diversion{From: "bob@example.org", To: "sip:carol@example.org", Reason: "user-busy", Status: 486}
	both := &target.Diversion{From: "carol@example.org", To: "sip:d@elsewhere.net", Reason: "unconditional", Before: busy}
	number := &target.Diversion{From: "bob@example.org", To: "tel:+12125550100", Reason: "unconditional"}
	odd := &target.Diversion{From: "a b@example.org", To: "sip:carol@example.org", Reason: "no-answer", Status: 408}
	back := &target.Diversion{From: "carol@example.org", To: "sip:e@example.org", Reason: "unavailable", Before: number}
	for _, tt := range []struct {
		name, request string // the Request-URI and further header lines
		by            *target.Diversion
		nth           int
		uri           string
		want          []string
	}{
		{"nobody forwards", "sip:bob@example.org", nil, 0, "sip:b@10.0.0.11", nil},
		{"once", "sip:bob@example.org", busy, 1, "sip:c@10.0.0.12", []string{
			"Diversion: <sip:bob@example.org>;reason=user-busy",
			"History-Info: <sip:bob@example.org?Reason=SIP%3Bcause%3D486>;index=1, <sip:carol@example.org>;index=1.1;mp=1, <sip:c@10.0.0.12>;index=1.1.1;rc=1.1"}},
		{"the second telephone", "sip:bob@example.org", busy, 2, "sip:c@10.0.0.13", []string{
			"Diversion: <sip:bob@example.org>;reason=user-busy",
			"History-Info: <sip:bob@example.org?Reason=SIP%3Bcause%3D486>;index=1, <sip:carol@example.org>;index=1.1;mp=1, <sip:c@10.0.0.13>;index=1.1.2;rc=1.1"}},
		{"twice, out of the domain", "sip:bob@example.org", both, 1, "sip:d@elsewhere.net", []string{
			"Diversion: <sip:carol@example.org>;reason=unconditional, <sip:bob@example.org>;reason=user-busy",
			"History-Info: <sip:bob@example.org?Reason=SIP%3Bcause%3D486>;index=1, <sip:carol@example.org>;index=1.1;mp=1, <sip:d@elsewhere.net>;index=1.1.1;mp=1.1"}},
		{"to a gateway", "sip:bob@example.org", number, 1, "sip:95550100@gw", []string{
			"Diversion: <sip:bob@example.org>;reason=unconditional",
			"History-Info: <sip:bob@example.org>;index=1, <sip:+12125550100@example.org;user=phone>;index=1.1;mp=1, <sip:95550100@gw>;index=1.1.1;rc=1.1"}},
		{"a number goes on", "sip:bob@example.org", back, 1, "sip:e@10.0.0.9", []string{
			"Diversion: <sip:carol@example.org>;reason=unavailable, <sip:bob@example.org>;reason=unconditional",
			"History-Info: <sip:bob@example.org>;index=1, <sip:+12125550100@example.org;user=phone>;index=1.1;mp=1, <sip:e@example.org>;index=1.1.1;mp=1.1, <sip:e@10.0.0.9>;index=1.1.1.1;rc=1.1.1"}},
		{"a tel Request-URI", "tel:7042;phone-context=example.org", busy, 1, "sip:c@10.0.0.12", []string{
			"Diversion: <sip:bob@example.org>;reason=user-busy",
			"History-Info: <sip:7042;phone-context=example.org@example.org;user=phone?Reason=SIP%3Bcause%3D486>;index=1, <sip:carol@example.org>;index=1.1;mp=1, <sip:c@10.0.0.12>;index=1.1.1;rc=1.1"}},
		{"a name with a space", "sip:bob@example.org", odd, 1, "sip:c@10.0.0.12", []string{
			"Diversion: <sip:a%20b@example.org>;reason=no-answer",
			"History-Info: <sip:bob@example.org?Reason=SIP%3Bcause%3D408>;index=1, <sip:carol@example.org>;index=1.1;mp=1, <sip:c@10.0.0.12>;index=1.1.1;rc=1.1"}},
		{"history goes on", "sip:bob@example.org\nDiversion: <sip:x@y.example>;reason=away\nHistory-Info: <sip:sales@example.org>;index=1, <sip:bob@example.org>;index=1.2", busy, 1, "sip:c@10.0.0.12", []string{
			"Diversion: <sip:bob@example.org>;reason=user-busy, <sip:x@y.example>;reason=away",
			"History-Info: <sip:sales@example.org>;index=1, <sip:bob@example.org>;index=1.2",
			"History-Info: <sip:carol@example.org>;index=1.2.1;mp=1.2, <sip:c@10.0.0.12>;index=1.2.1.1;rc=1.2.1"}},
		{"an entry is missing", "sip:bob@example.org\nHistory-Info: <sip:sales@example.org?Reason=SIP%3Bcause%3D302>;index=1.1", busy, 1, "sip:c@10.0.0.12", []string{
			"History-Info: <sip:sales@example.org?Reason=SIP%3Bcause%3D302>;index=1.1",
			"Diversion: <sip:bob@example.org>;reason=user-busy",
			"History-Info: <sip:bob@example.org?Reason=SIP%3Bcause%3D486>;index=1.1.0, <sip:carol@example.org>;index=1.1.0.1;mp=1.1.0, <sip:c@10.0.0.12>;index=1.1.0.1.1;rc=1.1.0.1"}},
		{"history without an index", "sip:bob@example.org\nHistory-Info: <sip:bob@example.org>", busy, 1, "sip:c@10.0.0.12", []string{
			"History-Info: <sip:bob@example.org>", "Diversion: <sip:bob@example.org>;reason=user-busy"}},
		{"history with an odd index", "sip:bob@example.org\nHistory-Info: <sip:bob@example.org>;index=a", busy, 1, "sip:c@10.0.0.12", []string{
			"History-Info: <sip:bob@example.org>;index=a", "Diversion: <sip:bob@example.org>;reason=user-busy"}},
		{"history that is none", "sip:bob@example.org\nHistory-Info: <<", busy, 1, "sip:c@10.0.0.12", []string{
			"History-Info: <<", "Diversion: <sip:bob@example.org>;reason=user-busy"}},
		{"the caller wants privacy", "sip:bob@example.org\nPrivacy: history", busy, 1, "sip:c@10.0.0.12", nil},
		{"the caller wants none", "sip:bob@example.org\nPrivacy: none", busy, 1, "sip:d@elsewhere.net", []string{
			"Diversion: <sip:bob@example.org>;reason=user-busy",
			"History-Info: <sip:bob@example.org?Reason=SIP%3Bcause%3D486>;index=1, <sip:carol@example.org>;index=1.1;mp=1, <sip:d@elsewhere.net>;index=1.1.1;rc=1.1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			uri, more, _ := strings.Cut(tt.request, "\n")
			if more != "" {
				more += "\n"
			}
			text := "INVITE " + uri + " SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKx\nFrom: <sip:a@h>;tag=1\n" +
				"To: <sip:bob@example.org>\nCall-ID: c\nCSeq: 1 INVITE\nMax-Forwards: 70\n" + more + "Content-Length: 0\n\n"
			var req message.Message
			if err := req.Index([]byte(strings.ReplaceAll(text, "\n", "\r\n"))); err != nil {
				t.Fatal(err)
			}
			var sp message.Splice
			sp.Reset(&req)
			Write(&sp, &req, &target.Target{Diverted: tt.by, Nth: tt.nth}, []byte(tt.uri))
			copied := string(sp.Append(nil))
			var got []string
			for _, l := range strings.Split(copied, "\r\n") {
				if strings.HasPrefix(l, "Diversion:") || strings.HasPrefix(l, "History-Info:") {
					got = append(got, l)
				}
			}
			if strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
			var m message.Message
			if err := m.Index([]byte(copied)); err != nil {
				t.Errorf("%v in\n%s", err, copied)
			}
		})
	}
}
