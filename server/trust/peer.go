package trust

import (
	"net/netip"
	"slices"

	"sipd/store/cache"
	"sipd/trace"
)

// Level is how far the far end of a flow is trusted with asserted identities (RFC 3325 5).
type Level uint8

// The levels, each more than those before.
const (
	Stranger  Level = iota // believed in nothing; what is private is kept from him
	Peer                   // learns who is calling, even if that is private
	Asserting              // a Peer who is believed when he says who is calling
)

// Facts is what is known of the far end of a flow.
type Facts struct {
	Addr netip.Addr
	// SpeaksFor tells whether he has shown, on this connection, a certificate that speaks for a domain (RFC 5922 7). It is asked
	// only when a row has a tls_name; nil when there is no TLS.
	SpeaksFor func(name string) bool
}

// Of finds the far end among the trusted peers. He is one when all that a row asks for holds: his address is in its networks, his
// certificate speaks for its name. When several rows are of him the one that trusts him most counts.
func Of(peers []cache.TrustedPeer, f *Facts, tr *trace.Trace) Level {
	level := Stranger
	for i := range peers {
		p := &peers[i]
		if level == Asserting || level == Peer && !p.MayAssertIdentity {
			continue
		}
		if !f.Match(p.Nets, p.TLSName) {
			continue
		}
		level = Peer
		if p.MayAssertIdentity {
			level = Asserting
		}
		tr.Add(trace.Step{Rule: "trusted peer", Subject: p.TLSName, Table: "trusted_peers", Row: p.ID, Verdict: trace.Match})
	}
	if level == Stranger {
		tr.Add(trace.Step{Rule: "trusted peer", Verdict: trace.NoMatch, Note: "no row of trusted_peers has this address and certificate"})
	}
	return level
}

// Match tells whether all that a row asks for holds: the address is in one of nets, if there are some; the certificate speaks for
// tlsName, if there is one. A row that asks for nothing is nobody's: it would be anybody's.
func (f *Facts) Match(nets []netip.Prefix, tlsName string) bool {
	if len(nets) == 0 && tlsName == "" {
		return false
	}
	if len(nets) > 0 {
		addr := f.Addr.Unmap().WithZone("")
		if !slices.ContainsFunc(nets, func(n netip.Prefix) bool { return n.Contains(addr) }) {
			return false
		}
	}
	return tlsName == "" || f.SpeaksFor != nil && f.SpeaksFor(tlsName)
}
