package daemon

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"

	"sipd/config"
	"sipd/server/certs"
	"sipd/server/transport"
)

// openTLS reads the certificate and makes the configurations of TLS connections, nil without a certificate.
func (d *daemon) openTLS(set *config.Settings) (*transport.TLSConfigs, error) {
	if set.TLSCertificate == "" {
		return nil, nil
	}
	var err error
	if d.certificate, err = certs.Load(below(d.cfg.Root, set.TLSCertificate), below(d.cfg.Root, set.TLSKey), d.log.With("pkg", "certs")); err != nil {
		return nil, configError{err}
	}
	server := &tls.Config{
		MinVersion:                  tls.VersionTLS12, // RFC 8996
		GetCertificate:              func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return d.certificate.Certificate(), nil },
		DynamicRecordSizingDisabled: true, // messages are short, and wanted whole
	}
	if set.TLSClientCA != "" {
		if server.ClientCAs, err = certs.Pool(below(d.cfg.Root, set.TLSClientCA)); err != nil {
			return nil, configError{err}
		}
		server.ClientAuth = tls.VerifyClientCertIfGiven
	}
	if d.roots, err = x509.SystemCertPool(); err != nil {
		return nil, fmt.Errorf("certificates of authorities: %w", err)
	}
	return &transport.TLSConfigs{Server: server, Client: d.clientTLS, Domains: d.domains}, nil
}

// clientTLS is the configuration of a connection to a server of domain (a name or an address), whose certificate must speak for it
// (RFC 5922 7.3); "" is a telephone: its user has proven who he is when he registered the address, and telephones have
// certificates of nobody's.
func (d *daemon) clientTLS(domain string) *tls.Config {
	cfg := &tls.Config{
		MinVersion:                  tls.VersionTLS12,
		ServerName:                  domain,
		DynamicRecordSizingDisabled: true,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return d.certificate.Certificate(), nil
		},
		InsecureSkipVerify: true, // VerifyConnection does it: crypto/tls takes wildcards, which RFC 5922 7.2 forbids.
	}
	if domain != "" {
		cfg.VerifyConnection = func(state tls.ConnectionState) error {
			return certs.Verify(state.PeerCertificates, d.roots, domain, time.Now())
		}
	}
	return cfg
}
