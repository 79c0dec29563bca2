package numbers

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"sipd/plan"
	"sipd/store"
)

// testView is a row of plan_tests, and what became of it, as --json prints it.
type testView struct {
	ID      int64  `json:"id"`
	Number  string `json:"number"`
	Class   string `json:"class"`
	Expect  string `json:"expect"`
	Comment string `json:"comment"`
	Got     string `json:"got,omitempty"`
	OK      *bool  `json:"ok,omitempty"`
}

func viewTest(t *store.PlanTest) testView {
	return testView{ID: t.ID, Number: t.Number, Class: t.Class, Expect: t.Expect, Comment: t.Comment}
}

func (p *Program) plantest() *cobra.Command {
	var t store.PlanTest
	add := &cobra.Command{
		Use:   "add NUMBER EXPECTED...",
		Short: "Say what must become of a number, whatever is changed",
		Long: "Say what must become of a number, whatever is changed: a change of the dial plan, the gateway map, aliases or classes that breaks it is refused.\n" +
			"EXPECTED is `denied`, `nomatch`, `ambiguous` or the URIs, in their order; a user is sip:alice@example.com.",
		Example: "  sipd plantest add 7042 sip:alice@example.com\n  sipd plantest add 9011442079460000 denied --class student",
		Args:    cobra.MinimumNArgs(2),
	}
	add.Flags().StringVar(&t.Class, "class", "", "the gateway `class` of the caller; none when left out")
	add.Flags().StringVar(&t.Comment, "comment", "", "a `note` for people")
	add.RunE = p.Run(func(ctx context.Context, db Database, args []string) error {
		t.Number, t.Expect = args[0], strings.Join(args[1:], " ")
		if _, err := plan.ParseNumber(t.Number); err != nil {
			return p.Usage(err)
		}
		switch err := db.AddPlanTest(ctx, &t); {
		case errors.Is(err, store.ErrExists):
			return fmt.Errorf("there is a test of %s for this class already; `sipd plantest list` shows it", t.Number)
		case errors.Is(err, store.ErrNotFound):
			return fmt.Errorf("there is no gateway class %s; `sipd class list` shows those that are", t.Class)
		case errors.Is(err, store.ErrInvalid):
			return p.Usage(err)
		case err != nil:
			return err
		}
		return p.Say(viewTest(&t), "added plan test %d: %s %s", t.ID, t.Number, t.Expect)
	})
	rm := &cobra.Command{Use: "rm ID", Short: "Remove a plan test", Args: cobra.ExactArgs(1), RunE: p.Run(func(ctx context.Context, db Database, args []string) error {
		id, err := p.id(args[0], "plantest list")
		if err != nil {
			return err
		}
		if err := db.RemovePlanTest(ctx, id); errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("there is no plan test %d; `sipd plantest list` shows those that are", id)
		} else if err != nil {
			return err
		}
		return p.Say(map[string]int64{"removed": id}, "removed plan test %d", id)
	})}
	list := &cobra.Command{Use: "list", Short: "List the plan tests", Args: cobra.NoArgs, RunE: p.Run(func(ctx context.Context, db Database, _ []string) error {
		tests, err := db.PlanTests(ctx)
		if err != nil {
			return err
		}
		views := make([]testView, len(tests))
		for i := range tests {
			views[i] = viewTest(&tests[i])
		}
		if p.JSON() {
			return p.Say(views, "")
		}
		row, end := p.Table("ID", "NUMBER", "CLASS", "EXPECTED", "COMMENT")
		for _, v := range views {
			row(strconv.FormatInt(v.ID, 10), v.Number, orDash(v.Class), v.Expect, v.Comment)
		}
		return end()
	})}
	run := &cobra.Command{Use: "run", Short: "Run the plan tests", Args: cobra.NoArgs, RunE: p.Run(p.runTests),
		Long: "Run the plan tests on the tables as they are. Status 1 when one fails."}
	return p.Group("plantest", "What must become of numbers", add, list, rm, run)
}

func (p *Program) runTests(ctx context.Context, db Database, _ []string) error {
	at, err := placeOf(ctx, db)
	if err != nil {
		return err
	}
	var results []plan.TestResult
	// What is read is of one moment; nothing is written.
	err = db.ChangePlan(ctx, func(tx store.PlanTx) error {
		rows, err := tx.Plan()
		if err != nil {
			return err
		}
		tests, err := tx.PlanTests()
		if err != nil {
			return err
		}
		compiled, _ := plan.Compile(rows, nil)
		results, err = at.book(compiled, tx).Run(tests)
		return err
	})
	if err != nil {
		return err
	}
	failed := 0
	views := make([]testView, len(results))
	for i := range results {
		r := &results[i]
		ok := r.OK()
		views[i] = viewTest(&r.Test)
		views[i].Got, views[i].OK = r.Got, &ok
		if !ok {
			failed++
		}
	}
	if p.JSON() {
		err = p.Say(views, "")
	} else {
		for i := range results {
			if !results[i].OK() {
				fmt.Fprintln(p.Stdout, p.Visible("failed: "+results[i].String()))
			}
		}
		err = p.Say(nil, "%d of %d plan tests pass", len(results)-failed, len(results))
	}
	if err != nil || failed == 0 {
		return err
	}
	return p.Failed()
}
