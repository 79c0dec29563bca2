package proxy

import "testing"

// TestRequestURIOfContact makes Request-URIs of registered Contacts: what must not stand there goes, everything else stays
// (RFC 3261 19.1.1).
func TestRequestURIOfContact(t *testing.T) {
	for _, tt := range []struct{ name, contact, want string }{
		{"plain", "sip:bob@10.0.0.11;transport=udp", "sip:bob@10.0.0.11;transport=udp"},
		{"headers", "sip:bob@10.0.0.11;ob?Subject=x&Route=%3Csip:h%3E", "sip:bob@10.0.0.11;ob"},
		{"method", "sip:bob@10.0.0.11;a=1;METHOD=BYE;b", "sip:bob@10.0.0.11;a=1;b"},
		{"method and headers", "sip:bob@10.0.0.11;method=BYE?Subject=x", "sip:bob@10.0.0.11"},
		{"what only looks like headers", "sip:bob?x=y@10.0.0.11", "sip:bob?x=y@10.0.0.11"},
		{"such a user, and headers", "sip:bob?x@10.0.0.11?Subject=x", "sip:bob?x@10.0.0.11"},
		{"what only looks like a parameter", "sip:bob;method=BYE@10.0.0.11", "sip:bob;method=BYE@10.0.0.11"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(appendRequestURI(nil, tt.contact)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
