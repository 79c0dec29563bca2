package certs

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// issue makes a certificate, of parent when there is one.
func issue(t *testing.T, c x509.Certificate, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if c.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		t.Fatal(err)
	}
	if c.NotAfter.IsZero() {
		c.NotAfter = time.Now().Add(90 * 24 * time.Hour)
	}
	if c.NotBefore.IsZero() {
		c.NotBefore = time.Now().Add(-time.Hour)
	}
	if parent == nil {
		parent, parentKey = &c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, &c, parent, &key.PublicKey, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return leaf, key
}

func uris(texts ...string) (list []*url.URL) {
	for _, s := range texts {
		u, err := url.Parse(s)
		if err != nil {
			panic(err)
		}
		list = append(list, u)
	}
	return list
}

// otherName is a subjectAltName with a name of a kind that x509 does not read: a UPN of a telephone's user.
var otherName = []byte{0x30, 0x14, 0xa0, 0x12, 0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x14, 0x02, 0x03, 0xa0, 0x04, 0x0c, 0x02, 'a', 'b'}

// TestIdentities is RFC 5922 7.1 and 7.2.
func TestIdentities(t *testing.T) {
	for _, c := range []struct {
		name string
		cert x509.Certificate
		want []string
		yes  string
		no   []string
	}{
		{"DNS names", x509.Certificate{DNSNames: []string{"Example.COM", "sip.example.com"}}, []string{"example.com", "sip.example.com"}, "EXAMPLE.com.", []string{"foo.example.com", "com"}},
		{"sip URI before DNS", x509.Certificate{URIs: uris("SIP:example.org"), DNSNames: []string{"example.com"}}, []string{"example.org"}, "example.org", []string{"example.com"}},
		{"a URI of a user is none", x509.Certificate{URIs: uris("sip:alice@example.org"), DNSNames: []string{"example.com"}}, []string{"example.com"}, "example.com", []string{"example.org"}},
		{"other schemes", x509.Certificate{URIs: uris("https://example.org", "sips:example.org", "urn:x:example.org")}, nil, "", []string{"example.org", ""}},
		{"URI with port and parameters", x509.Certificate{URIs: uris("sip:example.org:5061;transport=tls")}, []string{"example.org"}, "example.org", nil},
		{"a wildcard means itself", x509.Certificate{DNSNames: []string{"*.example.com"}}, []string{"*.example.com"}, "*.example.com", []string{"foo.example.com", "example.com"}},
		{"an address written both ways", x509.Certificate{DNSNames: []string{"192.0.2.1"}, IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1)}}, []string{"192.0.2.1"}, "192.0.2.1", nil},
		{"common name alone", x509.Certificate{Subject: pkix.Name{CommonName: "Old.example"}}, []string{"old.example"}, "old.example", nil},
		{"common name beside a subjectAltName of another kind", x509.Certificate{Subject: pkix.Name{CommonName: "old.example"},
			ExtraExtensions: []pkix.Extension{{Id: altName, Value: otherName}}}, nil, "", []string{"old.example"}},
		{"an address that is no iPAddress", x509.Certificate{URIs: uris("sip:192.0.2.7")}, []string{"192.0.2.7"}, "", []string{"192.0.2.7"}},
		{"common name beside a subjectAltName", x509.Certificate{Subject: pkix.Name{CommonName: "old.example"}, IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1)}}, nil, "192.0.2.1", []string{"old.example"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			leaf, _ := issue(t, c.cert, nil, nil)
			if got := Identities(leaf); !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
			names := c.want
			if c.yes != "" && !slices.Contains(names, domain(c.yes)) {
				names = append(slices.Clone(names), c.yes)
			}
			if got := Names(leaf); !slices.Equal(got, names) {
				t.Errorf("got names %v, want %v", got, names)
			}
			if c.yes != "" && !SpeaksFor(leaf, c.yes) {
				t.Errorf("got no, want it to speak for %s", c.yes)
			}
			for _, name := range c.no {
				if SpeaksFor(leaf, name) {
					t.Errorf("got yes, want it not to speak for %s", name)
				}
			}
		})
	}
}

func TestVerify(t *testing.T) {
	ca, caKey := issue(t, x509.Certificate{Subject: pkix.Name{CommonName: "CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, nil)
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	of := func(c x509.Certificate) []*x509.Certificate {
		leaf, _ := issue(t, c, ca, caKey)
		return []*x509.Certificate{leaf, ca}
	}
	self, _ := issue(t, x509.Certificate{DNSNames: []string{"b.example"}}, nil, nil)
	for _, c := range []struct {
		name  string
		chain []*x509.Certificate
		want  string
	}{
		{"good", of(x509.Certificate{DNSNames: []string{"b.example"}}), ""},
		{"nothing shown", nil, ErrNoCertificate.Error()},
		{"of somebody else", of(x509.Certificate{DNSNames: []string{"c.example"}}), "certs: the certificate is of somebody else: it speaks for c.example, not for b.example"},
		{"over", of(x509.Certificate{DNSNames: []string{"b.example"}, NotAfter: time.Now().Add(-time.Minute)}), "expired"},
		{"made by nobody we know", []*x509.Certificate{self}, "unknown authority"},
		{"for clients only", of(x509.Certificate{DNSNames: []string{"b.example"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}), "incompatible key usage"},
	} {
		err := Verify(c.chain, roots, "b.example", time.Now())
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

// TestConstraints: an authority speaks for no more domains than it may (RFC 5280 4.2.1.10), wherever the name stands.
func TestConstraints(t *testing.T) {
	authority := x509.Certificate{Subject: pkix.Name{CommonName: "CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	root, rootKey := issue(t, authority, nil, nil)
	roots := x509.NewCertPool()
	roots.AddCert(root)
	common := x509.Certificate{Subject: pkix.Name{CommonName: "sip.b.example"}}
	for _, c := range []struct {
		name                string
		permitted, excluded []string
		leaf                x509.Certificate
		want                string
	}{
		{"DNS name, no constraint", nil, nil, x509.Certificate{DNSNames: []string{"sip.b.example"}}, ""},
		{"DNS name, permitted", []string{"b.example"}, nil, x509.Certificate{DNSNames: []string{"sip.b.example"}}, ""},
		{"DNS name, not permitted", []string{"a.example"}, nil, x509.Certificate{DNSNames: []string{"sip.b.example"}}, "not permitted"},
		{"sip URI", []string{"b.example"}, nil, x509.Certificate{URIs: uris("sip:sip.b.example")}, "not authorized"},
		{"common name, no constraint", nil, nil, common, ""},
		{"common name, permitted", []string{".B.example"}, nil, common, ""},
		{"common name, one of two permitted", []string{"a.example", "sip.b.example"}, nil, common, ""},
		{"common name, excluded", nil, []string{"b.example"}, common, "may not speak for"},
		{"common name, another excluded", nil, []string{"p.b.example"}, common, ""},
		{"common name, all excluded", nil, []string{""}, common, "may not speak for"},
		{"common name, not permitted", []string{"a.example"}, nil, common, "may not speak for"},
	} {
		t.Run(c.name, func(t *testing.T) {
			middle := authority
			middle.Subject.CommonName = "CA of few"
			middle.PermittedDNSDomains, middle.ExcludedDNSDomains = c.permitted, c.excluded
			ca, caKey := issue(t, middle, root, rootKey)
			leaf, _ := issue(t, c.leaf, ca, caKey)
			err := Verify([]*x509.Certificate{leaf, ca}, roots, "sip.b.example", time.Now())
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			chain := []*x509.Certificate{leaf, ca, root}
			if got := Proves(chain, "sip.b.example"); strings.HasPrefix(c.name, "common name") && got != (c.want == "") {
				t.Errorf("got %t of a client with the same", got)
			}
		})
	}
}

// write writes a pair into a folder. Its stamp differs from any before.
func write(t *testing.T, dir string, leaf *x509.Certificate, key *ecdsa.PrivateKey) (certFile, keyFile string) {
	t.Helper()
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	put := func(name, kind string, der []byte) {
		if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(certFile, "CERTIFICATE", leaf.Raw)
	put(keyFile, "EC PRIVATE KEY", der)
	return certFile, keyFile
}

// TestReload: a good pair takes the place of the old one, a bad one does not, and says so.
func TestReload(t *testing.T) {
	var text bytes.Buffer
	log := slog.New(slog.NewTextHandler(&text, nil))
	dir := t.TempDir()
	first, key := issue(t, x509.Certificate{DNSNames: []string{"a.example"}}, nil, nil)
	certFile, keyFile := write(t, dir, first, key)
	var taken []*x509.Certificate
	p, err := Load(certFile, keyFile, func(leaf *x509.Certificate) { taken = append(taken, leaf) }, log)
	if err != nil {
		t.Fatal(err)
	}
	inForce := func(step string, want *x509.Certificate) {
		t.Helper()
		if got := p.Certificate().Leaf; !got.Equal(want) {
			t.Errorf("%s: got serial %v in force, want %v", step, got.SerialNumber, want.SerialNumber)
		}
	}
	if !p.settled() {
		t.Error("got a change where there is none")
	}
	second, key2 := issue(t, x509.Certificate{DNSNames: []string{"a.example"}, NotAfter: time.Now().Add(13*24*time.Hour + time.Hour)}, nil, nil)
	write(t, dir, second, key) // the key of the first
	if p.settled() {
		t.Error("got no change, want the new file noticed")
	}
	if err := p.Reload(time.Now()); err == nil || !strings.Contains(err.Error(), "does not match") {
		t.Errorf("key of another: got %v", err)
	}
	inForce("key of another", first)
	if st := p.Status(time.Now()); st.Err == nil || st.Since.IsZero() {
		t.Errorf("got %+v, want the error", st)
	}
	young, key4 := issue(t, x509.Certificate{NotBefore: time.Now().Add(time.Hour)}, nil, nil)
	write(t, dir, young, key4)
	if err := p.Reload(time.Now()); err == nil || !strings.Contains(err.Error(), "is valid from") {
		t.Errorf("a certificate that has not begun: got %v", err)
	}
	inForce("not begun", first)
	if p.settled() {
		t.Error("got a certificate of tomorrow left alone, want it tried again")
	}
	if err := p.Reload(time.Now().Add(2 * time.Hour)); err != nil {
		t.Error(err)
	}
	inForce("begun", young)
	write(t, dir, first, key)
	if err := p.Reload(time.Now()); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(certFile, []byte("-----BEGIN CERTIFICATE-----\nMIIB"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.Reload(time.Now()); err == nil {
		t.Error("half a file: got no error")
	}
	inForce("half a file", first)
	over, key3 := issue(t, x509.Certificate{NotAfter: time.Now().Add(-time.Hour)}, nil, nil)
	write(t, dir, over, key3)
	if err := p.Reload(time.Now()); err == nil || !strings.Contains(err.Error(), "was valid until") {
		t.Errorf("a certificate that is over: got %v", err)
	}
	inForce("over", first)
	if err := os.Remove(certFile); err != nil {
		t.Fatal(err)
	}
	if err := p.Reload(time.Now()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: got %v", err)
	}
	inForce("no file", first)
	write(t, dir, second, key2)
	if p.settled() {
		t.Error("got no change, want the files that are back noticed")
	}
	if err := p.Reload(time.Now()); err != nil {
		t.Fatal(err)
	}
	inForce("renewed", second)
	if st := p.Status(time.Now()); st.Err != nil || int(st.DaysLeft) != 13 || !slices.Equal(st.Names, []string{"a.example"}) {
		t.Errorf("got %+v, want 13 days and no error", st)
	}
	p.warn(time.Now())
	if err := p.Reload(time.Now()); err != nil { // the same again
		t.Fatal(err)
	}
	p.warn(time.Now())
	if got := strings.Count(text.String(), "ends soon"); got != 1 {
		t.Errorf("got %d warnings, want 1:\n%s", got, &text)
	}
	if want := []*x509.Certificate{first, young, first, second}; !slices.EqualFunc(taken, want, (*x509.Certificate).Equal) {
		t.Errorf("got %d certificates told, want each that was put in force, %d", len(taken), len(want))
	}
}

// unheard is for tests that do not care which certificates are taken.
func unheard(*x509.Certificate) {}

// TestOutOfTime: a certificate that is over or has not begun is served when there is no better one, and the log says so; others out of
// their time may take its place, and none takes that of a good one.
func TestOutOfTime(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct {
		name     string
		from, to time.Duration
		early    bool
		want     string        // in the log
		when     time.Duration // told in it
	}{
		{"over", -2 * day, -day, false, `level=ERROR msg="the certificate has ended: `, -day},
		{"not begun", day, 2 * day, true, `level=ERROR msg="the certificate is not valid yet: `, day},
	} {
		t.Run(c.name, func(t *testing.T) {
			var text bytes.Buffer
			now, dir := time.Now(), t.TempDir()
			leaf, key := issue(t, x509.Certificate{DNSNames: []string{"a.example"}, NotBefore: now.Add(c.from), NotAfter: now.Add(c.to)}, nil, nil)
			certFile, keyFile := write(t, dir, leaf, key)
			p, err := Load(certFile, keyFile, unheard, slog.New(slog.NewTextHandler(&text, nil)))
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{c.want, "file=" + certFile, now.Add(c.when).UTC().Format(time.DateOnly)} {
				if !strings.Contains(text.String(), want) {
					t.Errorf("got the log %s, want %q in it", &text, want)
				}
			}
			if st := p.Status(now); st.Early != c.early || (st.DaysLeft < 0) == c.early || !st.NotBefore.Equal(leaf.NotBefore) {
				t.Errorf("got %+v, want early %v", st, c.early)
			}
			// HUP, with the files as they are: nothing new.
			if err := p.Reload(now); err != nil || p.Status(now).Err != nil {
				t.Errorf("the same again: got %v", err)
			}
			p.warn(now.Add(time.Hour))
			if got := strings.Count(text.String(), "level=ERROR"); got != 1 {
				t.Errorf("got %d errors, want one a day:\n%s", got, &text)
			}
			for _, step := range []struct {
				name     string
				from, to time.Duration
				good     bool
			}{{"another that is over", -3 * day, -time.Hour, true}, {"a good one", -day, day, true}, {"one that is over, again", -3 * day, -time.Hour, false}} {
				next, key := issue(t, x509.Certificate{NotBefore: now.Add(step.from), NotAfter: now.Add(step.to)}, nil, nil)
				write(t, dir, next, key)
				if err := p.Reload(now); (err == nil) != step.good || p.Certificate().Leaf.Equal(next) != step.good {
					t.Errorf("%s: got %v, want it in force %v", step.name, err, step.good)
				}
			}
		})
	}
}

// TestWatch: files that are moved into place are in force ten seconds later; what is wrong is said once, and the end announced
// every day from 14 days before it.
// A key with a passphrase cannot be read by a server that starts by itself.
func TestLockedKey(t *testing.T) {
	dir := t.TempDir()
	c, key := issue(t, x509.Certificate{DNSNames: []string{"a.example"}}, nil, nil)
	certFile, keyFile := write(t, dir, c, key)
	for _, locked := range []string{
		"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n",
		"-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nMIIB\n-----END EC PRIVATE KEY-----\n",
	} {
		if err := os.WriteFile(keyFile, []byte(locked), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(certFile, keyFile, unheard, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "openssl pkey -in "+keyFile) {
			t.Errorf("got %v, want how to unlock it", err)
		}
	}
}

// TestNoFile: who reads a pipe or a device may read for ever.
func TestNoFile(t *testing.T) {
	if _, err := Load(os.DevNull, os.DevNull, unheard, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("got %v, want an error that says so", err)
	}
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text lines
		count := func(s string) int { return strings.Count(text.String(), s) }
		const day = 24 * time.Hour
		dir, next := t.TempDir(), t.TempDir()
		first, key := issue(t, x509.Certificate{DNSNames: []string{"a.example"}, NotAfter: time.Now().Add(14*day + time.Hour)}, nil, nil)
		certFile, keyFile := write(t, dir, first, key)
		p, err := Load(certFile, keyFile, unheard, slog.New(slog.NewTextHandler(&text, nil)))
		if err != nil {
			t.Fatal(err)
		}
		var watch sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		watch.Go(func() { _ = p.Watch(ctx) })
		move := func(c *x509.Certificate, key *ecdsa.PrivateKey, files ...string) {
			t.Helper()
			write(t, next, c, key)
			for _, f := range files {
				if err := os.Rename(filepath.Join(next, filepath.Base(f)), f); err != nil {
					t.Fatal(err)
				}
			}
		}

		time.Sleep(time.Hour / 2)
		if got := p.Status(time.Now()).DaysLeft; got < 14 || got > 14.1 || count("ends soon") != 0 {
			t.Errorf("got %v days left and the log %s, want a little over 14 and none", got, &text)
		}
		time.Sleep(day) // 13 and a half are left.
		if got := count("ends soon"); got != 1 {
			t.Errorf("got %d warnings, want one:\n%s", got, &text)
		}
		time.Sleep(day)
		if got := count("ends soon"); got != 2 || count("days_left=13") != 1 {
			t.Errorf("got %d warnings, want one each day:\n%s", got, &text)
		}

		second, key2 := issue(t, x509.Certificate{DNSNames: []string{"a.example"}, NotAfter: time.Now().Add(5 * time.Hour)}, nil, nil)
		move(second, key2, certFile) // The key is another's.
		time.Sleep(time.Minute)
		if !p.Certificate().Leaf.Equal(first) || count("not renewed") != 1 || p.Status(time.Now()).Err == nil {
			t.Errorf("got serial %v in force, want the first, and the reason once:\n%s", p.Certificate().Leaf.SerialNumber, &text)
		}
		move(second, key2, keyFile)
		time.Sleep(lookEvery)
		synctest.Wait()
		if !p.Certificate().Leaf.Equal(second) || count("certificate renewed") != 1 || p.Status(time.Now()).Err != nil {
			t.Errorf("got serial %v in force, want the second:\n%s", p.Certificate().Leaf.SerialNumber, &text)
		}
		time.Sleep(6 * time.Hour)
		if count("ends soon") != 3 || count("has ended") != 1 || p.Status(time.Now()).DaysLeft > 0 {
			t.Errorf("got %d warnings and its end %d times, want one more and its end once:\n%s", count("ends soon"), count("has ended"), &text)
		}
		cancel()
		watch.Wait()
	})
}

// lines is a writer that a test may read meanwhile.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestPool(t *testing.T) {
	dir := t.TempDir()
	ca, key := issue(t, x509.Certificate{IsCA: true, BasicConstraintsValid: true}, nil, nil)
	certFile, keyFile := write(t, dir, ca, key)
	if _, err := Pool(certFile); err != nil {
		t.Error(err)
	}
	if _, err := Pool(keyFile); err == nil || !strings.Contains(err.Error(), "has no certificate") {
		t.Errorf("a key: got %v", err)
	}
}
