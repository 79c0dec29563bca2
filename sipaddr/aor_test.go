package sipaddr_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sipd/sipaddr"
)

func TestAppendAOR(t *testing.T) {
	tests := []struct{ name, uri, want string }{
		{"plain", "sip:alice@example.com", "alice@example.com"},
		{"host in lower case, user as it is", "sip:Alice@EXAMPLE.com", "Alice@example.com"},
		{"everything else goes", "sips:alice:secret@example.com:5061;transport=tcp?a=b", "alice@example.com"},
		{"user unescaped, 10.3 step 5", "sip:%61lice@example.com", "alice@example.com"},
		{"unescaped once", "sip:%2541@example.com", "%41@example.com"},
		{"NUL does not end it, RFC 4475 3.1.1.4", "sip:null-%00-null@example.com", "null-\x00-null@example.com"},
		{"trailing dot", "sip:alice@example.com.", "alice@example.com"},
		{"no user", "sip:Example.COM", "example.com"},
		{"ipv6", "sip:alice@[2001:DB8:0:0::1]:5060", "alice@[2001:db8::1]"},
		{"ipv4", "sip:alice@192.0.2.1:5060", "alice@192.0.2.1"},
		{"tel has none", "tel:+12125550100", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u := parse(t, tt.uri)
			if got := string(u.AppendAOR([]byte("> "))); got != "> "+tt.want {
				t.Errorf("got %q, want %q", got, "> "+tt.want)
			}
		})
	}
}

func TestParseAOR(t *testing.T) {
	tests := []struct{ name, text, want, err string }{
		{"as in a header", "sip:Alice@EXAMPLE.com;x", "Alice@example.com", ""},
		{"as a person writes", "alice@example.com", "alice@example.com", ""},
		{"in brackets", " <sip:alice@example.com> ", "alice@example.com", ""},
		{"sips", "SIPS:alice@example.com:5061", "alice@example.com", ""},
		{"domain alone with scheme", "sip:Example.com", "example.com", ""},
		{"ipv6", "alice@[2001:db8::1]", "alice@[2001:db8::1]", ""},
		{"empty", "  ", "", "write one such as alice@example.com"},
		{"no domain", "alice", "", "write alice@example.com"},
		{"telephone number", "tel:+12125550100", "", "number@domain"},
		{"no host", "alice@", "", "host is missing"},
		{"space", "al ice@example.com", "", "must be escaped"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := sipaddr.ParseAOR(tt.text)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("got %q %v, want an error with %q", got, err, tt.err)
				}
				return
			}
			if err != nil || string(got) != tt.want {
				t.Errorf("got %q %v, want %q", got, err, tt.want)
			}
		})
	}
}

func TestAORParts(t *testing.T) {
	tests := []struct {
		aor        sipaddr.AOR
		user, host string
	}{
		{"alice@example.com", "alice", "example.com"}, {"example.com", "", "example.com"},
		{"a@b@example.com", "a@b", "example.com"}, {"", "", ""},
	}
	for _, tt := range tests {
		if u, h := tt.aor.User(), tt.aor.Host(); u != tt.user || h != tt.host {
			t.Errorf("%q: got %q and %q, want %q and %q", tt.aor, u, h, tt.user, tt.host)
		}
	}
}

// Whatever bytes a user part has, its AOR written as a URI leads back to the same AOR.
func TestAORRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		user := rapid.SliceOfN(rapid.Byte(), 1, 20).Draw(t, "user")
		host := rapid.StringMatching(`[a-z][a-z0-9-]{0,10}(\.[a-z]{2,5})?`).Draw(t, "host")
		aor := sipaddr.AOR(string(user) + "@" + host)
		u, err := sipaddr.Parse(aor.AppendURI(nil))
		if err != nil {
			t.Fatalf("%q: %v", aor.AppendURI(nil), err)
		}
		if got := sipaddr.AOR(u.AppendAOR(nil)); got != aor {
			t.Fatalf("got %q, want %q", got, aor)
		}
	})
}

func TestParseQ(t *testing.T) {
	tests := []struct {
		text string
		want int
		ok   bool
	}{
		{"0", 0, true}, {"1", 1000, true}, {"0.5", 500, true}, {"0.05", 50, true}, {"0.333", 333, true}, {"1.000", 1000, true},
		{"0.", 0, true}, {"1.", 1000, true}, {"", 0, false}, {".5", 0, false}, {"0.3333", 0, false}, {"1.001", 0, false},
		{"2", 0, false}, {"00.5", 0, false}, {"0,5", 0, false}, {"-0.5", 0, false}, {"0.5x", 0, false}, {"1.0000", 0, false},
	}
	for _, tt := range tests {
		got, err := sipaddr.ParseQ([]byte(tt.text))
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("ParseQ(%q): got %d %v, want %d", tt.text, got, err, tt.want)
		}
	}
}

func TestAppendQ(t *testing.T) {
	for milli := -1; milli <= 1001; milli++ {
		text := sipaddr.AppendQ(nil, milli)
		if got, err := sipaddr.ParseQ(text); err != nil || got != min(max(milli, 0), 1000) {
			t.Fatalf("AppendQ(%d): got %s, which reads %d %v", milli, text, got, err)
		}
	}
	if got := string(sipaddr.AppendQ(nil, 500)); got != "0.5" {
		t.Errorf("got %s, want 0.5", got)
	}
}

func TestSchemeString(t *testing.T) {
	for s, want := range map[sipaddr.Scheme]string{sipaddr.SIP: "sip", sipaddr.SIPS: "sips", sipaddr.TEL: "tel", sipaddr.Other: "other"} {
		if got := s.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
