package proxy

import (
	"sipd/resolve"
	"sipd/server/proxy/hop"
	"sipd/server/target"
)

// numeric gives the contacts of a 302 their addresses, as far as they are known by now. It is called when the 302 becomes possible,
// which asks for them, and when it is sent: nobody waits for the answers.
func (c *Context) numeric(contacts []target.Target) {
	if !c.set.HelpResolve || c.p.resolver == nil {
		return
	}
	for i := range contacts {
		if q, ok := hop.NameOf(&contacts[i]); ok {
			if hops, err, ready := c.p.resolver.Hops(q, func([]resolve.Hop, error) {}); ready && err == nil {
				hop.Numeric(&contacts[i], hops)
			}
		}
	}
}
