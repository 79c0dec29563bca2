package transport

import (
	"net/netip"
	"slices"

	"sipd/server/certs"
	"sipd/sipaddr"
)

const (
	// defaultTLSPort is that of a sent-by without one (RFC 5923 8.2).
	defaultTLSPort = 5061
	// maxAliases is for how many names of its certificate a connection is used: a host of many domains has a certificate each.
	maxAliases = 32
)

// Alias lets requests to the domains that a client's certificate speaks for, at the address it came from and the port that it
// advertises, take the connection that it has opened (RFC 5923 8.2). Without a verified certificate the parameter counts for
// nothing (9.2), nor when the certificate does not speak for the name in sent-by. Whom a request is for is still asked: it is
// found by the domain that was looked up, so nobody draws the requests of others to himself (9.3).
func (s *Sockets) Alias(id ConnID, host []byte, port uint16) {
	c := s.table.byConnID(id)
	if c == nil {
		return
	}
	if port == 0 {
		port = defaultTLSPort
	}
	if c.alias.Load() == uint32(port) {
		return // Each of the client's requests says so.
	}
	chain := c.client()
	if len(chain) == 0 {
		return
	}
	if _, numeric := sipaddr.ParseIP(host); !numeric && !certs.Proves(chain, string(host)) {
		return
	}
	at := netip.AddrPortFrom(c.flow.Remote.Addr(), port)
	names := slices.DeleteFunc(certs.Identities(chain[0]), func(name string) bool { return !certs.Proves(chain, name) })
	names = names[:min(len(names), maxAliases)]
	keys := make([]remoteKey, 0, len(names)+2)
	if addr := at.Addr().String(); certs.Proves(chain, addr) {
		names = append(names, addr)
		keys = append(keys, remoteKey{TLS, 0, at}) // Also for who asks for nobody: the address is the client's own.
	}
	for _, name := range names {
		if d, ok := s.tls.Domains.Number(name); ok {
			keys = append(keys, remoteKey{TLS, d, at})
		}
	}
	s.table.alias(c, keys)
	c.alias.Store(uint32(port))
}

// alias makes keys those that c is found by besides its own.
func (t *table) alias(c *conn, keys []remoteKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byID[c.flow.Conn] != c {
		return
	}
	t.unaliasLocked(c)
	for _, k := range keys {
		t.byRemote[k] = c // The newest: a client that has begun anew knows nothing of the one before.
	}
	c.aliases = keys
}

func (t *table) unaliasLocked(c *conn) {
	for _, k := range c.aliases {
		if t.byRemote[k] == c {
			delete(t.byRemote, k)
		}
	}
	c.aliases = nil
}
