package transport

import "net/netip"

// maxProven bounds the servers that are remembered: a federation of thousands.
const maxProven = 4096

// proven is for whom the servers that we have dialled speak, as their certificates last proved. A request of a dialog goes where
// Record-Route leads, most often to an address, which no certificate names; so it goes by the connection that the dialog was begun on, and
// when that has closed to nobody but whoever proves the same (RFC 5922 7.3). Addresses that were never dialled for a domain,
// those of telephones, prove nothing.
type proven map[netip.AddrPort]Domain

// demand makes c, which asks for nobody, ask for whoever was at its address. Guarded by table.mu, as prove.
func (p proven) demand(c *conn) {
	if c.flow.Proto == TLS && c.flow.Domain == 0 {
		c.flow.Domain = p[c.flow.Remote]
	}
}

// prove notes that the handshake of c, which we have dialled, has succeeded: it serves who asks for nobody, in the place of one that
// has proven nothing.
func (t *table) prove(c *conn) {
	if c.flow.Domain == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byID[c.flow.Conn] != c {
		return
	}
	for other := range t.proven { // Whichever: it is proven again by the next call.
		if len(t.proven) < maxProven {
			break
		}
		delete(t.proven, other)
	}
	t.proven[c.flow.Remote] = c.flow.Domain
	anybody := c.keys()[1]
	if other := t.byRemote[anybody]; other == nil || other.flow.Domain == 0 && !other.source.IsValid() {
		t.byRemote[anybody] = c
	}
}
