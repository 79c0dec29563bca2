package registrar

import (
	"bytes"
	"net/netip"

	"sipd/location"
	"sipd/server/message"
	"sipd/server/transport"
	"sipd/sipaddr"
)

// Limits of Path: one value for each proxy that wants to stay in the way.
const (
	maxPathValues = 16
	maxPathText   = 1024 // bytes of all values: they go into every request to the contact
)

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// path is the route vector that a REGISTER collected (RFC 3327 5.3).
type path struct {
	values [][]byte
	first  netip.Addr // host of the first hop, invalid when it is a name
	ob     bool       // the first hop keeps flows (RFC 5626 5.1)
}

func parsePath(m *message.Message) (p path, bad *Answer) {
	length := 0
	for v := m.Values(message.Path); ; {
		text, ok := v.Next()
		if !ok {
			return p, nil
		}
		length += len(text)
		if len(p.values) >= maxPathValues || length > maxPathText {
			return path{}, badContact("Path Too Long")
		}
		a, err := message.ParseAddress(text)
		if err != nil || !isSIP(&a.URI) || !clean(unfolded(text)) {
			return path{}, badContact("Bad Path")
		}
		if len(p.values) == 0 {
			if addr, ok := a.URI.Addr(); ok {
				p.first = addr.Unmap()
			}
			_, p.ob = a.URI.Param("ob")
		}
		p.values = append(p.values, text)
	}
}

func (p *path) strings() []string {
	if len(p.values) == 0 {
		return nil
	}
	s := make([]string, len(p.values))
	for i, v := range p.values {
		s[i] = string(unfolded(v))
	}
	return s
}

// unfolded returns a value on one line: a fold may stand wherever white space may.
func unfolded(value []byte) []byte {
	return bytes.Map(func(r rune) rune {
		if r == '\r' || r == '\n' || r == '\t' {
			return ' '
		}
		return r
	}, value)
}

// byFlow tells whether requests for b go where this REGISTER came from, rather than to Path or Contact (BEHAVIOUR J). alone says that
// no other contact is registered with it.
func (d *decision) byFlow(b *location.Binding, alone bool) bool {
	source := d.From.Remote.Addr().Unmap()
	stream := d.From.Proto != transport.UDP
	u, err := sipaddr.Parse([]byte(b.URI))
	if err != nil {
		return stream
	}
	contact, numeric := u.Addr()
	contact = contact.Unmap()
	_, ob := u.Param("ob")
	switch {
	case len(d.path.values) > 0:
		// RFC 3327 5.4 sends to the first Path value. When that is who sent the REGISTER, the flow is the surer way to him; when
		// it is a name, the only one that needs no look-up.
		return !d.path.first.IsValid() || d.path.first == source
	case !d.direct:
		return stream && !numeric // The flow leads to a proxy, the Contact to the UA.
	case stream, ob:
		return true
	case !alone || !numeric:
		return false
	case contact.IsUnspecified():
		return true
	}
	// A NAT stands between when neither Contact nor Via have the address that the request came from.
	via, ok := sipaddr.ParseIP(d.m.Top().Host)
	return ok && contact != source && via.Unmap() != source
}
