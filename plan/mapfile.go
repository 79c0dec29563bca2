package plan

import (
	"errors"
	"fmt"
	"strings"

	"sipd/canonicalize/pattern"
	"sipd/store"
)

// step is the distance between the positions of rules: there is room for one between two.
const step = 10

// NextPosition is the position behind all rules.
func NextPosition[T any](rules []T, position func(*T) int) int {
	last := 0
	for i := range rules {
		last = max(last, position(&rules[i]))
	}
	return last + step
}

// CheckDialPlan says what is wrong with the rules of a map file that Read took, each with its line.
func CheckDialPlan(lines []pattern.Line) error {
	var faults []error
	for _, l := range lines {
		r := store.DialRule{Pattern: l.Pattern.String(), Target: l.Target.String()}
		if err := r.Check(); err != nil {
			faults = append(faults, fmt.Errorf("line %d: %w", l.Number, err))
		}
	}
	return errors.Join(faults...)
}

// CheckGatewayMap is CheckDialPlan for the gateway map, whose rules name classes among those in rows.
func CheckGatewayMap(lines []pattern.Line, rows *store.PlanRows) error {
	var faults []error
	for _, l := range lines {
		r := store.GatewayRule{Pattern: l.Pattern.String(), Classes: strings.Join(l.Classes, ","), Target: l.Target.String()}
		if err := r.Check(); err != nil {
			faults = append(faults, fmt.Errorf("line %d: %w", l.Number, err))
		}
		var missing []string
		for _, c := range l.Classes {
			if c != "*" && !rows.HasClass(c) {
				missing = append(missing, c)
			}
		}
		if len(missing) > 0 {
			faults = append(faults, fmt.Errorf("line %d: %w: there is no gateway class %s: write `sipd class add %s` first", l.Number, store.ErrInvalid, strings.Join(missing, ", "), missing[0]))
		}
	}
	return errors.Join(faults...)
}

// ImportDialPlan makes the dial plan that a map file says of the one there is. Rules that stay keep their row and what a file cannot say, and what
// takes the place of a rule with the same pattern keeps that, too: 911 is an emergency number wherever it leads. changes are
// the rules that come (+) and go (-), and a word when others change their places.
func ImportDialPlan(now []store.DialRule, lines []pattern.Line) (next []store.DialRule, changes []string) {
	rest := queues(now, func(r *store.DialRule) string { return r.Pattern + " " + r.Target })
	same := rest.takeAll(lines, func(l *pattern.Line) string { return l.Pattern.String() + " " + l.Target.String() })
	replaced := rest.going(func(r *store.DialRule) (string, bool) { return r.Pattern, r.Enabled })
	shown := func(r *store.DialRule) string {
		if r.Emergency {
			return rest.text(r) + " (emergency)"
		}
		return rest.text(r)
	}
	for i, l := range lines {
		row := store.DialRule{Pattern: l.Pattern.String(), Target: l.Target.String(), Enabled: true}
		if old := same[i]; old != nil {
			row = *old
		} else {
			if was := replaced.take(row.Pattern); was != nil {
				row.Emergency, row.Comment = was.Emergency, was.Comment
			}
			changes = append(changes, "+ "+shown(&row))
		}
		if row.Position = (i + 1) * step; l.Comment != "" {
			row.Comment = comment(l.Comment)
		}
		next = append(next, row)
	}
	return next, rest.changes(changes, shown)
}

// ImportGatewayMap is ImportDialPlan for the gateway map. Rules of a hunt group that stand together in the file stay one, whatever becomes of their
// classes and targets.
func ImportGatewayMap(now []store.GatewayRule, lines []pattern.Line) (next []store.GatewayRule, changes []string) {
	rest := queues(now, func(r *store.GatewayRule) string { return r.Pattern + " " + r.Classes + " " + r.Target })
	same := rest.takeAll(lines, func(l *pattern.Line) string {
		return l.Pattern.String() + " " + strings.Join(l.Classes, ",") + " " + l.Target.String()
	})
	replaced := rest.going(func(r *store.GatewayRule) (string, bool) { return r.Pattern, r.Enabled })
	position, before := 0, -1 // before: where the rule before was
	for i, l := range lines {
		row := store.GatewayRule{Position: -1, Pattern: l.Pattern.String(), Classes: strings.Join(l.Classes, ","), Target: l.Target.String(), Weight: 1, Enabled: true}
		if old := same[i]; old != nil {
			row = *old
		} else {
			if was := replaced.take(row.Pattern); was != nil {
				row.Position, row.Weight, row.Comment = was.Position, was.Weight, was.Comment
			}
			changes = append(changes, "+ "+rest.text(&row))
		}
		if row.Position < 0 || row.Position != before {
			position += step
		}
		if before, row.Position = row.Position, position; l.Comment != "" {
			row.Comment = comment(l.Comment)
		}
		next = append(next, row)
	}
	return next, rest.changes(changes, rest.text)
}

// maxComment is how much of the comments above a rule is kept: a line for people.
const maxComment = 500

func comment(s string) string {
	if len(s) > maxComment {
		s = s[:maxComment]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0xfffd {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, ""))
}

// remaining is rows by their text, in their order.
type remaining[T any] struct {
	rows  []T
	text  func(*T) string
	by    map[string][]int
	taken []int // in the order of the file
	stays []bool
}

func queues[T any](rows []T, text func(*T) string) *remaining[T] {
	r := &remaining[T]{rows: rows, text: text, by: map[string][]int{}, stays: make([]bool, len(rows))}
	for i := range rows {
		t := text(&rows[i])
		r.by[t] = append(r.by[t], i)
	}
	return r
}

func (r *remaining[T]) take(text string) *T {
	list := r.by[text]
	if len(list) == 0 {
		return nil
	}
	r.by[text] = list[1:]
	r.taken = append(r.taken, list[0])
	r.stays[list[0]] = true
	return &r.rows[list[0]]
}

// takeAll returns the row that each line is, nil for one that there is none of.
func (r *remaining[T]) takeAll(lines []pattern.Line, text func(*pattern.Line) string) []*T {
	rows := make([]*T, len(lines))
	for i := range lines {
		rows[i] = r.take(text(&lines[i]))
	}
	return rows
}

// byPattern is rows in their order.
type byPattern[T any] map[string][]*T

// going returns the rows that go, those that are switched off left out.
func (r *remaining[T]) going(pattern func(*T) (text string, on bool)) byPattern[T] {
	by := byPattern[T]{}
	for i := range r.rows {
		if text, on := pattern(&r.rows[i]); on && !r.stays[i] {
			by[text] = append(by[text], &r.rows[i])
		}
	}
	return by
}

func (b byPattern[T]) take(text string) *T {
	list := b[text]
	if len(list) == 0 {
		return nil
	}
	b[text] = list[1:]
	return list[0]
}

// changes adds what goes and whether those that stay are in another order.
func (r *remaining[T]) changes(changes []string, shown func(*T) string) []string {
	for i := range r.rows {
		if !r.stays[i] {
			changes = append(changes, "- "+shown(&r.rows[i]))
		}
	}
	for i := 1; i < len(r.taken); i++ {
		if r.taken[i] < r.taken[i-1] {
			return append(changes, "~ rules that stay are in another order")
		}
	}
	return changes
}

// ExportDialPlan returns the rules as lines of a map file, and how many are left out because they are switched off.
func ExportDialPlan(rules []store.DialRule) (lines []pattern.Line, off int, err error) {
	for _, r := range rules {
		if !r.Enabled {
			off++
			continue
		}
		l := pattern.Line{Comment: r.Comment}
		if l.Pattern, l.Target, err = compileRule(r.Pattern, r.Target); err != nil {
			return nil, 0, err
		}
		lines = append(lines, l)
	}
	return lines, off, nil
}

// ExportGatewayMap is ExportDialPlan for the gateway map.
func ExportGatewayMap(rules []store.GatewayRule) (lines []pattern.Line, off int, err error) {
	for _, r := range rules {
		if !r.Enabled {
			off++
			continue
		}
		l := pattern.Line{Comment: r.Comment}
		if l.Classes, err = pattern.ParseClasses(r.Classes); err != nil {
			return nil, 0, err
		}
		if l.Pattern, l.Target, err = compileRule(r.Pattern, r.Target); err != nil {
			return nil, 0, err
		}
		lines = append(lines, l)
	}
	return lines, off, nil
}
