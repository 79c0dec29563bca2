package store

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sipd/canonicalize/pattern"
	"sipd/sipaddr"
)

// DialRule is a row of dialplan: what becomes of a number (package canonicalize).
type DialRule struct {
	ID        int64
	Position  int // the first in order that matches decides; by ID where it is the same
	Pattern   string
	Target    string
	Emergency bool // calls to it are never refused
	Comment   string
	Enabled   bool
}

// GatewayRule is a row of gatewaymap: which gateway a number goes to, and who may call it (package gatewaymap).
type GatewayRule struct {
	ID       int64
	Position int // rules of one position are a hunt group
	Pattern  string
	Classes  string // names of gateway_classes with commas between them, or *
	Target   string // its host may be the name of a gateway
	Weight   int    // share of the hunt group's calls; 0 counts as 1
	Comment  string
	Enabled  bool
}

// Gateway is a row of gateways: a host that targets name, and who may call in from there.
type Gateway struct {
	ID             int64
	Name           string // as the host of a target
	URI            string // where its requests go: sip:192.0.2.7:5070;transport=tcp
	SourceNets     string // networks and addresses its own calls come from, as of TrustedPeer
	TLSName        string // the domain of the certificate it must show, "" for none
	InboundClassID int64  // the class of its own calls; 0: none
	ProbeSeconds   int    // between two questions whether it lives; 0: the server's; -1: it is never asked
	MaxCalls       int    // 0: any number
	Weight         int    // 0 counts as 1
	Enabled        bool
	Drained        bool // gets no new calls
	Comment        string
}

// ForwardKind says when a forward applies.
type ForwardKind uint8

// The kinds.
const (
	ForwardAll ForwardKind = iota
	ForwardBusy
	ForwardNoAnswer
	ForwardOffline // nothing is registered
)

// ForwardKinds is how many kinds there are: a user has one forward of each at most.
const ForwardKinds = 4

// Forward is a row of forwards.
type Forward struct {
	UserID  int64
	Kind    ForwardKind
	Target  string // a sip, sips or tel URI
	Timeout int    // of ForwardNoAnswer: seconds of ringing; 0: the server's
	// The user's key, for people: Admin fills it in, a Reader does not.
	User sipaddr.AOR
}

// PlanTest is a row of plan_tests: what must become of a number, whatever anybody changes.
type PlanTest struct {
	ID      int64
	Number  string // as a caller writes it: digits, or a whole URI
	Class   string // of the caller; "" is none
	Expect  string // denied, nomatch, ambiguous, or the URIs with blanks between them
	Comment string
}

// What PlanTest.Expect may be besides URIs.
const (
	ExpectDenied    = "denied"
	ExpectNoMatch   = "nomatch"
	ExpectAmbiguous = "ambiguous"
)

// AuditEntry is a row of audit_log: who changed what.
type AuditEntry struct {
	ID     int64
	At     time.Time
	Actor  string // os:NAME for a command
	Action string // "dialplan import"
	Object string // "dialplan"
	Detail string // what was added and removed
}

// PlanRows are the rows that say what becomes of numbers.
type PlanRows struct {
	Classes      []GatewayClass // by name
	DialRules    []DialRule     // by position and id
	GatewayRules []GatewayRule  // by position and id
	Gateways     []Gateway      // by name
}

// RingMode is how the members of a group ring.
type RingMode uint8

// The modes. RingDefault takes what another member of the group says, else Parallel.
const (
	RingDefault RingMode = iota
	Parallel
	Serial
)

// Ring returns how the members of a group ring: as the first that says so.
func Ring(rows []*Alias) RingMode {
	for _, a := range rows {
		if a.RingMode != RingDefault {
			return a.RingMode
		}
	}
	return Parallel
}

// Limits of these tables.
const (
	// MaxClasses is how many gateway classes there may be: people know them by name.
	MaxClasses = 1000
	// MaxGateways is how many gateways there may be: whether a request comes from one is compared one after the other.
	MaxGateways = 256
	// MaxPlanTests is how many tests there may be: each change runs them all while others who write wait.
	MaxPlanTests = 1000
	// MaxAudit is how many rows of audit_log are kept: years of changes by hand, and no script fills the disk. The oldest go.
	MaxAudit = 100_000
	// MaxRing is how many seconds a member of a group may wait or ring, or a forward on no answer let ring: Timer C (RFC 3261 16.6) ends what rings
	// longer.
	MaxRing = 180
	// maxPosition leaves room for any numbering, and fits a column of 32 bits.
	maxPosition = 1_000_000_000
	// MaxWeight is that of RFC 2782.
	MaxWeight = 65535
	// minProbe and maxProbe bound probe_s: more often is a burden, less often tells nothing.
	minProbe, maxProbe = 5, 86400
	// maxCalls bounds max_calls: no gateway has more lines.
	maxCalls = 1_000_000
	// maxComment bounds a comment: a line for people.
	maxComment = 500
	// maxDetail bounds audit_log.detail: what does not fit a page is in the tables' backup.
	maxDetail = 8192
	// maxClassList bounds gatewaymap.classes: 64 names.
	maxClassList = 4096
)

var (
	forwardNames = [...]string{ForwardAll: "all", ForwardBusy: "busy", ForwardNoAnswer: "noanswer", ForwardOffline: "offline"}
	ringNames    = [...]string{RingDefault: "", Parallel: "parallel", Serial: "serial"}
)

// String returns the text of the tables: all, busy, noanswer or offline.
func (k ForwardKind) String() string { return name(forwardNames[:], int(k)) }

// String returns the text of the tables: serial, parallel or nothing.
func (m RingMode) String() string { return name(ringNames[:], int(m)) }

// ParseForwardKind reads the kind of a forward in any case.
func ParseForwardKind(s string) (ForwardKind, error) {
	i, err := parse("kind of forward", forwardNames[:], s)
	return ForwardKind(i), err
}

// ParseRingMode reads how a group rings, in any case; "" is RingDefault.
func ParseRingMode(s string) (RingMode, error) {
	i, err := parse("ring mode", ringNames[:], s)
	return RingMode(i), err
}

// Check tells what is wrong with a row.
func (r *DialRule) Check() error {
	if err := checkRule(r.Position, r.Pattern, r.Target, r.Comment); err != nil {
		return err
	}
	return nil
}

// Check tells what is wrong with a row. Whether its classes exist it cannot know.
func (r *GatewayRule) Check() error {
	if err := checkRule(r.Position, r.Pattern, r.Target, r.Comment); err != nil {
		return err
	}
	if r.Weight < 0 || r.Weight > MaxWeight {
		return invalid("weight %d: write 1 to %d", r.Weight, MaxWeight)
	}
	if len(r.Classes) > maxClassList {
		return invalid("classes has %d bytes: write at most %d, or * for any", len(r.Classes), maxClassList)
	}
	if _, err := pattern.ParseClasses(r.Classes); err != nil {
		return invalid("classes %v", err)
	}
	return nil
}

func checkRule(position int, text, target, comment string) error {
	if position < 0 || position > maxPosition {
		return invalid("position %d: write 0 to %d", position, maxPosition)
	}
	if _, err := pattern.Compile(text); err != nil {
		return invalid("pattern %v", err)
	}
	to, err := pattern.ParseTarget(target)
	if err != nil {
		return invalid("target %v", err)
	}
	// Whatever digits $ becomes, the URI is one or it is none.
	if err := checkURI("target", string(to.Append(nil, []byte("1"))), true); err != nil {
		return err
	}
	return checkText("comment", comment, maxComment)
}

// checkURI tells what is wrong with a URI that requests are sent to.
func checkURI(what, text string, tel bool) error {
	if len(text) > pattern.MaxTarget {
		return invalid("%s %.40q... has %d bytes: write at most %d", what, text, len(text), pattern.MaxTarget)
	}
	u, err := sipaddr.Parse([]byte(text))
	switch {
	case err != nil:
		return invalid("%s %q: %v: write a URI such as sip:bob@example.com", what, text, err)
	case u.Scheme == sipaddr.Other || u.Scheme == sipaddr.TEL && !tel:
		return invalid("%s %q: write a sip or sips URI", what, text)
	case len(u.Headers) > 0:
		// RFC 3261 19.1.1, Table 1: a Request-URI has no headers.
		return invalid("%s %q: leave out what follows the ?", what, text)
	}
	return nil
}

// Normalize brings a row into the form of the table (the name in lower case, networks as RFC 5952 writes them) and tells what is wrong
// with it. Whether its class exists it cannot know.
func (g *Gateway) Normalize() error {
	g.Name = NormalHost(g.Name)
	if err := checkHost("gateway", g.Name); err != nil {
		return err
	}
	if strings.ContainsRune(g.Name, ':') || strings.ContainsRune(g.Name, '_') {
		// A target has it as its host, and no URI could.
		return invalid("gateway %q: a name has letters, digits, dots and hyphens", g.Name)
	}
	if err := checkURI("uri of gateway "+g.Name, g.URI, false); err != nil {
		return err
	}
	if u, err := sipaddr.Parse([]byte(g.URI)); err == nil && u.HasUser {
		return invalid("uri of gateway %s has a user, %q: the target of a rule says who is called; write sip:%s", g.Name, u.User, u.Host)
	}
	nets, err := (&TrustedPeer{SourceNets: g.SourceNets}).Nets()
	if err != nil {
		return err
	}
	g.SourceNets = netsText(nets)
	if g.TLSName, err = normalTLSName(g.TLSName); err != nil {
		return err
	}
	switch {
	case g.InboundClassID != 0 && g.SourceNets == "" && g.TLSName == "":
		return invalid("gateway %s has a class for its own calls, and nothing says which are its own: write source_nets, tls_name or both", g.Name)
	case g.ProbeSeconds != 0 && g.ProbeSeconds != -1 && (g.ProbeSeconds < minProbe || g.ProbeSeconds > maxProbe):
		return invalid("probe_s of gateway %s is %d: write %d to %d, nothing for the server's, or -1 for never", g.Name, g.ProbeSeconds, minProbe, maxProbe)
	case g.MaxCalls < 0 || g.MaxCalls > maxCalls:
		return invalid("max_calls of gateway %s is %d: write 1 to %d, or nothing for any number", g.Name, g.MaxCalls, maxCalls)
	case g.Weight < 0 || g.Weight > MaxWeight:
		return invalid("weight of gateway %s is %d: write 1 to %d", g.Name, g.Weight, MaxWeight)
	}
	return checkText("comment of gateway "+g.Name, g.Comment, maxComment)
}

// Nets reads SourceNets.
func (g *Gateway) Nets() ([]netip.Prefix, error) {
	return (&TrustedPeer{SourceNets: g.SourceNets}).Nets()
}

// Check tells what is wrong with a row.
func (f *Forward) Check() error {
	if f.Kind >= ForwardKinds {
		return invalid("kind of a forward is out of range")
	}
	if f.Timeout != 0 && f.Kind != ForwardNoAnswer {
		return invalid("timeout_s of a forward of kind %s: only noanswer has one", f.Kind)
	}
	if f.Timeout < 0 || f.Timeout > MaxRing {
		return invalid("timeout_s of a forward is %d: write 1 to %d seconds", f.Timeout, MaxRing)
	}
	return checkURI("target of a forward", f.Target, true)
}

// Normalize brings what is expected into the form of the table and tells what is wrong with a row. Whether its class exists it cannot know.
func (t *PlanTest) Normalize() error {
	if t.Number == "" {
		return invalid("a plan test without a number: write what a caller dials")
	}
	if err := checkText("number", t.Number, maxKey); err != nil {
		return err
	}
	if strings.EqualFold(t.Class, "NULL") {
		t.Class = ""
	}
	if t.Class == "*" {
		return invalid("class *: a plan test has the class of one caller, or none")
	}
	if err := checkText("class", t.Class, maxName); err != nil {
		return err
	}
	words := strings.Fields(t.Expect)
	if len(words) == 1 {
		switch low := strings.ToLower(words[0]); low {
		case ExpectDenied, ExpectNoMatch, ExpectAmbiguous:
			t.Expect = low
			return checkText("comment", t.Comment, maxComment)
		}
	}
	if len(words) == 0 {
		return invalid("nothing is expected of %s: write denied, nomatch, ambiguous or the URI", t.Number)
	}
	if len(words) > maxExpected {
		return invalid("%d URIs are expected of %s: write at most %d", len(words), t.Number, maxExpected)
	}
	for _, w := range words {
		if err := checkURI("expected of "+t.Number, w, true); err != nil {
			return err
		}
	}
	t.Expect = strings.Join(words, " ")
	return checkText("comment", t.Comment, maxComment)
}

// maxExpected is how many URIs a test may expect: as many as a hunt group has gateways.
const maxExpected = 32

// Check tells what is wrong with a row; a detail that is too long is cut.
func (e *AuditEntry) Check() error {
	for _, f := range [...]struct{ what, text string }{{"actor", e.Actor}, {"action", e.Action}, {"object", e.Object}} {
		if err := checkText(f.what, f.text, maxName); err != nil {
			return err
		}
	}
	if e.Actor == "" || e.Action == "" {
		return invalid("an audit entry without an actor or an action")
	}
	if len(e.Detail) > maxDetail {
		e.Detail = strings.ToValidUTF8(e.Detail[:maxDetail], "")
	}
	return nil
}

// Check tells what is wrong with the rows, each and all together, that are to take the place of before. What SQL has spoilt earlier hinders
// only who changes that: the rules of a table come into force together, so they are looked at unless all stay as they are; a gateway and a
// class stand alone. A gateway must be drained whatever is wrong with the dial plan.
func (p *PlanRows) Check(before *PlanRows) error {
	for _, n := range [...]struct {
		what       string
		have, most int
	}{
		{"gateway classes", len(p.Classes), MaxClasses}, {"rules of the dial plan", len(p.DialRules), pattern.MaxRules},
		{"rules of the gateway map", len(p.GatewayRules), pattern.MaxRules}, {"gateways", len(p.Gateways), MaxGateways},
	} {
		if n.have > n.most {
			return invalid("%d %s: there may be at most %d", n.have, n.what, n.most)
		}
	}
	ids := map[int64]bool{}
	for _, c := range p.Classes {
		if err := CheckName("gateway class", c.Name); err != nil && !slices.Contains(before.Classes, c) {
			return err
		}
		ids[c.ID] = true
	}
	if !slices.Equal(p.DialRules, before.DialRules) {
		for i := range p.DialRules {
			r := &p.DialRules[i]
			if err := r.Check(); err != nil {
				return ofRow("dialplan", r.ID, err)
			}
		}
	}
	if !slices.Equal(p.GatewayRules, before.GatewayRules) || !slices.Equal(p.Classes, before.Classes) {
		for i := range p.GatewayRules {
			r := &p.GatewayRules[i]
			if err := r.Check(); err != nil {
				return ofRow("gatewaymap", r.ID, err)
			}
			if class, ok := p.classesExist(r); !ok {
				return ofRow("gatewaymap", r.ID, invalid("rule %s %s %s: there is no gateway class %s: write `sipd class add %s` first", r.Pattern, r.Classes, r.Target, class, class))
			}
		}
	}
	for i := range p.Gateways {
		g := &p.Gateways[i]
		if slices.Contains(before.Gateways, *g) {
			continue
		}
		if err := g.Normalize(); err != nil {
			return err
		}
		if g.InboundClassID != 0 && !ids[g.InboundClassID] {
			return invalid("gateway %s: there is no class with id %d for its own calls", g.Name, g.InboundClassID)
		}
	}
	return nil
}

// ofRow says which row of the tables is wrong, and how to be rid of it: somebody has typed SQL, and whoever changes another rule now
// does not know of it.
func ofRow(table string, id int64, err error) error {
	if id == 0 {
		return err
	}
	return fmt.Errorf("row %d of %s, which `sipd %s rm %d` removes: %w", id, table, table, id, err)
}

// classesExist returns the first class of a rule that is not there.
func (p *PlanRows) classesExist(r *GatewayRule) (missing string, ok bool) {
	classes, err := pattern.ParseClasses(r.Classes)
	if err != nil || classes[0] == "*" {
		return "", true
	}
	for _, c := range classes {
		if !p.HasClass(c) {
			return c, false
		}
	}
	return "", true
}

// HasClass tells whether there is a gateway class of that name.
func (p *PlanRows) HasClass(name string) bool {
	for i := range p.Classes {
		if p.Classes[i].Name == name {
			return true
		}
	}
	return false
}
