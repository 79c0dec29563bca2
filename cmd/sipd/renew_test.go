package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestCertificateRenewed replaces the certificate under 200 connections with calls on them: none is lost, and who connects
// afterwards sees the new one. Pairs that cannot be used change nothing.
func TestCertificateRenewed(t *testing.T) {
	const calls = 100
	dir, made := t.TempDir(), t.TempDir()
	old, certFile, keyFile := selfSigned(t, dir, "sip.example.com", time.Now().Add(24*time.Hour))
	r, addrs := streamServer(t, 2*calls, "--admin", "off", "--listen", "tls:127.0.0.1:0", "--set", "TLSCertificate="+certFile, "--set", "TLSKey="+keyFile)
	r.waitFor(t, "the certificate ends soon")
	trusted := x509.NewCertPool()
	trusted.AddCert(old)
	config := func() *tls.Config { return &tls.Config{ServerName: "sip.example.com", RootCAs: trusted} }

	phones := make([]*streamPhone, 2*calls)
	for i := range phones {
		phones[i] = newStreamPhone(t, addrs["tls"], fmt.Sprintf("u%d", i), config())
		phones[i].register()
	}
	open := make([]*streamCall, calls)
	for i := range open {
		open[i] = ring(phones[i], phones[i+calls])
		if i%2 == 0 {
			open[i].pickUp()
		}
	}

	tickets := tls.NewLRUClientSessionCache(1)
	sees := func(when string, want *x509.Certificate, resumed bool) {
		t.Helper()
		cfg := config()
		cfg.ClientSessionCache = tickets
		p := newStreamPhone(t, addrs["tls"], "visitor", cfg)
		p.request("OPTIONS", "sip:example.com", 1, "From: <sip:v@example.com>;tag=v", "To: <sip:example.com>", "Call-ID: visit-"+strings.NewReplacer(" ", "-", ",", "").Replace(when))
		p.next("SIP/2.0 200 ") // The ticket has come, too.
		state := p.Conn.(*tls.Conn).ConnectionState()
		if !state.PeerCertificates[0].Equal(want) || state.DidResume != resumed {
			t.Errorf("%s: got certificate %v, resumed %v, want %v, %v", when, state.PeerCertificates[0].SerialNumber, state.DidResume, want.SerialNumber, resumed)
		}
		p.Close()
	}
	sees("before", old, false)
	sees("before, again", old, true)

	reload := func(want string) {
		t.Helper()
		n := strings.Count(r.log.String(), want)
		r.signals <- syscall.SIGHUP
		eventually(t, "the log has "+want, func() bool { return strings.Count(r.log.String(), want) > n })
	}
	_, cert, key := selfSigned(t, made, "sip.example.com", time.Now().Add(-time.Minute))
	moveInto(t, dir, cert, key)
	reload("was valid until")
	sees("an old one", old, true)
	_, cert, key = selfSigned(t, made, "sip.example.com", time.Now().Add(30*24*time.Hour))
	moveInto(t, dir, cert)
	reload("does not match")
	sees("another key", old, true)
	writeFile(t, certFile, "-----BEGIN CERTIFICATE-----\nMIIB")
	moveInto(t, dir, key)
	reload("failed to find any PEM data")
	sees("half a file", old, true)

	young, cert, key := selfSigned(t, made, "sip.example.com", time.Now().Add(30*24*time.Hour))
	moveInto(t, dir, cert, key)
	reload("certificate renewed")
	trusted.AddCert(young)
	sees("the new one", young, false)
	sees("the new one, again", young, true)

	for i, c := range open {
		if i%2 != 0 {
			c.pickUp()
		}
		c.hangUp(i%4 < 2)
	}
	for _, p := range phones {
		p.register()
	}
	if strings.Contains(r.log.String(), "panic") {
		t.Errorf("the log has a panic: %s", r.log)
	}
}

// TestTLSVersions: RFC 8996; and a name that the client asks for (SNI) changes nothing, there is one certificate.
func TestTLSVersions(t *testing.T) {
	dir := t.TempDir()
	leaf, certFile, keyFile := selfSigned(t, dir, "sip.example.com", time.Now().Add(90*24*time.Hour))
	_, addrs := streamServer(t, 1, "--admin", "off", "--listen", "tls:127.0.0.1:0", "--set", "TLSCertificate="+certFile, "--set", "TLSKey="+keyFile)
	for _, tt := range []struct {
		name     string
		version  uint16
		sni      string
		accepted bool
	}{
		{"1.0", tls.VersionTLS10, "sip.example.com", false},
		{"1.1", tls.VersionTLS11, "sip.example.com", false},
		{"1.2", tls.VersionTLS12, "sip.example.com", true},
		{"1.3", tls.VersionTLS13, "sip.example.com", true},
		{"another name", tls.VersionTLS13, "other.example.net", true},
		{"no name", tls.VersionTLS12, "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := tls.Dial("tcp", addrs["tls"], &tls.Config{MinVersion: tt.version, MaxVersion: tt.version, ServerName: tt.sni, InsecureSkipVerify: true})
			if err != nil {
				if tt.accepted || !strings.Contains(err.Error(), "protocol version") {
					t.Errorf("got %v, want accepted %v", err, tt.accepted)
				}
				return
			}
			defer c.Close()
			if state := c.ConnectionState(); !tt.accepted || state.Version != tt.version || !state.PeerCertificates[0].Equal(leaf) {
				t.Errorf("got version %x and certificate %v, want accepted %v and ours", state.Version, state.PeerCertificates[0].SerialNumber, tt.accepted)
			}
		})
	}
}

// TestCertificateEnded: a server that is started with a certificate out of its time serves, over TLS, too, and says what is wrong; the
// one that comes is taken, and looked at like the first.
func TestCertificateEnded(t *testing.T) {
	dir, made := t.TempDir(), t.TempDir()
	old, certFile, keyFile := selfSigned(t, dir, "example.com", time.Now().Add(-time.Hour))
	socket := filepath.Join(t.TempDir(), "admin.sock")
	r, addrs := streamServer(t, 1, "--admin", "unix:"+socket, "--listen", "udp:127.0.0.1:0", "--listen", "tls:127.0.0.1:0",
		"--set", "TLSCertificate="+certFile, "--set", "TLSKey="+keyFile)
	if got := options(t, "udp", addrs["udp"]); !strings.HasPrefix(got, "SIP/2.0 200 ") {
		t.Errorf("OPTIONS over UDP: got %q, want 200", got)
	}
	shown := func() *x509.Certificate {
		c, err := tls.Dial("tcp", addrs["tls"], &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0]
	}
	if got := shown(); !got.Equal(old) {
		t.Errorf("got certificate %v, want the one there is", got.SerialNumber)
	}
	if log := r.log.String(); strings.Count(log, "level=ERROR") != 1 || !strings.Contains(log, "the certificate has ended: ") || strings.Contains(log, "of no domain") {
		t.Errorf("got the log %s, want one error, about the certificate", log)
	}
	if page := get(t, socket, "/readyz"); !strings.Contains(page, `"ready":true`) || !strings.Contains(page, "the certificate of example.com has ended: peers refuse it") {
		t.Errorf("/readyz: got %s, want ready, and what is wrong", page)
	}
	_, cert, key := selfSigned(t, made, "other.example.net", time.Now().Add(30*24*time.Hour))
	moveInto(t, dir, cert, key)
	r.signals <- syscall.SIGHUP
	r.waitFor(t, "the certificate is of no domain of this server")
	if page := get(t, socket, "/readyz"); !strings.Contains(page, `"reasons":[]`) {
		t.Errorf("/readyz: got %s, want nothing to say", page)
	}
	if got := shown(); got.Equal(old) {
		t.Error("got the old certificate, want the new one")
	}
}

// TestCertificateRefused: a start with files that cannot be used names the setting, and what is wrong with which file.
func TestCertificateRefused(t *testing.T) {
	d, dir := database(t), t.TempDir()
	_, certFile, keyFile := selfSigned(t, dir, "example.com", time.Now().Add(24*time.Hour))
	_, _, itsKey := selfSigned(t, t.TempDir(), "example.com", time.Now().Add(time.Hour))
	start := func(cert, key, authorities string) []string {
		return []string{"run", d, "--admin", "off", "--listen", "tls:127.0.0.1:0", "--set", "TLSCertificate=" + cert, "--set", "TLSKey=" + key, "--set", "TLSClientCA=" + authorities}
	}
	missing := filepath.Join(dir, "missing.pem")
	expect(t, []expectation{
		{"no such file", start(missing, keyFile, certFile), exitUsage, "sipd: TLSCertificate, TLSKey: certs: stat " + missing},
		{"another key", start(certFile, itsKey, certFile), exitUsage, "TLSCertificate, TLSKey: certs: " + certFile + " and " + itsKey + ": "},
		{"no such authorities", start(certFile, keyFile, missing), exitUsage, "sipd: TLSClientCA: certs: open " + missing},
		{"authorities without a certificate", start(certFile, keyFile, keyFile), exitUsage, "sipd: TLSClientCA: certs: " + keyFile + " has no certificate; write "},
	})
}
