package numbers

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"sipd/gatewaymap"
	"sipd/plan"
	"sipd/store"
)

func viewGatewayRule(r *store.GatewayRule) ruleView {
	return ruleView{ID: r.ID, Position: r.Position, Pattern: r.Pattern, Classes: r.Classes, Target: r.Target, Weight: r.Weight, Enabled: r.Enabled, Comment: r.Comment}
}

func (p *Program) gatewaymap() *cobra.Command {
	r := store.GatewayRule{}
	var mode Mode
	var off bool
	add := &cobra.Command{
		Use:   "add PATTERN CLASSES TARGET",
		Short: "Add a rule: which gateway a number goes to, and for whom",
		Long: "Add a rule: which gateway a number goes to, and for whom. PATTERN and TARGET are as in `sipd dialplan add`; the host of TARGET may be the\n" +
			"name of a gateway. CLASSES are gateway classes with commas between them, or * for any. Rules of one position are a hunt group.",
		Example: "  sipd gatewaymap add '(+)*' staff,faculty 'sip:9011$@gw1'\n  sipd gatewaymap add '(+)*' staff,faculty 'sip:9011$@gw2' --position 10 --weight 2",
		Args:    cobra.ExactArgs(3),
	}
	f := add.Flags()
	f.IntVar(&r.Position, "position", -1, "its place in the order; behind all others when left out")
	f.IntVar(&r.Weight, "weight", 1, "its share of the calls of a hunt group")
	f.StringVar(&r.Comment, "comment", "", "a `note` for people")
	f.BoolVar(&off, "off", false, "do not use it yet")
	add.RunE = p.Run(func(ctx context.Context, db Database, args []string) error {
		r.Pattern, r.Classes, r.Target, r.Enabled = args[0], args[1], args[2], !off
		if err := p.edit(ctx, db, "gatewaymap add", "gatewaymap", mode, func(rows *store.PlanRows) (string, error) {
			if r.Position < 0 {
				r.Position = plan.NextPosition(rows.GatewayRules, func(r *store.GatewayRule) int { return r.Position })
			}
			rows.GatewayRules = append(rows.GatewayRules, r)
			return "+ " + ruleText(&r), nil
		}); err != nil {
			return err
		}
		return p.Say(viewGatewayRule(&r), "added rule %s at position %d", ruleText(&r), r.Position)
	})
	rm := &cobra.Command{Use: "rm ID", Short: "Remove a rule", Args: cobra.ExactArgs(1), RunE: p.Run(func(ctx context.Context, db Database, args []string) error {
		id, err := p.id(args[0], "gatewaymap list")
		if err != nil {
			return err
		}
		var gone store.GatewayRule
		if err := p.edit(ctx, db, "gatewaymap rm", "gatewaymap", mode, func(rows *store.PlanRows) (string, error) {
			i := slices.IndexFunc(rows.GatewayRules, func(r store.GatewayRule) bool { return r.ID == id })
			if i < 0 {
				return "", fmt.Errorf("there is no rule %d; `sipd gatewaymap list` shows those that are", id)
			}
			gone = rows.GatewayRules[i]
			rows.GatewayRules = slices.Delete(rows.GatewayRules, i, i+1)
			return "- " + ruleText(&gone), nil
		}); err != nil {
			return err
		}
		return p.Say(viewGatewayRule(&gone), "removed rule %s", ruleText(&gone))
	})}
	load := importCommand("gateway map", &mode, p.Run(func(ctx context.Context, db Database, args []string) error {
		lines, err := p.read(args[0], true)
		if err != nil {
			return err
		}
		rows, err := db.Plan(ctx)
		if err != nil {
			return err
		}
		if err := plan.CheckGatewayMap(lines, rows); err != nil {
			return p.Usage(fmt.Errorf("%s: %w", args[0], err))
		}
		return p.load(ctx, db, "gatewaymap", mode, func(rows *store.PlanRows) (changes []string, n int) {
			rows.GatewayRules, changes = plan.ImportGatewayMap(rows.GatewayRules, lines)
			return changes, len(rows.GatewayRules)
		})
	}))
	export := &cobra.Command{Use: "export", Short: "Write the rules as a map file to standard output", Args: cobra.NoArgs,
		RunE: p.Run(func(ctx context.Context, db Database, _ []string) error {
			rows, err := db.Plan(ctx)
			if err != nil {
				return err
			}
			lines, off, err := plan.ExportGatewayMap(rows.GatewayRules)
			return p.export(lines, off, err)
		})}
	var class string
	test := &cobra.Command{Use: "test NUMBER", Short: "Say which gateways a number goes to, in the order they are tried", Args: cobra.ExactArgs(1),
		Long: "Say which gateways a number goes to, one URI a line: the number as it is after the dial plan. `denied` (other classes may) and `no match` end\n" +
			"with status 1.",
		Example: "  sipd gatewaymap test +442079460000 --class staff",
		RunE: p.Run(func(ctx context.Context, db Database, args []string) error {
			return p.testGatewayMap(ctx, db, args[0], class)
		})}
	test.Flags().StringVar(&class, "class", "", "the gateway `class` of the caller; none when left out")
	list := &cobra.Command{Use: "list", Short: "List the rules in their order", Args: cobra.NoArgs, RunE: p.Run(func(ctx context.Context, db Database, _ []string) error {
		rows, err := db.Plan(ctx)
		if err != nil {
			return err
		}
		views := make([]ruleView, len(rows.GatewayRules))
		for i := range rows.GatewayRules {
			views[i] = viewGatewayRule(&rows.GatewayRules[i])
		}
		if p.JSON() {
			return p.Say(views, "")
		}
		row, end := p.Table("ID", "POSITION", "PATTERN", "CLASSES", "TARGET", "WEIGHT", "ENABLED", "COMMENT")
		for _, v := range views {
			row(strconv.FormatInt(v.ID, 10), strconv.Itoa(v.Position), v.Pattern, v.Classes, v.Target, strconv.Itoa(v.Weight), yes(v.Enabled), v.Comment)
		}
		return end()
	})}
	ForceFlag(&mode, add, rm, load)
	return p.Group("gatewaymap", "Which gateways numbers go to, and for whom", list, add, rm, load, export, test)
}

func ruleText(r *store.GatewayRule) string { return r.Pattern + " " + r.Classes + " " + r.Target }

func (p *Program) testGatewayMap(ctx context.Context, db Database, text, class string) error {
	number, err := plan.Digits(text)
	if err != nil {
		return p.Usage(err)
	}
	c, rows, err := p.compiled(ctx, db)
	if err != nil {
		return err
	}
	if strings.EqualFold(class, "NULL") {
		class = ""
	}
	if class != "" && !rows.HasClass(class) {
		fmt.Fprintf(p.Stderr, "note: there is no gateway class %s; `sipd class list` shows those that are\n", class)
	}
	type gateway struct {
		URI    string `json:"uri"`
		Row    int64  `json:"row"`
		Weight int    `json:"weight"`
	}
	found, out := c.Map.Find(nil, []byte(number), class, nil)
	v := struct {
		Number   string    `json:"number"`
		Class    string    `json:"class"`
		Outcome  string    `json:"outcome"`
		Gateways []gateway `json:"gateways"`
	}{number, class, out.String(), []gateway{}}
	lines := []string{out.String()}
	if out == gatewaymap.Found {
		lines = nil
	}
	for _, g := range found {
		v.Gateways = append(v.Gateways, gateway{g.URI, g.Rule.ID, max(g.Rule.Weight, 1)})
		lines = append(lines, g.URI)
	}
	if err := p.Say(v, "%s", strings.Join(lines, "\n")); err != nil || out == gatewaymap.Found {
		return err
	}
	if uri, rule := c.DialPlan.Find(nil, []byte(number), nil); out == gatewaymap.NoMatch && rule != nil { // Who asks has dialled it, perhaps.
		fmt.Fprintf(p.Stderr, "note: the dial plan makes %s of %s: ask for that\n", uri, number)
	}
	return p.Failed()
}
