package plan

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"sipd/canonicalize"
	"sipd/canonicalize/pattern"
	"sipd/gatewaymap"
	"sipd/sipaddr"
	"sipd/store"
)

// Plan is what calls are routed by. It never changes.
type Plan struct {
	DialPlan *canonicalize.DialPlan
	Map      *gatewaymap.Map
	Warnings []string // of rules that nothing can reach, and of targets that may be misspelled

	fence    Fence
	gateways []*Gateway
	byName   map[string]*Gateway
	classes  map[int64]string

	// The rows as they came last and, of those with bad ones among them, what is in force instead.
	seen, good store.PlanRows
	problems   [tables][]Problem
	warnings   [tables][]string
}

// Gateway is a row of gateways, ready for use.
type Gateway struct {
	Row   store.Gateway
	URI   sipaddr.URI
	Nets  []netip.Prefix // where its own calls come from; IPv4 as such, never mapped into IPv6
	Class string         // of its own calls, "" for none
}

// Problem is a row that cannot be used.
type Problem struct {
	Table string
	Row   string
	Err   error
	// InForce says that the row is used all the same.
	InForce bool
}

// Error says which row and why.
func (p *Problem) Error() string { return p.Table + " " + p.Row + ": " + p.Err.Error() }

// Unwrap returns the reason.
func (p *Problem) Unwrap() error { return p.Err }

const (
	ofClasses = iota
	ofGateways
	ofDialPlan
	ofMap
	tables
)

// Gateway finds a gateway by its name in any case, as the host of a target has it; nil if there is none.
func (p *Plan) Gateway(name []byte) *Gateway {
	var buf [maxName]byte
	if len(name) > len(buf) {
		return nil
	}
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		buf[i] = c
	}
	return p.byName[string(buf[:len(name)])]
}

// maxName is how long the name of a gateway may be: that of a host.
const maxName = 255

// Gateways returns all gateways by name; the caller does not change them.
func (p *Plan) Gateways() []*Gateway { return p.gateways }

// Class returns the name of a gateway class, "" for 0 and for one that is not there: who has it may call nothing.
func (p *Plan) Class(id int64) string { return p.classes[id] }

// Rows are those in force, for a copy.
func (p *Plan) Rows() *store.PlanRows { return &p.good }

// Compile makes a plan. A table with a row that cannot be used is taken from last, which may be nil: then the row alone is left out.
// Tables that are as they were for last are not compiled again.
func Compile(rows *store.PlanRows, last *Plan) (*Plan, []Problem) {
	p := &Plan{seen: *rows}
	fresh := last == nil
	if fresh {
		last = &Plan{DialPlan: &canonicalize.DialPlan{}, Map: &gatewaymap.Map{}}
	}
	sameClasses := !fresh && slices.Equal(rows.Classes, last.seen.Classes)
	if sameClasses {
		p.keep(ofClasses, last)
	} else {
		p.compileClasses()
	}
	if sameClasses && slices.Equal(rows.Gateways, last.seen.Gateways) {
		p.keep(ofGateways, last)
	} else {
		p.compileGateways(last)
	}
	if !fresh && slices.Equal(rows.DialRules, last.seen.DialRules) {
		p.keep(ofDialPlan, last)
	} else {
		p.compileDialPlan(last, fresh)
	}
	// Its rules name classes and gateways.
	if sameClasses && slices.Equal(rows.Gateways, last.seen.Gateways) && slices.Equal(rows.GatewayRules, last.seen.GatewayRules) {
		p.keep(ofMap, last)
	} else {
		p.compileMap(last, fresh)
	}
	p.makeFence()
	var problems []Problem
	for i := range p.problems {
		problems = append(problems, p.problems[i]...)
		p.Warnings = append(p.Warnings, p.warnings[i]...)
	}
	return p, problems
}

// keep takes a table from last.
func (p *Plan) keep(table int, last *Plan) {
	p.problems[table], p.warnings[table] = last.problems[table], last.warnings[table]
	p.keepGood(table, last)
}

// keepGood takes what is in force from last, whatever has come since.
func (p *Plan) keepGood(table int, last *Plan) {
	switch table {
	case ofClasses:
		p.classes, p.good.Classes = last.classes, last.good.Classes
	case ofGateways:
		p.gateways, p.byName, p.good.Gateways = last.gateways, last.byName, last.good.Gateways
	case ofDialPlan:
		p.DialPlan, p.good.DialRules = last.DialPlan, last.good.DialRules
	case ofMap:
		p.Map, p.good.GatewayRules = last.Map, last.good.GatewayRules
	}
}

// maxProblems bounds how many bad rows of a table are named: more tell nothing new.
const maxProblems = 100

func (p *Plan) bad(table int, name string, id int64, err error) {
	if len(p.problems[table]) < maxProblems {
		p.problems[table] = append(p.problems[table], Problem{Table: name, Row: strconv.FormatInt(id, 10), Err: err})
	}
}

func (p *Plan) compileClasses() {
	p.classes = make(map[int64]string, len(p.seen.Classes))
	for _, c := range p.seen.Classes {
		if err := store.CheckName("gateway class", c.Name); err != nil {
			p.bad(ofClasses, "gateway_classes", c.ID, err)
			continue
		}
		p.classes[c.ID] = c.Name
		p.good.Classes = append(p.good.Classes, c)
	}
}

func (p *Plan) compileGateways(last *Plan) {
	rows := slices.Clone(p.seen.Gateways)
	slices.SortFunc(rows, func(a, b store.Gateway) int { return strings.Compare(a.Name, b.Name) })
	p.byName = make(map[string]*Gateway, len(rows))
	for i, row := range rows {
		g, err := p.gateway(row)
		if i >= store.MaxGateways {
			err = fmt.Errorf("%w: %d gateways, at most %d: it is left out", store.ErrInvalid, len(rows), store.MaxGateways)
		}
		if err == nil && p.byName[g.Row.Name] != nil {
			err = fmt.Errorf("%w: gateway %d has the name %s, too", store.ErrInvalid, p.byName[g.Row.Name].Row.ID, g.Row.Name)
		}
		if err != nil {
			p.bad(ofGateways, "gateways", row.ID, err)
			// A gateway stands alone: the last good version of this one does, too.
			old := slices.IndexFunc(last.gateways, func(o *Gateway) bool { return o.Row.ID == row.ID })
			if old < 0 || p.byName[last.gateways[old].Row.Name] != nil || i >= store.MaxGateways {
				continue
			}
			g = last.gateways[old]
		}
		p.gateways = append(p.gateways, g)
		p.byName[g.Row.Name] = g
		p.good.Gateways = append(p.good.Gateways, g.Row)
	}
}

func (p *Plan) gateway(row store.Gateway) (*Gateway, error) {
	if err := row.Normalize(); err != nil {
		return nil, err
	}
	g := &Gateway{Row: row}
	var err error
	if g.URI, err = sipaddr.Parse([]byte(row.URI)); err != nil {
		return nil, err
	}
	if g.Nets, err = row.Nets(); err != nil {
		return nil, err
	}
	if row.InboundClassID != 0 {
		if g.Class = p.classes[row.InboundClassID]; g.Class == "" {
			return nil, fmt.Errorf("%w: inbound_class_id %d: there is no such gateway class", store.ErrInvalid, row.InboundClassID)
		}
	}
	return g, nil
}

func (p *Plan) compileDialPlan(last *Plan, fresh bool) {
	rows := slices.Clone(p.seen.DialRules)
	slices.SortStableFunc(rows, func(a, b store.DialRule) int {
		return cmp.Or(cmp.Compare(a.Position, b.Position), cmp.Compare(a.ID, b.ID))
	})
	var rules []canonicalize.Rule
	var good []store.DialRule
	for i := range rows {
		r := &rows[i]
		if !r.Enabled {
			good = append(good, *r)
			continue
		}
		err := r.Check()
		if err == nil && len(rules) == pattern.MaxRules {
			err = fmt.Errorf("%w: more than %d rules", store.ErrInvalid, pattern.MaxRules)
		}
		if err != nil {
			p.bad(ofDialPlan, "dialplan", r.ID, err)
			continue
		}
		compiled, target, err := compileRule(r.Pattern, r.Target)
		if err != nil {
			p.bad(ofDialPlan, "dialplan", r.ID, err)
			continue
		}
		rules = append(rules, canonicalize.Rule{ID: r.ID, Pattern: compiled, Target: target, Emergency: r.Emergency})
		good = append(good, *r)
	}
	if len(p.problems[ofDialPlan]) > 0 && !fresh {
		p.keepGood(ofDialPlan, last)
		return
	}
	d, warnings, err := canonicalize.NewDialPlan(rules)
	if err != nil {
		p.problems[ofDialPlan] = append(p.problems[ofDialPlan], Problem{Table: "dialplan", Row: "*", Err: err})
		p.keepGood(ofDialPlan, last)
		return
	}
	p.DialPlan, p.good.DialRules = d, good
	p.warn(ofDialPlan, "dialplan", warnings)
}

func (p *Plan) warn(table int, name string, warnings []string) {
	for _, w := range warnings[:min(len(warnings), maxProblems)] {
		p.warnings[table] = append(p.warnings[table], name+": "+w)
	}
}

func compileRule(text, target string) (*pattern.Pattern, pattern.Target, error) {
	compiled, err := pattern.Compile(text)
	if err != nil {
		return nil, pattern.Target{}, err
	}
	to, err := pattern.ParseTarget(target)
	return compiled, to, err
}

func (p *Plan) compileMap(last *Plan, fresh bool) {
	names := make(map[string]bool, len(p.classes))
	for _, name := range p.classes {
		names[name] = true
	}
	var rules []gatewaymap.Rule
	var good []store.GatewayRule
	var unknown []Problem
	group := map[int]int{}
	for i := range p.seen.GatewayRules {
		r := &p.seen.GatewayRules[i]
		if !r.Enabled {
			good = append(good, *r)
			continue
		}
		rule, err := compileGatewayRule(r, names)
		group[r.Position]++
		switch {
		case err != nil:
		case len(rules) == pattern.MaxRules:
			err = fmt.Errorf("%w: more than %d rules", store.ErrInvalid, pattern.MaxRules)
		case group[r.Position] > gatewaymap.MaxGroup:
			err = fmt.Errorf("%w: position %d has more than %d rules: a call cannot try them all", store.ErrInvalid, r.Position, gatewaymap.MaxGroup)
		}
		if err != nil {
			p.bad(ofMap, "gatewaymap", r.ID, err)
			continue
		}
		rules = append(rules, rule)
		good = append(good, *r)
		if host := gatewayHost(r.Target); host != "" && p.byName[host] == nil && len(unknown) < maxProblems {
			// It may be a name of the machine's own hosts file: the rule stays.
			unknown = append(unknown, Problem{Table: "gatewaymap", Row: strconv.FormatInt(r.ID, 10), InForce: true, Err: fmt.Errorf(
				"%w: target %s: there is no gateway %s, and a name without a dot is seldom found elsewhere: write `sipd gateway add %s sip:ADDRESS`",
				store.ErrInvalid, r.Target, host, host)})
		}
	}
	if len(p.problems[ofMap]) > 0 && !fresh {
		p.keepGood(ofMap, last)
		// Its rules may name classes that are gone: a copy needs them.
		for _, c := range last.good.Classes {
			if p.classes[c.ID] == "" {
				p.good.Classes = append(p.good.Classes[:len(p.good.Classes):len(p.good.Classes)], c)
			}
		}
		return
	}
	m, warnings, err := gatewaymap.New(rules)
	if err != nil {
		p.problems[ofMap] = append(p.problems[ofMap], Problem{Table: "gatewaymap", Row: "*", Err: err})
		p.keepGood(ofMap, last)
		return
	}
	p.Map, p.good.GatewayRules = m, good
	p.warn(ofMap, "gatewaymap", warnings)
	p.problems[ofMap] = append(p.problems[ofMap], unknown...)
}

func compileGatewayRule(r *store.GatewayRule, names map[string]bool) (rule gatewaymap.Rule, err error) {
	if err := r.Check(); err != nil {
		return rule, err
	}
	rule = gatewaymap.Rule{ID: r.ID, Position: r.Position, Weight: r.Weight}
	if rule.Classes, err = pattern.ParseClasses(r.Classes); err != nil {
		return rule, err
	}
	for _, c := range rule.Classes {
		if c != "*" && !names[c] {
			return rule, fmt.Errorf("%w: there is no gateway class %s: write `sipd class add %s`", store.ErrInvalid, c, c)
		}
	}
	rule.Pattern, rule.Target, err = compileRule(r.Pattern, r.Target)
	return rule, err
}

// gatewayHost is the host of a target that can only be the name of a gateway, or of this machine's hosts file: one label, no address.
func gatewayHost(target string) string {
	u, err := sipaddr.Parse([]byte(strings.ReplaceAll(target, "$", "1")))
	if err != nil || u.Scheme != sipaddr.SIP && u.Scheme != sipaddr.SIPS {
		return ""
	}
	host := strings.ToLower(string(u.Host))
	if _, is := u.Addr(); is || strings.ContainsRune(host, '.') || host == "localhost" {
		return ""
	}
	return host
}
