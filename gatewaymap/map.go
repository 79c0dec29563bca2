package gatewaymap

import (
	"cmp"
	"fmt"
	"slices"

	"sipd/canonicalize/pattern"
	"sipd/trace"
)

// Rule is a row of the table.
type Rule struct {
	ID       int64 // of the row; of a map file the line
	Position int   // rules of one position are a hunt group
	Pattern  *pattern.Pattern
	Classes  []string // as ParseClasses reads them
	Target   pattern.Target
	Weight   int // its share of the hunt group's calls; 0 counts as 1
}

// Anybody is the class of an emergency call, which every rule lets through: a name that no class can have.
const Anybody = "\x00"

// AppendURI appends the URI that the rule makes of a number that it matches.
func (r *Rule) AppendURI(dst, number []byte) []byte {
	var buf [2 * pattern.MaxLen]byte
	kept, _ := r.Pattern.AppendKept(buf[:0], number)
	return r.Target.Append(dst, kept)
}

// admits tells whether a caller of a class may use the rule.
func (r *Rule) admits(class string) bool {
	return class != "" && (class == Anybody || r.Classes[0] == "*" || slices.Contains(r.Classes, class))
}

// Map is a table of rules. Its zero value has none.
type Map struct {
	rules []Rule
	set   *pattern.Set
}

// MaxGroup is how many gateways a hunt group may have: a call tries one after the other.
const MaxGroup = 32

// New makes a map. warnings name rules that nothing can reach. The error names a rule that cannot be used; there is no map then.
func New(rules []Rule) (m *Map, warnings []string, err error) {
	if len(rules) > pattern.MaxRules {
		return nil, nil, fmt.Errorf("%d rules; a gateway map has at most %d", len(rules), pattern.MaxRules)
	}
	m = &Map{rules: slices.Clone(rules)}
	slices.SortStableFunc(m.rules, func(a, b Rule) int { return cmp.Compare(a.Position, b.Position) })
	patterns := make([]*pattern.Pattern, len(m.rules))
	earlier := map[string][]int{}
	size := map[int]int{}
	for i := range m.rules {
		r := &m.rules[i]
		if len(r.Classes) == 0 {
			return nil, nil, fmt.Errorf("rule %d: no class may use it: write the classes, or * for any", r.ID)
		}
		if r.Weight < 0 {
			return nil, nil, fmt.Errorf("rule %d: weight %d: it cannot be negative", r.ID, r.Weight)
		}
		if size[r.Position]++; size[r.Position] > MaxGroup {
			return nil, nil, fmt.Errorf("rule %d: position %d has more than %d rules: a call cannot try them all", r.ID, r.Position, MaxGroup)
		}
		patterns[i] = r.Pattern
		text := r.Pattern.String()
		for _, j := range earlier[text] {
			if o := &m.rules[j]; o.Position < r.Position && covers(o.Classes, r.Classes) {
				warnings = append(warnings, fmt.Sprintf("rule %d is never reached: rule %d has the same pattern %s and admits the same classes", r.ID, o.ID, text))
				break
			}
		}
		earlier[text] = append(earlier[text], i)
	}
	m.set = pattern.NewSet(patterns)
	return m, warnings, nil
}

// covers tells whether everybody whom narrow admits is admitted by wide.
func covers(wide, narrow []string) bool {
	return wide[0] == "*" || !slices.ContainsFunc(narrow, func(c string) bool { return !slices.Contains(wide, c) })
}

// Outcome is how a search ended.
type Outcome uint8

// The outcomes.
const (
	NoMatch Outcome = iota // no rule has this number
	Denied                 // rules have it, but for other classes
	Found
)

// String returns the outcome as `sipd gatewaymap test` prints it.
func (o Outcome) String() string { return [...]string{"no match", "denied", "found"}[o] }

// Gateway is a target of a number.
type Gateway struct {
	Rule *Rule
	URI  string // Rule.Target with the number in it
}

// Find looks up number (as pattern.Strip leaves it) for a caller of class, "" for none, and appends the gateways of the hunt group to
// dst, in the order of their rules. Every rule whose pattern matches leaves a step in tr, which may be nil.
func (m *Map) Find(dst []Gateway, number []byte, class string, tr *trace.Trace) ([]Gateway, Outcome) {
	var room [MaxGroup]*Rule
	rules, out := m.Rules(room[:0], number, class, tr)
	for _, r := range rules {
		var long [pattern.MaxTarget]byte
		dst = append(dst, Gateway{r, string(r.AppendURI(long[:0], number))})
	}
	return dst, out
}

// Rules is Find for who makes the URIs himself.
func (m *Map) Rules(dst []*Rule, number []byte, class string, tr *trace.Trace) ([]*Rule, Outcome) {
	out := NoMatch
	position := 0
	if m.set == nil {
		return dst, out
	}
	for i := m.set.Next(number, 0); i >= 0; i = m.set.Next(number, i+1) {
		r := &m.rules[i]
		if out == Found && r.Position != position {
			break
		}
		if !r.admits(class) {
			out = max(out, Denied)
			step(tr, r, trace.NoMatch, denial(class))
			continue
		}
		out, position = Found, r.Position
		dst = append(dst, r)
		step(tr, r, trace.Match, "number and class")
	}
	return dst, out
}

// denial is why a rule whose pattern matches does not apply.
func denial(class string) string {
	if class == "" {
		return "the number matches; the caller has no class"
	}
	return "the number matches; the caller's class is not among the rule's"
}

func step(tr *trace.Trace, r *Rule, v trace.Verdict, note string) {
	tr.Add(trace.Step{Rule: "gateway map", Subject: r.Pattern.String(), Table: "gatewaymap", Row: r.ID, Verdict: v, Note: note})
}
