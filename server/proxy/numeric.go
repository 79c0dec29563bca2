package proxy

import (
	"sipd/resolve"
	"sipd/server/target"
	"sipd/sipaddr"
)

// Numeric puts the address that a look-up of q has found in the place of the host name of x (HelpResolve, BEHAVIOUR B14): for telephones
// that cannot look up names. A contact that is reached by TLS keeps its name, since a certificate must speak for it (RFC 5922).
func Numeric(x *target.Target, hops []resolve.Hop) {
	if len(hops) == 0 {
		return
	}
	switch h := hops[0]; h.Transport {
	case resolve.UDP:
		x.Numeric(h.Addr, "")
	case resolve.TCP:
		x.Numeric(h.Addr, "tcp")
	}
}

// NameOf returns what must be looked up to reach x; ok is false when its host is an address.
func NameOf(x *target.Target) (q resolve.Query, ok bool) {
	if x.Binding == nil {
		return q, false
	}
	u, err := sipaddr.Parse([]byte(x.Binding.URI))
	if err != nil {
		return q, false
	}
	return query(&u)
}

// numeric gives the contacts of a 302 their addresses, as far as they are known by now. It is called when the 302 becomes possible,
// which asks for them, and when it is sent: nobody waits for the answers.
func (c *Context) numeric(contacts []target.Target) {
	if !c.set.HelpResolve || c.p.resolver == nil {
		return
	}
	for i := range contacts {
		if q, ok := NameOf(&contacts[i]); ok {
			if hops, err, ready := c.p.resolver.Hops(q, func([]resolve.Hop, error) {}); ready && err == nil {
				Numeric(&contacts[i], hops)
			}
		}
	}
}
