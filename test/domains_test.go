package test

import (
	"strings"
	"testing"
	"time"
)

// The second server of a namespace, of the domain that homeDomain's users call.
const farDomain = "two.example"

func farIP() string { return phoneIP(5) }

// TestDomains lets phones of two servers call each other by domain name. Each server finds the other in DNS, talks to it over TLS, and takes its
// certificate because it speaks for the domain and an authority that both trust has signed it.
func TestDomains(t *testing.T) {
	t.Parallel()
	need(t, "baresip", "linphonec", "nsd")
	ca := newAuthority(t)
	ns := newNamespace(t)
	zones := map[string]string{farDomain: `
@ NAPTR 10 10 "s" "SIPS+D2T" "" _sips._tcp
_sips._tcp SRV 1 1 5061 sip
_sip._udp SRV 1 1 5060 sip
sip A ` + farIP() + "\n"}
	for name, text := range homeZone {
		zones[name] = text
	}
	startNSD(t, ns, zones)
	side := func(domain, ip, user string) (*process, *database, account) {
		db := sqliteIn(t.TempDir())
		who := fill(t, db, domain, user)[user]
		// A caller from elsewhere has no password here.
		run(t, built(t, "sipd"), "user", "set", user+"@"+domain, "--auth-policy", "requested", "-D", db.url)
		flags := ca.issue(t, certificateLife, domain).flags()
		for _, l := range []string{"udp:" + ip + ":5060", "tcp:" + ip + ":5060", "tls:" + ip + ":5061"} {
			flags = append(flags, "--listen", l)
		}
		return trusting(t, ca.roots, ns, db, append(flags, "--set", "Resolver=127.0.0.1")...), db, who
	}
	home, homeDB, aliceAccount := side(homeDomain, serverIP, "alice")
	far, farDB, bobAccount := side(farDomain, farIP(), "bob")
	alice := startBaresip(t, ns, 1, aliceAccount, toneAlice, access{transport: "tls", server: homeDomain, roots: ca.roots})
	bob := startLinphone(t, ns, 2, bobAccount, toneBob, access{transport: "udp", server: farDomain})
	alice.registered(t)
	bob.registered(t)
	want := map[string]int{}
	everyCall(stepOf(t), alice, bob, aliceAccount.uri(), bobAccount.uri(), want)
	for _, via := range []string{"Via: SIP/2.0/TLS " + serverIP + ":5061", "Via: SIP/2.0/TLS " + farIP() + ":5061"} {
		if !strings.Contains(alice.trace(t)+bob.trace(t), via) {
			t.Errorf("no message of the phones has %q, want TLS from server to server", via)
		}
	}
	alice.quit(t)
	bob.quit(t)
	for _, p := range []*process{home, far} {
		if err := p.stop(15 * time.Second); err != nil {
			t.Errorf("sipd: %v", err)
		}
	}
	checkLog(t, homeDB, want, 2) // Each server has each request, and a phone that came and went.
	checkLog(t, farDB, want, 2)
}
