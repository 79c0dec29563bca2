package target

import (
	"net/netip"
	"time"

	"sipd/location"
	"sipd/plan"
	"sipd/server/gateway"
	"sipd/sipaddr"
	"sipd/store"
	"sipd/store/cache"
	"sipd/trace"
)

// Verdict is what the caller's credentials are worth; package auth finds it.
type Verdict uint8

// The verdicts.
const (
	NoCredentials Verdict = iota
	BadCredentials
	StaleCredentials // right secret, but the nonce is used up
	Authenticated
)

// Facts is what a decision may know of a request. Its slices may be receive buffers.
type Facts struct {
	Method    []byte        // as written
	URI       *sipaddr.URI  // the Request-URI to route by, after RFC 3261 16.4
	OwnURI    bool          // its host and port are one of the own listeners
	From      *sipaddr.URI  // of the From header
	Verdict   Verdict       // of the credentials for Realm
	User      cache.User    // their owner when Authenticated
	InDialog  bool          // proven by a Record-Route token of ours: neither authenticated nor restricted again
	Canonical *cache.Domain // set by Decide: the domain of URI, nil when foreign

	Disposition Disposition // what the caller asks for (RFC 3841)

	Source  netip.Addr    // where the request came from
	Trunk   *plan.Gateway // whose own call it is, nil: nobody's. It has authenticated whoever calls
	Answers []Answer      // to what earlier decisions have asked
	Class   *string       // the gateway class in the place of the caller's own, for who asks what would be; nil in calls
}

// Bindings finds the contacts of an address-of-record; location.Service is one.
type Bindings interface {
	Bindings(aor []byte) []*location.Binding
}

// Tables is what Decide reads.
type Tables struct {
	*cache.Snapshot
	Location Bindings
	Own      func(netip.AddrPort) bool // tells whether what is sent there comes to ourselves; nil: nothing does
	Names    bool                      // next hops that are names can be looked up

	// Order appends the places of the members of a hunt group in the order in which they are tried, without those that must not be:
	// gateway.Table's. nil: all are tried, in the order of their rules.
	Order func(dst []int, group []gateway.Member, now time.Time, tr *trace.Trace) []int

	Machine Names
	Enum    bool // numbers can be asked for by ENUM (EnumRoot)
	Locator bool // who is unknown or has no contact can be asked for (Locator)
}

// Kind is the closed set of decisions.
type Kind uint8

// The kinds.
const (
	Reject    Kind = iota // Status says why
	Challenge             // 407 for Realm
	Proxy                 // to Targets, group after group
	Redirect              // 3xx or 485 with Targets as Contacts
	Ask                   // Question: then Decide again, with its Answer
)

// Target is one member of the target set.
type Target struct {
	Binding *location.Binding // nil: where the Request-URI leads
	Owner   cache.User        // whose contact it is
	Group   int               // targets of a group are tried at once, groups in ascending order (BEHAVIOUR I)
	Depth   int               // how many 3xx led here, 0 for what Decide found
	By      netip.Addr        // who named it, in a 3xx or a table and nowhere else: it leads no further than he reaches; else not valid
	Wait    time.Duration     // how long the group before may ring before this one's begins; 0: TimeOut
	Else    []Target          // the other gateways of its hunt group: tried in turn while they fail as gateways do
	Gateway int64             // the row of gateways that it is, 0 for none
	Only    store.Action      // what may be done with it, whatever anybody prefers; NoAction: either
	Rule    int64             // the row of gatewaymap or dialplan that led here, 0 for none: nobody is redirected there
	Class   string            // the gateway class that a row of gatewaymap asked for, "" for none

	Diverted *Diversion // by whom the call was forwarded, nil: by nobody
	Nth      int        // of a forwarded call: which of the targets of its last Diverted it is, from 1
}

// Rest is the next gateway of a hunt group, with those behind it.
func (x *Target) Rest() Target {
	next := x.Else[0]
	next.Group, next.Else = x.Group, x.Else[1:]
	return next
}

// Decision is the answer of Decide. It is reused: Decide resets it and keeps its memory.
type Decision struct {
	Kind     Kind
	Status   int    // Reject and Redirect
	Warning  int    // Reject: a warn code (RFC 3261 20.43), 0 for none
	Realm    string // Challenge
	Stale    bool   // Challenge
	Targets  []Target
	Redirect []Target      // Proxy: contacts for a 302 when every branch failed without a 6xx (BEHAVIOUR I, mixed actions)
	AORs     []sipaddr.AOR // 485: the candidates
	Trace    trace.Trace

	Disposition Disposition // Proxy: the wishes of the caller that are followed
	Waiting     Waiting     // Proxy: whose forwards are asked when all fail; its Class always
	Class       string      // Reject with WarnClass: the class that may not call, "" for none
	Question    Question    // Ask

	aor     []byte
	key     []byte
	visited []sipaddr.AOR
	one     []cache.User
	set     []Target // Recurse: the target set until now
	sips    bool     // the Request-URI is sips

	insecure bool // there are contacts, but they are not sips

	number  []byte           // that is called, without separators
	uri     []byte           // that the dial plan made of it, or a rule of the gateway map
	rule    int64            // of the dial plan, that uri came from
	members []*store.Alias   // the rows that one was found by
	hunt    []Target         // the hunt group
	places  []int            // in hunt
	fellows []gateway.Member // of hunt
	rings   bool             // the groups of Targets are those of a ring group
	several bool             // more than one user is called: their forwards are not asked one by one
	free    bool             // an emergency call: nobody is asked who he is, or of which class
	failed  int              // Next: the status that the telephones ended with
	via     *Diversion       // by which the call has come to who is looked up
	class   string           // of the caller
	lookups int              // names that were looked up
}

// groupSpan is how far below its best q a group reaches, in thousandths, inclusive (BEHAVIOUR E2, I1).
const groupSpan = 50

// maxTargets bounds a target set: more contacts than this behind one address are not tried.
const maxTargets = 64

// maxLookups bounds the names that lead to one another in a decision, by forwards, contacts and groups: twice what a target set has room for.
const maxLookups = 2 * maxTargets

// maxMembers bounds the rows of one alias that are looked at: many more than there is room for, since not all have contacts.
const maxMembers = 4 * maxTargets

// maxQ is q=1 in thousandths.
const maxQ = 1000

// maxDepth bounds how often a contact may name another local address-of-record.
const maxDepth = 8

// Decide determines what to do with a request. The order of the questions is the order of these calls.
func Decide(t Tables, f *Facts, now time.Time, d *Decision) {
	d.reset()
	d.class = t.classOf(f)
	switch {
	case !d.responsible(t, f):
		d.foreign(t, f)
	case t.Plan().DialPlan.Emergency() && d.emergency(t, f, now):
	case !d.callerMayCall(t, f):
	case !d.findCallee(t, f, now):
	default:
		d.choose(t, f)
	}
}

func (d *Decision) reset() {
	d.Kind, d.Status, d.Warning, d.Realm, d.Stale = Reject, 0, 0, "", false
	d.set, d.sips, d.Disposition = nil, false, 0
	d.Waiting, d.Class, d.Question = Waiting{}, "", Question{}
	d.rings, d.several, d.free, d.failed, d.via, d.class, d.lookups, d.insecure = false, false, false, 0, nil, "", 0, false
	clear(d.Targets)
	clear(d.Redirect)
	d.Targets, d.Redirect, d.AORs, d.visited = d.Targets[:0], d.Redirect[:0], d.AORs[:0], d.visited[:0]
	d.Trace.Reset()
}

// responsible asks whether the Request-URI names a local domain (RFC 3261 16.5).
func (d *Decision) responsible(t Tables, f *Facts) bool {
	f.Canonical = domainFor(t, f.URI, f.OwnURI)
	if f.URI.Scheme == sipaddr.TEL && string(f.Method) == "REGISTER" {
		f.Canonical = nil // The registrar of a domain is asked by its name (RFC 3261 10.2): telephones are none.
	}
	if f.Canonical == nil {
		d.text("domain", f.URI.Host, trace.Skip, "the Request-URI's host is in no row of domains")
		return false
	}
	d.row("domains", rowID(f.Canonical), "domain", f.Canonical.Canonical, trace.Match, "")
	return true
}

// domainOf finds the local domain of a Request-URI. Our listeners' addresses are always local (BEHAVIOUR B7); the same
// address with another port is somebody else: a phone on this machine. A maddr of ours counts for nothing (RFC 3261 16.4);
// with another one the URI is foreign, since the request would go there, whatever the host says (16.5).
func domainOf(t Tables, u *sipaddr.URI, own bool) *cache.Domain {
	maddr, has := u.Maddr()
	if has && !own && t.Domain(maddr) == nil {
		return nil
	}
	if u.HasPort && !own {
		if _, numeric := u.Addr(); numeric {
			return nil
		}
	}
	dom := callerDomain(t, u)
	if dom == nil && own && !has {
		return t.HomeDomain()
	}
	return dom
}

// domainFor finds the domain that a request is for: a number without a domain is for the home domain, whose dial plan it is.
func domainFor(t Tables, u *sipaddr.URI, own bool) *cache.Domain {
	if u.Scheme == sipaddr.TEL {
		return t.HomeDomain()
	}
	return domainOf(t, u, own)
}

// callerDomain finds the local domain of a From URI, whatever its port says.
func callerDomain(t Tables, u *sipaddr.URI) *cache.Domain {
	if u.Scheme != sipaddr.SIP && u.Scheme != sipaddr.SIPS {
		return nil
	}
	return t.Domain(u.Host)
}

func rowID(dom *cache.Domain) int64 {
	if dom.Row == nil {
		return 0
	}
	return dom.Row.ID
}

// Realm returns the realm in which a caller has to prove himself: that of his own domain when he says he is one of ours,
// else the callee's; "" when neither is local.
func Realm(t Tables, from, uri *sipaddr.URI, own bool) string {
	if dom := callerDomain(t, from); dom != nil {
		return dom.Realm
	}
	if dom := domainFor(t, uri, own); dom != nil {
		return dom.Realm
	}
	return ""
}

// step notes a reason that no row of a table stands behind, row one that does.
func (d *Decision) step(rule, subject string, v trace.Verdict, note string) {
	d.Trace.Add(trace.Step{Rule: rule, Subject: subject, Verdict: v, Note: note})
}

// text is step for a subject that does not last.
func (d *Decision) text(rule string, subject []byte, v trace.Verdict, note string) {
	d.Trace.AddText(trace.Step{Rule: rule, Verdict: v, Note: note}, subject)
}

func (d *Decision) row(table string, id int64, rule, subject string, v trace.Verdict, note string) {
	d.Trace.Add(trace.Step{Rule: rule, Subject: subject, Table: table, Row: id, Verdict: v, Note: note})
}

func (d *Decision) reject(status int) bool {
	d.Kind, d.Status = Reject, status
	return false
}

// AppendContact writes the target as a Contact value of a redirect, its q kept (BEHAVIOUR I).
func (x *Target) AppendContact(dst []byte) []byte {
	dst = append(append(append(dst, '<'), x.Binding.URI...), '>')
	if x.Binding.Q != 1000 { // 1 goes without saying (BEHAVIOUR I2).
		dst = sipaddr.AppendQ(append(dst, ";q="...), x.Binding.Q)
	}
	return dst
}

// Local tells whether a Request-URI names one of our domains; own as in Facts.
func Local(t Tables, u *sipaddr.URI, own bool) bool { return domainOf(t, u, own) != nil }
