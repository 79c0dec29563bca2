package registrar_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sipd/config"
	"sipd/location"
	"sipd/server/message"
	"sipd/server/registrar"
	"sipd/server/transport"
	"sipd/store"
	"sipd/store/cache"
	"sipd/trace"
)

var t0 = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// snapshot has alice, bob and the disabled carol; 100 is an alias of alice, sales a group, jones ambiguous.
func snapshot(t testing.TB, change ...func(*config.Settings)) *cache.Snapshot {
	t.Helper()
	set := &config.Settings{
		Expires: time.Hour, MinExpires: time.Minute, MaxExpires: 2 * time.Hour, MaxContacts: 20, DigestAlgorithms: []store.Algorithm{store.MD5},
	}
	for _, f := range change {
		f(set)
	}
	s, err := cache.Build(store.Tables{
		Domains: []store.Domain{{ID: 1, Name: "example.com"}, {ID: 2, Name: "sip.example.com", Canonical: "example.com"}, {ID: 3, Name: "192.0.2.200", Kind: store.IP, Canonical: "example.com"},
			{ID: 4, Name: "example.net", Realm: "net"}},
		Users: []store.User{{ID: 1, Key: "alice@example.com", Realm: "example.com"}, {ID: 2, Key: "bob@example.com", Realm: "example.com", MaxContacts: 3},
			{ID: 3, Key: "carol@example.com", Realm: "example.com", Disabled: true}, {ID: 4, Key: "dave@example.net", Realm: "net"}},
		Aliases: []store.Alias{{ID: 1, Alias: "100@example.com", PrimaryUser: "alice@example.com"},
			{ID: 2, Alias: "sales@example.com", PrimaryUser: "alice@example.com", Kind: store.Group}, {ID: 3, Alias: "sales@example.com", PrimaryUser: "bob@example.com", Kind: store.Group},
			{ID: 4, Alias: "jones@example.com", PrimaryUser: "alice@example.com"}, {ID: 5, Alias: "jones@example.com", PrimaryUser: "bob@example.com"}},
	}, set)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// request indexes a REGISTER of To to the registrar of example.com from 192.0.2.9 with these further lines; a line with a
// name that is there replaces it.
func request(t testing.TB, to string, lines ...string) *message.Message {
	t.Helper()
	first := "REGISTER sip:example.com SIP/2.0"
	head := []string{"Via: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK1", "Max-Forwards: 70", "From: <sip:alice@example.com>;tag=1", "To: " + to,
		"Call-ID: call1", "CSeq: 7 REGISTER"}
	var more []string
next:
	for _, l := range lines {
		if strings.HasPrefix(l, "REGISTER ") {
			first = l
			continue
		}
		name, _, _ := strings.Cut(l, ":")
		for i, h := range head {
			if strings.HasPrefix(h, name+":") {
				head[i] = l
				continue next
			}
		}
		more = append(more, l)
	}
	raw := first + "\r\n" + strings.Join(append(head, more...), "\r\n") + "\r\nContent-Length: 0\r\n\r\n"
	m := new(message.Message)
	if err := m.Index([]byte(raw)); err != nil {
		t.Fatalf("%v in\n%s", err, raw)
	}
	return m
}

// input is the REGISTER of an authenticated user from 192.0.2.9:5060 over UDP.
func input(s *cache.Snapshot, m *message.Message, user string) *registrar.Input {
	in := &registrar.Input{Tables: s, Request: m, Now: t0, Trace: new(trace.Trace),
		From: transport.Flow{Remote: netip.MustParseAddrPort("192.0.2.9:5060"), Local: netip.MustParseAddrPort("192.0.2.200:5060")}}
	if user != "" {
		in.Verdict, in.User = registrar.Authenticated, s.User([]byte(user))
	}
	return in
}

// show writes an outcome in one line.
func show(out registrar.Outcome) string {
	switch o := out.(type) {
	case registrar.Answer:
		s := fmt.Sprint(o.Status)
		if o.Reason != "" {
			s += " " + o.Reason
		}
		for _, f := range o.Fields {
			s += fmt.Sprintf(" %s: %s", f.Name, f.Value)
		}
		return s
	case registrar.Challenge:
		return fmt.Sprintf("challenge %s %v", o.Realm, o.Stale)
	case registrar.Fetch:
		return "fetch " + string(o.AOR)
	case registrar.Update:
		s := "update " + string(o.Change.AOR)
		if o.Change.Star {
			s += " *"
		}
		for _, b := range o.Change.Set {
			s += fmt.Sprintf(" %s(%d)", b.URI, int(b.Expires.Sub(t0)/time.Second))
		}
		return s
	}
	return fmt.Sprintf("%T", out)
}

const (
	toAlice = "<sip:alice@example.com>"
	contact = "Contact: <sip:alice@192.0.2.9>"
	updated = "update alice@example.com sip:alice@192.0.2.9(3600)"
)

// RFC 3261 10.3, step by step.
func TestDecide(t *testing.T) {
	s := snapshot(t)
	none := snapshot(t, func(set *config.Settings) { set.AuthMethod = config.AuthNone })
	brief := snapshot(t, func(set *config.Settings) { set.MinExpires = 2 * time.Hour })
	alice := "alice@example.com"
	tests := []struct {
		name  string
		s     *cache.Snapshot
		to    string
		user  string
		lines []string
		want  string
	}{
		{"1: Request-URI of another domain", s, toAlice, alice, []string{"REGISTER sip:elsewhere.org SIP/2.0", contact}, "403"},
		{"1: Request-URI is another name of ours", s, toAlice, alice, []string{"REGISTER sip:SIP.example.com:5060;transport=udp SIP/2.0", contact}, updated},
		{"1: Request-URI is our address", s, toAlice, alice, []string{"REGISTER sip:192.0.2.200 SIP/2.0", contact}, updated},
		{"1: tel Request-URI", s, toAlice, alice, []string{"REGISTER tel:+12125550000 SIP/2.0", contact}, "403"},

		{"2: unknown extension", s, toAlice, alice, []string{"Require: path, foo, 100rel", contact}, "420 Unsupported: foo, 100rel"},
		{"2: before authentication", s, toAlice, "", []string{"Require: foo", contact}, "420 Unsupported: foo"},
		{"2: before a To in a foreign domain", s, "<sip:alice@elsewhere.org>", "", []string{"Require: foo", contact}, "420 Unsupported: foo"},
		{"1: before Require", s, toAlice, alice, []string{"REGISTER sip:elsewhere.org SIP/2.0", "Require: foo", contact}, "403"},
		{"2: path is known", s, toAlice, alice, []string{"Require: path", contact}, updated},
		{"2: outbound not over UDP, where we answer no STUN", s, toAlice, alice, []string{"Require: outbound", contact}, "420 Unsupported: outbound"},
		{"RFC 3327 5.3: Path that the UA does not support", s, toAlice, alice, []string{"Path: <sip:p1.example.com;lr>", contact}, "420 Unsupported: path"},
		{"RFC 3327 5.3: Path that it supports", s, toAlice, alice, []string{"Path: <sip:p1.example.com;lr>", "Supported: Path", contact}, updated},
		{"RFC 3327: Path is no SIP URI", s, toAlice, alice, []string{"Path: <mailto:x@y>", "Supported: path", contact}, "400 Bad Path"},
		{"RFC 3327: endless Path", s, toAlice, alice, []string{"Path: " + strings.Repeat("<sip:p;lr>,", 16) + "<sip:p;lr>", "Supported: path", contact}, "400 Path Too Long"},

		{"3: no credentials", s, toAlice, "", []string{contact}, "challenge example.com false"},
		{"3: unknown user is challenged as any other", s, "<sip:nobody@example.com>", "", []string{contact}, "challenge example.com false"},
		{"3: realm of the domain in To", s, "<sip:dave@example.net>", "", []string{contact}, "challenge net false"},
		{"3: AuthMethod none believes From", none, toAlice, "", []string{contact}, updated},
		{"3: AuthMethod none, From is somebody else", none, toAlice, "", []string{"From: <sip:bob@example.com>;tag=1", contact}, "403"},
		{"3: AuthMethod none, From is a stranger", none, toAlice, "", []string{"From: <sip:alice@elsewhere.org>;tag=1", contact}, "403"},

		{"4: somebody else's AOR", s, toAlice, "bob@example.com", []string{contact}, "403"},
		{"4: before Contact is looked at", s, toAlice, "bob@example.com", []string{"Contact: *"}, "403"},
		{"4: disabled", s, "<sip:carol@example.com>", "carol@example.com", []string{contact}, "403"},

		{"5: To in a foreign domain", s, "<sip:alice@elsewhere.org>", alice, []string{contact}, "404"},
		{"5: To in a foreign domain, nobody is asked", s, "<sip:alice@elsewhere.org>", "", []string{contact}, "404"},
		{"5: unknown user, after good credentials", s, "<sip:nobody@example.com>", alice, []string{contact}, "404"},
		{"5: To without user", s, "<sip:example.com>", alice, []string{contact}, "404"},
		{"5: To is no SIP URI", s, "<tel:+12125550000>", alice, []string{contact}, "404"},
		{"5: canonical form", s, `"A" <sips:%61lice@EXAMPLE.com:5061;user=phone>;x=y`, alice, []string{contact}, updated},
		{"5: another name of the domain", s, "sip:alice@sip.example.com", alice, []string{contact}, updated},
		{"5: alias", s, "<sip:100@example.com>", alice, []string{contact}, updated},
		{"5: group", s, "<sip:sales@example.com>", alice, []string{contact}, "404"},
		{"5: ambiguous alias", s, "<sip:jones@example.com>", alice, []string{contact}, "404"},
		{"5: user part is case-sensitive", s, "<sip:Alice@example.com>", alice, []string{contact}, "404"},

		{"6: no Contact fetches", s, toAlice, alice, nil, "fetch alice@example.com"},
		{"6: * with Expires 0", s, toAlice, alice, []string{"Contact: *", "Expires: 0"}, "update alice@example.com *"},
		{"6: compact form", s, toAlice, alice, []string{"m: *", "Expires: 0"}, "update alice@example.com *"},
		{"6: * without Expires", s, toAlice, alice, []string{"Contact: *"}, "400 Contact * Needs To Be Alone With Expires 0"},
		{"6: * with another Expires", s, toAlice, alice, []string{"Contact: *", "Expires: 1"}, "400 Contact * Needs To Be Alone With Expires 0"},
		{"6: * with a malformed Expires", s, toAlice, alice, []string{"Contact: *", "Expires: x"}, "400 Contact * Needs To Be Alone With Expires 0"},
		{"6: * with another contact", s, toAlice, alice, []string{"Contact: *, <sip:alice@192.0.2.9>", "Expires: 0"}, "400 Contact * Needs To Be Alone With Expires 0"},
		{"6: * in a second line", s, toAlice, alice, []string{contact, "Contact: *", "Expires: 0"}, "400 Contact * Needs To Be Alone With Expires 0"},
		{"6: * twice", s, toAlice, alice, []string{"Contact: *", "Contact: *", "Expires: 0"}, "400 Contact * Needs To Be Alone With Expires 0"},

		{"7: expires parameter before the header", s, toAlice, alice, []string{contact + ";expires=120", "Expires: 600"}, "update alice@example.com sip:alice@192.0.2.9(120)"},
		{"7: Expires header", s, toAlice, alice, []string{contact, "Expires: 600"}, "update alice@example.com sip:alice@192.0.2.9(600)"},
		{"7: default", s, toAlice, alice, []string{contact}, updated},
		{"7: a less than requested interval is chosen", s, toAlice, alice, []string{contact + ";expires=999999999999"}, "update alice@example.com sip:alice@192.0.2.9(7200)"},
		{"7: malformed parameter is 3600", s, toAlice, alice, []string{contact + `;expires="Thu, 01 Dec 2040 16:00:00 GMT"`}, updated},
		{"7: malformed header is 3600", s, toAlice, alice, []string{contact, "Expires: soon"}, updated},
		{"7: too brief", s, toAlice, alice, []string{contact + ";expires=59"}, "423 Min-Expires: 60"},
		{"7: too brief by header", s, toAlice, alice, []string{contact, "Expires: 1"}, "423 Min-Expires: 60"},
		{"7: the minimum is enough", s, toAlice, alice, []string{contact + ";expires=60"}, "update alice@example.com sip:alice@192.0.2.9(60)"},
		{"7: one too brief fails all", s, toAlice, alice, []string{contact, "Contact: <sip:alice@192.0.2.10>;expires=5"}, "423 Min-Expires: 60"},
		{"7: an hour is never too brief", brief, toAlice, alice, []string{contact + ";expires=3600"}, updated},
		{"7: less than an hour may be", brief, toAlice, alice, []string{contact + ";expires=3599"}, "423 Min-Expires: 7200"},
		{"7: zero removes", s, toAlice, alice, []string{contact + ";expires=0"}, "update alice@example.com sip:alice@192.0.2.9(0)"},
		{"7: several contacts in one line and in two", s, toAlice, alice, []string{`Contact: "a, b" <sip:alice@192.0.2.9>;expires=60, sip:alice@192.0.2.10`, "Contact: <tel:+12125550000>"},
			"update alice@example.com sip:alice@192.0.2.9(60) sip:alice@192.0.2.10(3600) tel:+12125550000(3600)"},
		{"7: parameters without <> are the header's", s, toAlice, alice, []string{"Contact: sip:alice@192.0.2.9;expires=60"}, "update alice@example.com sip:alice@192.0.2.9(60)"},
		{"q beyond 1", s, toAlice, alice, []string{contact + ";q=1.1"}, "400 Bad q: 0 To 1, At Most Three Decimals"},
		{"q with four decimals", s, toAlice, alice, []string{contact + ";q=0.1234"}, "400 Bad q: 0 To 1, At Most Three Decimals"},
		{"other scheme", s, toAlice, alice, []string{"Contact: <mailto:alice@example.com>"}, "400 Contact Must Be sip, sips Or tel"},
		{"Contact without a value", s, toAlice, alice, []string{"Contact:"}, "400 Empty Contact"},
		{"multicast", s, toAlice, alice, []string{"Contact: <sip:alice@224.0.1.75>"}, "400 Contact Is No Unicast Address"},
		{"multicast by maddr", s, toAlice, alice, []string{"Contact: <sip:alice@192.0.2.9;maddr=224.0.1.75>"}, "400 Contact Is No Unicast Address"},
		{"broadcast in IPv6 spelling", s, toAlice, alice, []string{"Contact: <sip:alice@[::ffff:255.255.255.255]>"}, "400 Contact Is No Unicast Address"},
		{"broadcast", s, toAlice, alice, []string{"Contact: <sip:alice@255.255.255.255>"}, "400 Contact Is No Unicast Address"},
		{"too long", s, toAlice, alice, []string{"Contact: <sip:alice@192.0.2.9;x=" + strings.Repeat("y", 1024) + ">"}, "400 Contact Too Long"},
		{"too many", s, toAlice, alice, []string{"Contact: " + strings.Repeat("<sip:a@192.0.2.9>,", 64) + "<sip:a@192.0.2.9>"}, "400 Too Many Contacts"},
		{"endless Call-ID", s, toAlice, alice, []string{contact, "Call-ID: " + strings.Repeat("c", 257)}, "400 Call-ID Too Long"},
		{"endless instance", s, toAlice, alice, []string{contact + `;+sip.instance="` + strings.Repeat("i", 129) + `"`}, "400 Bad +sip.instance"},
		{"bad reg-id", s, toAlice, alice, []string{contact + `;+sip.instance="<urn:1>";reg-id=0`}, "400 Bad reg-id: 1 To 2147483647"},
		{"RFC 5626 6: reg-id with several contacts", s, toAlice, alice, []string{contact + `;+sip.instance="<urn:1>";reg-id=1, <sip:a@192.0.2.10>`}, "400 More Than One Contact With A reg-id"},
		{"RFC 5626 6: reg-id with a removal", s, toAlice, alice, []string{contact + `;+sip.instance="<urn:1>";reg-id=1, <sip:a@192.0.2.10>;expires=0`},
			"update alice@example.com sip:alice@192.0.2.9(3600) sip:a@192.0.2.10(0)"},
		{"RFC 5626 6: first hop does not support outbound", s, toAlice, alice, []string{"Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK2, SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1",
			contact + `;+sip.instance="<urn:1>";reg-id=1`, "Supported: outbound, path"}, "439"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := input(tt.s, request(t, tt.to, tt.lines...), tt.user)
			if got := show(registrar.Decide(in)); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if steps := in.Trace.Steps(); len(steps) == 0 && !strings.HasPrefix(tt.want, "400") {
				t.Error("the trace has no step")
			}
		})
	}
}

func TestVerdicts(t *testing.T) {
	s := snapshot(t)
	m := request(t, toAlice, contact)
	for _, tt := range []struct {
		verdict registrar.Verdict
		want    string
	}{
		{registrar.NoCredentials, "challenge example.com false"}, {registrar.BadCredentials, "challenge example.com false"},
		{registrar.StaleCredentials, "challenge example.com true"}, {registrar.Authenticated, updated},
	} {
		in := input(s, m, "alice@example.com")
		in.Verdict = tt.verdict
		if got := show(registrar.Decide(in)); got != tt.want {
			t.Errorf("verdict %d: got %s, want %s", tt.verdict, got, tt.want)
		}
	}
	in := input(s, m, "alice@example.com")
	in.User, in.Trace = cache.User{}, nil
	if got := show(registrar.Decide(in)); got != "challenge example.com false" {
		t.Errorf("authenticated as nobody: got %s, want a challenge", got)
	}
}

// An address of a listener that no row of domains names stands for the home domain.
func TestOwnURI(t *testing.T) {
	s := snapshot(t)
	m := request(t, "<sip:alice@198.51.100.7>", "REGISTER sip:198.51.100.7 SIP/2.0", contact)
	in := input(s, m, "alice@example.com")
	if got := show(registrar.Decide(in)); got != "403" {
		t.Errorf("not our address: got %s, want 403", got)
	}
	in.OwnURI = true
	if got := show(registrar.Decide(in)); got != updated {
		t.Errorf("our address: got %s, want %s", got, updated)
	}
	if got := registrar.Realm(s, m, true); got != "example.com" {
		t.Errorf("Realm: got %q, want example.com", got)
	}
	if got := registrar.Realm(s, m, false); got != "" {
		t.Errorf("Realm of a foreign To: got %q, want none", got)
	}
}

// What a contact's parameters become.
func TestBinding(t *testing.T) {
	s := snapshot(t)
	m := request(t, "<sip:bob@example.com>", `Contact: "B\"ob\\ "<sip:bob@192.0.2.9:5070;transport=udp>;q=0.7;expires=100;Action=PROXY;methods="INVITE,BYE";+sip.instance="<urn:uuid:1>";reg-id=3`,
		"User-Agent: phone\t1 \xff\xc3\xa4", "Path: <sip:192.0.2.7;lr>,\r\n <sip:192.0.2.8;lr>\r\n ;x", "Supported: path")
	out, ok := registrar.Decide(input(s, m, "bob@example.com")).(registrar.Update)
	if !ok {
		t.Fatalf("got %s", show(registrar.Decide(input(s, m, "bob@example.com"))))
	}
	c := out.Change
	if c.UserID != 2 || c.CallID != "call1" || c.CSeq != 7 || c.Max != 3 || !c.Now.Equal(t0) || len(c.Set) != 1 {
		t.Errorf("got %+v", c)
	}
	b := *c.Set[0]
	if got := strings.Join(b.Path, "|"); got != "<sip:192.0.2.7;lr>|<sip:192.0.2.8;lr>   ;x" {
		t.Errorf("Path: got %s", got)
	}
	b.Path = nil
	want := location.Binding{
		UserID: 2, URI: "sip:bob@192.0.2.9:5070;transport=udp", DisplayName: `B"ob\ `, Q: 700, Action: uint8(store.Proxy), Expires: location.At(t0.Add(100 * time.Second)),
		CallID: "call1", CSeq: 7, InstanceID: "<urn:uuid:1>", RegID: 3, UserAgent: "phone 1 \u00e4", Methods: "INVITE,BYE", Updated: location.At(t0),
		Source: netip.MustParseAddrPort("192.0.2.9:5060"), Local: netip.MustParseAddrPort("192.0.2.200:5060"),
	}
	if got, want := fmt.Sprintf("%+v", b), fmt.Sprintf("%+v", want); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	m = request(t, toAlice, contact+";action=redirect")
	out = registrar.Decide(input(s, m, "alice@example.com")).(registrar.Update)
	if b := out.Change.Set[0]; b.Action != uint8(store.Redirect) || b.Q != 1000 || out.Change.Max != 20 {
		t.Errorf("got action %d q %d max %d, want redirect, 1000, the server's 20", b.Action, b.Q, out.Change.Max)
	}
}

// Which bindings go by the flow they registered by (BEHAVIOUR J), and when outbound is confirmed (RFC 5626 6).
func TestByFlow(t *testing.T) {
	s := snapshot(t)
	const nat = "Contact: <sip:alice@10.0.0.5>"
	const natVia = "Via: SIP/2.0/UDP 10.0.0.5:5060;branch=z9hG4bK1"
	const proxied = "Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK2, SIP/2.0/UDP 10.0.0.5;branch=z9hG4bK1"
	const reg = `;+sip.instance="<urn:1>";reg-id=1`
	tests := []struct {
		name     string
		proto    transport.Proto
		lines    []string
		flow     bool
		outbound bool
		regID    int
	}{
		{"UDP in the open", transport.UDP, []string{contact}, false, false, 0},
		{"UDP behind a NAT", transport.UDP, []string{natVia, nat}, true, false, 0},
		{"UDP, Via says where it comes from", transport.UDP, []string{nat}, false, false, 0},
		{"UDP, Contact does", transport.UDP, []string{natVia, contact}, false, false, 0},
		{"UDP behind a NAT with two contacts", transport.UDP, []string{natVia, nat + ", <sip:alice@10.0.0.6>"}, false, false, 0},
		{"UDP behind a NAT, an old contact removed", transport.UDP, []string{natVia, nat + ", <sip:alice@10.0.0.6>;expires=0"}, true, false, 0},
		{"UDP, Contact is a name", transport.UDP, []string{natVia, "Contact: <sip:alice@phone.example.org>"}, false, false, 0},
		{"UDP, Contact is 0.0.0.0", transport.UDP, []string{"Contact: <sip:alice@0.0.0.0>"}, true, false, 0},
		{"UDP with ob", transport.UDP, []string{"Contact: <sip:alice@192.0.2.9;ob>"}, true, false, 0},
		{"UDP with reg-id", transport.UDP, []string{contact + reg, "Supported: outbound, path"}, false, false, 1},
		{"TCP", transport.TCP, []string{contact}, true, false, 0},
		{"TCP with outbound", transport.TCP, []string{contact + reg, "Supported: path, outbound"}, true, true, 1},
		{"TCP, outbound not supported by the UA", transport.TCP, []string{contact + reg}, true, false, 1},
		{"TCP, reg-id without instance", transport.TCP, []string{contact + ";reg-id=1", "Supported: path, outbound"}, true, false, 0},
		{"TLS", transport.TLS, []string{contact}, true, false, 0},
		{"WebSocket", transport.WS, []string{"Contact: <sip:alice@df7jal23ls0d.invalid;transport=ws>"}, true, false, 0},
		{"through a proxy without Path", transport.TCP, []string{proxied, nat}, false, false, 0},
		{"through a proxy without Path, Contact is a name", transport.TCP, []string{proxied, "Contact: <sip:alice@x.invalid;transport=ws>"}, true, false, 0},
		{"through a proxy, reg-id ignored", transport.UDP, []string{proxied, nat + reg}, false, false, 0},
		{"Path of who sent it", transport.UDP, []string{proxied, nat, "Path: <sip:192.0.2.9;lr>", "Supported: path"}, true, false, 0},
		{"Path of another host", transport.UDP, []string{proxied, nat, "Path: <sip:192.0.2.77;lr>", "Supported: path"}, false, false, 0},
		{"Path with a name", transport.UDP, []string{proxied, nat, "Path: <sip:edge.example.com;lr>", "Supported: path"}, true, false, 0},
		{"edge proxy with outbound", transport.UDP, []string{proxied, nat + reg, "Path: <sip:token@192.0.2.9;lr;ob>", "Supported: path, outbound", "Require: outbound"}, true, true, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := input(s, request(t, toAlice, tt.lines...), "alice@example.com")
			in.From.Proto = tt.proto
			if tt.proto.Reliable() {
				in.From.Conn = 12
			}
			out := registrar.Decide(in)
			up, ok := out.(registrar.Update)
			if !ok {
				t.Fatalf("got %s", show(out))
			}
			b := up.Change.Set[0]
			if b.ByFlow != tt.flow || up.Outbound != tt.outbound || b.RegID != tt.regID {
				t.Errorf("got ByFlow %v Outbound %v reg-id %d, want %v %v %d", b.ByFlow, up.Outbound, b.RegID, tt.flow, tt.outbound, tt.regID)
			}
			if conn := tt.flow && tt.proto.Reliable(); conn != (b.Conn == 12) {
				t.Errorf("got Conn %d with ByFlow %v", b.Conn, tt.flow)
			}
		})
	}
}

// What has just the size that a limit names is taken, and what is one byte longer is not, or is cut.
func TestLimitsAreInclusive(t *testing.T) {
	const refused = -1
	s := snapshot(t)
	fill := func(before, after string, n int) string {
		return before + strings.Repeat("a", n-len(before)-len(after)) + after
	}
	quoted := func(param string, n int) string { return contact + param + `"` + strings.Repeat("a", n) + `"` }
	instance := func(b *location.Binding) int { return len(b.InstanceID) }
	methods := func(b *location.Binding) int { return len(b.Methods) }
	display := func(b *location.Binding) int { return len(b.DisplayName) }
	uri := func(b *location.Binding) int { return len(b.URI) + len("<>") }
	path := func(b *location.Binding) int { return len(strings.Join(b.Path, "")) }
	callID := func(b *location.Binding) int { return len(b.CallID) }
	for _, tt := range []struct {
		name string
		line string
		kept func(*location.Binding) int
		want int // bytes that are stored; refused: none, nor anything else
	}{
		{"Contact", "Contact: " + fill("<sip:alice@192.0.2.9;x=", ">", 1024), uri, 1024},
		{"Contact, longer", "Contact: " + fill("<sip:alice@192.0.2.9;x=", ">", 1025), uri, refused},
		{"Call-ID", "Call-ID: " + fill("", "", 256), callID, 256},
		{"Call-ID, longer", "Call-ID: " + fill("", "", 257), callID, refused},
		{"instance", quoted(";+sip.instance=", 128), instance, 128},
		{"instance, longer", quoted(";+sip.instance=", 129), instance, refused},
		{"methods", quoted(";methods=", 256), methods, 256},
		{"methods, longer: left out", quoted(";methods=", 257), methods, 0},
		{"display name", "Contact: " + fill(`"`, `"`, 128+len(`""`)) + " <sip:alice@192.0.2.9>", display, 128},
		{"display name, longer: cut", "Contact: " + fill(`"`, `"`, 129+len(`""`)) + " <sip:alice@192.0.2.9>", display, 128},
		{"Path", "Path: " + fill("<sip:192.0.2.7;lr;x=", ">", 500) + "," + fill("<sip:192.0.2.8;lr;x=", ">", 524), path, 1024},
		{"Path, longer", "Path: " + fill("<sip:192.0.2.7;lr;x=", ">", 500) + "," + fill("<sip:192.0.2.8;lr;x=", ">", 525), path, refused},
	} {
		lines := []string{tt.line, "Supported: path"}
		if !strings.HasPrefix(tt.line, "Contact:") {
			lines = append(lines, contact)
		}
		out := registrar.Decide(input(s, request(t, toAlice, lines...), "alice@example.com"))
		up, ok := out.(registrar.Update)
		switch {
		case ok != (tt.want != refused):
			t.Errorf("%s: got %s, want %d bytes stored", tt.name, show(out), tt.want)
		case ok && tt.kept(up.Change.Set[0]) != tt.want:
			t.Errorf("%s: got %d bytes stored, want %d", tt.name, tt.kept(up.Change.Set[0]), tt.want)
		}
	}
}
