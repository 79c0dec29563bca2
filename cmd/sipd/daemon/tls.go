package daemon

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"sipd/config"
	"sipd/server/certs"
	"sipd/server/transport"
	"sipd/store"
	"sipd/store/cache"
)

// openTLS reads the certificate and makes the configurations of TLS connections, nil without a certificate.
func (d *daemon) openTLS(set *config.Settings) (*transport.TLSConfigs, error) {
	if set.TLSCertificate == "" {
		return nil, nil
	}
	var err error
	taken := func(leaf *x509.Certificate) {
		if !speaksForUs(certs.Names(leaf), d.cache.Snapshot().Domain) {
			d.log.Warn("the certificate is of no domain of this server: other servers will not accept it, nor will phones that compare names; "+
				"its subjectAltName must have what stands behind the @ of the users", "file", set.TLSCertificate)
		}
	}
	if d.certificate, err = certs.Load(below(d.cfg.Root, set.TLSCertificate), below(d.cfg.Root, set.TLSKey), taken, d.log.With("pkg", "certs")); err != nil {
		return nil, configError{fmt.Errorf("TLSCertificate, TLSKey: %w", err)}
	}
	server := &tls.Config{
		MinVersion:                  tls.VersionTLS12, // RFC 8996
		GetCertificate:              func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return d.certificate.Certificate(), nil },
		DynamicRecordSizingDisabled: true, // messages are short, and wanted whole
	}
	d.bindTickets(server)
	if set.TLSClientCA != "" {
		if server.ClientCAs, err = certs.Pool(below(d.cfg.Root, set.TLSClientCA)); err != nil {
			return nil, configError{fmt.Errorf("TLSClientCA: %w", err)}
		}
		server.ClientAuth = tls.VerifyClientCertIfGiven
	}
	if d.roots, err = x509.SystemCertPool(); err != nil {
		return nil, fmt.Errorf("certificates of authorities: %w", err)
	}
	return &transport.TLSConfigs{Server: server, Client: d.clientTLS, Domains: d.domains}, nil
}

// speaksForUs tells whether one of the names of a certificate is a domain of ours, not merely another name for one such as that of
// the host: other servers ask for the domain that they call (RFC 5922 7.3).
func speaksForUs(names []string, domain func([]byte) *cache.Domain) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		d := domain([]byte(name))
		return d != nil && (strings.Trim(d.Canonical, "[]") == name || d.Row.Kind == store.Regex)
	})
}

// bindTickets makes a session ticket (RFC 5077, RFC 8446 4.6.1) good for as long as the certificate that its handshake showed: who connects
// after a renewal sees the new one. Tickets are with the clients alone, nothing is kept here for them; crypto/tls changes their
// keys every day and takes none that is older than a week.
func (d *daemon) bindTickets(server *tls.Config) {
	shown := func() []byte {
		sum := sha256.Sum256(d.certificate.Certificate().Leaf.Raw)
		return sum[:]
	}
	server.WrapSession = func(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
		ss.Extra = append(ss.Extra, shown())
		return server.EncryptTicket(cs, ss)
	}
	server.UnwrapSession = func(ticket []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
		ss, err := server.DecryptTicket(ticket, cs)
		if err != nil || ss == nil || !slices.ContainsFunc(ss.Extra, func(b []byte) bool { return bytes.Equal(b, shown()) }) {
			return nil, err // A full handshake.
		}
		return ss, nil
	}
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
