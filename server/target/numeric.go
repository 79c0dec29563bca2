package target

import (
	"net/netip"

	"sipd/sipaddr"
)

// Numeric puts an address in the place of the host name of a sip contact (HelpResolve). User, parameters and headers stay; the port
// is addr's, and transport is added when no transport parameter is there and it is not "", which stands for UDP: the URI of an address
// without one means UDP (RFC 3263 4.1). A contact that has a maddr stays as it is, and so does a sips contact: a certificate must
// speak for its name (RFC 5922).
func (x *Target) Numeric(addr netip.AddrPort, transport string) {
	u, err := sipaddr.Parse([]byte(x.Binding.URI))
	if err != nil || u.Scheme != sipaddr.SIP {
		return
	}
	if _, has := u.Maddr(); has {
		return
	}
	text := []byte("sip:")
	if u.HasUser {
		text = append(text, u.User...)
		if u.HasPassword {
			text = append(append(text, ':'), u.Password...)
		}
		text = append(text, '@')
	}
	addr = netip.AddrPortFrom(addr.Addr().Unmap().WithZone(""), addr.Port())
	switch {
	case addr.Port() != 5060 || u.HasPort:
		text = addr.AppendTo(text)
	case addr.Addr().Is6():
		text = append(addr.Addr().AppendTo(append(text, '[')), ']')
	default:
		text = addr.Addr().AppendTo(text)
	}
	text = append(text, u.Params...)
	if _, has := u.Param("transport"); !has && transport != "" {
		text = append(append(text, ";transport="...), transport...)
	}
	if len(u.Headers) > 0 {
		text = append(append(text, '?'), u.Headers...)
	}
	b := *x.Binding // A binding never changes.
	b.URI = string(text)
	x.Binding = &b
}
