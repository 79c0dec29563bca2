package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// lookEvery is how often the files are looked at: whoever renews a certificate waits no longer.
	lookEvery = 10 * time.Second
	// WarnBefore is how long before its end a certificate is warned of, warnEvery how often.
	WarnBefore = 14 * 24 * time.Hour
	warnEvery  = 24 * time.Hour
	// maxFile bounds what is read: a chain is some kilobytes.
	maxFile = 1 << 20
)

// Pair is the server's certificate with its key, kept current.
type Pair struct {
	certFile, keyFile string
	taken             func(*x509.Certificate)
	log               *slog.Logger
	current           atomic.Pointer[tls.Certificate]

	mu     sync.Mutex
	seen   stamps // of the files as last read
	err    error  // why the files there now are not in force
	since  time.Time
	warned time.Time
}

// stamps tell whether files have changed. Links are followed: certbot renews by moving a link.
type stamps [2]os.FileInfo

func (s stamps) equal(o stamps) bool {
	for i := range s {
		if !os.SameFile(s[i], o[i]) || !s[i].ModTime().Equal(o[i].ModTime()) || s[i].Size() != o[i].Size() {
			return false
		}
	}
	return true
}

// Load reads a certificate (with its chain behind it) and its key, both PEM. A certificate out of its time is served all the same, and
// told in the log: telephones that do not use TLS must not go without service for it. taken is told each certificate that is put in force.
func Load(certFile, keyFile string, taken func(*x509.Certificate), log *slog.Logger) (*Pair, error) {
	p := &Pair{certFile: certFile, keyFile: keyFile, taken: taken, log: log}
	var err error
	if p.seen, err = p.stamp(); err != nil {
		return nil, fmt.Errorf("certs: %w", err)
	}
	c, err := p.read()
	if err != nil {
		return nil, err
	}
	p.current.Store(c)
	log.Info("certificate", "file", certFile, "names", list(Names(c.Leaf)), "until", c.Leaf.NotAfter.UTC())
	p.warn(time.Now())
	taken(c.Leaf)
	return p, nil
}

func (p *Pair) stamp() (s stamps, err error) {
	for i, name := range []string{p.certFile, p.keyFile} {
		if s[i], err = os.Stat(name); err != nil {
			return stamps{}, err
		}
	}
	return s, nil
}

// read reads the files. A certificate that is not of the key is refused.
func (p *Pair) read() (*tls.Certificate, error) {
	for _, name := range []string{p.certFile, p.keyFile} {
		if info, err := os.Stat(name); err != nil {
			return nil, fmt.Errorf("certs: %w", err)
		} else if !info.Mode().IsRegular() { // Of a pipe or a device nobody knows when it ends.
			return nil, fmt.Errorf("certs: %s is no regular file: write the name of a PEM file, or of a link to one", name)
		} else if info.Size() > maxFile {
			return nil, fmt.Errorf("certs: %s has %d bytes, at most %d are read: is it a certificate or key?", name, info.Size(), maxFile)
		}
	}
	c, err := tls.LoadX509KeyPair(p.certFile, p.keyFile)
	if err != nil {
		if key, unread := os.ReadFile(p.keyFile); unread == nil && bytes.Contains(key, []byte("ENCRYPTED")) {
			return nil, fmt.Errorf("certs: %s is locked by a passphrase, which nobody can type in here; unlock it: openssl pkey -in %s -out NEWFILE", p.keyFile, p.keyFile)
		}
		return nil, fmt.Errorf("certs: %s and %s: %w", p.certFile, p.keyFile, err)
	}
	return &c, nil
}

// inTime says whether a certificate is over, or has not begun.
func (p *Pair) inTime(leaf *x509.Certificate, now time.Time) error {
	if now.After(leaf.NotAfter) {
		return fmt.Errorf("certs: %s was valid until %s; renew it", p.certFile, leaf.NotAfter.UTC().Format(time.DateTime))
	}
	if now.Before(leaf.NotBefore) {
		return fmt.Errorf("certs: %s is valid from %s on; look at this machine's clock, or use another until then", p.certFile, leaf.NotBefore.UTC().Format(time.DateTime))
	}
	return nil
}

// Certificate returns the one in force. It is what tls.Config.GetCertificate and GetClientCertificate return.
func (p *Pair) Certificate() *tls.Certificate { return p.current.Load() }

// Watch reads the files again when they have changed, until ctx ends. A pair that cannot be used is reported once, and the one in force
// stays. Open connections keep what they have; new ones get the new one.
func (p *Pair) Watch(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if !p.settled() {
				p.Renew(time.Now())
			}
			p.warn(time.Now())
		}
	}
}

// settled tells whether the files are those in force. Files that could not be used are tried again: what was wrong, such as who
// may read them or their time, need not show in them.
func (p *Pair) settled() bool {
	s, err := p.stamp()
	p.mu.Lock()
	defer p.mu.Unlock()
	return err == nil && p.err == nil && s.equal(p.seen)
}

// Renew is Reload, with what there is to say in the log; the same only once.
func (p *Pair) Renew(now time.Time) {
	old := p.Status(now).Err
	if err := p.Reload(now); err != nil && (old == nil || old.Error() != err.Error()) {
		p.log.Error("the certificate is not renewed, the old one stays", "err", err)
	}
}

// Reload reads the files. On an error the certificate in force stays. One out of its time takes the place of none that is in its own.
func (p *Pair) Reload(now time.Time) error {
	changed, err := p.reload(now)
	if changed {
		p.taken(p.Certificate().Leaf)
	}
	return err
}

func (p *Pair) reload(now time.Time) (changed bool, err error) {
	s, err := p.stamp() // before the files: what changes meanwhile is seen at the next look
	var c *tls.Certificate
	if err == nil {
		c, err = p.read()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.current.Load()
	if err == nil && p.inTime(old.Leaf, now) == nil {
		err = p.inTime(c.Leaf, now)
	}
	if err != nil {
		if p.err == nil {
			p.since = now
		}
		p.err = err
		return false, err
	}
	p.seen, p.err, p.since = s, nil, time.Time{}
	p.current.Store(c)
	if c.Leaf.Equal(old.Leaf) {
		return false, nil
	}
	p.warned = time.Time{}
	p.log.Info("certificate renewed", "file", p.certFile, "names", list(Names(c.Leaf)), "until", c.Leaf.NotAfter.UTC())
	return true, nil
}

// warn says when the certificate is about to end, and when it is out of its time.
func (p *Pair) warn(now time.Time) {
	leaf := p.current.Load().Leaf
	end := leaf.NotAfter
	p.mu.Lock()
	defer p.mu.Unlock()
	over, early := now.After(end), now.Before(leaf.NotBefore)
	if !early && end.Sub(now) > WarnBefore || now.Sub(p.warned) < warnEvery && !(over && p.warned.Before(end)) {
		return
	}
	p.warned = now
	switch {
	case over:
		p.log.Error("the certificate has ended: connections over TLS get it all the same, and peers refuse it; renew it, new files are taken within "+lookEvery.String(),
			"file", p.certFile, "until", end.UTC())
	case early:
		p.log.Error("the certificate is not valid yet: connections over TLS get it all the same, and peers refuse it; look at this machine's clock, or use another until then",
			"file", p.certFile, "from", leaf.NotBefore.UTC())
	default:
		p.log.Warn("the certificate ends soon; renew it", "file", p.certFile, "days_left", int(end.Sub(now)/(24*time.Hour)))
	}
}

// Status is what the health page says of the certificate.
type Status struct {
	Names     []string
	NotBefore time.Time
	NotAfter  time.Time
	DaysLeft  float64   // below 0: it has ended
	Early     bool      // it has not begun
	Err       error     // why newer files are not in force; nil when these are the newest
	Since     time.Time // of Err
}

// Status returns the state of the certificate.
func (p *Pair) Status(now time.Time) Status {
	leaf := p.current.Load().Leaf
	p.mu.Lock()
	defer p.mu.Unlock()
	return Status{Names: Identities(leaf), NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter, DaysLeft: leaf.NotAfter.Sub(now).Hours() / 24,
		Early: now.Before(leaf.NotBefore), Err: p.err, Since: p.since}
}

// Pool reads certificates of authorities.
func Pool(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("certs: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("certs: " + file + " has no certificate; write PEM blocks that begin with -----BEGIN CERTIFICATE-----")
	}
	return pool, nil
}
