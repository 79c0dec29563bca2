package test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// authority issues certificates.
type authority struct {
	dir   string
	roots string // file of its own certificate, for those who trust it
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir(), key: newKey(t)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sipd test authority"},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der := signed(t, template, template, a.key, a.key)
	var err error
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.roots = filepath.Join(a.dir, "roots.pem")
	writePEM(t, a.roots, "CERTIFICATE", der)
	return a
}

// certificateLife is longer than any warning is before the end.
const certificateLife = 60 * 24 * time.Hour

// pair is the files of a certificate and its key.
type pair struct{ cert, key string }

// issue makes a certificate for domains.
func (a *authority) issue(t testing.TB, life time.Duration, domains ...string) pair {
	t.Helper()
	return a.make(t, life, false, domains)
}

// selfSigned makes one that nobody vouches for.
func (a *authority) selfSigned(t testing.TB, domain string) pair {
	t.Helper()
	return a.make(t, certificateLife, true, []string{domain})
}

func (a *authority) make(t testing.TB, life time.Duration, self bool, domains []string) pair {
	t.Helper()
	dir, err := os.MkdirTemp(a.dir, domains[0])
	if err != nil {
		t.Fatal(err)
	}
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: domains[0]}, DNSNames: domains,
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(life),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	issuer, by := a.cert, a.key
	if self {
		issuer, by = template, key
	}
	der := signed(t, template, issuer, key, by)
	p := pair{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	writePEM(t, p.cert, "CERTIFICATE", der)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, p.key, "PRIVATE KEY", secret)
	return p
}

// flags are those of a server with the certificate.
func (p pair) flags() []string {
	return []string{"--set", "TLSCertificate=" + p.cert, "--set", "TLSKey=" + p.key}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func signed(t testing.TB, template, issuer *x509.Certificate, key, by *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func writePEM(t testing.TB, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}
