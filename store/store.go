package store

import (
	"errors"
	"time"

	"sipd/sipaddr"
)

// The errors every store returns, wrapped with what was asked.
var (
	ErrNotFound = errors.New("store: not found")
	ErrExists   = errors.New("store: exists already")
)

// AuthPolicy is whether a user's callers are challenged (BEHAVIOUR A11).
type AuthPolicy uint8

// The policies.
const (
	Required AuthPolicy = iota
	Requested
	Never
)

// Action is what a call for a user or contact does.
type Action uint8

// The actions; NoAction takes the next level's.
const (
	NoAction Action = iota
	Proxy
	Redirect
)

// Algorithm is a digest algorithm (RFC 7616, RFC 8760).
type Algorithm uint8

// The algorithms.
const (
	MD5 Algorithm = iota
	SHA256
	SHA512_256
)

// User is a row of users.
type User struct {
	ID             int64
	Key            sipaddr.AOR // user_key
	Realm          string
	DisplayName    string
	Email          string
	AuthPolicy     AuthPolicy
	GatewayClassID int64 // 0: none
	DefaultAction  Action
	IsAdmin        bool
	Disabled       bool
	MayUploadCGI   bool
	MaxContacts    int // 0: the server's
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// Credential is a row of credentials. HA1 is lower-case hex.
type Credential struct {
	UserID    int64
	Username  string // auth_username
	Realm     string
	Algorithm Algorithm
	HA1       string
}

// DomainKind says how a domain row's name is compared.
type DomainKind uint8

// The kinds.
const (
	Exact DomainKind = iota
	Regex
	IP
)

// Domain is a row of domains.
type Domain struct {
	ID        int64
	ServerID  int64 // 0: every server
	Name      string
	Kind      DomainKind
	Canonical string // "" is Name itself
	Realm     string // "" is the canonical name
}

// AliasKind tells a group from an ambiguity.
type AliasKind uint8

// The kinds.
const (
	PlainAlias AliasKind = iota
	Group
)

// Alias is a row of aliases.
type Alias struct {
	ID          int64
	Alias       string // user@host, lower-case host
	PrimaryUser sipaddr.AOR
	Kind        AliasKind
	Priority    int
}

// LogRow is a row of requestlog.
type LogRow struct {
	Time       time.Time
	Method     string
	Status     int
	RequestURL string
	CallID     string
	From, To   string // URLs only
	Server     string
	CSeq       uint32
	FromTag    string
	ToTag      string
	AuthUser   string
	Source     string // address and port the request came from
	NextHop    string
	Class      string // gateway class
	Duration   time.Duration
	EventID    string // unique
}
