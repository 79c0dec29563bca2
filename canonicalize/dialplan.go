package canonicalize

import (
	"fmt"
	"slices"

	"sipd/canonicalize/pattern"
	"sipd/sipaddr"
	"sipd/trace"
)

// Rule is a row of the dial plan.
type Rule struct {
	ID        int64 // of the row; of a map file the line
	Pattern   *pattern.Pattern
	Target    pattern.Target
	Emergency bool // calls to it are never refused
}

// DialPlan says what becomes of numbers. Its zero value has no rules.
type DialPlan struct {
	rules     []Rule
	set       *pattern.Set
	emergency bool
}

// Emergency tells whether there are emergency rules.
func (d *DialPlan) Emergency() bool { return d.emergency }

// NewDialPlan makes a dial plan of rules in their order. warnings name rules that nothing can reach. The error names a rule that cannot be
// used; there is no plan then.
func NewDialPlan(rules []Rule) (d *DialPlan, warnings []string, err error) {
	if len(rules) > pattern.MaxRules {
		return nil, nil, fmt.Errorf("%d rules; a dial plan has at most %d", len(rules), pattern.MaxRules)
	}
	patterns := make([]*pattern.Pattern, len(rules))
	earlier := map[string]int64{}
	for i := range rules {
		r := &rules[i]
		patterns[i] = r.Pattern
		text := r.Pattern.String()
		if by, has := earlier[text]; has {
			warnings = append(warnings, fmt.Sprintf("rule %d is never reached: rule %d has the same pattern %s", r.ID, by, text))
		} else {
			earlier[text] = r.ID
		}
		// Whatever digits $ becomes, the URI is one or it is none.
		uri, err := sipaddr.Parse(r.Target.Append(nil, []byte("1")))
		if err != nil {
			return nil, nil, fmt.Errorf("rule %d: target %s: %w", r.ID, r.Target, err)
		}
		if uri.Scheme == sipaddr.Other {
			return nil, nil, fmt.Errorf("rule %d: target %s: a number becomes a sip, sips or tel URI", r.ID, r.Target)
		}
	}
	emergency := slices.ContainsFunc(rules, func(r Rule) bool { return r.Emergency })
	return &DialPlan{rules: rules, set: pattern.NewSet(patterns), emergency: emergency}, warnings, nil
}

// Find appends to dst the URI that the first rule that matches number (as Number gives it) makes of it. rule is nil, and dst unchanged, when
// none does. The rule leaves a step in tr, which may be nil.
func (d *DialPlan) Find(dst, number []byte, tr *trace.Trace) (uri []byte, rule *Rule) {
	i := -1
	if d.set != nil {
		i = d.set.Next(number, 0)
	}
	if i < 0 {
		tr.AddText(trace.Step{Rule: "dial plan", Verdict: trace.NoMatch, Note: "no rule has this number"}, number)
		return dst, nil
	}
	rule = &d.rules[i]
	var buf [pattern.MaxLen]byte
	kept, _ := rule.Pattern.AppendKept(buf[:0], number)
	tr.Add(trace.Step{Rule: "dial plan", Subject: rule.Pattern.String(), Table: "dialplan", Row: rule.ID, Verdict: trace.Match})
	return rule.Target.Append(dst, kept), rule
}
