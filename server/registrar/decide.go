package registrar

import (
	"bytes"
	"time"

	"sipd/config"
	"sipd/location"
	"sipd/server/message"
	"sipd/server/transport"
	"sipd/sipaddr"
	"sipd/store"
	"sipd/store/cache"
	"sipd/trace"
)

// Verdict is what the credentials are worth; package auth finds it.
type Verdict uint8

// The verdicts.
const (
	NoCredentials Verdict = iota
	BadCredentials
	StaleCredentials // right secret, but the nonce is used up
	Authenticated
)

// Input is what a decision may know.
type Input struct {
	Tables  *cache.Snapshot
	Request *message.Message
	OwnURI  bool           // the Request-URI's host and port are one of the own listeners
	From    transport.Flow // what the request came by
	Verdict Verdict        // of the credentials for Realm
	User    cache.User     // their owner when Authenticated
	Now     time.Time
	Trace   *trace.Trace // may be nil
}

// Outcome is one of Answer, Challenge, Fetch and Update.
type Outcome interface{ outcome() }

// Answer is a final response.
type Answer struct {
	Status int
	Reason string // "" takes the standard phrase
	Fields []message.Field
}

// Challenge is a 401 for Realm.
type Challenge struct {
	Realm string
	Stale bool
}

// Fetch is a 200 that lists the bindings of AOR as they are.
type Fetch struct {
	AOR sipaddr.AOR
}

// Update is a change that location must commit; then a 200, or what Failure says. Change.Done is the caller's to set.
type Update struct {
	Change   *location.Change
	Outbound bool // for AppendOK
}

func (Answer) outcome()    {}
func (Challenge) outcome() {}
func (Fetch) outcome()     {}
func (Update) outcome()    {}

// Realm returns the realm that a REGISTER is authenticated for; "" when To is not ours. It is that of the domain in To, or of a third party's own.
func Realm(s *cache.Snapshot, m *message.Message, ownURI bool) string {
	if d := toDomain(s, m, ownURI); d != nil {
		return realmOf(s, m, d)
	}
	return ""
}

// realmOf is Realm for a To in the domain to. Credentials are of the domain of who registers, and RFC 3261 10.2 says who that is: From, which is
// as To unless it is a third party.
func realmOf(s *cache.Snapshot, m *message.Message, to *cache.Domain) string {
	if !s.Settings.ThirdPartyReg {
		return to.Realm
	}
	from := &m.FromAddress().URI
	if !isSIP(from) || bytes.EqualFold(from.Host, m.ToAddress().URI.Host) {
		return to.Realm
	}
	if d := s.Domain(from.Host); d != nil {
		return d.Realm
	}
	return to.Realm // A From from elsewhere is nobody's whom we could ask for credentials of his own.
}

// Decide walks through RFC 3261 10.3. Each step either ends the request or lets it pass.
func Decide(in *Input) Outcome {
	d := decision{Input: in, m: in.Request}
	steps := [...]func(*decision) Outcome{
		(*decision).domain,     // 1
		(*decision).extensions, // 2
		(*decision).home,       // 5, as far as it needs no user
		(*decision).identity,   // 3
		(*decision).authority,  // 4 and 5
		(*decision).content,    // 8.2.3
	}
	for _, step := range steps {
		if out := step(&d); out != nil {
			return out
		}
	}
	return d.contacts() // 6 to 8
}

type decision struct {
	*Input
	m      *message.Message
	to     *cache.Domain
	realm  string     // that who asks is authenticated for
	aor    []byte     // canonical form of To
	who    cache.User // who asks, nobody when we do not know him
	owner  cache.User // whose AOR it is
	path   path
	direct bool // the request comes from the UA itself: one Via (RFC 5626 6)
}

func (d *decision) step(rule, subject string, v trace.Verdict, note string) {
	d.Trace.Add(trace.Step{Rule: rule, Subject: subject, Verdict: v, Note: note})
}

// domain is step 1: do we have the bindings of the domain in the Request-URI? We relay for nobody else (BEHAVIOUR A9: 403).
func (d *decision) domain() Outcome {
	uri := d.m.RequestURI()
	if !d.OwnURI && (!isSIP(uri) || d.Tables.Domain(uri.Host) == nil) {
		d.step("registrar domain", "", trace.Deny, "the Request-URI's host is in no row of domains")
		return Answer{Status: 403}
	}
	return nil
}

// home is step 5 for a To in a foreign domain, which is 404. It comes before step 3: there is no realm to challenge for.
func (d *decision) home() Outcome {
	if d.to = toDomain(d.Tables, d.m, d.OwnURI); d.to == nil {
		d.step("registrar domain", "", trace.Deny, "the host of To is in no row of domains")
		return Answer{Status: 404}
	}
	d.realm = realmOf(d.Tables, d.m, d.to)
	s := trace.Step{Rule: "registrar domain", Subject: d.to.Canonical, Verdict: trace.Match}
	if d.to.Row != nil {
		s.Table, s.Row = "domains", d.to.Row.ID
	}
	d.Trace.Add(s)
	return nil
}

func isSIP(u *sipaddr.URI) bool { return u.Scheme == sipaddr.SIP || u.Scheme == sipaddr.SIPS }

// toDomain finds the domain of To. One of our listeners' addresses that no row names stands for the home domain when the Request-URI
// says the same.
func toDomain(s *cache.Snapshot, m *message.Message, ownURI bool) *cache.Domain {
	to := &m.ToAddress().URI
	if !isSIP(to) { // RFC 3261 10.2: it MUST be a SIP or SIPS URI.
		return nil
	}
	if dom := s.Domain(to.Host); dom != nil {
		return dom
	}
	if ownURI && bytes.EqualFold(to.Host, m.RequestURI().Host) {
		return s.HomeDomain()
	}
	return nil
}

// extensions is step 2: what Require asks for must be there (8.2.2.3). Path without "path" in Supported is refused as RFC 3327 5.3
// recommends: some proxy put itself into the way of a UA that would not know.
func (d *decision) extensions() Outcome {
	vias := 0
	d.m.Vias(func(*message.ViaValue) bool { vias++; return vias < 2 })
	d.direct = vias == 1
	var bad *Answer
	if d.path, bad = parsePath(d.m); bad != nil {
		return *bad
	}
	var unsupported []byte
	for v := d.m.Values(message.Require); ; {
		tag, ok := v.Next()
		if !ok {
			break
		}
		if len(tag) == 0 || equalFold(tag, "path") || equalFold(tag, "outbound") && d.outbound() {
			continue
		}
		if len(unsupported) > 0 {
			unsupported = append(unsupported, ", "...)
		}
		unsupported = append(unsupported, tag...)
	}
	if len(d.path.values) > 0 && !d.m.HasToken(message.Supported, "path") && !d.m.HasToken(message.Require, "path") {
		d.step("path", "", trace.Deny, "Path, but the UA does not support it")
		unsupported = []byte("path")
	}
	if len(unsupported) > 0 {
		d.step("extensions", "", trace.Deny, "an extension that is required is not supported")
		return Answer{Status: 420, Fields: []message.Field{{Name: "Unsupported", Value: unsupported}}}
	}
	return nil
}

// outbound tells whether we do what RFC 5626 6 asks of a registrar: on flows that an edge proxy keeps, and on streams of our own. On UDP we do not
// answer STUN (5.4), so it is not offered there.
func (d *decision) outbound() bool {
	if d.direct {
		return d.From.Proto.Reliable()
	}
	return d.path.ob
}

// identity is step 3: who asks. A REGISTER is always challenged, whatever the user's auth_policy (BEHAVIOUR A11), and an
// unknown user is challenged like any other (A9).
func (d *decision) identity() Outcome {
	if d.Tables.Settings.AuthMethod == config.AuthNone {
		// Without an authentication mechanism From is taken for who it says (RFC 3261 10.3 step 3).
		d.who = ownerOf(d.Tables, d.fromAOR())
		d.step("registrar identity", "", trace.Skip, "AuthMethod is none: From is believed")
		return nil
	}
	if d.Verdict != Authenticated || !d.User.Exists() {
		d.step("registrar identity", d.realm, trace.Deny, "credentials are needed")
		return Challenge{Realm: d.realm, Stale: d.Verdict == StaleCredentials}
	}
	d.who = d.User
	d.step("registrar identity", string(d.who.Key), trace.Accept, "authenticated")
	return nil
}

// fromAOR returns the canonical form of From, nil when it is nobody's address-of-record here.
func (d *decision) fromAOR() []byte {
	from := &d.m.FromAddress().URI
	if !isSIP(from) {
		return nil
	}
	if dom := d.Tables.Domain(from.Host); dom != nil {
		return canonical(from, dom.Canonical)
	}
	if bytes.EqualFold(from.Host, d.m.ToAddress().URI.Host) {
		return canonical(from, d.to.Canonical)
	}
	return nil
}

// authority is steps 4 and 5: To must be an address-of-record, and that of the credentials' owner or of one who lets him register. Step 5 says that the URI
// becomes canonical: without parameters, unescaped; we also replace the host by the domain's canonical name, and an alias
// by its user. Every domain of ours is valid for every Request-URI of ours: there is one location service for all.
func (d *decision) authority() Outcome {
	d.aor = canonical(&d.m.ToAddress().URI, d.to.Canonical)
	d.owner = ownerOf(d.Tables, d.aor)
	switch {
	case !d.owner.Exists() && d.realm != d.to.Realm && !d.Tables.IsThirdParty(d.who):
		// BEHAVIOUR A9: users of one domain do not find out by 404 who there is in another, which is for known third parties. Who is there and does not
		// let them register is 403, too.
		d.step("registrar aor", "", trace.Deny, "To names no user, and who asks is of another realm and nobody's third party")
		return Answer{Status: 403}
	case !d.owner.Exists():
		d.step("registrar aor", "", trace.Deny, "To names no user")
		return Answer{Status: 404}
	case !d.who.Exists() || d.owner.ID != d.who.ID:
		if why := d.thirdParty(); why != "" {
			d.step("registrar aor", string(d.owner.Key), trace.Deny, "belongs to somebody else; "+why)
			return Answer{Status: 403}
		}
	}
	if d.owner.Disabled {
		d.step("registrar aor", string(d.owner.Key), trace.Deny, "disabled")
		return Answer{Status: 403}
	}
	d.Trace.Add(trace.Step{Rule: "registrar aor", Subject: string(d.owner.Key), Table: "users", Row: d.owner.ID, Verdict: trace.Accept})
	return nil
}

// thirdParty is step 4 for who asks for somebody else's address-of-record; it returns why he may not. The authenticated user decides, as step 4
// has it: the table maps users to those who may register for them (BEHAVIOUR A12). From alone is no proof of anything, but it must not name
// a stranger to both: by 10.2 it is the person responsible, which is the third party, or it is as To.
func (d *decision) thirdParty() string {
	switch {
	case !d.who.Exists():
		return "From names no user"
	case !d.Tables.Settings.ThirdPartyReg:
		return "ThirdPartyReg is false"
	case d.who.Disabled:
		return "the third party is disabled"
	case !d.Tables.MayRegisterFor(d.who, d.owner):
		return "no row of third_parties lets " + string(d.who.Key) + " register for him"
	}
	if from := d.fromAOR(); from == nil || !d.Tables.Owns(d.who, from) && !d.Tables.Owns(d.owner, from) {
		return "From is neither the third party's address-of-record nor that in To"
	}
	d.Trace.Add(trace.Step{Rule: "third party", Subject: string(d.who.Key), Table: "third_parties", Row: d.owner.ID, Verdict: trace.Accept,
		Note: "may register for " + string(d.owner.Key)})
	return ""
}

// content refuses a body: we have no use for any (8.2.3).
func (d *decision) content() Outcome {
	if understood := d.m.Unacceptable(""); understood != nil {
		d.step("registrar content", "", trace.Deny, "a body that is not optional")
		return Answer{Status: 415, Fields: understood}
	}
	return nil
}

// canonical returns the AOR of u with the domain's canonical name as host.
func canonical(u *sipaddr.URI, host string) []byte {
	aor := u.AppendAOR(make([]byte, 0, 64))
	if i := bytes.LastIndexByte(aor, '@'); i >= 0 && u.HasUser {
		return append(aor[:i+1], host...)
	}
	return nil // A host alone is nobody's address-of-record.
}

// ownerOf finds the user of an AOR, by key or by an alias that means one user only.
func ownerOf(s *cache.Snapshot, aor []byte) cache.User {
	if aor == nil {
		return cache.User{}
	}
	if u := s.User(aor); u.Exists() {
		return u
	}
	if rows := s.Aliases(aor); len(rows) == 1 && rows[0].Kind == store.PlainAlias {
		return s.User([]byte(rows[0].PrimaryUser))
	}
	return cache.User{}
}

func equalFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i := range len(s) {
		c := b[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != s[i] {
			return false
		}
	}
	return true
}
