package transaction

import (
	"net/netip"

	"sipd/server/message"
	"sipd/server/transport"
)

// ResponseFlow returns where responses to m go, a request that came over from (RFC 3261 18.2.2, RFC 3581 4). It looks only at
// the topmost Via and the source, so it serves stateless responses, too.
//
// The address is the one the request came from: what 18.2.1 writes into received, whatever the sender has put there. Over
// UDP the port is the source's when the Via has rport, else that of sent-by or 5060. On a stream it is the connection; Remote
// is then where a new one goes when that one is gone: the source address with the port of sent-by.
//
// Deviates from RFC 3261 18.2.2: a maddr of the Via is not followed. It served multicast requests, which nobody sends any
// more, and would let anybody aim our answers at anybody.
func ResponseFlow(m *message.Message, from transport.Flow) transport.Flow {
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

// defaultPort is the port of a sent-by without one (18.2.2, 19.1.2).
func defaultPort(p transport.Proto) uint16 {
	if p == transport.TLS {
		return 5061
	}
	return 5060
}
