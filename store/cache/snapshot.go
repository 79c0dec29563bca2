package cache

import (
	"sipd/config"
	"sipd/sipaddr"
	"sipd/store"
)

// Snapshot is all routing tables at one moment. It never changes; readers keep it for one decision. Byte-slice arguments
// may be receive buffers: nothing keeps them, and no look-up allocates.
type Snapshot struct {
	Settings *config.Settings
	// ...
}

// Domain is what a host name or address stands for.
type Domain struct {
	Row       *store.Domain
	Canonical string // host part of the AORs of this domain
	Realm     string
}

// Domain finds the domain that host (any case, no brackets, a trailing dot ignored) belongs to: exact and ip rows first, then regex
// rows by id. Nil: not ours.
func (s *Snapshot) Domain(host []byte) *Domain { return nil }

// User finds a user by canonical AOR, nil if there is none. The template default@domain is never found.
func (s *Snapshot) User(aor []byte) *store.User { return nil }

// UserByID finds a user by id.
func (s *Snapshot) UserByID(id int64) *store.User { return nil }

// Aliases returns the rows of an alias by priority, nil if there is none.
func (s *Snapshot) Aliases(aor []byte) []*store.Alias { return nil }

// Credential finds the HA1 of an authentication name, nil if there is none.
func (s *Snapshot) Credential(realm, username []byte, alg store.Algorithm) *store.Credential {
	return nil
}

// Owns tells whether the user may use aor as From: it is his key, or an alias that names him.
func (s *Snapshot) Owns(u *store.User, aor []byte) bool {
	return u != nil && string(u.Key) == string(aor)
}

var _ sipaddr.AOR
