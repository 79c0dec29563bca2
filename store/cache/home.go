package cache

// HomeDomain is the domain that our own addresses stand for when no row of domains names them: the one of ServerName, else
// the first that is its own canonical name; nil without any.
func (s *Snapshot) HomeDomain() *Domain {
	if s.Settings != nil && s.Settings.ServerName != "" {
		if d := s.domains.find([]byte(s.Settings.ServerName)); d != nil {
			return d
		}
	}
	var home *Domain
	for _, d := range s.domains.exact {
		if d.Row.ID != 0 && d.Canonical == d.Row.Name && (home == nil || d.Row.ID < home.Row.ID) {
			home = d
		}
	}
	return home
}
