package store

import (
	"net/netip"
	"strings"
)

// flows are the texts of contacts.flow in the order of the transport numbers that bindings carry.
var flows = [...]string{"udp", "tcp", "tls", "ws", "wss"}

// byFlow marks a contact whose requests go where its REGISTER came from.
const byFlow = "+flow"

// FlowText returns what contacts.flow says of a binding.
func FlowText(proto uint8, flow bool) string {
	s := name(flows[:], int(proto))
	if flow {
		s += byFlow
	}
	return s
}

// ParseFlow reads contacts.flow; what it does not know (a row typed by hand) is UDP.
func ParseFlow(s string) (proto uint8, flow bool) {
	s, flow = strings.CutSuffix(s, byFlow)
	for i, f := range flows {
		if f == s {
			return uint8(i), flow
		}
	}
	return 0, flow
}

// AddrText returns an address and port as tables have them, "" for none.
func AddrText(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// ParseAddr reads what AddrText wrote; the zero value stands for what is not an address.
func ParseAddr(s string) netip.AddrPort {
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		return netip.AddrPort{}
	}
	return a
}
