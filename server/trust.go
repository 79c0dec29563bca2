package server

import (
	"sipd/plan"
	"sipd/server/certs"
	"sipd/server/transport"
	"sipd/server/trust"
)

// trust is proxy.Config.Trust: how far the tables of now trust the far end of a flow with identities (RFC 3325). Its certificate is
// looked at only when a row asks for one.
func (s *Server) trust(flow transport.Flow) trust.Level {
	peers := s.tables().TrustedPeers()
	if len(peers) == 0 {
		return trust.Stranger
	}
	facts := trust.Facts{Addr: flow.Remote.Addr()}
	if flow.Proto == transport.TLS {
		facts.SpeaksFor = func(name string) bool { return s.speaksFor(flow, name) }
	}
	return trust.Of(peers, &facts, nil)
}

// trunk finds the gateway that a request comes from.
func (s *Server) trunk(flow transport.Flow, list []*plan.Gateway) *plan.Gateway {
	facts := trust.Facts{Addr: flow.Remote.Addr()}
	if flow.Proto == transport.TLS {
		facts.SpeaksFor = func(name string) bool { return s.speaksFor(flow, name) }
	}
	for _, g := range list {
		if g.Row.Enabled && facts.Match(g.Nets, g.Row.TLSName) {
			return g
		}
	}
	return nil
}

// speaksFor tells whether the far end of a TLS flow is name (RFC 5922 7): a client whose certificate says so, or a server that we
// dialled for this name, to whom nothing is sent before his certificate was verified.
func (s *Server) speaksFor(flow transport.Flow, name string) bool {
	if flow.Domain != 0 && s.domains != nil && s.domains.Name(flow.Domain) == name {
		return true
	}
	if flow.Conn == 0 {
		return false
	}
	return certs.Proves(s.net.Certificates(flow.Conn), name)
}
