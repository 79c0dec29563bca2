package config

import (
	"fmt"
	"strings"
)

// use says what this version does with a setting.
type use uint8

const (
	inUse   use = iota // acted on
	later              // checked and kept; a note says so
	dead               // of the classic, without meaning today; a note says so
	secret             // inUse, and never shown
	startup            // read by the command before a Settings is built
)

// setting is one name that an operator may write.
type setting struct {
	name   string
	use    use
	repeat bool   // several values are kept in order; else the last one stands
	def    string // the default as it would be written; "" is none
	why    string // for dead ones: what replaces it
	check  func(b *builder, v Value) error
}

// settings are all names, the classic's of 2001 first. Order is that of the manual page.
var settings = []setting{
	{name: "AgentxSocketPath", use: dead, def: "127.0.0.1:5062", why: "SNMP is gone, see /metrics", check: one},
	{name: "AuthMethod", def: "digest", check: authMethod},
	{name: "Canonicalize", check: canonicalizeArgs},
	{name: "CGITimeout", use: later, def: "15", check: checkSeconds(1, 600)},
	{name: "DefaultReg", def: "proxy", check: defaultReg},
	{name: "DisplayAmbiguous", def: "false", check: displayAmbiguous},
	{name: "Domain", use: dead, repeat: true, why: "domains live in the database: write `sipd domain add NAME`", check: domainRegex},
	{name: "EnumRoot", check: enumRoot},
	{name: "ErrorLog", use: later, def: "stderr", check: one},
	{name: "Expires", def: "3600", check: seconds(1, maxExpires, func(b *builder) *duration { return &b.expires })},
	{name: "ForeignDomain", def: "proxy", check: foreignDomain},
	{name: "GatewayMap", use: dead, why: "its rules live in the database: write `sipd gatewaymap import FILE`", check: one},
	{name: "Group", use: later, check: one},
	{name: "HelpResolve", def: "false", check: boolean(func(s *Settings) *bool { return &s.HelpResolve })},
	{name: "LogCondition", use: later, repeat: true, check: one},
	{name: "LogFormat", use: later, repeat: true, check: one},
	{name: "PidFile", use: later, check: one},
	{name: "Port", def: "5060", check: port},
	{name: "PrivateKey", use: secret, check: privateKey},
	{name: "ProxyName", check: proxyName},
	{name: "ProxyRecursion", def: "false", check: boolean(func(s *Settings) *bool { return &s.ProxyRecursion })},
	{name: "RecordRoute", def: "true", check: boolean(func(s *Settings) *bool { return &s.RecordRoute })},
	{name: "RequestLog", repeat: true, def: "sql", check: requestLog},
	{name: "ScriptBase", use: later, check: one},
	{name: "ServerName", check: serverName},
	{name: "ServerRoot", use: startup, check: one},
	{name: "StartSnmp", use: dead, def: "false", why: "SNMP is gone, see /metrics", check: checkBool},
	{name: "ThirdPartyReg", def: "false", check: boolean(func(s *Settings) *bool { return &s.ThirdPartyReg })},
	{name: "ThreadPoolSize", use: dead, def: "128", why: "there is no thread pool to size", check: checkCount(1, 1<<20)},
	{name: "TimeOut", def: "30", check: seconds(1, 600, func(b *builder) *duration { return &b.timeOut })},
	{name: "TryStateless", def: "false", check: boolean(func(s *Settings) *bool { return &s.TryStateless })},
	{name: "User", use: later, check: one},
	{name: "UserConfig", use: startup, check: databaseURL},
	{name: "UseThreadPool", use: dead, def: "true", why: "there is no thread pool to size", check: checkBool},

	{name: "AdminListen", def: "127.0.0.1:8060", check: adminListen},
	{name: "AllowedNextHops", repeat: true, check: allowedNextHops},
	{name: "AmbiguousStatus", def: "485", check: ambiguousStatus},
	{name: "Daemonize", use: later, def: "false", check: checkBool},
	{name: "Debug", check: debug},
	{name: "DigestAlgorithms", def: "MD5", check: digestAlgorithms},
	{name: "FederationLevel", use: later, check: word("permissive", "verified", "encrypted", "trusted")},
	{name: "ForkOnTimeout", def: "add", check: forkOnTimeout},
	{name: "GatewayClassOf", def: "owner", check: gatewayClassOf},
	{name: "Listen", repeat: true, def: "udp:0.0.0.0:5060, tcp:0.0.0.0:5060, udp:[::]:5060, tcp:[::]:5060", check: listen},
	{name: "LocalNets", repeat: true, check: localNets},
	{name: "Locator", check: locator},
	{name: "LogQueueDir", check: text(func(s *Settings) *string { return &s.LogQueueDir })},
	{name: "MaxContacts", def: "20", check: maxContacts},
	{name: "MaxExpires", def: "7200", check: seconds(1, maxExpires, func(b *builder) *duration { return &b.maxExpires })},
	{name: "MediaRelay", use: later, def: "auto", check: word("auto", "always", "never")},
	// RFC 3261 10.3 step 7: 423 is for intervals below an hour only, so a larger minimum could not be enforced.
	{name: "MinExpires", def: "60", check: seconds(1, 3600, func(b *builder) *duration { return &b.minExpires })},
	{name: "NATMode", use: later, check: one},
	{name: "NumericVia", def: "true", check: boolean(func(s *Settings) *bool { return &s.NumericVia })},
	{name: "PublicAddress", check: publicAddress},
	{name: "RateLimit", use: later, def: "on", check: boolean(func(s *Settings) *bool { return &s.RateLimit })},
	{name: "Refresh", def: "900", check: seconds(1, 86400, func(b *builder) *duration { return &b.refresh })},
	{name: "Resolver", repeat: true, check: resolver},
	{name: "RTPPorts", use: later, def: "20000-29999", check: portRange},
	{name: "StateDir", check: text(func(s *Settings) *string { return &s.StateDir })},
	{name: "TLSCertificate", check: text(func(s *Settings) *string { return &s.TLSCertificate })},
	{name: "TLSClientCA", check: text(func(s *Settings) *string { return &s.TLSClientCA })},
	{name: "TLSKey", check: text(func(s *Settings) *string { return &s.TLSKey })},
}

// maxExpires is a year: a binding that lives longer is a static contact and belongs into the table as one.
const maxExpires = 366 * 86400

// Names returns every known name in the order of the manual.
func Names() []string {
	names := make([]string, len(settings))
	for i, s := range settings {
		names[i] = s.name
	}
	return names
}

// Known returns the manual's spelling of a name in any case; the error of an unknown one tells the nearest.
func Known(name string) (string, error) {
	if s := lookup(name); s != nil {
		return s.name, nil
	}
	return "", fmt.Errorf("%s: no such setting; the nearest name is %s", name, Nearest(name))
}

// Default returns what a setting is when nobody writes it, "" for none.
func Default(name string) string {
	if s := lookup(name); s != nil {
		return s.def
	}
	return ""
}

// Secret tells whether the value of a setting must not be shown.
func Secret(name string) bool {
	s := lookup(name)
	return s != nil && (s.use == secret || s.name == "UserConfig")
}

// lookup finds a setting by its name in any case, as the classic did.
func lookup(name string) *setting {
	for i := range settings {
		if strings.EqualFold(settings[i].name, name) {
			return &settings[i]
		}
	}
	return nil
}

// Nearest returns the known name that looks most like name.
func Nearest(name string) string {
	best, distance := "", 1<<30
	for _, s := range settings {
		if d := editDistance(strings.ToLower(s.name), strings.ToLower(name)); d < distance {
			best, distance = s.name, d
		}
	}
	return best
}

// maxNameLength bounds the name that Nearest compares: the work grows with its length.
const maxNameLength = 64

// editDistance counts insertions, deletions and replacements of one byte that turn a into b.
func editDistance(a, b string) int {
	if len(b) > maxNameLength {
		b = b[:maxNameLength]
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
