package proxy

import (
	"net/netip"
	"strings"
	"testing"

	"sipd/server/message"
	"sipd/server/transport"
	"sipd/server/trust"
)

var (
	strangersFlow = transport.Flow{Remote: netip.MustParseAddrPort("10.0.0.1:5060")}
	peersFlow     = transport.Flow{Remote: netip.MustParseAddrPort("10.0.0.2:5060")}
	assertersFlow = transport.Flow{Remote: netip.MustParseAddrPort("10.0.0.3:5060")}
)

// trusting knows the three flows. asked counts how often it was asked.
func trusting(asked *int) *Proxy {
	return New(Config{Trust: func(f transport.Flow) trust.Level {
		*asked++
		return map[netip.AddrPort]trust.Level{peersFlow.Remote: trust.Peer, assertersFlow.Remote: trust.Asserting}[f.Remote]
	}})
}

const privacyHead = "Via: SIP/2.0/UDP 10.0.0.9;branch=z9hG4bKa\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKb\nMax-Forwards: 70\n" +
	"From: <sip:alice@example.org>;tag=1\nTo: <sip:bob@example.org>;tag=2\nCall-ID: c1\nCSeq: 7 MESSAGE\n"

func indexed(t *testing.T, first, more string) *message.Message {
	t.Helper()
	m := new(message.Message)
	if err := m.Index([]byte(strings.ReplaceAll(first+"\n"+privacyHead+more+"\n", "\n", "\r\n"))); err != nil {
		t.Fatalf("%v in %s", err, more)
	}
	return m
}

// added returns the lines behind the head.
func added(raw []byte) string {
	text := strings.ReplaceAll(string(raw), "\r\n", "\n")
	_, text, _ = strings.Cut(text, "7 MESSAGE\n")
	return strings.TrimSuffix(text, "\n")
}

// RFC 3325 5: what a stranger asserts goes in every spelling that a message may have, and nothing else goes with it.
func TestSpellingsOfAssertedIdentity(t *testing.T) {
	for _, lines := range []string{
		"P-Asserted-Identity: <sip:a@b>\n",
		"p-asserted-identity:<sip:a@b>\n",
		"P-ASSERTED-IDENTITY : <sip:a@b>\n",
		"P-asserted-Identity \t \t: sip:a@b\n",
		"P-Asserted-Identity:\n <sip:a@b>\n",
		"P-Asserted-Identity: \"A,\n\tB: C\" <sip:a@b>\n , tel:+1\n",
		"P-Asserted-Identity: <sip:a@b>, <sip:c@d>, <sip:e@f>\n",
		"P-Asserted-Identity:\n",
		"P-Asserted-Identity: <<, \"\n",
		"P-Asserted-Identity: <sip:a@b>\nX: y\nP-Asserted-Identity: <sip:c@d>\np-asserted-identity: tel:+1\n",
		"P-Preferred-Identity: <sip:a@b>\n",
		"p-preferred-identity\t: <sip:a@b>\n ;x\n",
		strings.Repeat("P-Asserted-Identity: <sip:a@b>\nP-Preferred-Identity: tel:+1\n", 100),
	} {
		want := ""
		if strings.Contains(lines, "X: y\n") {
			want = "X: y\n"
		}
		asked := 0
		p := trusting(&asked)
		for _, first := range []string{"MESSAGE sip:bob@example.org SIP/2.0", "SIP/2.0 200 OK"} {
			for _, place := range []struct{ before, after string }{{"", ""}, {"A: b\n", "C: d\n"}} {
				m := indexed(t, first, place.before+lines+place.after)
				var sp message.Splice
				sp.Reset(m)
				if m.IsRequest() {
					var id trust.Asserted
					p.believe(&id, m, strangersFlow)
					p.screenRequest(&sp, m, &id, assertersFlow)
				} else {
					trust.ScreenResponse(&sp, m, p.tells(m, strangersFlow, assertersFlow))
				}
				if got, want := added(sp.Append(nil)), place.before+want+place.after; got != want {
					t.Errorf("%s with %q: got %q, want %q", first, lines, got, want)
				}
			}
		}
	}
}

// Spellings that would be the header to somebody else, and are not to us, do not get in.
func TestSpellingsThatAreNone(t *testing.T) {
	for _, line := range []string{
		"P-Asserted-Identity\n : <sip:a@b>\n",
		" P-Asserted-Identity: <sip:a@b>\n", // a fold of CSeq
		"P-Asserted-Identity\x00: <sip:a@b>\n",
		"P-Asserted-Identity\u00a0: <sip:a@b>\n",
		"P-Asserted-Identity <sip:a@b>\n",
	} {
		m := new(message.Message)
		if err := m.Index([]byte(strings.ReplaceAll("MESSAGE sip:bob@example.org SIP/2.0\n"+privacyHead+line+"\n", "\n", "\r\n"))); err == nil {
			t.Errorf("%q was read", line)
		}
	}
	for _, end := range []string{"\n", "\r", "\r\r"} { // ends of lines to some, but not to us
		m := new(message.Message)
		raw := strings.ReplaceAll("MESSAGE sip:bob@example.org SIP/2.0\n"+privacyHead, "\n", "\r\n") + "Subject: x" + end + "P-Asserted-Identity: <sip:a@b>\r\n\r\n"
		if err := m.Index([]byte(raw)); err == nil {
			t.Errorf("a line that ends in %q was read", end)
		}
	}
}

// The table at the top of trust/screen.go.
func TestScreenRequest(t *testing.T) {
	const pai, own = "P-Asserted-Identity: <sip:a@b>\n", "P-Asserted-Identity: <sip:own@b>\n"
	for _, tt := range []struct {
		name     string
		more     string
		own      bool
		from, to transport.Flow
		want     string
	}{
		{"asserted, to anybody", pai, false, assertersFlow, strangersFlow, pai},
		{"asserted, to a peer", pai, false, assertersFlow, peersFlow, pai},
		{"asserted and private, to anybody", pai + "Privacy: id\n", false, assertersFlow, strangersFlow, "Privacy: id\n"},
		{"asserted and private, to a peer", pai + "Privacy: id\n", false, assertersFlow, peersFlow, pai + "Privacy: id\n"},
		{"asserted and not private", pai + "Privacy: none\n", false, assertersFlow, strangersFlow, pai + "Privacy: none\n"},
		{"private in another way", pai + "Privacy: header\n", false, assertersFlow, strangersFlow, pai + "Privacy: header\n"},
		{"who may not assert", pai, false, peersFlow, assertersFlow, ""},
		{"asserted, the sender's own is not added", pai, true, assertersFlow, peersFlow, pai},
		{"own, to a peer", "", true, strangersFlow, peersFlow, own},
		{"own, to anybody", "", true, strangersFlow, strangersFlow, ""},
		{"own and private, to a peer", "Privacy: id\n", true, strangersFlow, assertersFlow, "Privacy: id\n" + own},
		{"own, in the place of a stranger's", pai, true, strangersFlow, peersFlow, own},
		{"preferred of a peer", "P-Preferred-Identity: <sip:a@b>\n" + pai, false, assertersFlow, peersFlow, pai},
		{"a privacy service behind us", "Proxy-Require: privacy\n", false, strangersFlow, peersFlow, "Proxy-Require: privacy\n"},
		{"none behind us", "Proxy-Require: privacy\nProxy-Require: Privacy\n", false, strangersFlow, strangersFlow, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked := 0
			p := trusting(&asked)
			m := indexed(t, "MESSAGE sip:bob@example.org SIP/2.0", tt.more)
			var id trust.Asserted
			if tt.own {
				id.Value = []byte("<sip:own@b>")
			}
			p.believe(&id, m, tt.from)
			var sp message.Splice
			sp.Reset(m)
			p.screenRequest(&sp, m, &id, tt.to)
			if got := added(sp.Append(nil)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestTells(t *testing.T) {
	const pai = "P-Asserted-Identity: <sip:a@b>\n"
	for _, tt := range []struct {
		more     string
		from, to transport.Flow
		want     bool
	}{
		{"", strangersFlow, strangersFlow, true},
		{pai, strangersFlow, assertersFlow, false},
		{pai, peersFlow, assertersFlow, false},
		{pai, assertersFlow, strangersFlow, true},
		{pai + "Privacy: id\n", assertersFlow, strangersFlow, false},
		{pai + "Privacy: id\n", assertersFlow, peersFlow, true},
	} {
		asked := 0
		if got := trusting(&asked).tells(indexed(t, "SIP/2.0 200 OK", tt.more), tt.from, tt.to); got != tt.want {
			t.Errorf("%q from %v to %v: got %v, want %v", tt.more, tt.from.Remote, tt.to.Remote, got, tt.want)
		}
	}
}

// A message that has none of these header fields costs nobody a question, and no memory.
func TestNothingToScreen(t *testing.T) {
	asked := 0
	p := trusting(&asked)
	req, resp := indexed(t, "MESSAGE sip:bob@example.org SIP/2.0", "Subject: x\n"), indexed(t, "SIP/2.0 200 OK", "Subject: x\n")
	var sp message.Splice
	n := testing.AllocsPerRun(100, func() {
		var id trust.Asserted
		p.believe(&id, req, strangersFlow)
		p.screenRequest(&sp, req, &id, assertersFlow)
		if p.fails(req, strangersFlow) || !p.tells(resp, strangersFlow, strangersFlow) {
			t.Error("got a refusal, want none")
		}
		sp.Reset(resp)
		trust.ScreenResponse(&sp, resp, true)
	})
	if n != 0 || asked != 0 {
		t.Errorf("got %v allocations and %d questions, want 0 and 0", n, asked)
	}
}
