package store

import (
	"fmt"
	"strings"
	"time"

	"sipd/sipaddr"
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

// Server is a row of servers: a set of settings, picked by -S.
type Server struct {
	ID   int64
	Name string
}

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
	// Of a member of a group: RingMode is how the group rings. Delay is seconds: in parallel how long after the call began he rings,
	// serially how long he rings before the next does (0: the server's TimeOut).
	RingMode RingMode
	Delay    int
}

// GatewayClass is a row of gateway_classes.
type GatewayClass struct {
	ID   int64
	Name string
}

// Contact is a row of contacts as people see it; package location has the binding the server works with.
type Contact struct {
	ID          int64
	AOR         sipaddr.AOR // the user's key
	URI         string
	DisplayName string
	Q           int // thousandths
	Action      Action
	Expires     time.Time // zero: static
	CallID      string
	CSeq        uint32
	InstanceID  string
	RegID       int
	Path        []string
	Received    string // address and port the REGISTER came from
	Flow        string // "udp" or "tcp", with "+flow" when requests go to Received instead of the URI
	UserAgent   string
	Methods     string
	LocalAddr   string
	Updated     time.Time
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

// ImportUser is one user of a bulk load with all his credentials.
type ImportUser struct {
	User        User
	Credentials []Credential // UserID is ignored
}

// TemplateUser is the user part of default@domain, the template for new users. It is never callable.
const TemplateUser = "default"

// The texts of the tables, in the order of the constants.
var (
	policyNames    = [...]string{Required: "required", Requested: "requested", Never: "never"}
	actionNames    = [...]string{NoAction: "", Proxy: "proxy", Redirect: "redirect"}
	algorithmNames = [...]string{MD5: "MD5", SHA256: "SHA-256", SHA512_256: "SHA-512-256"}
	kindNames      = [...]string{Exact: "exact", Regex: "regex", IP: "ip"}
	aliasNames     = [...]string{PlainAlias: "alias", Group: "group"}
)

// String returns the text of the tables: required, requested or never.
func (p AuthPolicy) String() string { return name(policyNames[:], int(p)) }

// String returns the text of the tables: proxy, redirect or nothing.
func (a Action) String() string { return name(actionNames[:], int(a)) }

// String returns the name as RFC 8760 writes it.
func (a Algorithm) String() string { return name(algorithmNames[:], int(a)) }

// String returns the text of the tables: exact, regex or ip.
func (k DomainKind) String() string { return name(kindNames[:], int(k)) }

// String returns the text of the tables: alias or group.
func (k AliasKind) String() string { return name(aliasNames[:], int(k)) }

// ParseAuthPolicy reads a policy as people write it, in any case.
func ParseAuthPolicy(s string) (AuthPolicy, error) {
	i, err := parse("auth policy", policyNames[:], s)
	return AuthPolicy(i), err
}

// ParseAction reads an action as people write it, in any case; "" is NoAction.
func ParseAction(s string) (Action, error) {
	i, err := parse("action", actionNames[:], s)
	return Action(i), err
}

// ParseAlgorithm reads a digest algorithm in any case.
func ParseAlgorithm(s string) (Algorithm, error) {
	i, err := parse("digest algorithm", algorithmNames[:], s)
	return Algorithm(i), err
}

// ParseDomainKind reads the kind of a domain in any case.
func ParseDomainKind(s string) (DomainKind, error) {
	i, err := parse("kind of domain", kindNames[:], s)
	return DomainKind(i), err
}

// ParseAliasKind reads the kind of an alias in any case.
func ParseAliasKind(s string) (AliasKind, error) {
	i, err := parse("kind of alias", aliasNames[:], s)
	return AliasKind(i), err
}

func name(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return fmt.Sprintf("invalid(%d)", i)
}

func parse(what string, names []string, s string) (int, error) {
	for i, n := range names {
		if strings.EqualFold(n, s) {
			return i, nil
		}
	}
	known := make([]string, 0, len(names))
	for _, n := range names {
		if n != "" {
			known = append(known, n)
		}
	}
	return 0, fmt.Errorf("%s %q: write %s", what, s, strings.Join(known, ", "))
}

// HA1Len is the number of hex digits of an HA1 of the algorithm.
func (a Algorithm) HA1Len() int {
	if a == MD5 {
		return 32
	}
	return 64
}

// PickServer finds the record that -S names; "" means the only one.
// ErrNotFound says that there is none, ErrInvalid that there are several.
func PickServer(servers []Server, name string) (Server, error) {
	names := make([]string, len(servers))
	for i, s := range servers {
		if s.Name == name || name == "" && len(servers) == 1 {
			return s, nil
		}
		names[i] = s.Name
	}
	switch {
	case len(servers) == 0:
		return Server{}, fmt.Errorf("%w: no server record in the database; write `sipd db migrate` first", ErrNotFound)
	case name == "":
		return Server{}, fmt.Errorf("%w: several server records; write -S with one of them: %s", ErrInvalid, strings.Join(names, ", "))
	}
	return Server{}, fmt.Errorf("%w: no server record %q, there is %s", ErrNotFound, name, strings.Join(names, ", "))
}
