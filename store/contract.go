package store

import (
	"context"
	"time"

	"sipd/sipaddr"
)

// Store is everything a store does. Its methods are safe for concurrent use; each but Watch and those that call back
// returns by the deadline of its context.
type Store interface {
	Reader
	Admin
	Logger
}

// Reader is what a cache reads.
type Reader interface {
	// Load hands every row that matters to the server to into, all of one moment (one read transaction). serverName ""
	// means the only server record; several or none are an error that says what to do. It returns the server and the
	// highest change the rows include.
	Load(ctx context.Context, serverName string, into Sink) (Server, int64, error)
	// Delta returns what changed after seq for the server, of one moment.
	Delta(ctx context.Context, serverID, seq int64) (*Delta, error)
	// Watch calls notify once when it has begun to watch, and then soon after rows have changed, perhaps more often,
	// never less. It returns when ctx ends or when it cannot watch any more.
	Watch(ctx context.Context, notify func()) error
	// TrimChanges forgets changes before a time that every reader has passed.
	TrimChanges(ctx context.Context, before time.Time) error
}

// Sink takes rows one by one. It may keep the strings, not the pointers. Rows of one table come together, users before
// their credentials; the credentials of a user may come in several runs.
type Sink interface {
	Setting(name, value string)
	Domain(*Domain)
	User(*User)
	Credential(*Credential)
	Alias(*Alias)
	ThirdParty(*ThirdParty)
	TrustedPeer(*TrustedPeer)
	Forward(*Forward)
	PlanRows(*PlanRows) // once, all of them
}

// Delta is what changed after a moment.
type Delta struct {
	Seq             int64 // the last change included
	Full            bool  // too much changed (or a bulk load happened): Load again; the rest is empty
	UserIDs         []int64
	Users           []User       // those of UserIDs that exist
	Credentials     []Credential // all of Users
	AliasNames      []string
	Aliases         []Alias      // all rows of AliasNames that exist
	ThirdPartyIDs   []int64      // users for whom others may register
	ThirdParties    []ThirdParty // all rows of ThirdPartyIDs that exist
	PeersChanged    bool
	Peers           []TrustedPeer // all, if PeersChanged
	DomainsChanged  bool
	Domains         []Domain  // all, if DomainsChanged
	Plan            *PlanRows // all, if one of its tables changed; else nil
	ForwardIDs      []int64   // users whose forwards changed
	Forwards        []Forward // all rows of ForwardIDs that exist
	SettingsChanged bool
	Settings        map[string]string // all, if SettingsChanged
}

// Empty tells whether nothing changed.
func (d *Delta) Empty() bool {
	return !d.Full && !d.DomainsChanged && !d.SettingsChanged && !d.PeersChanged && len(d.UserIDs) == 0 && len(d.AliasNames) == 0 &&
		len(d.ThirdPartyIDs) == 0 && len(d.ForwardIDs) == 0 && d.Plan == nil
}

// MaxDelta is how many changes a Delta lists before it asks for a full load: up to here single rows are cheaper.
const MaxDelta = 2000

// Admin is what commands and pages do.
type Admin interface {
	Servers(ctx context.Context) ([]Server, error)
	AddServer(ctx context.Context, name string) (Server, error)
	Settings(ctx context.Context, serverID int64) (map[string]string, error)
	// SetSetting does not know which names exist; package config does.
	SetSetting(ctx context.Context, serverID int64, name, value string) error
	RemoveSetting(ctx context.Context, serverID int64, name string) error

	Domains(ctx context.Context) ([]Domain, error)
	AddDomain(ctx context.Context, d *Domain) error // sets d.ID
	RemoveDomain(ctx context.Context, name string) error

	Classes(ctx context.Context) ([]GatewayClass, error)
	AddClass(ctx context.Context, name string) (GatewayClass, error)

	// Users calls each for the users of a domain ("": all) by key.
	Users(ctx context.Context, domain string, each func(*User) error) error
	User(ctx context.Context, key sipaddr.AOR) (*User, error)
	AddUser(ctx context.Context, u *User, creds []Credential) error // sets u.ID, u.CreatedAt, u.UpdatedAt
	// UpdateUser writes every column of the user with u.ID but created_at.
	UpdateUser(ctx context.Context, u *User) error
	RemoveUser(ctx context.Context, key sipaddr.AOR) error
	Credentials(ctx context.Context, userID int64) ([]Credential, error)
	// SetCredentials replaces all credentials of the user.
	SetCredentials(ctx context.Context, userID int64, creds []Credential) error
	// BulkUsers adds users, all or none. It tells progress (which may be nil) how many rows it has taken in. The last
	// call is the one before the rows become visible. ErrExists names the first that is there already. SQLite, where others
	// wait while one writes, makes them visible in parts of a thousand: a process that is killed then leaves the parts.
	BulkUsers(ctx context.Context, users []ImportUser, progress func(done int)) error

	// Aliases lists the rows of one alias, or all ("").
	Aliases(ctx context.Context, alias string) ([]Alias, error)
	AddAlias(ctx context.Context, a *Alias) error // sets a.ID
	// RemoveAlias removes one row, or every row of the alias (user "").
	RemoveAlias(ctx context.Context, alias string, user sipaddr.AOR) error

	// ThirdParties calls each for those who may register for a user ("": for anybody), by the keys of both.
	ThirdParties(ctx context.Context, user sipaddr.AOR, each func(*ThirdParty) error) error
	// AddThirdParty lets registrant register for user. ErrNotFound names the one who is not there.
	AddThirdParty(ctx context.Context, user, registrant sipaddr.AOR) (ThirdParty, error)
	// RemoveThirdParty removes one row, or every row of the user (registrant "").
	RemoveThirdParty(ctx context.Context, user, registrant sipaddr.AOR) error

	// TrustedPeers lists all by id.
	TrustedPeers(ctx context.Context) ([]TrustedPeer, error)
	AddTrustedPeer(ctx context.Context, p *TrustedPeer) error // sets p.ID
	RemoveTrustedPeer(ctx context.Context, id int64) error

	PlanAdmin

	// Contacts calls each for the contacts of an AOR ("": all), ordered by AOR and id.
	Contacts(ctx context.Context, aor sipaddr.AOR, each func(*Contact) error) error
	// RemoveContacts removes one contact of an AOR, or all (uri ""); it returns how many.
	RemoveContacts(ctx context.Context, aor sipaddr.AOR, uri string) (int, error)
}

// PlanAdmin is what commands and pages do with what becomes of numbers.
type PlanAdmin interface {
	// Plan returns the rows of one moment, also those that are not enabled.
	Plan(ctx context.Context) (*PlanRows, error)
	// ChangePlan calls change in a transaction that nobody else's ChangePlan overlaps: what change has read is so until what it has
	// written is committed. Its error undoes everything.
	ChangePlan(ctx context.Context, change func(PlanTx) error) error

	// PlanTests lists all by id.
	PlanTests(ctx context.Context) ([]PlanTest, error)
	AddPlanTest(ctx context.Context, t *PlanTest) error // sets t.ID
	RemovePlanTest(ctx context.Context, id int64) error

	// Forwards calls each for the forwards of a user ("": of everybody), by key and kind.
	Forwards(ctx context.Context, user sipaddr.AOR, each func(*Forward) error) error
	// SetForward writes the forward of f.User and f.Kind in the place of the one before, and sets f.UserID.
	SetForward(ctx context.Context, f *Forward) error
	// RemoveForward removes the user's forwards of some kinds.
	RemoveForward(ctx context.Context, user sipaddr.AOR, kinds ...ForwardKind) error

	// AuditLog lists the last entries, the newest first.
	AuditLog(ctx context.Context, limit int) ([]AuditEntry, error)
}

// PlanTx is a change of what becomes of numbers, under way. It sees what it has written.
type PlanTx interface {
	Plan() (*PlanRows, error)
	// SetPlan makes the tables what the rows say: rows with the ID 0 are added and given one, others changed, and those that are not
	// among them removed. A class that users are in is not removed.
	SetPlan(*PlanRows) error
	PlanTests() ([]PlanTest, error)
	HasUser(key sipaddr.AOR) (bool, error)
	// Aliases lists the rows of one alias by priority and id.
	Aliases(alias string) ([]Alias, error)
	AddAlias(a *Alias) error // sets a.ID
	// RemoveAlias removes one row, or every row of the alias (user "").
	RemoveAlias(alias string, user sipaddr.AOR) error
	// Audit notes who did this; it sets e.ID and e.At.
	Audit(e *AuditEntry) error
}

// Logger keeps the request log.
type Logger interface {
	// AppendLog writes rows; a row whose EventID is there already is left out, so that a batch may be repeated.
	AppendLog(ctx context.Context, rows []LogRow) error
}

// Tables collects what Load hands over: for tests and for commands that need everything once.
type Tables struct {
	Settings    map[string]string
	Domains     []Domain
	Users       []User
	Credentials []Credential
	Aliases     []Alias

	ThirdParties []ThirdParty
	TrustedPeers []TrustedPeer
	Forwards     []Forward
	Plan         PlanRows
}

// Feed hands the tables to a sink in the order Load has.
func (t *Tables) Feed(into Sink) {
	for n, v := range t.Settings {
		into.Setting(n, v)
	}
	for i := range t.Domains {
		into.Domain(&t.Domains[i])
	}
	for i := range t.Users {
		into.User(&t.Users[i])
	}
	for i := range t.Credentials {
		into.Credential(&t.Credentials[i])
	}
	for i := range t.Aliases {
		into.Alias(&t.Aliases[i])
	}
	for i := range t.ThirdParties {
		into.ThirdParty(&t.ThirdParties[i])
	}
	for i := range t.TrustedPeers {
		into.TrustedPeer(&t.TrustedPeers[i])
	}
	for i := range t.Forwards {
		into.Forward(&t.Forwards[i])
	}
	into.PlanRows(&t.Plan)
}

// Sink returns a sink that fills the tables.
func (t *Tables) Sink() Sink { return (*tablesSink)(t) }

type tablesSink Tables

func (t *tablesSink) Setting(name, value string) {
	if t.Settings == nil {
		t.Settings = make(map[string]string)
	}
	t.Settings[name] = value
}
func (t *tablesSink) Domain(d *Domain)           { t.Domains = append(t.Domains, *d) }
func (t *tablesSink) User(u *User)               { t.Users = append(t.Users, *u) }
func (t *tablesSink) Credential(c *Credential)   { t.Credentials = append(t.Credentials, *c) }
func (t *tablesSink) Alias(a *Alias)             { t.Aliases = append(t.Aliases, *a) }
func (t *tablesSink) ThirdParty(r *ThirdParty)   { t.ThirdParties = append(t.ThirdParties, *r) }
func (t *tablesSink) TrustedPeer(p *TrustedPeer) { t.TrustedPeers = append(t.TrustedPeers, *p) }
func (t *tablesSink) Forward(f *Forward)         { t.Forwards = append(t.Forwards, *f) }
func (t *tablesSink) PlanRows(p *PlanRows)       { t.Plan = *p }
