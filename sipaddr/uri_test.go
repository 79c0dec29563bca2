package sipaddr_test

import (
	"net/netip"
	"strings"
	"testing"

	"sipd/sipaddr"
)

func TestParse(t *testing.T) {
	const v6 = "2001:db8::10"
	tests := []struct {
		name, text             string
		scheme                 sipaddr.Scheme
		user, password, host   string
		port                   uint16
		params, headers        string
		hasUser, hasPass, isV6 bool
	}{
		{name: "host", text: "sip:example.com", scheme: sipaddr.SIP, host: "example.com"},
		{name: "user", text: "sip:alice@example.com", scheme: sipaddr.SIP, user: "alice", host: "example.com", hasUser: true},
		{name: "scheme in capitals", text: "SIP:alice@example.com", scheme: sipaddr.SIP, user: "alice", host: "example.com", hasUser: true},
		{name: "sips and port", text: "SipS:alice@example.com:5061", scheme: sipaddr.SIPS, user: "alice", host: "example.com", port: 5061, hasUser: true},
		{name: "password", text: "sip:alice:secret@example.com", scheme: sipaddr.SIP, user: "alice", password: "secret", host: "example.com", hasUser: true, hasPass: true},
		{name: "empty password", text: "sip:alice:@example.com", scheme: sipaddr.SIP, user: "alice", host: "example.com", hasUser: true, hasPass: true},
		{name: "everything", text: "sip:a%40b:p@h.example:5070;transport=udp;lr?Subject=x&Priority=urgent", scheme: sipaddr.SIP, user: "a%40b", password: "p",
			host: "h.example", port: 5070, params: ";transport=udp;lr", headers: "Subject=x&Priority=urgent", hasUser: true, hasPass: true},
		{name: "headers without parameters", text: "sip:h?a=b", scheme: sipaddr.SIP, host: "h", headers: "a=b"},
		{name: "ipv6", text: "sip:[2001:db8::10]", scheme: sipaddr.SIP, host: v6, isV6: true},
		{name: "ipv6 and port", text: "sip:u@[2001:db8::10]:5070;lr", scheme: sipaddr.SIP, user: "u", host: v6, port: 5070, params: ";lr", hasUser: true, isV6: true},
		{name: "three colons, RFC 5118 4.10", text: "sip:u@[2001:db8:::192.0.2.1]", scheme: sipaddr.SIP, user: "u", host: "2001:db8:::192.0.2.1", hasUser: true, isV6: true},
		{name: "semicolon in user, RFC 4475 3.1.1.9", text: "sip:user;par=u%40example.net@example.com", scheme: sipaddr.SIP, user: "user;par=u%40example.net", host: "example.com", hasUser: true},
		{name: "crazy user, RFC 4475 3.1.1.2", text: "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com",
			scheme: sipaddr.SIP, user: "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*", password: "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)", host: "example.com", hasUser: true, hasPass: true},
		{name: "hash in user", text: "sip:*21#@example.com", scheme: sipaddr.SIP, user: "*21#", host: "example.com", hasUser: true},
		{name: "escaped NUL", text: "sip:null-%00-null@example.com", scheme: sipaddr.SIP, user: "null-%00-null", host: "example.com", hasUser: true},
		{name: "host with trailing dot", text: "sip:example.com.", scheme: sipaddr.SIP, host: "example.com."},
		{name: "host with underscore", text: "sip:a@my_pbx:5060", scheme: sipaddr.SIP, user: "a", host: "my_pbx", port: 5060, hasUser: true},
		{name: "private parameter text", text: "sip:p.example;lr;did=a1b.c==;x=y@z", scheme: sipaddr.SIP, user: "p.example;lr;did=a1b.c==;x=y", host: "z", hasUser: true},
		{name: "tel global", text: "tel:+1-212-555-0100", scheme: sipaddr.TEL, user: "+1-212-555-0100", hasUser: true},
		{name: "tel local", text: "TEL:7042;phone-context=example.com", scheme: sipaddr.TEL, user: "7042", params: ";phone-context=example.com", hasUser: true},
		{name: "other", text: "isbn:2983792873", scheme: sipaddr.Other},
		{name: "novel scheme, RFC 4475 3.3.3", text: "soap.beep://192.0.2.103:3002", scheme: sipaddr.Other},
		{name: "scheme that starts like sip", text: "sipx:foo", scheme: sipaddr.Other},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u, err := sipaddr.Parse([]byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			check := func(what string, got, want any) {
				t.Helper()
				if got != want {
					t.Errorf("%s: got %v, want %v", what, got, want)
				}
			}
			check("scheme", u.Scheme, tt.scheme)
			check("text", string(u.Text), tt.text)
			check("user", string(u.User), tt.user)
			check("password", string(u.Password), tt.password)
			check("host", string(u.Host), tt.host)
			check("port", u.Port, tt.port)
			check("params", string(u.Params), tt.params)
			check("headers", string(u.Headers), tt.headers)
			check("has user", u.HasUser, tt.hasUser)
			check("has password", u.HasPassword, tt.hasPass)
			check("has port", u.HasPort, tt.port != 0)
			check("ipv6", u.IPv6, tt.isV6)
		})
	}
}

func TestParseErrors(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"empty", "", "does not start with a scheme"},
		{"no scheme", "alice@example.com", "does not start with a scheme"},
		{"scheme alone", "sip:", "host is missing (byte 5)"},
		{"opaque scheme alone", "isbn:", "nothing follows the scheme"},
		{"digit as scheme", "1a:b", "does not start with a scheme"},
		{"empty user", "sip:@example.com", "user part is empty (byte 5)"},
		{"empty user with password", "sip::secret@example.com", "user part is empty"},
		{"no host behind user", "sip:alice@", "host is missing (byte 11)"},
		{"space in user", "sip:al ice@example.com", "character in the user part must be escaped (byte 7)"},
		{"bad escape in user", "sip:al%4@example.com", "not followed by two hex digits (byte 7)"},
		{"two colons in userinfo", "sip:a:b:c@example.com", "must be escaped (byte 8)"},
		{"space in host", "sip:example .com", "does not belong there"},
		{"empty label", "sip:example..com", "empty label"},
		{"leading dot", "sip:.com", "empty label"},
		{"port is no number", "sip:example.com:sip", "port is not a number"},
		{"port is missing", "sip:example.com:", "port is not a number"},
		{"port is zero", "sip:example.com:0", "port is not a number from 1"},
		{"port too large", "sip:example.com:65536", "greater than 65535 (byte 17)"},
		{"port far too large", "sip:example.com:99999999999999999999999", "greater than 65535"},
		{"ipv6 without brackets, RFC 5118 4.2", "sip:2001:db8::10", "port is not a number"},
		{"bracket is not closed", "sip:[2001:db8::10", "no closing bracket"},
		{"not an ipv6 address", "sip:[example.com]", "not an IPv6 address"},
		{"ipv4 in brackets", "sip:[192.0.2.1]", "not an IPv6 address"},
		{"text behind bracket", "sip:[::1]x", "does not belong there"},
		{"empty parameter", "sip:example.com;;lr", "parameter has no name (byte 17)"},
		{"parameter at the end", "sip:example.com;", "parameter has no name"},
		{"parameter without name", "sip:example.com;=x", "parameter has no name"},
		{"space in parameter, RFC 4475 3.1.2.8", "sip:user@example.com; lr", "parameter has no name"},
		{"bad escape in parameter", "sip:example.com;a=%zz", "two hex digits"},
		{"no header", "sip:example.com?", "nothing follows '?'"},
		{"bad character in header", "sip:example.com?a=<b>", "must be escaped"},
		{"bad escape in header", "sip:example.com?a=%b", "two hex digits"},
		{"angle brackets", "<sip:example.com>", "does not start with a scheme"},
		{"tel without number", "tel:", "no number"},
		{"tel of separators", "tel:+(-)", "no number"},
		{"tel with letters", "tel:+1800FLOWERS", "does not belong there"},
		{"tel with question mark", "tel:+12125550100;a=b?c", "must be escaped"},
		{"too many parameters", "sip:h" + strings.Repeat(";a", 65), "too many parameters"},
		{"too many headers", "sip:h?a=b" + strings.Repeat("&a=b", 64), "too many headers"},
		{"too long", "sip:" + strings.Repeat("a", 65535), "longer than a message"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := sipaddr.Parse([]byte(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func TestParam(t *testing.T) {
	u := parse(t, "sip:a@h;Transport=TCP;lr;ttl=;x=1;x=2")
	tests := []struct {
		name, want string
		ok         bool
	}{
		{"transport", "TCP", true}, {"TRANSPORT", "TCP", true}, {"lr", "", true}, {"ttl", "", true},
		{"x", "1", true}, {"l", "", false}, {"maddr", "", false},
	}
	for _, tt := range tests {
		got, ok := u.Param(tt.name)
		if string(got) != tt.want || ok != tt.ok {
			t.Errorf("Param(%q): got %q %v, want %q %v", tt.name, got, ok, tt.want, tt.ok)
		}
		if u.HasParam(tt.name) != tt.ok {
			t.Errorf("HasParam(%q): got %v, want %v", tt.name, !tt.ok, tt.ok)
		}
	}
}

func TestMaddr(t *testing.T) {
	for _, tt := range []struct {
		uri, want string
		ok        bool
	}{
		{"sip:a@h", "", false}, {"sip:a@h;maddr=10.0.0.1;lr", "10.0.0.1", true}, {"sip:a@h;MADDR=p.example", "p.example", true},
		{"sip:a@h;maddr=[2001:db8::1]", "2001:db8::1", true}, {"sip:a@h;maddr", "", true}, {"sip:a@h;maddr=[]", "[]", true},
	} {
		u := parse(t, tt.uri)
		if got, ok := u.Maddr(); string(got) != tt.want || ok != tt.ok {
			t.Errorf("%s: got %q %v, want %q %v", tt.uri, got, ok, tt.want, tt.ok)
		}
	}
}

func TestAddr(t *testing.T) {
	tests := []struct{ host, want string }{
		{"192.0.2.1", "192.0.2.1"}, {"0.0.0.0", "0.0.0.0"}, {"255.255.255.255", "255.255.255.255"},
		{"[2001:db8::1]", "2001:db8::1"}, {"[::]", "::"}, {"[::1]", "::1"}, {"[1::]", "1::"},
		{"[2001:DB8:0:0:0:0:0:1]", "2001:db8::1"}, {"[::ffff:192.0.2.10]", "::ffff:192.0.2.10"},
		{"[2001:db8:::192.0.2.1]", "2001:db8::c000:201"}, {"[2001:db8::192.0.2.1]", "2001:db8::c000:201"},
		{"192.0.2", ""}, {"192.0.2.256", ""}, {"192.0.2.01", ""}, {"192.0.2.1.", ""}, {"1.2.3.4.5", ""}, {"example.com", ""},
	}
	for _, tt := range tests {
		u := parse(t, "sip:"+tt.host)
		got, ok := u.Addr()
		if ok != (tt.want != "") || ok && got != netip.MustParseAddr(tt.want) {
			t.Errorf("Addr of %s: got %v %v, want %q", tt.host, got, ok, tt.want)
		}
	}
}

func TestAddrPort(t *testing.T) {
	for _, tt := range []struct{ uri, want string }{
		{"sip:a@192.0.2.1", "192.0.2.1:5060"}, {"sip:192.0.2.1:5070", "192.0.2.1:5070"}, {"sips:a@192.0.2.1", "192.0.2.1:5061"},
		{"sips:a@192.0.2.1:5060", "192.0.2.1:5060"}, {"sip:192.0.2.1;Transport=TLS", "192.0.2.1:5061"}, {"sip:192.0.2.1;transport=tcp", "192.0.2.1:5060"},
		{"sip:192.0.2.1:5070;transport=tls", "192.0.2.1:5070"}, {"sip:[::ffff:192.0.2.1]", "192.0.2.1:5060"}, {"sip:[2001:db8::1]", "[2001:db8::1]:5060"},
		{"sip:a@h;maddr=192.0.2.1", "192.0.2.1:5060"}, {"sip:a@192.0.2.1;maddr=h", ""}, {"sip:a@h", ""}, {"tel:+1", ""},
	} {
		u := parse(t, tt.uri)
		got, ok := u.AddrPort()
		if ok != (tt.want != "") || ok && got != netip.MustParseAddrPort(tt.want) {
			t.Errorf("%s: got %v %v, want %q", tt.uri, got, ok, tt.want)
		}
	}
}

// ParseIP must agree with netip wherever both speak.
func TestParseIPAgainstNetip(t *testing.T) {
	for _, s := range []string{
		"", ":", "::", ":::", "::1", "1::", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8",
		"1::2::3", "1:::2", "12345::", "g::", "::1.2.3.4", "1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:7:1.2.3.4", "::1.2.3", "::1.2.3.4.5", "::1.2.3.4:5",
		":1::2", "1:", "1::2:", "1.2.3.4", "01.2.3.4", "1.2.3.4 ", " 1.2.3.4", "fe80::1%eth0", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "....", "1...2",
	} {
		want, err := netip.ParseAddr(strings.Replace(s, ":::", "::", 1))
		wantOK := err == nil && want.Zone() == ""
		got, ok := sipaddr.ParseIP([]byte(s))
		if ok != wantOK || ok && got != want {
			t.Errorf("ParseIP(%q): got %v %v, want %v %v", s, got, ok, want, wantOK)
		}
	}
}

func TestParseDoesNotAllocate(t *testing.T) {
	text := []byte("sip:alice:secret@[2001:db8::1]:5070;transport=udp;lr?Subject=x")
	other := parse(t, "sip:alice:secret@[2001:DB8::1]:5070;lr;transport=UDP?subject=X")
	dst := make([]byte, 0, 100)
	if n := testing.AllocsPerRun(100, func() {
		u, err := sipaddr.Parse(text)
		if err != nil || !u.Equal(&other) {
			t.Fatal("not equal", err)
		}
		if _, ok := u.Addr(); !ok {
			t.Fatal("no address")
		}
		if _, ok := u.Param("lr"); !ok {
			t.Fatal("no lr")
		}
		dst = u.AppendAOR(dst[:0])
	}); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func parse(t testing.TB, s string) sipaddr.URI {
	t.Helper()
	u, err := sipaddr.Parse([]byte(s))
	if err != nil {
		t.Fatalf("parse %s: %v", s, err)
	}
	return u
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	text := []byte("sip:alice@192.0.2.10:5060;transport=udp")
	for b.Loop() {
		if _, err := sipaddr.Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}
