package config

import (
	"log/slog"
	"net/netip"
	"time"

	"sipd/canonicalize"
	"sipd/store"
)

// AuthMethod is the AuthMethod directive.
type AuthMethod uint8

// The methods. Basic is refused (RFC 3261 22).
const (
	AuthDigest AuthMethod = iota
	AuthNone
)

// Listen is one listener: "udp:0.0.0.0:5060".
type Listen struct {
	Transport string // udp, tcp, tls (ws, wss later)
	Addr      netip.AddrPort
}

// String returns the listener as it is written in settings: "udp:[::]:5060".
func (l Listen) String() string { return l.Transport + ":" + l.Addr.String() }

// Settings is every setting of one server, validated. It never changes; a reload makes a new one.
type Settings struct {
	ServerName       string // FQDN or ""
	ProxyName        string
	NumericVia       bool   // without a ProxyName, Via and Record-Route have addresses
	ViaName          string // what they have: ProxyName, or a name where NumericVia is false; "": the address of the side the next hop is on
	Listen           []Listen
	ListenDefault    bool   // nobody named a listener: those of an address family the machine lacks are left out
	AdminListen      string // "off", "ADDR:PORT" or "unix:PATH"
	AuthMethod       AuthMethod
	DigestAlgorithms []store.Algorithm // default MD5
	PrivateKey       [32]byte          // derived from the PrivateKey setting
	DefaultReg       store.Action      // Proxy or Redirect
	DisplayAmbiguous bool
	AmbiguousStatus  int // 485 or 404
	RecordRoute      bool
	RateLimit        bool
	ForkOnTimeout    string         // "add" or "cancel"
	TimeOut          time.Duration  // wait for a group of contacts, 30 s
	Expires          time.Duration  // default 3600 s
	MinExpires       time.Duration  // 60 s
	MaxExpires       time.Duration  // 7200 s
	MaxContacts      int            // 20
	RequestLog       string         // "sql" or "none"
	Refresh          time.Duration  // full refresh of the cache, 900 s
	LocalNets        []netip.Prefix // as written; OnCampus knows the default
	AllowedNextHops  []NextHop
	PublicAddress    netip.Addr
	StateDir         string // what the server keeps on disk for itself; "" is beside an SQLite file, "off" nowhere
	LogQueueDir      string // rows of the request log that wait for the database; "" is StateDir
	TryStateless     bool
	ForeignDomain    string                 // what happens to requests of our users for other domains: proxy, redirect or reject
	HelpResolve      bool                   // contacts of redirects are numeric addresses
	ProxyRecursion   bool                   // the contacts of a 3xx are tried, instead of sending it upstream
	ThirdPartyReg    bool                   // third_parties may register for others
	Canonicalize     canonicalize.Arguments // which transformations are asked
	GatewayClassOf   string                 // whose class counts for numbers that a user leads a caller on to: owner or caller
	Resolver         []netip.AddrPort       // name servers; none: those of resolv.conf
	EnumRoot         string                 // the domain that numbers are looked up below (RFC 6116); "" for none
	Locator          Locator                // who is asked for users that are unknown or have no binding
	TLSCertificate   string                 // PEM files; "" for none
	TLSKey           string
	TLSClientCA      string
	Debug            []string // categories of -d: all, sql, net, sdp, misc

	campus []netip.Prefix // LocalNets, or what stands for it

	// Values holds what was written, by name in the spelling of the manual, after precedence; several values of one name
	// in order. Settings that this version does not act on live here alone.
	Values map[string][]string
	// Sources tells for each name of Values who wrote it: "server_settings", "sipd.conf:7", "--set".
	Sources map[string]string
	// Notes are for the operator: what is accepted and has no effect.
	Notes []string
}

// Masked is what stands for a secret in everything people see.
const Masked = "********"

// LogValue keeps secrets out of logs that are handed a Settings.
func (s *Settings) LogValue() slog.Value {
	return slog.StringValue("settings of " + s.ServerName)
}
