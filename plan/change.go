package plan

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"sipd/canonicalize"
	"sipd/store"
)

// TestResult is what became of a plan test.
type TestResult struct {
	Test store.PlanTest
	Got  string // as Test.Expect, or why there is nothing
}

// OK tells whether the number leads where it should.
func (r *TestResult) OK() bool { return r.Got == r.Test.Expect }

// String says what was expected and what is.
func (r *TestResult) String() string {
	return fmt.Sprintf("%s, class %s: got %s, want %s", r.Test.Number, className(r.Test.Class), r.Got, r.Test.Expect)
}

// className is how people write a class.
func className(class string) string {
	if class == "" {
		return "NULL"
	}
	return class
}

// Run runs plan tests.
func (b *Book) Run(tests []store.PlanTest) ([]TestResult, error) {
	results := make([]TestResult, len(tests))
	for i, t := range tests {
		results[i].Test = t
		if _, err := ParseNumber(t.Number); err != nil {
			results[i].Got = err.Error() // A row that somebody wrote by hand.
			continue
		}
		r, err := b.Route(t.Number, t.Class, nil)
		if err != nil {
			return nil, err
		}
		results[i].Got = r.String()
	}
	return results, nil
}

// BrokenError is plan tests that a change would break.
type BrokenError struct {
	Tests  []TestResult
	Detail string // the change: its lines, as audit_log would have them
}

// Error lists them.
func (e *BrokenError) Error() string {
	lines := make([]string, len(e.Tests))
	for i := range e.Tests {
		lines[i] = "\n  " + e.Tests[i].String()
	}
	return fmt.Sprintf("%d plan tests would break:%s", len(e.Tests), strings.Join(lines, ""))
}

// Change is how the tables are changed: in one transaction, so that what was tested is what is committed, whoever else changes them.
type Change struct {
	Actor, Action, Object string
	Force                 bool // also when plan tests break
	DryRun                bool // nothing is changed; the report says what would be
	Home                  string
	Ask                   canonicalize.Arguments
	Canonical             func(host []byte) (domain string, local bool)
}

// Report is what a change has done.
type Report struct {
	Broken  []TestResult // that were broken by force
	Failing []TestResult // that failed before, and still do
	Notes   []string     // rules that nothing reaches, targets that may be misspelled
}

// Apply makes the change that do makes. do returns what it did, for audit_log; what is empty has changed nothing and is not noted. The error is
// do's, a *BrokenError, or about a row that could not be used; nothing is changed then.
func (c *Change) Apply(ctx context.Context, a store.PlanAdmin, do func(store.PlanTx) (detail string, err error)) (*Report, error) {
	report := &Report{}
	err := a.ChangePlan(ctx, func(tx store.PlanTx) error {
		tests, err := tx.PlanTests()
		if err != nil {
			return err
		}
		before, known, err := c.run(tx, tests)
		if err != nil {
			return err
		}
		detail, err := do(tx)
		if err != nil || detail == "" {
			return err
		}
		after, problems, err := c.run(tx, tests)
		if err != nil {
			return err
		}
		had := map[string]bool{}
		for i := range known.problems {
			had[known.problems[i].Error()] = true
		}
		for i := range problems.problems {
			switch p := &problems.problems[i]; {
			case had[p.Error()]:
			case p.InForce:
				report.Notes = append(report.Notes, p.Error())
			default:
				return p
			}
		}
		for _, w := range known.warnings {
			had[w] = true
		}
		for _, w := range problems.warnings {
			if !had[w] {
				report.Notes = append(report.Notes, w)
			}
		}
		for i := range after {
			switch {
			case after[i].OK():
			case before[i].OK():
				report.Broken = append(report.Broken, after[i])
			default:
				report.Failing = append(report.Failing, after[i])
			}
		}
		if len(report.Broken) > 0 {
			broken := &BrokenError{report.Broken, detail}
			if !c.Force {
				return broken
			}
			detail = "forced, " + broken.Error() + "\n" + detail
		}
		if c.DryRun {
			return errDryRun
		}
		return tx.Audit(&store.AuditEntry{Actor: c.Actor, Action: c.Action, Object: c.Object, Detail: detail})
	})
	if err != nil && !errors.Is(err, errDryRun) {
		return nil, err
	}
	return report, nil
}

// errDryRun undoes what a dry run has done.
var errDryRun = errors.New("dry run")

type compiled struct {
	problems []Problem
	warnings []string
}

// run compiles the tables as the transaction sees them, and runs the tests.
func (c *Change) run(tx store.PlanTx, tests []store.PlanTest) ([]TestResult, compiled, error) {
	rows, err := tx.Plan()
	if err != nil {
		return nil, compiled{}, err
	}
	p, problems := Compile(rows, nil)
	results, err := (&Book{Plan: p, Names: tx, Home: c.Home, Ask: c.Ask, Canonical: c.Canonical}).Run(tests)
	return results, compiled{problems, p.Warnings}, err
}
