package hop

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
	return Named(&u)
}
