package message_test

import (
	"strings"
	"testing"

	"sipd/server/message"
)

func TestParseAddress(t *testing.T) {
	tests := []struct{ name, text, display, uri, params string }{
		{"name-addr", `"Bob" <sip:bob@h>;tag=1`, `"Bob"`, "sip:bob@h", ";tag=1"},
		{"tokens", `Bob B. Jones <sip:bob@h> ; tag = 1`, `Bob B. Jones`, "sip:bob@h", "; tag = 1"},
		{"no white space, RFC 4475 3.1.1.6", `Bob<sip:bob@h>`, `Bob`, "sip:bob@h", ""},
		{"no name", `<sip:bob@h;a=b>;c=d`, ``, "sip:bob@h;a=b", ";c=d"},
		{"addr-spec, RFC 3261 20.10", `sip:bob@h;tag=1`, ``, "sip:bob@h", ";tag=1"},
		{"addr-spec and white space", " sip:bob@h \t;\r\n tag=1 ", ``, "sip:bob@h", ";\r\n tag=1"},
		{"empty name", `"" <sip:bob@h>`, `""`, "sip:bob@h", ""},
		{"escaped quote", `"a \"<sip:x@y>\" b" <sip:bob@h>`, `"a \"<sip:x@y>\" b"`, "sip:bob@h", ""},
		{"escaped backslash", `"a\\"<sip:bob@h>`, `"a\\"`, "sip:bob@h", ""},
		{"name in UTF-8 without quotes", "J\u00fcrgen <sip:bob@h>", "J\u00fcrgen", "sip:bob@h", ""},
		{"quoted parameter", `<sip:bob@h>;+sip.instance="<urn:uuid:1;2,3>";q=0.5`, ``, "sip:bob@h", `;+sip.instance="<urn:uuid:1;2,3>";q=0.5`},
		{"folded", "\"Bob\"\r\n <sip:bob@h>\r\n ;tag=1", `"Bob"`, "sip:bob@h", ";tag=1"},
		{"other scheme", `<isbn:123>`, ``, "isbn:123", ""},
		{"tel", `<tel:+1-212-555-0100;ext=1>`, ``, "tel:+1-212-555-0100;ext=1", ""},
		{"question mark in brackets", `<sip:bob@h?a=b>`, ``, "sip:bob@h?a=b", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := address(t, []byte(tt.text))
			is(t, "display name", text(a.Display), tt.display)
			is(t, "URI", text(a.URI.Text), tt.uri)
			is(t, "params", text(a.Params), tt.params)
			is(t, "text", text(a.Text), strings.TrimSpace(tt.text))
		})
	}
	for _, bad := range []string{
		"", " ", "<", "<>", `"Bob`, `"Bob" sip:bob@h`, "Bob, B <sip:bob@h>", "< sip:bob@h >", "<sip:bob@h> x", "<sip:bob@h>;", "<sip:bob@h>;;a",
		"<sip:bob@h>;=a", "<sip:bob@h>;a=", `<sip:bob@h>;a="b`, "sip:bob@h?a=b", "sip:a,b@h", "sip:bob@h, sip:c@h", "*", "<sip:bob@h>;tag", "Bob",
		strings.Repeat("x", message.MaxMessage+1),
	} {
		if a, err := message.ParseAddress([]byte(bad)); err == nil {
			t.Errorf("%.80q: got %+v, want an error", bad, a)
		} else if err.Error() == "" {
			t.Errorf("%.80q: got an error without a text", bad)
		}
	}
}

func TestContactParameters(t *testing.T) {
	a := address(t, []byte(`<sip:a@h>;Q=0.25;EXPIRES=60;+sip.Instance="<urn:uuid:00000000-0000-1000-8000-000A95A0E128>";reg-id=2;action=proxy;pub="a\"b";flag`))
	q, ok, err := a.Q()
	if q != 250 || !ok || err != nil {
		t.Errorf("q: got %d %v %v, want 250", q, ok, err)
	}
	n, ok := a.Expires()
	is(t, "expires", n, 60)
	is(t, "has expires", ok, true)
	is(t, "instance", text(a.Instance()), "<urn:uuid:00000000-0000-1000-8000-000A95A0E128>")
	id, ok := a.RegID()
	is(t, "reg-id", id, 2)
	is(t, "has reg-id", ok, true)
	is(t, "action", text(a.Action()), "proxy")
	v, _ := a.Param("pub")
	is(t, "a quoted string with escapes keeps its quotes", text(v), `"a\"b"`)
	v, ok = a.Param("flag")
	is(t, "flag", len(v), 0)
	is(t, "has flag", ok, true)

	a = address(t, []byte(`<sip:a@h>;expires=280297596632815`)) // RFC 4475 3.1.2.4
	n, _ = a.Expires()
	is(t, "huge expires", n, 1<<31-1)
	a = address(t, []byte(`<sip:a@h>;expires=soon;q=2;reg-id=0`))
	n, ok = a.Expires()
	is(t, "malformed expires, RFC 3261 10.2.1.1", n, 3600)
	is(t, "has it", ok, true)
	if _, ok, err := a.Q(); !ok || err == nil {
		t.Error("q=2: got no error")
	}
	_, ok = a.RegID()
	is(t, "reg-id 0", ok, false)
	a = address(t, []byte(`<sip:a@h>`))
	_, ok = a.Expires()
	is(t, "no expires", ok, false)
	_, ok, _ = a.Q()
	is(t, "no q", ok, false)
	is(t, "no instance", a.Instance() == nil, true)
	is(t, "no tag", a.Tag() == nil, true)
	is(t, "star", message.IsStar([]byte("*")) && !message.IsStar([]byte("**")), true)
}

func TestNextParam(t *testing.T) {
	var got []string
	rest := []byte(` ;a=1; b ;c = "x;y" ;d=e`)
	for {
		name, value, next, ok := message.NextParam(rest)
		if !ok {
			break
		}
		got = append(got, string(name)+"="+string(value))
		rest = next
	}
	is(t, "params", strings.Join(got, "|"), `a=1|b=|c="x;y"|d=e`)
	is(t, "rest", len(rest), 0)
	for _, bad := range []string{"", "a=1", ";", ";;a", `;a="`} {
		if _, _, _, ok := message.NextParam([]byte(bad)); ok {
			t.Errorf("%q: got a parameter", bad)
		}
	}
}

func TestParseVia(t *testing.T) {
	v, err := message.ParseVia([]byte(" sip / 2.0 / udp\t[2001:db8::1] : 5070 ; MADDR=[ff02::1]; ttl = 16;Branch=z9hG4bKx;received=192.0.2.9;ALIAS;rport=17;x=\"a,b\" "))
	if err != nil {
		t.Fatal(err)
	}
	is(t, "transport", text(v.Transport), "udp")
	is(t, "host", text(v.Host), "2001:db8::1")
	is(t, "port", v.Port, 5070)
	is(t, "maddr", text(v.Maddr), "ff02::1")
	is(t, "ttl", text(v.TTL), "16")
	is(t, "branch", text(v.Branch), "z9hG4bKx")
	is(t, "received", text(v.Received), "192.0.2.9")
	is(t, "rport", v.Rport, 17)
	is(t, "has rport", v.HasRport, true)
	is(t, "alias", v.Alias, true)
	for _, bad := range []string{"", "UDP h", "SIP/2.0/UDP", "SIP/2.0/UDP a, SIP/2.0/UDP b", "SIP/2.0/UDP a;", strings.Repeat("x", message.MaxMessage+1)} {
		if _, err := message.ParseVia([]byte(bad)); err == nil {
			t.Errorf("%.60q: got no error", bad)
		}
	}
	is(t, "cookie", message.HasCookie([]byte("Z9HG4BKabc")), true)
	is(t, "no cookie", message.HasCookie([]byte("z9hG4b")) || message.HasCookie(nil), false)
}
