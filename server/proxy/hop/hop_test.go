package hop

import (
	"net/netip"
	"testing"

	"sipd/server/message"
	"sipd/sipaddr"
)

func TestQuery(t *testing.T) {
	for _, tt := range []struct {
		uri, host string
		port      uint16
		named, ok bool
	}{
		{"sip:x@Other.Example.", "other.example", 0, true, true},
		{"sips:other.example:5071;transport=tcp", "other.example", 5071, true, true},
		{"sip:x@10.0.0.1;maddr=GW.example", "gw.example", 0, true, true},
		{"sip:x@other.example;maddr=10.0.0.1", "10.0.0.1", 0, false, true},
		{"sip:x@[2001:db8::1]", "2001:db8::1", 0, false, true},
		{"sip:x@other.example;transport=pigeon", "", 0, false, false},
		{"tel:+12125551234", "", 0, false, false},
	} {
		u, err := sipaddr.Parse([]byte(tt.uri))
		if err != nil {
			t.Fatal(err)
		}
		q, ok := Query(&u)
		if ok != tt.ok || ok && (q.Host != tt.host || q.Port != tt.port) {
			t.Errorf("%s: got %+v %v, want %s:%d %v", tt.uri, q, ok, tt.host, tt.port, tt.ok)
		}
		if _, named := Named(&u); named != tt.named {
			t.Errorf("%s: a name: got %v, want %v", tt.uri, named, tt.named)
		}
	}
}

func TestInReach(t *testing.T) {
	for _, tt := range []struct {
		to, src string
		want    bool
	}{
		{"10.0.0.1", "192.0.2.1", true},
		{"127.0.0.1", "192.0.2.1", false},
		{"::ffff:127.0.0.1", "::1", true},
		{"169.254.1.1", "192.0.2.1", false},
		{"fe80::1", "fe80::2", true},
		{"fe80::1", "127.0.0.1", true},
	} {
		if got := InReach(netip.MustParseAddr(tt.to), netip.MustParseAddr(tt.src)); got != tt.want {
			t.Errorf("%s from %s: got %v, want %v", tt.to, tt.src, got, tt.want)
		}
	}
}

func TestBreadth(t *testing.T) {
	for value, want := range map[string]int{"": defaultBreadth, "Max-Breadth: 5\r\n": 5, "Max-Breadth: 0\r\n": 1, "Max-Breadth: 4000000\r\n": defaultBreadth} {
		m := new(message.Message)
		text := "INVITE sip:a@b.example SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKa\r\nMax-Forwards: 70\r\nFrom: <sip:a@b.example>;tag=1\r\nTo: <sip:a@b.example>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n" +
			value + "Content-Length: 0\r\n\r\n"
		if err := m.Index([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if got := Breadth(m); got != want {
			t.Errorf("%q: got %d, want %d", value, got, want)
		}
	}
}

func TestRouteURI(t *testing.T) {
	for value, want := range map[string]bool{"<sips:p.example;lr>": true, "sips:p.example": true, `"P" <sips:p.example>;x=y`: true, "<sip:p.example>": false, "<": false, "": false} {
		if got := IsSIPS(RouteURI(value)); got != want {
			t.Errorf("%s: sips: got %v, want %v", value, got, want)
		}
	}
}
