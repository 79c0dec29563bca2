package flow

import (
	"net/netip"
	"regexp"
	"strings"
	"time"

	"sipd/server/transport"
)

// Domain is the domain that every flow has.
const Domain = "example.org"

// DefaultPassword is the password of a user for whom the flow names none.
const DefaultPassword = "secret"

// Flow is a parsed call flow.
type Flow struct {
	File    string
	Title   string // the first comment line
	Domains []string
	Users   []User
	Aliases []Alias
	Trusted []Trusted

	Classes  []string // gateway classes, each once
	DialPlan []DialRule
	Gateways []GatewayRule
	Trunks   []Trunk
	Forwards []Forward

	Locator Locator

	ThirdParties []ThirdParty
	Settings     []Setting
	Peers        []*Peer
	Listens      []string // what the server listens by: udp, tcp, tls, ipv4, ipv6
	DNS          []*DNS   // what the name server knows at the beginning

	Steps   []*Step
	Ignores []*Step
	Logs    []*LogLine
	Checked bool // log lines are: every row must be named
}

// User is a user of the server.
type User struct {
	AOR      string
	Policy   string // never, requested, required
	Password string
	Redirect bool // his calls are redirected, not proxied
	Disabled bool
	Class    string // gateway class, "" for none
}

// Alias is another name of a user.
type Alias struct {
	Alias, AOR string
	Group      bool
	Ring       string // "", parallel, serial
	Delay      int    // in seconds
}

// DialRule is a row of dialplan.
type DialRule struct {
	Pattern, Target string
	Emergency       bool
}

// GatewayRule is a row of gatewaymap. Those of one position are a hunt group.
type GatewayRule struct {
	Position                 int
	Pattern, Classes, Target string
	Weight                   int
}

// Trunk is a row of gateways.
type Trunk struct {
	Name, URI, Nets, TLSName string
	Class                    string // of its own calls
	Drained, Disabled        bool
	MaxCalls                 int // 0: any number
	Probe                    int // seconds between two OPTIONS; -1: none
}

// Forward is a row of forwards.
type Forward struct {
	AOR, Kind, Target string
	Seconds           int
}

// ThirdParty is a row of third_parties: the registrant may register for the user.
type ThirdParty struct{ User, Registrant string }

// Trusted is a row of trusted_peers.
type Trusted struct {
	Nets    string
	Name    string // of the certificate
	Asserts bool
}

// Setting is a setting of the server that differs from its default.
type Setting struct{ Name, Value string }

// Peer is a phone or another host.
type Peer struct {
	Name    string
	Addr    netip.AddrPort
	Proto   transport.Proto
	AOR     string   // in From, and the user part in Contact
	Bound   *Binding // registered before the flow begins
	Refuses bool
	NoTCP   bool // connections to it are refused
	Dead    bool // nothing gets through, and nobody says so

	Certificate []string // the domains and addresses its certificate speaks for; nil: it has none
	Expired     bool     // the certificate
	SelfSigned  bool
}

// DNS is a record that the name server has, or how it behaves.
type DNS struct {
	Line  int
	Text  string
	Name  string // lower case; "": all names
	Type  string // A, AAAA, SRV, NAPTR, CNAME; "": see Does
	Data  string
	TTL   int // in seconds
	Does  string
	Delay time.Duration // Does is "slow"
}

// Binding is a contact that is there before the flow begins.
type Binding struct {
	AOR      string
	URI      string
	Milli    int    // q in thousandths
	Action   string // "", proxy, redirect
	Static   bool
	Expires  time.Duration
	Instance string
}

// Kind says what a step does.
type Kind uint8

// The kinds.
const (
	Send    Kind = iota
	Expect       // a message must arrive
	Close        // the peer closes its connections
	Restart      // the server dies and another one takes its place
	Change       // of what the name server knows
	Quiet
)

// Step is one line of the flow.
type Step struct {
	Line   int
	Text   string
	Kind   Kind
	At     time.Duration // for Quiet: how long
	Peer   *Peer
	Method string // request, or method of the request that a response answers; "" in a response: any
	Status int    // response
	Target string // Request-URI, or the name of a peer
	Words  map[string]string
	Heads  []Head
	Body   []string // body lines, of a raw message all lines
	Raw    bool
	DNS    *DNS // Change
}

// Has tells whether a word stands in the step.
func (s *Step) Has(word string) bool {
	_, ok := s.Words[word]
	return ok
}

// CallID is the Call-ID that a step means, "" when it names none.
func (s *Step) CallID() string {
	if c, ok := s.Words["call"]; ok {
		return "call-" + c
	}
	return ""
}

// Head is a header that a step sends or checks.
type Head struct {
	Name  string // as HeaderName writes it
	Shown string // as written
	Op    Op
	Value string
	Match *regexp.Regexp
}

// Op says how a header is sent or checked.
type Op uint8

// The operations.
const (
	Equal    Op = iota // "Name: value"; sending: replaces
	Matches            // "Name:~ regexp"
	Contains           // "Name:* text"
	Prefix             // "Name:^ text"
	Count              // "Name:# n"
	Add                // "Name:+ value", sending only: one line more
	Absent             // "!Name"; sending: leaves it out
)

// LogLine is a row that must stand in the request log.
type LogLine struct {
	Line   int
	Text   string
	Method string
	Status int
	Words  map[string]string
}

// compact are the compact forms of RFC 3261 7.3.3.
var compact = map[string]string{"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "l": "content-length",
	"c": "content-type", "e": "content-encoding", "k": "supported", "s": "subject", "o": "event", "u": "allow-events", "r": "refer-to"}

// HeaderName brings a header name into the form that names are compared in.
func HeaderName(name string) string {
	name = strings.ToLower(name)
	if long, ok := compact[name]; ok {
		return long
	}
	return name
}
