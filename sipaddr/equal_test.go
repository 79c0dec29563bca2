package sipaddr_test

import (
	"testing"

	"sipd/sipaddr"
)

func TestEqual(t *testing.T) {
	tests := []struct {
		name, a, b string
		want       bool
	}{
		// The sets of equivalent URIs of RFC 3261 19.1.4.
		{"RFC: escape and case", "sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp", true},
		{"RFC: unknown parameter", "sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5", true},
		{"RFC: unknown parameter 2", "sip:carol@chicago.com", "sip:carol@chicago.com;security=on", true},
		{"RFC: two unknown parameters", "sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on", true},
		{"RFC: order of parameters", "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
			"sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com", true},
		{"RFC: order of headers", "sip:alice@atlanta.com?subject=project%20x&priority=urgent", "sip:alice@atlanta.com?priority=urgent&subject=project%20x", true},
		// The sets that are not equivalent.
		{"RFC: different usernames", "SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP", false},
		{"RFC: port", "sip:bob@biloxi.com", "sip:bob@biloxi.com:5060", false},
		{"RFC: transport", "sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp", false},
		{"RFC: port and transport", "sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp", false},
		{"RFC: header", "sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting", false},
		{"RFC: name and address", "sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4", false},
		{"RFC: not transitive", "sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off", false},
		// The rules themselves.
		{"sip and sips", "sip:a@h", "sips:a@h", false},
		{"user omitted", "sip:h", "sip:a@h", false},
		{"password omitted", "sip:a@h", "sip:a:@h", false},
		{"password case", "sip:a:P@h", "sip:a:p@h", false},
		{"reserved character is not its escape", "sip:a%3Bb@h", "sip:a;b@h", false},
		{"reserved escapes in two cases", "sip:a%3Bb@h", "sip:a%3bb@h", true},
		{"escaped percent", "sip:%2541@h", "sip:%41@h", false},
		{"user parameter in one", "sip:1@h;user=phone", "sip:1@h", false},
		{"ttl in one", "sip:h;ttl=1", "sip:h", false},
		{"method in one", "sip:h;method=INVITE", "sip:h", false},
		{"maddr in one", "sip:h;maddr=192.0.2.1", "sip:h", false},
		{"lr in one", "sip:h;lr", "sip:h", true},
		{"parameter value in any case", "sip:h;x=Yes", "sip:h;X=yES", true},
		{"flag and value", "sip:h;x", "sip:h;x=1", false},
		{"escaped parameter name", "sip:h;n%61me=v%61lue%25%34%31", "sip:h;name=value%2541", true},
		{"header twice", "sip:h?a=b&a=b", "sip:h?a=b", false},
		{"header value", "sip:h?a=b", "sip:h?a=c", false},
		{"ipv6 in two spellings", "sip:a@[2001:DB8:0::1]", "sip:a@[2001:db8::1]", true},
		{"ipv6 and name", "sip:a@[2001:db8::1]", "sip:a@h", false},
		{"trailing dot", "sip:a@example.com.", "sip:a@example.com", true},
		{"null users differ, RFC 4475 3.1.1.4", "sip:%00@host5.example.com", "sip:%00%00@host5.example.com", false},
		{"parameter twice equals itself", "sip:h;x=1;x=2", "sip:h;x=1;x=2", true},
		// RFC 3966 4.
		{"tel separators", "tel:+1-212-555-0100", "tel:+1(212)555.0100", true},
		{"tel global and local", "tel:+12125550100", "tel:12125550100", false},
		{"tel parameter in one", "tel:+12125550100", "tel:+12125550100;x=1", false},
		{"tel order of parameters", "tel:7042;ext=1-2;phone-context=Example.com", "tel:7042;phone-context=example.COM;ext=12", true},
		{"tel context as number", "tel:7042;phone-context=+1-212", "tel:7042;phone-context=+1212", true},
		{"tel context differs", "tel:7042;phone-context=+1213", "tel:7042;phone-context=+1212", false},
		{"tel hex digits in any case", "tel:7042aB;phone-context=h", "tel:7042Ab;phone-context=h", true},
		{"tel and sip", "tel:+12125550100", "sip:+12125550100@h", false},
		{"other", "ISBN:2983792873", "isbn:2983792873", true},
		{"other differs", "isbn:2983792873", "isbn:2983792874", false},
		{"other is case-sensitive behind the scheme", "urn:a", "urn:A", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, b := parse(t, tt.a), parse(t, tt.b)
			if got := a.Equal(&b); got != tt.want {
				t.Errorf("%s = %s: got %v, want %v", tt.a, tt.b, got, tt.want)
			}
			if got := b.Equal(&a); got != tt.want {
				t.Errorf("%s = %s: got %v, want %v", tt.b, tt.a, got, tt.want)
			}
			if !a.Equal(&a) || !b.Equal(&b) {
				t.Errorf("%s or %s does not equal itself", tt.a, tt.b)
			}
		})
	}
}

func TestAppendNumber(t *testing.T) {
	tests := []struct {
		name, uri, want string
		ok              bool
	}{
		{"tel", "tel:+1-(212)-555.0100;ext=7", "+12125550100", true},
		{"sip with user=phone", "sip:+1-212-555-0100;ext=7@gw.example.com;user=phone", "+12125550100", true},
		{"escaped digit", "sip:%37042@gw.example.com;user=phone", "7042", true},
		{"sip without user=phone", "sip:+12125550100@gw.example.com", "", false},
		{"name with user=phone", "sip:alice!@gw.example.com;user=phone", "", false},
		{"no user", "sip:gw.example.com;user=phone", "", false},
		{"feature code", "sip:*21%23@gw.example.com;user=phone", "*21#", true},
		{"other", "isbn:1", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u := parse(t, tt.uri)
			got, ok := u.AppendNumber([]byte("x"))
			if string(got) != "x"+tt.want || ok != tt.ok {
				t.Errorf("got %q %v, want %q %v", got, ok, "x"+tt.want, tt.ok)
			}
		})
	}
	u := parse(t, "tel:7042;phone-context=example.com")
	if c, ok := u.PhoneContext(); string(c) != "example.com" || !ok {
		t.Errorf("PhoneContext: got %q %v, want example.com", c, ok)
	}
	if sipaddr.Global([]byte("7042")) || !sipaddr.Global([]byte("+1")) {
		t.Error("Global: 7042 is local and +1 is global")
	}
}
