package siptest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"sipd/internal/siptest/flow"
)

// authority is who signs the certificates of peers. Nothing is encrypted on this network, so that one key does for all.
type authority struct {
	key   *ecdsa.PrivateKey
	cert  *x509.Certificate
	roots *x509.CertPool
}

// When certificates hold: virtual time begins with the year 2000.
var (
	validFrom  = time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC)
	expiredAt  = time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC)
	validUntil = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

var theAuthority = sync.OnceValues(func() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	a := &authority{key: key, roots: x509.NewCertPool()}
	a.cert, err = a.sign(&x509.Certificate{Subject: pkix.Name{CommonName: "authority of the tests"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil)
	if err == nil {
		a.roots.AddCert(a.cert)
	}
	return a, err
})

// sign makes a certificate, its own issuer when parent is nil.
func (a *authority) sign(c, parent *x509.Certificate) (*x509.Certificate, error) {
	c.SerialNumber, c.NotBefore = big.NewInt(1), validFrom
	if c.NotAfter.IsZero() {
		c.NotAfter = validUntil
	}
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, a.key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// certificates makes what a peer shows over TLS, nil when it has no certificate.
func certificates(p *flow.Peer) ([]*x509.Certificate, error) {
	if p.Certificate == nil && !p.Expired && !p.SelfSigned {
		return nil, nil
	}
	a, err := theAuthority()
	if err != nil {
		return nil, err
	}
	c := &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	if p.Expired {
		c.NotAfter = expiredAt
	}
	for _, name := range p.Certificate {
		addr, err := netip.ParseAddr(name)
		switch cn, common := strings.CutPrefix(name, "cn:"); {
		case common:
			c.Subject.CommonName = cn
		case strings.HasPrefix(name, "sip:"):
			c.URIs = append(c.URIs, &url.URL{Scheme: "sip", Opaque: strings.TrimPrefix(name, "sip:")})
		case err == nil:
			c.IPAddresses = append(c.IPAddresses, addr.AsSlice())
		default:
			c.DNSNames = append(c.DNSNames, name)
		}
	}
	parent := a.cert
	if p.SelfSigned {
		parent = nil
	}
	leaf, err := a.sign(c, parent)
	return []*x509.Certificate{leaf}, err
}

// verifyClient checks the certificates of a peer that opens a connection, as crypto/tls does with those of TLSClientCA. A peer
// may have none.
func verifyClient(chain []*x509.Certificate) ([]*x509.Certificate, error) {
	if len(chain) == 0 {
		return nil, nil
	}
	a, err := theAuthority()
	if err != nil {
		return nil, err
	}
	verified, err := chain[0].Verify(x509.VerifyOptions{Roots: a.roots, CurrentTime: time.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return nil, err
	}
	return verified[0], nil
}
