package plan

import (
	"bytes"
	"fmt"
	"strings"

	"sipd/canonicalize"
	"sipd/canonicalize/pattern"
	"sipd/gatewaymap"
	"sipd/sipaddr"
	"sipd/store"
	"sipd/trace"
)

// Names is where users and aliases are looked up; store.PlanTx is one.
type Names interface {
	HasUser(key sipaddr.AOR) (bool, error)
	// Aliases lists the rows of one alias by priority and id.
	Aliases(alias string) ([]store.Alias, error)
}

// Book is everything that says where a number leads.
type Book struct {
	Plan  *Plan
	Names Names
	// Home is the domain of numbers that are written without one, "" for none.
	Home string
	// Ask says whether aliases and the dial plan are asked (setting Canonicalize); its zero value is canonicalize.All.
	Ask canonicalize.Arguments
	// Canonical returns the domain that a host stands for; false when it is not ours.
	Canonical func(host []byte) (domain string, local bool)
}

// Result is where a number leads.
type Result struct {
	Outcome gatewaymap.Outcome // Denied and NoMatch have no URIs
	// Ambiguous is several users of an alias that is no group: 485.
	Ambiguous bool
	URIs      []string
	Users     bool // URIs are addresses-of-record of users
	Emergency bool // by an emergency row of the dial plan
}

// String returns the result as plan_tests.expect has it.
func (r *Result) String() string {
	switch {
	case r.Ambiguous:
		return store.ExpectAmbiguous
	case r.Outcome == gatewaymap.Denied:
		return store.ExpectDenied
	case r.Outcome == gatewaymap.NoMatch:
		return store.ExpectNoMatch
	}
	return strings.Join(r.URIs, " ")
}

// callee is somebody who is called, on his way through the tables.
type callee struct {
	uri    sipaddr.URI
	domain string // canonical; "" of a tel URI
	local  bool
	number []byte // nil when it is about none
}

// ParseNumber reads a number, a name or a URI as people write it.
func ParseNumber(text string) (sipaddr.URI, error) {
	full := text
	scheme, _, has := strings.Cut(text, ":")
	switch {
	case has && (strings.EqualFold(scheme, "sip") || strings.EqualFold(scheme, "sips") || strings.EqualFold(scheme, "tel")):
	case strings.IndexByte(text, ':') > strings.IndexByte(text, '@') || !has:
		if full = "tel:" + strings.ReplaceAll(text, " ", "-"); strings.Contains(text, "@") {
			full = "sip:" + text
		}
	}
	u, err := sipaddr.Parse([]byte(full))
	if err == nil && u.Scheme == sipaddr.Other {
		err = fmt.Errorf("neither sip nor tel")
	}
	if err != nil {
		return u, fmt.Errorf("%w: %q is no number: %w: write digits as a caller dials them, +12125551234, or a whole URI", store.ErrInvalid, text, err)
	}
	return u, nil
}

func (b *Book) callee(u sipaddr.URI) callee {
	c := callee{uri: u}
	if u.Scheme == sipaddr.SIP || u.Scheme == sipaddr.SIPS {
		c.domain, c.local = b.Canonical(u.Host)
	} else {
		c.domain, c.local = b.Home, u.Scheme == sipaddr.TEL
	}
	if c.local {
		number, ok := canonicalize.Number(nil, &u, func(domain []byte) bool { _, ours := b.Canonical(domain); return ours })
		if ok {
			c.number = number
		}
	}
	return c
}

// keys are the addresses-of-record that a callee may be filed under: as he is written, and as the number he is.
func (c *callee) keys() []sipaddr.AOR {
	var keys []sipaddr.AOR
	if c.uri.Scheme != sipaddr.TEL && c.uri.HasUser {
		aor := c.uri.AppendAOR(nil)
		keys = append(keys, sipaddr.AOR(string(aor[:bytes.LastIndexByte(aor, '@')+1])+c.domain))
	}
	if c.number != nil && c.domain != "" {
		if key := sipaddr.AOR(string(c.number) + "@" + c.domain); len(keys) == 0 || keys[0] != key {
			keys = append(keys, key)
		}
	}
	return keys
}

// Route says where a number leads for a caller of a class, "" for none. Each table that is asked leaves a step in tr, which may be nil.
func (b *Book) Route(number, class string, tr *trace.Trace) (Result, error) {
	u, err := ParseNumber(number)
	if err != nil {
		return Result{}, err
	}
	r, c, err := b.resolve(u, tr)
	if err != nil || r.Outcome == gatewaymap.Found || r.Ambiguous || c.number == nil {
		return r, err
	}
	if r.Emergency {
		class = gatewaymap.Anybody
	}
	found, out := b.Plan.Map.Find(nil, c.number, class, tr)
	r.Outcome = out
	for _, g := range found {
		r.URIs = append(r.URIs, g.URI)
	}
	return r, nil
}

// Resolve says who a number is, without the gateway map: it returns a user, a group, a URI elsewhere, or the number that is left ("" for
// what is none).
func (b *Book) Resolve(number string) (Result, string, error) {
	u, err := ParseNumber(number)
	if err != nil {
		return Result{}, "", err
	}
	r, c, err := b.resolve(u, nil)
	if err != nil || r.Outcome == gatewaymap.Found || r.Ambiguous {
		return r, "", err
	}
	return r, string(c.number), nil
}

// resolve is what comes before the gateway map. The callee it returns is the one that is left when nobody was found.
func (b *Book) resolve(u sipaddr.URI, tr *trace.Trace) (Result, callee, error) {
	c := b.callee(u)
	if !c.local {
		return Result{Outcome: gatewaymap.Found, URIs: []string{string(u.Text)}}, c, nil
	}
	ask := b.Ask
	if ask == (canonicalize.Arguments{}) {
		ask = canonicalize.All
	}
	var text []byte
	var rule *canonicalize.Rule
	if ask.DialPlan && c.number != nil {
		text, rule = b.Plan.DialPlan.Find(nil, c.number, tr)
	}
	// An emergency rule comes ahead of users and aliases (BEHAVIOUR, Emergency): so for callers on the campus.
	if rule == nil || !rule.Emergency {
		r, err := b.find(&c, ask.Database, tr)
		if err != nil || r.Outcome == gatewaymap.Found || r.Ambiguous || rule == nil {
			return r, c, err
		}
	}
	next, err := sipaddr.Parse(text)
	if err != nil {
		// A rule that was checked makes no such URI of digits; * # and letters may.
		tr.Add(trace.Step{Rule: "dial plan", Table: "dialplan", Row: rule.ID, Verdict: trace.Deny, Note: "its target is no URI with this number"})
		return Result{}, callee{}, nil
	}
	r := Result{Outcome: gatewaymap.Found, URIs: []string{string(text)}}
	if c = b.callee(next); c.local {
		r, err = b.find(&c, ask.Database, tr)
	}
	r.Emergency = rule.Emergency
	return r, c, err
}

// find looks a callee up among users and aliases.
func (b *Book) find(c *callee, aliases bool, tr *trace.Trace) (Result, error) {
	for _, key := range c.keys() {
		if store.IsTemplate(key) {
			continue
		}
		has, err := b.Names.HasUser(key)
		if err != nil {
			return Result{}, err
		}
		if has {
			tr.Add(trace.Step{Rule: "user", Subject: string(key), Table: "users", Verdict: trace.Match})
			return Result{Outcome: gatewaymap.Found, URIs: []string{string(key.AppendURI(nil))}, Users: true}, nil
		}
		if !aliases {
			continue
		}
		rows, err := b.Names.Aliases(string(key))
		if err != nil {
			return Result{}, err
		}
		if len(rows) == 0 {
			continue
		}
		r := Result{Outcome: gatewaymap.Found, Users: true}
		group := true
		for i := range rows {
			tr.Add(trace.Step{Rule: "alias", Subject: string(rows[i].PrimaryUser), Table: "aliases", Row: rows[i].ID, Verdict: trace.Match})
			r.URIs = append(r.URIs, string(rows[i].PrimaryUser.AppendURI(nil)))
			group = group && rows[i].Kind == store.Group
		}
		if r.Ambiguous = len(rows) > 1 && !group; r.Ambiguous {
			r.Outcome = gatewaymap.NoMatch
		}
		return r, nil
	}
	tr.Add(trace.Step{Rule: "user", Verdict: trace.NoMatch, Note: "no user and no alias has this number"})
	return Result{}, nil
}

// Digits returns the number that people write, or that a URI is about, as it is matched: without what stands between its digits.
func Digits(text string) (string, error) {
	if strings.ContainsAny(text, ":@") {
		u, err := ParseNumber(text)
		if err != nil {
			return "", err
		}
		number, ok := canonicalize.Number(nil, &u, func([]byte) bool { return true })
		if !ok {
			return "", fmt.Errorf("%w: %q is about no number", store.ErrInvalid, text)
		}
		return string(number), nil
	}
	n := pattern.Strip(nil, []byte(text))
	if len(n) == 0 || len(n) > pattern.MaxLen {
		return "", fmt.Errorf("%w: %q is no number: write 1 to %d digits, as in +12125551234", store.ErrInvalid, text, pattern.MaxLen)
	}
	return string(n), nil
}
