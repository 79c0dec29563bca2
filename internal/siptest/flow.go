package siptest

import (
	"net/netip"
	"regexp"
	"time"

	"sipd/server/transport"
)

// The server's addresses in every flow, and the domain that is always its own.
var (
	ServerAddr  = netip.MustParseAddrPort("10.0.0.100:5060")
	ServerAddr6 = netip.MustParseAddrPort("[2001:db8::100]:5060")
)

// Domain is the domain that every flow has.
const Domain = "example.org"

// DefaultPassword is the password of a user for whom the flow names none.
const DefaultPassword = "secret"

// Flow is a parsed call flow.
type Flow struct {
	File     string
	Title    string // the first comment line
	Domains  []string
	Users    []User
	Aliases  []Alias
	Settings []Setting
	Peers    []*Peer

	steps   []*step
	ignores []*step
	logs    []*logLine
	checked bool // log lines are: every row must be named
}

// User is a user of the server.
type User struct {
	AOR      string
	Policy   string // never, requested, required
	Password string
	Redirect bool // his calls are redirected, not proxied
	Disabled bool
}

// Alias is another name of a user.
type Alias struct {
	Alias, AOR string
	Group      bool
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

// kind says what a step does.
type kind uint8

const (
	send kind = iota
	expect
	closeConn
	quiet
)

// step is one line of the flow.
type step struct {
	line   int
	text   string
	kind   kind
	at     time.Duration // for quiet: how long
	peer   *Peer
	method string // request, or method of the request that a response answers; "" in a response: any
	status int    // response
	target string // Request-URI, or the name of a peer
	words  map[string]string
	heads  []head
	body   []string // body lines, of a raw message all lines
	raw    bool
	met    bool
}

// head is a header that a step sends or checks.
type head struct {
	name  string // lower case
	shown string // as written
	op    op
	value string
	match *regexp.Regexp
}

// op says how a header is sent or checked.
type op uint8

const (
	equal    op = iota // "Name: value"; sending: replaces
	matches            // "Name:~ regexp"
	contains           // "Name:* text"
	prefix             // "Name:^ text"
	count              // "Name:# n"
	add                // "Name:+ value", sending only: one line more
	absent             // "!Name"; sending: leaves it out
)

// logLine is a row that must stand in the request log.
type logLine struct {
	line   int
	text   string
	method string
	status int
	words  map[string]string
}

// LogRow is a row of the request log as flows check it.
type LogRow struct {
	Method string
	Status int
	Fields map[string]string // url, from, to, user, source, next
}
