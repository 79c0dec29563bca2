package certs

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Identities returns the SIP domains that a certificate speaks for, lower case (RFC 5922 7.1): the hosts of its sip URIs
// without a user; when it has none, its DNS names; when it has no subjectAltName at all, its common name.
func Identities(c *x509.Certificate) []string {
	var list []string
	for _, u := range c.URIs {
		if !strings.EqualFold(u.Scheme, "sip") {
			continue
		}
		host := u.Opaque // sip:example.com: without slashes everything is opaque
		if host == "" {
			host = u.Host
		}
		if i := strings.IndexAny(host, ";?"); i >= 0 {
			host = host[:i]
		}
		if u.User == nil && host != "" && !strings.Contains(host, "@") {
			list = append(list, domain(withoutPort(host)))
		}
	}
	if len(list) > 0 {
		return list
	}
	for _, name := range c.DNSNames {
		list = append(list, domain(name))
	}
	if len(list) == 0 && !hasAltName(c) && c.Subject.CommonName != "" {
		list = append(list, domain(c.Subject.CommonName))
	}
	return list
}

// altName is the subjectAltName (RFC 5280 4.2.1.6), which may hold kinds of names that x509 does not read.
var altName = asn1.ObjectIdentifier{2, 5, 29, 17}

func hasAltName(c *x509.Certificate) bool {
	return slices.ContainsFunc(c.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(altName) })
}

func withoutPort(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		return host[:i]
	}
	return host
}

func domain(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// SpeaksFor tells whether a certificate is one of name: a domain, compared whole and without wildcards (RFC 5922 7.2), or an
// address without brackets, which must be among its addresses.
func SpeaksFor(c *x509.Certificate, name string) bool {
	if addr, err := netip.ParseAddr(name); err == nil {
		return slices.ContainsFunc(c.IPAddresses, net.IP(addr.AsSlice()).Equal)
	}
	return slices.Contains(Identities(c), domain(name))
}

// Proves is SpeaksFor for certificates that were verified, the peer's own first, up to an authority.
func Proves(chain []*x509.Certificate, name string) bool {
	return len(chain) > 0 && SpeaksFor(chain[0], name) && !barred(chain[1:], domain(name))
}

// barred tells whether one of the authorities may not speak for a domain (RFC 5280 4.2.1.10). x509 asks that of DNS names, and takes no
// sip URI below an authority with constraints; but here a domain may also be the common name.
func barred(authorities []*x509.Certificate, name string) bool {
	for _, ca := range authorities {
		within := func(tree string) bool {
			tree = domain(tree)
			return name == tree || tree == "" || strings.HasSuffix(name, "."+strings.TrimPrefix(tree, "."))
		}
		if slices.ContainsFunc(ca.ExcludedDNSDomains, within) || len(ca.PermittedDNSDomains) > 0 && !slices.ContainsFunc(ca.PermittedDNSDomains, within) {
			return true
		}
	}
	return false
}

// Names returns everybody a certificate speaks for: domains and addresses.
func Names(c *x509.Certificate) []string {
	names := Identities(c)
	for _, ip := range c.IPAddresses {
		if name := ip.String(); !slices.Contains(names, name) { // Some write an address as a DNS name as well, for phones that look there alone.
			names = append(names, name)
		}
	}
	return names
}

// Why a peer's certificate is not accepted.
var (
	// ErrNoCertificate: the peer showed none.
	ErrNoCertificate = errors.New("certs: the peer shows no certificate")
	// ErrIdentity: the certificate is good, but of somebody else.
	ErrIdentity = errors.New("certs: the certificate is of somebody else")
)

// Verify checks the certificates a server showed: a chain to one of roots (nil: those of the system), in force now, and for
// name (RFC 5922 7.3). It stands in for the check of crypto/tls, which takes wildcards.
func Verify(chain []*x509.Certificate, roots *x509.CertPool, name string, now time.Time) error {
	if len(chain) == 0 {
		return ErrNoCertificate
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	opts := x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	ways, err := chain[0].Verify(opts)
	switch {
	case err != nil:
		return fmt.Errorf("certs: %w", err)
	case !SpeaksFor(chain[0], name):
		return fmt.Errorf("%w: it speaks for %s, not for %s", ErrIdentity, list(Identities(chain[0])), name)
	case !slices.ContainsFunc(ways, func(way []*x509.Certificate) bool { return Proves(way, name) }):
		return fmt.Errorf("%w: its authority may not speak for %s", ErrIdentity, name)
	}
	return nil
}

// list writes the identities of a foreign certificate, as many as a log line needs.
func list(ids []string) string {
	const most = 5
	if len(ids) == 0 {
		return "nobody"
	}
	if len(ids) > most {
		ids = append(append([]string(nil), ids[:most]...), "...")
	}
	text := strings.Join(ids, ", ")
	if len(text) > 512 {
		text = text[:512] + "..."
	}
	return text
}
