package gateway

import (
	"sipd/server/trust"
	"sipd/trace"
)

// Source finds the gateway that the far end of a flow is: the first in list, of those that are drained too, since a drain is about calls to
// it. What it sends counts as authenticated, with its InboundClass; nil: it is none of them.
func Source(list []Config, f *trust.Facts, tr *trace.Trace) *Config {
	for i := range list {
		if g := &list[i]; f.Match(g.Nets, g.TLSName) {
			tr.Add(trace.Step{Rule: "from a gateway", Subject: g.Name, Table: "gateways", Row: g.ID, Verdict: trace.Match, Note: "its network and certificate"})
			return g
		}
	}
	if len(list) > 0 {
		tr.Add(trace.Step{Rule: "from a gateway", Verdict: trace.NoMatch, Note: "no row of gateways has this address and certificate"})
	}
	return nil
}
