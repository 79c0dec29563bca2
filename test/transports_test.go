package test

import (
	"encoding/json"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

// homeDomain is that of the phones in the tests with a name server.
const homeDomain = "one.example"

// homeZone leads to the server on either family: TLS before TCP before UDP, as RFC 3263 4.1 would have it.
var homeZone = map[string]string{homeDomain: `
@ NAPTR 10 10 "s" "SIPS+D2T" "" _sips._tcp
@ NAPTR 20 10 "s" "SIP+D2T" "" _sip._tcp
@ NAPTR 30 10 "s" "SIP+D2U" "" _sip._udp
_sips._tcp SRV 1 1 5061 sip
_sip._tcp SRV 1 1 5060 sip
_sip._udp SRV 1 1 5060 sip
sip A ` + serverIP + `
sip AAAA ` + serverIP6 + `
`}

// TestTransports lets baresip and linphone call each other over everything but UDP over IPv4, which TestPhones has. The phones find
// the server of their domain by DNS, and trust nobody but the authority that has signed its certificate.
func TestTransports(t *testing.T) {
	t.Parallel()
	need(t, "baresip", "linphonec", "nsd")
	ca := newAuthority(t)
	certificate := ca.issue(t, certificateLife, homeDomain)
	tcp := access{transport: "tcp", server: homeDomain}
	tls := access{transport: "tls", server: homeDomain, roots: ca.roots}
	udp6 := access{transport: "udp", server: homeDomain, ipv6: true}
	tls6 := access{transport: "tls", server: homeDomain, roots: ca.roots, ipv6: true}
	udp4 := access{transport: "udp", server: homeDomain}
	parallel(t, []part{
		{"tcp", func(t *testing.T) { newOffice(t, certificate, tcp, tcp).callEachOther(t) }},
		{"tls", func(t *testing.T) { newOffice(t, certificate, tls, tls).callEachOther(t) }},
		{"ipv6", func(t *testing.T) { newOffice(t, certificate, udp6, udp6).callEachOther(t) }},
		{"ipv6 over tls", func(t *testing.T) { newOffice(t, certificate, tls6, tls6).callEachOther(t) }},
		{"ipv6 over tls calls ipv4 over udp", func(t *testing.T) { newOffice(t, certificate, tls6, udp4).callAcross(t) }},
		{"a phone that trusts others", func(t *testing.T) { untrusted(t, certificate) }},
	})
}

// part is one of several scenarios.
type part struct {
	name string
	f    func(t *testing.T)
}

// parallel runs all at once, however many processors there are: they wait for phones and for time to go by.
func parallel(t *testing.T, parts []part) {
	var group sync.WaitGroup
	for _, p := range parts {
		group.Go(func() { t.Run(p.name, p.f) })
	}
	group.Wait()
}

// office is a server of homeDomain with a phone for each of its two users.
type office struct {
	ns               *namespace
	db               *database
	server           *process
	alice            *baresip
	bob              *linphone
	aliceURI, bobURI string
	aliceVia, bobVia access
	want             map[string]int // rows of the request log
}

// newOffice starts a server with name server and phones, which register.
func newOffice(t *testing.T, certificate pair, aliceVia, bobVia access) *office {
	t.Helper()
	o := &office{ns: newNamespace(t), db: sqliteIn(t.TempDir()), aliceVia: aliceVia, bobVia: bobVia, want: map[string]int{}}
	o.ns.ipv6(t)
	startNSD(t, o.ns, homeZone)
	users := fill(t, o.db, homeDomain, "alice", "bob")
	o.server = startServer(t, o.ns, o.db, certificate.flags()...)
	o.aliceURI, o.bobURI = users["alice"].uri(), users["bob"].uri()
	o.alice = startBaresip(t, o.ns, 1, users["alice"], toneAlice, aliceVia)
	o.bob = startLinphone(t, o.ns, 2, users["bob"], toneBob, bobVia)
	o.alice.registered(t)
	o.bob.registered(t)
	o.wantContact(t, "alice", aliceVia)
	o.wantContact(t, "bob", bobVia)
	return o
}

// wantContact fails unless a user has registered from the address family and over the transport that his phone was told.
func (o *office) wantContact(t *testing.T, user string, via access) {
	t.Helper()
	var list []struct {
		User     string `json:"user_key"`
		Flow     string
		Received netip.AddrPort
	}
	out := run(t, built(t, "sipd"), "reg", "list", "--json", "-D", o.db.url)
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatalf("reg list --json: %v\n%s", err, out)
	}
	for _, c := range list {
		if flow, _, _ := strings.Cut(c.Flow, "+"); c.User == user+"@"+homeDomain && flow == via.transport && c.Received.Addr().Is6() == via.ipv6 {
			return
		}
	}
	t.Errorf("%s has no contact of %+v:\n%s", user, via, out)
}

// stepOf runs the steps of a scenario; the first that fails ends it.
func stepOf(t *testing.T) func(string, func(*testing.T)) {
	return func(name string, f func(t *testing.T)) {
		if !t.Run(name, f) {
			t.FailNow()
		}
	}
}

// callEachOther is calls in both directions with sound, over the family that was told.
func (o *office) callEachOther(t *testing.T) {
	everyCall(stepOf(t), o.alice, o.bob, o.aliceURI, o.bobURI, o.want)
	for _, p := range []phone{o.alice, o.bob} {
		trace := p.trace(t)
		got6, got4 := strings.Contains(trace, "\nc=IN IP6 "), strings.Contains(trace, "\nc=IN IP4 ")
		if got6 != o.aliceVia.ipv6 || got4 == o.aliceVia.ipv6 {
			t.Errorf("the sound went over IPv6: %v, over IPv4: %v, want one, as told: %+v", got6, got4, o.aliceVia)
		}
	}
	o.close(t)
}

// callAcross is calls between the address families. Without a relay no sound goes from IPv6 to IPv4, so this is about the
// messages: an answered call that either side ends. baresip refuses the other direction, an offer of IPv4 to a phone that was told to do IPv6
// alone, by itself.
func (o *office) callAcross(t *testing.T) {
	step := stepOf(t)
	for _, c := range []struct {
		name string
		ends phone
	}{{"alice calls bob and hangs up", o.alice}, {"alice calls bob, who hangs up", o.bob}} {
		step(c.name, func(t *testing.T) {
			connect(t, o.alice, o.bob, o.bobURI)
			c.ends.hangUp(t)
			o.bob.idle(t)
			o.alice.idle(t)
			o.want["INVITE 200"]++
			o.want["BYE 200"]++
		})
	}
	step("bob calls alice, whose phone refuses", func(t *testing.T) {
		o.bob.call(t, o.aliceURI)
		o.bob.wait(t, phoneStep, `SIP/2\.0 488`)
		o.bob.idle(t)
		o.want["INVITE 488"]++
	})
	o.close(t)
}

// close ends everything and compares the request log.
func (o *office) close(t *testing.T) {
	t.Helper()
	o.alice.quit(t)
	o.bob.quit(t)
	if err := o.server.stop(15 * time.Second); err != nil {
		t.Errorf("sipd: %v", err)
	}
	checkLog(t, o.db, o.want, 4) // Two phones came and went.
}

// untrusted is a phone that does not trust the server: it tells why, and the server's log has it. (baresip 1.0.0 trusts everybody,
// whatever sip_cafile has.)
func untrusted(t *testing.T, certificate pair) {
	ns := newNamespace(t)
	startNSD(t, ns, homeZone)
	db := sqliteIn(t.TempDir())
	users := fill(t, db, homeDomain, "bob")
	server := startServer(t, ns, db, certificate.flags()...)
	startLinphone(t, ns, 2, users["bob"], toneBob, access{transport: "tls", server: homeDomain, roots: newAuthority(t).roots})
	server.printed(t, 0, phoneStep, `(?m)level=INFO msg="TLS refused" .*remote error: tls: unknown certificate authority`)
	db.query(t, "SELECT uri FROM contacts", func(c []string) {
		t.Errorf("%s has registered, want nobody", c[0])
	})
}
