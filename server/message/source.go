package message

import (
	"net/netip"
	"strconv"

	"sipd/sipaddr"
)

// sourceText is what the source address of a request adds to its topmost Via: up to two edits in the order of their
// places, as offsets, so that it can live on the stack.
type sourceText struct {
	edits [2]sourceEdit
	buf   [80]byte // ";received=" and the longest IPv6 address, "=" and a port
}

type sourceEdit struct {
	at   span // what it replaces, in the message
	text span // by what, in buf; empty: nothing to do
}

// fill works out what m.Source adds. RFC 3261 18.2.1: received when sent-by is not the source address; RFC 3581 4: both
// received and rport when rport is there, whatever sent-by says. What the sender wrote there itself is replaced.
func (t *sourceText) fill(m *Message) {
	v := &m.via
	var received, rport sourceEdit
	addr := m.Source.Addr().Unmap().WithZone("")
	const prefix = len(";received=")
	b := append(t.buf[:0], ";received="...)
	b = addr.AppendTo(b)
	n := len(b)
	switch {
	case !v.received.empty():
		received = sourceEdit{at: v.recvText, text: makeSpan(prefix, n)}
	case v.hasRport || !sameHost(v.host.of(m.raw), b[prefix:], addr):
		received = sourceEdit{at: span{v.text.end, v.text.end}, text: makeSpan(0, n)}
	}
	if v.hasRport {
		b = strconv.AppendUint(append(b, '='), uint64(m.Source.Port()), 10)
		rport = sourceEdit{at: v.rport, text: makeSpan(n, len(b))}
		if !v.rport.empty() {
			rport.text.start++ // "=" is there
		}
	}
	// rport before received unless received is an old value in front of it: at one place (";rport" ends the value) the
	// port belongs to what stands there, and received comes behind.
	t.edits = [2]sourceEdit{rport, received}
	if received.at.end < rport.at.start || rport.at.end == 0 {
		t.edits = [2]sourceEdit{received, rport}
	}
}

// sameHost tells whether sent-by names the source address, whose text is given too.
func sameHost(host, text []byte, addr netip.Addr) bool {
	if string(host) == string(text) {
		return true
	}
	if addr.Is4() {
		return false
	}
	a, ok := sipaddr.ParseIP(host)
	return ok && a == addr
}
