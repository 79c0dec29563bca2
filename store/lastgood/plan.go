package lastgood

import "sipd/store"

// Forward implements store.Sink.
func (t tableWriter) Forward(f *store.Forward) {
	t.w.begin(kindForward)
	t.w.int(f.UserID)
	t.w.byte(byte(f.Kind))
	t.w.text(f.Target)
	t.w.int(int64(f.Timeout))
	t.w.end()
}

// PlanRows implements store.Sink.
func (t tableWriter) PlanRows(p *store.PlanRows) {
	w := t.w
	for i := range p.Classes {
		w.begin(kindClass)
		w.int(p.Classes[i].ID)
		w.text(p.Classes[i].Name)
		w.end()
	}
	for i := range p.DialRules {
		r := &p.DialRules[i]
		w.begin(kindDialRule)
		w.int(r.ID)
		w.int(int64(r.Position))
		w.text(r.Pattern)
		w.text(r.Target)
		w.text(r.Comment)
		w.flags(r.Emergency, r.Enabled)
		w.end()
	}
	for i := range p.GatewayRules {
		r := &p.GatewayRules[i]
		w.begin(kindGatewayRule)
		w.int(r.ID)
		w.int(int64(r.Position))
		w.text(r.Pattern)
		w.text(r.Classes)
		w.text(r.Target)
		w.int(int64(r.Weight))
		w.text(r.Comment)
		w.flags(r.Enabled)
		w.end()
	}
	for i := range p.Gateways {
		g := &p.Gateways[i]
		w.begin(kindGateway)
		w.int(g.ID)
		for _, text := range [...]string{g.Name, g.URI, g.SourceNets, g.TLSName, g.Comment} {
			w.text(text)
		}
		w.int(g.InboundClassID)
		w.int(int64(g.ProbeSeconds))
		w.int(int64(g.MaxCalls))
		w.int(int64(g.Weight))
		w.flags(g.Enabled, g.Drained)
		w.end()
	}
}

// plan reads a record of the plan; false means that it is none.
func (r *reader) plan(kind byte, p *store.PlanRows) bool {
	switch kind {
	case kindClass:
		p.Classes = append(p.Classes, store.GatewayClass{ID: r.int(), Name: r.text()})
	case kindDialRule:
		row := store.DialRule{ID: r.int(), Position: int(r.int()), Pattern: r.text(), Target: r.text(), Comment: r.text()}
		flags := r.byte()
		row.Emergency, row.Enabled = flags&1 != 0, flags&2 != 0
		p.DialRules = append(p.DialRules, row)
	case kindGatewayRule:
		row := store.GatewayRule{ID: r.int(), Position: int(r.int()), Pattern: r.text(), Classes: r.text(), Target: r.text(), Weight: int(r.int()), Comment: r.text()}
		row.Enabled = r.byte()&1 != 0
		p.GatewayRules = append(p.GatewayRules, row)
	case kindGateway:
		row := store.Gateway{ID: r.int(), Name: r.text(), URI: r.text(), SourceNets: r.text(), TLSName: r.text(), Comment: r.text(),
			InboundClassID: r.int(), ProbeSeconds: int(r.int()), MaxCalls: int(r.int()), Weight: int(r.int())}
		flags := r.byte()
		row.Enabled, row.Drained = flags&1 != 0, flags&2 != 0
		p.Gateways = append(p.Gateways, row)
	default:
		return false
	}
	return true
}
