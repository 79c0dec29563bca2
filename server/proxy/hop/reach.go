package hop

import (
	"net/netip"

	"sipd/server/message"
	"sipd/server/transport"
)

// Broadcast is the address of everybody on a link.
var Broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// InReach tells whether src could send to a itself, as far as scopes go: this machine's loopback is for those on it, a link
// for its neighbours. Otherwise a party of one call could make us speak to whatever listens here.
func InReach(a, src netip.Addr) bool {
	a, src = a.Unmap(), src.Unmap()
	switch {
	case a.IsLoopback():
		return src.IsLoopback()
	case a.IsLinkLocalUnicast():
		return src.IsLinkLocalUnicast() || src.IsLoopback()
	}
	return true
}

// BehindNAT tells whether the sender must be reached at the flow his request came by: over a connection, or over UDP with a
// numeric Contact that is not where the request came from (BEHAVIOUR J).
func BehindNAT(m *message.Message, from transport.Flow) bool {
	if from.Proto.Reliable() {
		return true
	}
	text := m.Value(message.Contact)
	if text == nil {
		return false
	}
	a, err := message.ParseAddress(text)
	if err != nil {
		return false
	}
	addr, ok := a.URI.Addr()
	return ok && addr.Unmap() != from.Remote.Addr().Unmap()
}
