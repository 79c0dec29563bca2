package proxy

import (
	"net/netip"
	"testing"

	"sipd/location"
	"sipd/server/message"
	"sipd/server/target"
	"sipd/server/transport"
	"sipd/sipaddr"
)

// RFC 3261 16.6 step 4: what makes our Record-Route a sips URI.
func TestSecured(t *testing.T) {
	uri := func(text string) sipaddr.URI {
		u, err := sipaddr.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	phone := func(text string, path ...string) *location.Binding {
		return &location.Binding{URI: text, Path: path}
	}
	for _, tt := range []struct {
		name    string
		uri     string
		next    string // Route value behind ours
		binding *location.Binding
		want    bool
	}{
		{"sip", "sip:bob@example.org", "", nil, false},
		{"sips", "sips:bob@example.org", "", nil, true},
		{"sips, by a sip Route", "sips:bob@example.org", "sip:p1.example.org;lr", nil, true},
		{"a sips Route", "sip:bob@example.org", "sips:p1.example.org;lr", nil, true},
		{"a sip Route", "sip:bob@example.org", "sip:p1.example.org;lr", nil, false},
		{"a sip contact", "sip:bob@example.org", "", phone("sip:bob@10.0.0.11"), false},
		{"a sips contact of a sip request", "sip:bob@example.org", "", phone("sips:bob@10.0.0.11"), false},
		{"a sips Path", "sip:bob@example.org", "", phone("sips:bob@10.0.0.11", "<sips:p1.example.org;lr>", "<sip:p2.example.org;lr>"), true},
		{"a sip Path", "sip:bob@example.org", "", phone("sip:bob@10.0.0.11", "<sip:p1.example.org;lr>", "<sips:p2.example.org;lr>"), false},
		{"a Path with a name", "sip:bob@example.org", "", phone("sip:bob@10.0.0.11", `"<sip:" <SIPS:p1.example.org;lr>`), true},
		{"a Path that cannot be read", "sip:bob@example.org", "", phone("sip:bob@10.0.0.11", `"sips:`), false},
		{"a Path ahead of a Route", "sip:bob@example.org", "sips:p3.example.org;lr", phone("sip:bob@10.0.0.11", "<sip:p1.example.org;lr>"), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &Context{route: Route{URI: uri(tt.uri)}}
			if tt.next != "" {
				c.route.More, c.route.next = true, message.Address{URI: uri(tt.next)}
			}
			if got := c.secured(&branch{target: target.Target{Binding: tt.binding}}); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// RFC 5630 5.3: each side gets a URI that it can follow, a sips URI only where TLS leads.
func TestRecordRouteValue(t *testing.T) {
	local := netip.MustParseAddrPort("192.0.2.1:5061")
	for _, tt := range []struct {
		proto transport.Proto
		sips  bool
		want  string
	}{
		{transport.UDP, false, "<sip:t@192.0.2.1:5061;lr>"},
		{transport.UDP, true, "<sip:t@192.0.2.1:5061;lr>"},
		{transport.TCP, false, "<sip:t@192.0.2.1:5061;transport=tcp;lr>"},
		{transport.TCP, true, "<sip:t@192.0.2.1:5061;transport=tcp;lr>"},
		{transport.TLS, false, "<sip:t@192.0.2.1:5061;transport=tls;lr>"},
		{transport.TLS, true, "<sips:t@192.0.2.1:5061;lr>"},
	} {
		if got := string(New(Config{}).appendRecordRoute(nil, []byte("t"), transport.Flow{Proto: tt.proto, Local: local}, tt.sips)); got != tt.want {
			t.Errorf("%v, sips %v: got %s, want %s", tt.proto, tt.sips, got, tt.want)
		}
	}
}

// RFC 5630 5.3: a sip request stays one, whatever its contact was registered as.
func TestRequestURIOfSIPSContact(t *testing.T) {
	for _, tt := range []struct{ name, uri, contact, want string }{
		{"sip request", "sip:bob@example.org", "sips:bob@10.0.0.11:5061;x=y", "sip:bob@10.0.0.11:5061;x=y"},
		{"in any case", "SIP:bob@example.org", "SIPS:bob@10.0.0.11", "sip:bob@10.0.0.11"},
		{"with headers", "sip:bob@example.org", "sips:bob@10.0.0.11?a=b", "sip:bob@10.0.0.11"},
		{"sips request", "sips:bob@example.org", "sips:bob@10.0.0.11", "sips:bob@10.0.0.11"},
		{"request of a number", "tel:+12125550100", "sips:bob@10.0.0.11", "sip:bob@10.0.0.11"},
	} {
		u, err := sipaddr.Parse([]byte(tt.uri))
		if err != nil {
			t.Fatal(err)
		}
		r := &Route{URI: u}
		if got := string(r.appendContact([]byte("<"), tt.contact)); got != "<"+tt.want {
			t.Errorf("%s: got %s, want <%s", tt.name, got, tt.want)
		}
	}
}
