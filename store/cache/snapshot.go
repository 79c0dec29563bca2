package cache

import (
	"time"

	"sipd/config"
	"sipd/plan"
	"sipd/store"
)

// Snapshot is all routing tables at one moment. It never changes; readers keep it for one decision. Byte-slice arguments
// may be receive buffers: nothing keeps them, and no look-up allocates.
type Snapshot struct {
	Settings *config.Settings
	Server   store.Server
	Seq      int64     // the last change it includes
	Loaded   time.Time // when its rows were read in full

	values   map[string]string // the rows of server_settings that Settings were made of
	domains  *domains
	users    *users
	aliases  *aliases
	thirds   *thirdParties
	peers    *peers
	plan     *plan.Plan
	forwards *forwards
}

// Domain is what a host name or address stands for.
type Domain struct {
	Row       *store.Domain
	Canonical string // host part of the AORs of this domain
	Realm     string
}

// Domain finds the domain that host (any case, no brackets, a trailing dot ignored) belongs to: exact and ip rows first, then regex
// rows by id. Nil: not ours.
func (s *Snapshot) Domain(host []byte) *Domain { return s.domains.find(host) }

// User finds a user by canonical AOR, nobody if there is none. The template default@domain is never found.
func (s *Snapshot) User(aor []byte) User { return s.users.byKey(aor).userOrNobody() }

// UserByID finds a user by id.
func (s *Snapshot) UserByID(id int64) User { return s.users.byID(id).userOrNobody() }

// Users is how many users there are, without templates.
func (s *Snapshot) Users() int { return s.users.n }

// Aliases returns the rows of an alias by priority, nil if there is none.
func (s *Snapshot) Aliases(aor []byte) []*store.Alias { return s.aliases.find(aor) }

// Credential finds what an authentication name authenticates with, and whose it is.
func (s *Snapshot) Credential(realm, username []byte, alg store.Algorithm) Credential {
	return s.users.credential(realm, username, alg)
}

// Owns tells whether the user may use aor as From: it is his key, or an alias that names him.
func (s *Snapshot) Owns(u User, aor []byte) bool {
	if !u.Exists() {
		return false
	}
	if string(u.Key) == string(aor) {
		return true
	}
	for _, a := range s.aliases.find(aor) {
		if a.PrimaryUser == u.Key {
			return true
		}
	}
	return false
}

// MayRegisterFor tells whether registrant is one of those who may register for user (BEHAVIOUR A12). That anybody may for himself is not
// said here.
func (s *Snapshot) MayRegisterFor(registrant, user User) bool {
	return registrant.Exists() && user.Exists() && s.thirds.users.has(pair{user.ID, registrant.ID})
}

// IsThirdParty tells whether there is anybody for whom u may register.
func (s *Snapshot) IsThirdParty(u User) bool {
	return u.Exists() && len(s.thirds.registrants.of(u.ID)) > 0
}

// TrustedPeers returns the peers of the trust domain by id; the caller does not change them.
func (s *Snapshot) TrustedPeers() []TrustedPeer { return s.peers.list }

// EachUser hands every user with his credentials to into, in no order, without the times of his row.
func (s *Snapshot) EachUser(into store.Sink) {
	s.users.each(func(_ int, r record) {
		u := r.row()
		into.User(&u)
		for rest := r.creds(); rest != ""; {
			var c credential
			c, rest = r.cut(rest)
			row := c.row(u.ID)
			into.Credential(&row)
		}
	})
}

// Problem is a row that could not be used: its key is as people know it.
type Problem = plan.Problem

// Build makes a snapshot of tables that lie in memory, for tests and for commands that answer from the database alone.
// The error joins every row that could not be used; the snapshot has the others.
func Build(t store.Tables, settings *config.Settings) (*Snapshot, error) {
	b := newBuilder(nil)
	t.Feed(b)
	s := b.snapshot(settings, store.Server{}, 0, time.Time{})
	return s, joinProblems(b.problems)
}
