package config

import (
	"net/netip"
	"time"

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
	Transport string // udp, tcp (tls, ws, wss later)
	Addr      netip.AddrPort
}

// Settings is every setting of one server, validated. It never changes; a reload makes a new one.
type Settings struct {
	ServerName       string // FQDN or ""
	ProxyName        string // "": the numeric address of the side the next hop is on
	Listen           []Listen
	AdminListen      string
	AuthMethod       AuthMethod
	DigestAlgorithms []store.Algorithm // default MD5
	PrivateKey       [32]byte          // derived from the PrivateKey setting
	DefaultReg       store.Action      // Proxy or Redirect
	DisplayAmbiguous bool
	AmbiguousStatus  int // 485 or 404
	RecordRoute      bool
	RateLimit        bool
	ForkOnTimeout    string        // "add" or "cancel"
	TimeOut          time.Duration // wait for a group of contacts, 30 s
	Expires          time.Duration // default 3600 s
	MinExpires       time.Duration // 60 s
	MaxExpires       time.Duration // 7200 s
	MaxContacts      int           // 20
	RequestLog       string        // "sql" or "none"
	Refresh          time.Duration // full refresh of the cache, 900 s
	LocalNets        []netip.Prefix
	PublicAddress    netip.Addr
	TryStateless     bool
}
