package server

import (
	"net/netip"

	"sipd/server/proxy/hop"
)

// opens is proxy.Config.Opens.
func (s *Server) opens(to netip.AddrPort, src netip.Addr) bool {
	return s.tables().Settings.Opens(to, src)
}

// answersTo is transaction.Config.Maddr (RFC 3261 18.2.2). An answer may go back to where the request came from, whatever its port, from
// one to another address of the campus that the first could reach itself, and where AllowedNextHops leads. Everywhere else a
// stranger could have us send to whomever he likes.
func (s *Server) answersTo(to netip.AddrPort, src netip.Addr) bool {
	a, src := to.Addr(), src.Unmap()
	set := s.tables().Settings
	switch {
	case a.IsUnspecified() || a == hop.Broadcast || s.net.Own(to):
		return false
	case a == src:
		return true
	case !a.IsMulticast() && set.OnCampus(a) && set.OnCampus(src) && hop.InReach(a, src):
		return true
	}
	return set.Opens(to, src)
}
