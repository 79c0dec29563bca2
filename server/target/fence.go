package target

import (
	"bytes"

	"sipd/location"
	"sipd/sipaddr"
	"sipd/trace"
)

// toGateway tells whether a URI that no administrator has written leads to a gateway (plan.Fence), and notes it. There every number may be
// called at our cost: it takes a rule of the gateway map, and the class that this asks for. Where a name leads is looked up later; then
// package proxy asks again.
func (d *Decision) toGateway(t Tables, u *sipaddr.URI, rule, text string) bool {
	if !t.leadsToGateway(u) {
		return false
	}
	d.step(rule, text, trace.Deny, "it leads to a gateway past the gateway map")
	return true
}

func (t Tables) leadsToGateway(u *sipaddr.URI) bool {
	if !t.Plan().Fence().Leads(u) {
		return false
	}
	to, numeric := u.AddrPort()
	return !numeric || !t.Settings.Allows(to)
}

// gatewayContact is toGateway for a contact that somebody has registered. Over a connection from there he may: it cannot be pretended.
// Of one with a Path it is the Path that leads somewhere.
func (t Tables) gatewayContact(b *location.Binding) bool {
	fence := t.Plan().Fence()
	switch {
	case fence.Empty() || b.Static() || b.ByFlow && b.Conn != 0:
		return false
	case b.ByFlow:
		return fence.Has(b.Source, true) && !t.Settings.Allows(b.Source)
	case b.Next.IsValid():
		return fence.Has(b.Next, false) && !t.Settings.Allows(b.Next)
	}
	text := []byte(b.URI)
	if len(b.Path) > 0 {
		text = []byte(b.Path[0])
		if i := bytes.IndexByte(text, '<'); i >= 0 {
			text, _, _ = bytes.Cut(text[i+1:], []byte(">"))
		}
	}
	u, err := sipaddr.Parse(text)
	return err == nil && t.leadsToGateway(&u)
}
