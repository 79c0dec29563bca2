package transport

// maxProven bounds table.proven: a federation of thousands.
const maxProven = 4096

// prove notes for whom the server that c leads to speaks. A request of a dialog goes where Record-Route leads, most often to an address, which no
// certificate names: it takes this connection, or later one to whoever proves the same (RFC 5922 7.3). Telephones prove nothing and give way.
func (t *table) prove(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.flow.Domain == 0 || t.byID[c.flow.Conn] != c {
		return
	}
	for other := range t.proven { // Whichever: the next call proves it again.
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
