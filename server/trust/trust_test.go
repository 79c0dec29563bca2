package trust

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"sipd/config"
	"sipd/server/message"
	"sipd/store"
	"sipd/store/cache"
	"sipd/trace"
)

// request indexes a request with more header lines, whose ends are Go's.
func request(t *testing.T, more string) *message.Message {
	t.Helper()
	m := new(message.Message)
	text := "MESSAGE sip:bob@example.org SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKa\nMax-Forwards: 70\n" +
		"From: <sip:alice@example.org>;tag=1\nTo: <sip:bob@example.org>\nCall-ID: c1\nCSeq: 7 MESSAGE\n" + more + "Content-Length: 0\n\n"
	if err := m.Index([]byte(strings.ReplaceAll(text, "\n", "\r\n"))); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestOf(t *testing.T) {
	nets := func(texts ...string) (list []netip.Prefix) {
		for _, s := range texts {
			list = append(list, netip.MustParsePrefix(s))
		}
		return list
	}
	peers := []cache.TrustedPeer{
		{ID: 1, Nets: nets("192.0.2.0/24", "2001:db8::/32")},
		{ID: 2, Nets: nets("192.0.2.7/32", "198.51.100.0/24"), MayAssertIdentity: true},
		{ID: 3, TLSName: "a.example", MayAssertIdentity: true},
		{ID: 4, Nets: nets("203.0.113.0/24"), TLSName: "b.example"},
		{ID: 5, MayAssertIdentity: true}, // neither network nor name: it would be anybody
	}
	speaks := func(names ...string) func(string) bool {
		return func(name string) bool { return slices.Contains(names, name) }
	}
	for _, tt := range []struct {
		name   string
		addr   string
		speaks func(string) bool
		want   Level
		row    int64
	}{
		{"of a network", "192.0.2.1", nil, Peer, 1},
		{"the row that trusts more counts", "192.0.2.7", nil, Asserting, 2},
		{"the second network", "198.51.100.255", nil, Asserting, 2},
		{"IPv4 mapped into IPv6", "::ffff:192.0.2.1", nil, Peer, 1},
		{"IPv6", "2001:db8:1::1", nil, Peer, 1},
		{"IPv6 with a zone", "2001:db8:1::1%eth0", nil, Peer, 1},
		{"beside the network", "192.0.3.1", nil, Stranger, 0},
		{"a name", "10.0.0.1", speaks("a.example"), Asserting, 3},
		{"another name", "10.0.0.1", speaks("c.example"), Stranger, 0},
		{"network and name", "203.0.113.9", speaks("b.example"), Peer, 4},
		{"network without TLS", "203.0.113.9", nil, Stranger, 0},
		{"network, another name", "203.0.113.9", speaks("c.example"), Stranger, 0},
		{"name, another network", "10.0.0.1", speaks("b.example"), Stranger, 0},
		{"nobody", "10.0.0.1", nil, Stranger, 0},
		{"no address", "", nil, Stranger, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var addr netip.Addr
			if tt.addr != "" {
				addr = netip.MustParseAddr(tt.addr)
			}
			var tr trace.Trace
			if got := Of(peers, &Facts{Addr: addr, SpeaksFor: tt.speaks}, &tr); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			steps := tr.Steps()
			if len(steps) == 0 || steps[len(steps)-1].Row != tt.row {
				t.Errorf("got the trace %+v, want row %d at its end", steps, tt.row)
			}
		})
	}
	asked := 0
	Of(peers[:2], &Facts{Addr: netip.MustParseAddr("10.0.0.1"), SpeaksFor: func(string) bool { asked++; return true }}, nil)
	Of(peers[3:4], &Facts{Addr: netip.MustParseAddr("10.0.0.1"), SpeaksFor: func(string) bool { asked++; return true }}, nil)
	if asked != 0 {
		t.Errorf("certificates were looked at %d times where no row needs them, want 0", asked)
	}
}

func TestPrivacy(t *testing.T) {
	for _, tt := range []struct {
		more    string
		want    Privacy
		lacking string
	}{
		{"", 0, ""},
		{"Privacy: id\n", ID, ""},
		{"privacy :ID;Critical\n", ID | Critical, ""},
		{"Privacy: none\n", None, ""},
		{"Privacy: header;session\nPRIVACY:user , critical\n", Header | Session | User | Critical, "header, session, user"},
		{"Privacy: header;\n\tid\n", Header | ID, "header"},
		{"Privacy: history;id\n", Unknown | ID, "history"},
		{"Privacy: ;;,\n", 0, ""},
		{"Privacy: idx;i\n", Unknown, "idx, i"},
		{"Privacy: \"id\";a b;" + strings.Repeat("x", 33) + "\n", Unknown, ""},
		{"Privacy: a;b;c;d;e;f;g\n", Unknown, "a, b, c, d, e, f"},
	} {
		m := request(t, tt.more)
		if got := PrivacyOf(m); got != tt.want {
			t.Errorf("%q: got %b, want %b", tt.more, got, tt.want)
		}
		if got := string(AppendLacking(nil, m)); got != tt.lacking {
			t.Errorf("%q: got %q lacking, want %q", tt.more, got, tt.lacking)
		}
	}
	for _, tt := range []struct {
		p                     Privacy
		private, lacks, fails bool
	}{
		{0, false, false, false}, {ID, true, false, false}, {None, false, false, false}, {ID | Critical, true, false, false},
		{Header, false, true, false}, {User | Critical, false, true, true}, {Unknown | Critical | ID, true, true, true}, {None | Critical, false, false, false},
	} {
		if tt.p.Private() != tt.private || tt.p.Lacks() != tt.lacks || tt.p.Fails() != tt.fails {
			t.Errorf("%b: got %v %v %v, want %v %v %v", tt.p, tt.p.Private(), tt.p.Lacks(), tt.p.Fails(), tt.private, tt.lacks, tt.fails)
		}
	}
}

func TestIdentity(t *testing.T) {
	tables, err := cache.Build(store.Tables{
		Domains: []store.Domain{{ID: 1, Name: "example.org"}, {ID: 2, Name: "www.example.org", Canonical: "example.org"}},
		Users: []store.User{
			{ID: 10, Key: "alice@example.org", Realm: "example.org", DisplayName: `Alice "A\" <x>`},
			{ID: 11, Key: "bob@example.org", Realm: "example.org"},
			{ID: 12, Key: "a#b@example.org", Realm: "example.org"},
		},
		Aliases: []store.Alias{{ID: 1, Alias: "sales@example.org", PrimaryUser: "alice@example.org"}},
	}, &config.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	const alice = `"Alice \"A\\\" <x>" <sip:alice@example.org>`
	const sales = `"Alice \"A\\\" <x>" <sip:sales@example.org>`
	for _, tt := range []struct{ name, user, more, want string }{
		{"his address-of-record", "alice@example.org", "", alice},
		{"no display name", "bob@example.org", "", "<sip:bob@example.org>"},
		{"what cannot stand there", "a#b@example.org", "", `<sip:a%23b@example.org>`},
		{"an alias of his", "alice@example.org", "P-Preferred-Identity: \"Boss\" <sip:sales@example.org>\n", sales},
		{"in another spelling", "alice@example.org", "p-preferred-identity : sips:s%61les@WWW.Example.org:5099\n", sales},
		{"himself", "alice@example.org", "P-Preferred-Identity: sip:alice@www.example.org\n", alice},
		{"the second hint", "alice@example.org", "P-Preferred-Identity: tel:+12125550100\nP-Preferred-Identity: sip:sales@example.org\n", sales},
		{"there is no third", "alice@example.org", "P-Preferred-Identity: tel:+12125550100, sip:a@b, sip:sales@example.org\n", alice},
		{"somebody else's", "alice@example.org", "P-Preferred-Identity: <sip:bob@example.org>\n", alice},
		{"of another domain", "alice@example.org", "P-Preferred-Identity: <sip:sales@example.com>\n", alice},
		{"a host", "alice@example.org", "P-Preferred-Identity: <sip:example.org>\n", alice},
		{"malformed", "alice@example.org", "P-Preferred-Identity: <<\n", alice},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u := tables.User([]byte(tt.user))
			if got := string(Identity(tables, u, request(t, tt.more))); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// Display names are checked before they are stored; a header line is not broken by one that was not.
func TestDisplay(t *testing.T) {
	for name, want := range map[string]string{
		"": "", "Alice": `"Alice" `, `"\`: `"\"\\" `, "B\r\nX: y\x00\x7f": `"BX: y" `, "\r\n": "", "Zoë": `"Zoë" `,
	} {
		if got := string(appendDisplay(nil, name)); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}
