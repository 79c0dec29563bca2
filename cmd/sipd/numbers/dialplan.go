package numbers

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"sipd/canonicalize/pattern"
	"sipd/plan"
	"sipd/sipaddr"
	"sipd/store"
)

// ruleView is a row of dialplan or gatewaymap as --json prints it.
type ruleView struct {
	ID        int64  `json:"id"`
	Position  int    `json:"position"`
	Pattern   string `json:"pattern"`
	Classes   string `json:"classes,omitempty"`
	Target    string `json:"target"`
	Weight    int    `json:"weight,omitempty"`
	Emergency bool   `json:"emergency,omitempty"`
	Enabled   bool   `json:"enabled"`
	Comment   string `json:"comment"`
}

func viewDialRule(r *store.DialRule) ruleView {
	return ruleView{ID: r.ID, Position: r.Position, Pattern: r.Pattern, Target: r.Target, Emergency: r.Emergency, Enabled: r.Enabled, Comment: r.Comment}
}

func (p *Program) dialplan() *cobra.Command {
	var r store.DialRule
	var mode Mode
	var off bool
	add := &cobra.Command{
		Use:   "add PATTERN TARGET",
		Short: "Add a rule: what becomes of numbers",
		Long: "Add a rule: what becomes of numbers. In PATTERN ? is a digit, [2-9] one of some, {347,646} one of several, * the rest; what stands in\n" +
			"parentheses is removed. In TARGET $ is what is left of the number. The first rule by position that has a number decides.",
		Example: "  sipd dialplan add '7???' 'tel:+1212939$'\n  sipd dialplan add '(9)*' 'tel:+1$' --position 900\n  sipd dialplan add 911 sip:911@psap.example.org --emergency --position 1",
		Args:    cobra.ExactArgs(2),
	}
	f := add.Flags()
	f.IntVar(&r.Position, "position", -1, "its place in the order; behind all others when left out")
	f.BoolVar(&r.Emergency, "emergency", false, "calls to it are never challenged or refused")
	f.StringVar(&r.Comment, "comment", "", "a `note` for people")
	f.BoolVar(&off, "off", false, "do not use it yet")
	add.RunE = p.Run(func(ctx context.Context, db Database, args []string) error {
		r.Pattern, r.Target, r.Enabled = args[0], args[1], !off
		if err := p.edit(ctx, db, "dialplan add", "dialplan", mode, func(rows *store.PlanRows) (string, error) {
			if r.Position < 0 {
				r.Position = plan.NextPosition(rows.DialRules, func(r *store.DialRule) int { return r.Position })
			}
			rows.DialRules = append(rows.DialRules, r)
			return "+ " + r.Pattern + " " + r.Target, nil
		}); err != nil {
			return err
		}
		return p.Say(viewDialRule(&r), "added rule %s %s at position %d", r.Pattern, r.Target, r.Position)
	})
	rm := &cobra.Command{Use: "rm ID", Short: "Remove a rule", Args: cobra.ExactArgs(1), RunE: p.Run(func(ctx context.Context, db Database, args []string) error {
		id, err := p.id(args[0], "dialplan list")
		if err != nil {
			return err
		}
		var gone store.DialRule
		if err := p.edit(ctx, db, "dialplan rm", "dialplan", mode, func(rows *store.PlanRows) (string, error) {
			i := slices.IndexFunc(rows.DialRules, func(r store.DialRule) bool { return r.ID == id })
			if i < 0 {
				return "", fmt.Errorf("there is no rule %d; `sipd dialplan list` shows those that are", id)
			}
			gone = rows.DialRules[i]
			rows.DialRules = slices.Delete(rows.DialRules, i, i+1)
			return "- " + gone.Pattern + " " + gone.Target, nil
		}); err != nil {
			return err
		}
		return p.Say(viewDialRule(&gone), "removed rule %s %s", gone.Pattern, gone.Target)
	})}
	load := importCommand("dial plan", &mode, p.Run(func(ctx context.Context, db Database, args []string) error {
		lines, err := p.read(args[0], false)
		if err != nil {
			return err
		}
		if err := plan.CheckDialPlan(lines); err != nil {
			return p.Usage(fmt.Errorf("%s: %w", args[0], err))
		}
		return p.load(ctx, db, "dialplan", mode, func(rows *store.PlanRows) (changes []string, n int) {
			rows.DialRules, changes = plan.ImportDialPlan(rows.DialRules, lines)
			return changes, len(rows.DialRules)
		})
	}))
	export := &cobra.Command{Use: "export", Short: "Write the rules as a map file to standard output", Args: cobra.NoArgs,
		RunE: p.Run(func(ctx context.Context, db Database, _ []string) error {
			rows, err := db.Plan(ctx)
			if err != nil {
				return err
			}
			lines, off, err := plan.ExportDialPlan(rows.DialRules)
			return p.export(lines, off, err)
		})}
	test := &cobra.Command{Use: "test NUMBER", Short: "Say what the dial plan makes of a number", Args: cobra.ExactArgs(1),
		Long: "Say what the dial plan makes of a number. Users and aliases, which are asked before and after, are not: `sipd explain` does.",
		RunE: p.Run(p.testDialPlan)}
	diff := &cobra.Command{Use: "diff FILE", Short: "Say which known numbers and users would be routed differently by a map file", Args: cobra.ExactArgs(1),
		Long: "Say which known numbers and users would be routed differently if FILE were imported: the numbers of users and aliases and their ends,\n" +
			"which is what is dialled within a house, followed up to the gateway map; and plan tests, followed through it. Nothing is changed.",
		RunE: p.Run(p.diff)}
	list := &cobra.Command{Use: "list", Short: "List the rules in their order", Args: cobra.NoArgs, RunE: p.Run(func(ctx context.Context, db Database, _ []string) error {
		rows, err := db.Plan(ctx)
		if err != nil {
			return err
		}
		views := make([]ruleView, len(rows.DialRules))
		for i := range rows.DialRules {
			views[i] = viewDialRule(&rows.DialRules[i])
		}
		if p.JSON() {
			return p.Say(views, "")
		}
		row, end := p.Table("ID", "POSITION", "PATTERN", "TARGET", "EMERGENCY", "ENABLED", "COMMENT")
		for _, v := range views {
			row(strconv.FormatInt(v.ID, 10), strconv.Itoa(v.Position), v.Pattern, v.Target, yes(v.Emergency), yes(v.Enabled), v.Comment)
		}
		return end()
	})}
	ForceFlag(&mode, add, rm, load)
	return p.Group("dialplan", "What becomes of numbers", list, add, rm, load, export, test, diff)
}

func importCommand(what string, mode *Mode, run func(*cobra.Command, []string) error) *cobra.Command {
	c := &cobra.Command{Use: "import FILE", Short: "Make the " + what + " what a map file says, - for standard input", Args: cobra.ExactArgs(1), RunE: run,
		Long: "Make the " + what + " what a map file says, - for standard input, and say what changes. A file with a mistake is refused as a whole. Rules\n" +
			"that stay keep what a file cannot say: flags, weights, hunt groups, and comments unless the file has others."}
	c.Flags().BoolVar(&mode.DryRun, "dry-run", false, "only say what would change")
	return c
}

// read reads a map file.
func (p *Program) read(name string, classes bool) ([]pattern.Line, error) {
	in := p.Stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, p.Usage(err)
		}
		defer f.Close()
		in = f
	}
	lines, err := pattern.Read(in, classes)
	if err != nil {
		return nil, p.Usage(fmt.Errorf("%s: %w", name, err))
	}
	return lines, nil
}

// load makes a table what a file says and prints what changes.
func (p *Program) load(ctx context.Context, db Database, table string, mode Mode, do func(*store.PlanRows) (changes []string, rules int)) error {
	var changes []string
	rules := 0
	err := p.Change(ctx, db, table+" import", table, mode, func(tx store.PlanTx) (string, error) {
		rows, err := tx.Plan()
		if err != nil {
			return "", err
		}
		changes, rules = do(rows)
		detail := strings.Join(changes, "\n")
		if detail == "" {
			detail = "no rule comes or goes"
		}
		return detail, tx.SetPlan(rows)
	})
	if err != nil {
		return err
	}
	word := "imported"
	if mode.DryRun {
		word = "would import"
	}
	if p.JSON() {
		return p.Say(struct {
			Changes []string `json:"changes"`
			Rules   int      `json:"rules"`
			DryRun  bool     `json:"dry_run"`
		}{append([]string{}, changes...), rules, mode.DryRun}, "")
	}
	for _, c := range changes {
		if err := p.Say(nil, "%s", c); err != nil {
			return err
		}
	}
	return p.Say(nil, "%s %d rules", word, rules)
}

// export writes a map file.
func (p *Program) export(lines []pattern.Line, off int, err error) error {
	if err != nil {
		return fmt.Errorf("a rule cannot be written: %w", err)
	}
	if off > 0 {
		fmt.Fprintf(p.Stderr, "note: %d rules are left out because they are not enabled\n", off)
	}
	return pattern.Format(p.Stdout, lines)
}

func (p *Program) testDialPlan(ctx context.Context, db Database, args []string) error {
	number, err := plan.Digits(args[0])
	if err != nil {
		return p.Usage(err)
	}
	c, _, err := p.compiled(ctx, db)
	if err != nil {
		return err
	}
	uri, rule := c.DialPlan.Find(nil, []byte(number), nil)
	v := struct {
		Number    string `json:"number"`
		Outcome   string `json:"outcome"`
		URI       string `json:"uri,omitempty"`
		Row       int64  `json:"row,omitempty"`
		Emergency bool   `json:"emergency"`
	}{Number: number, Outcome: "no match"}
	text := v.Outcome
	if rule != nil {
		v.Outcome, v.URI, v.Row, v.Emergency = "found", string(uri), rule.ID, rule.Emergency
		text = v.URI
	}
	if err := p.Say(v, "%s", text); err != nil || rule != nil {
		return err
	}
	return p.Failed()
}

// maxShown is how many differences are printed for people: more are not read. --json has them all.
const maxShown = 1000

func (p *Program) diff(ctx context.Context, db Database, args []string) error {
	lines, err := p.read(args[0], false)
	if err != nil {
		return err
	}
	if err := plan.CheckDialPlan(lines); err != nil {
		return p.Usage(fmt.Errorf("%s: %w", args[0], err))
	}
	before, rows, err := p.compiled(ctx, db)
	if err != nil {
		return err
	}
	next := *rows
	next.DialRules, _ = plan.ImportDialPlan(rows.DialRules, lines)
	after, _ := plan.Compile(&next, nil)
	known, err := known(ctx, db)
	if err != nil {
		return err
	}
	tests, err := db.PlanTests(ctx)
	if err != nil {
		return err
	}
	at, err := placeOf(ctx, db)
	if err != nil {
		return err
	}
	found, err := plan.Diff(at.book(before, known), at.book(after, known), known.Numbers(), tests)
	if err != nil {
		return err
	}
	type view struct {
		Number  string   `json:"number"`
		Class   string   `json:"class,omitempty"`
		Was     string   `json:"was"`
		Becomes string   `json:"becomes"`
		Users   []string `json:"users"`
	}
	views, numbers, users := make([]view, len(found)), map[string]bool{}, map[string]bool{}
	for i, d := range found {
		views[i] = view{d.Number, d.Class, d.Was, d.Becomes, append([]string{}, d.Users...)}
		numbers[d.Number] = true
		for _, u := range d.Users {
			users[u] = true
		}
	}
	if p.JSON() {
		return p.Say(views, "")
	}
	if len(views) == 0 {
		return p.Say(nil, "no known number is routed differently")
	}
	row, end := p.Table("NUMBER", "CLASS", "WAS", "BECOMES")
	for _, v := range views[:min(len(views), maxShown)] {
		row(v.Number, orDash(v.Class), v.Was, v.Becomes)
	}
	if err := end(); err != nil {
		return err
	}
	if len(views) > maxShown {
		fmt.Fprintf(p.Stderr, "note: the first %d of %d; --json has them all\n", maxShown, len(views))
	}
	_, err = io.WriteString(p.Stdout, fmt.Sprintf("%d numbers are routed differently, %d users get other calls\n", len(numbers), len(users)))
	return err
}

// known reads all users and aliases.
func known(ctx context.Context, db Database) (*plan.Known, error) {
	var users []sipaddr.AOR
	if err := db.Users(ctx, "", func(u *store.User) error { users = append(users, u.Key); return nil }); err != nil {
		return nil, err
	}
	aliases, err := db.Aliases(ctx, "")
	if err != nil {
		return nil, err
	}
	return plan.NewKnown(users, aliases), nil
}
