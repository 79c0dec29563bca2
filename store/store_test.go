package store_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"sipd/store"
)

func TestNames(t *testing.T) {
	for _, p := range []store.AuthPolicy{store.Required, store.Requested, store.Never} {
		if got, err := store.ParseAuthPolicy(strings.ToUpper(p.String())); err != nil || got != p {
			t.Errorf("policy %s: got %v, %v", p, got, err)
		}
	}
	for _, a := range []store.Action{store.NoAction, store.Proxy, store.Redirect} {
		if got, err := store.ParseAction(a.String()); err != nil || got != a {
			t.Errorf("action %q: got %v, %v", a, got, err)
		}
	}
	for _, a := range []store.Algorithm{store.MD5, store.SHA256, store.SHA512_256} {
		if got, err := store.ParseAlgorithm(strings.ToLower(a.String())); err != nil || got != a {
			t.Errorf("algorithm %s: got %v, %v", a, got, err)
		}
	}
	for _, k := range []store.DomainKind{store.Exact, store.Regex, store.IP} {
		if got, err := store.ParseDomainKind(k.String()); err != nil || got != k {
			t.Errorf("kind %s: got %v, %v", k, got, err)
		}
	}
	for _, k := range []store.AliasKind{store.PlainAlias, store.Group} {
		if got, err := store.ParseAliasKind(k.String()); err != nil || got != k {
			t.Errorf("kind %s: got %v, %v", k, got, err)
		}
	}
	if _, err := store.ParseAuthPolicy("maybe"); err == nil || !strings.Contains(err.Error(), "required, requested, never") {
		t.Errorf("got %v, want an error that lists the policies", err)
	}
	if got := store.Action(9).String(); got != "invalid(9)" {
		t.Errorf("got %q, want invalid(9)", got)
	}
}

func TestCheckAOR(t *testing.T) {
	tests := []struct{ name, aor, want string }{
		{"good", "alice@example.com", ""},
		{"at in the user", "a@b@example.com", ""},
		{"number", "+12125551234@example.com", ""},
		{"empty", "", "write user@domain"},
		{"no domain", "alice", "write user@domain"},
		{"nothing after at", "alice@", "write user@domain"},
		{"nothing before at", "@example.com", "write user@domain"},
		{"capitals in the domain", "alice@Example.com", "alice@example.com"},
		{"scheme", "sip:alice@example.com", "without the scheme, alice@example.com"},
		{"blank", "al ice@example.com", "blank"},
		{"not UTF-8", "al\xffice@example.com", "UTF-8"},
		{"long", strings.Repeat("a", 300) + "@example.com", "at most 255"},
	}
	for _, tt := range tests {
		err := store.CheckAOR("user", tt.aor)
		switch {
		case tt.want == "" && err == nil:
		case err == nil || tt.want == "" || !strings.Contains(err.Error(), tt.want) || !errors.Is(err, store.ErrInvalid):
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestNormalizeDomain(t *testing.T) {
	tests := []struct {
		name string
		d    store.Domain
		want string // name and canonical, or part of the error
		bad  bool
	}{
		{"lower case, no dot", store.Domain{Name: "Example.COM.", Canonical: "A.Example.com."}, "example.com a.example.com", false},
		{"address of kind exact", store.Domain{Name: "[2001:DB8:0::1]"}, "2001:db8::1 ", false},
		{"IPv6", store.Domain{Name: "2001:0db8::0001", Kind: store.IP}, "2001:db8::1 ", false},
		{"IPv4 in IPv6", store.Domain{Name: "::ffff:192.0.2.1", Kind: store.IP}, "192.0.2.1 ", false},
		{"not an address", store.Domain{Name: "example.com", Kind: store.IP}, "write an IPv4 or IPv6 address", true},
		{"with a zone", store.Domain{Name: "fe80::1%eth0", Kind: store.IP}, "write an IPv4 or IPv6 address", true},
		{"pattern of kind exact", store.Domain{Name: ".*"}, "--kind regex", true},
		{"regex", store.Domain{Name: "A.*", Kind: store.Regex, Canonical: "example.com"}, "A.* example.com", false},
		{"regex for nothing", store.Domain{Name: "a.*", Kind: store.Regex}, "--canonical", true},
		{"backreference", store.Domain{Name: `(a)\1`, Kind: store.Regex, Canonical: "example.com"}, "RE2", true},
		{"unknown kind", store.Domain{Name: "a", Kind: 9}, "unknown kind", true},
	}
	for _, tt := range tests {
		err := tt.d.Normalize()
		switch {
		case tt.bad && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: got %v, want %q in the error", tt.name, err, tt.want)
		case !tt.bad && (err != nil || tt.d.Name+" "+tt.d.Canonical != tt.want):
			t.Errorf("%s: got %q %q, %v; want %q", tt.name, tt.d.Name, tt.d.Canonical, err, tt.want)
		}
	}
}

func TestPickServer(t *testing.T) {
	one := []store.Server{{ID: 1, Name: "a"}}
	two := []store.Server{{ID: 1, Name: "a"}, {ID: 2, Name: "b"}}
	tests := []struct {
		name    string
		servers []store.Server
		pick    string
		want    int64
		err     string
	}{
		{"the only one", one, "", 1, ""},
		{"by name", two, "b", 2, ""},
		{"several", two, "", 0, "-S with one of them: a, b"},
		{"none", nil, "", 0, "sipd db migrate"},
		{"another", one, "c", 0, `no server record "c", there is a`},
	}
	for _, tt := range tests {
		got, err := store.PickServer(tt.servers, tt.pick)
		if got.ID != tt.want || (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: got %v, %v; want %d, %q", tt.name, got, err, tt.want, tt.err)
		}
	}
}

func TestFlowAndAddress(t *testing.T) {
	for proto := range uint8(5) {
		for _, flow := range []bool{false, true} {
			text := store.FlowText(proto, flow)
			if p, f := store.ParseFlow(text); p != proto || f != flow {
				t.Errorf("%s: got %d %v, want %d %v", text, p, f, proto, flow)
			}
		}
	}
	if p, f := store.ParseFlow("by hand"); p != 0 || f {
		t.Errorf("got %d %v, want UDP", p, f)
	}
	for _, text := range []string{"192.0.2.1:5060", "[2001:db8::1]:5060", ""} {
		if got := store.AddrText(store.ParseAddr(text)); got != text {
			t.Errorf("got %q, want %q", got, text)
		}
	}
	if store.ParseAddr("nowhere") != (netip.AddrPort{}) {
		t.Error("got an address from nowhere")
	}
}
