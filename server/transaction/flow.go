package transaction

import (
	"net/netip"

	"sipd/server/message"
	"sipd/server/transport"
	"sipd/sipaddr"
)

// ResponseFlow returns where responses to m go, a request that came over from (RFC 3261 18.2.2, RFC 3581 4). It looks only at
// the topmost Via and the source, so it serves stateless responses, too.
//
// The address is the one the request came from: what 18.2.1 writes into received, whatever the sender has put there. Over
// UDP the port is the source's when the Via has rport, else that of sent-by or 5060. On a stream it is the connection; Remote
// is then where a new one goes when that one is gone: the source address with the port of sent-by.
//
// A maddr of the Via is followed over UDP, to the port of sent-by, where Config.Maddr allows it; rport counts for nothing then (RFC
// 3581 4). To a group goes what asks for a TTL of 1, which is what the system sends with.
//
// Deviates from RFC 3261 18.2.2: any other maddr is not followed, and neither is one that is a name. It would let anybody aim our
// answers at anybody.
func (t *Table) ResponseFlow(m *message.Message, from transport.Flow) transport.Flow {
	top := m.Top()
	if top == nil {
		return from
	}
	to := from
	addr := from.Remote.Addr()
	port := top.Port
	if port == 0 {
		port = defaultPort(from.Proto)
	}
	switch from.Proto {
	case transport.UDP:
		if top.Maddr != nil {
			if maddr, ok := t.maddr(top, port, addr); ok {
				to.Remote = maddr
				return to
			}
		}
		if top.HasRport {
			port = from.Remote.Port()
		}
	case transport.WS, transport.WSS:
		// RFC 7118 5: the sent-by of a WebSocket client is no address. The connection or nothing.
		return to
	}
	to.Remote = netip.AddrPortFrom(addr, port)
	return to
}

// maddr returns where the maddr of a Via leads; ok is false when it must not be followed.
func (t *Table) maddr(top *message.ViaValue, port uint16, source netip.Addr) (to netip.AddrPort, ok bool) {
	addr, ok := sipaddr.ParseIP(top.Maddr)
	if !ok || t.follows == nil {
		return to, false
	}
	addr = addr.Unmap()
	to = netip.AddrPortFrom(addr, port)
	if addr.Is4() != source.Unmap().Is4() || addr.IsMulticast() && top.TTL != nil && string(top.TTL) != "1" {
		return to, false
	}
	return to, t.follows(to, source)
}

// defaultPort is the port of a sent-by without one (18.2.2, 19.1.2).
func defaultPort(p transport.Proto) uint16 {
	if p == transport.TLS {
		return 5061
	}
	return 5060
}
