package numbers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"sipd/config"
	"sipd/sipaddr"
	"sipd/store"
)

// gatewayView is a row of gateways as --json prints it.
type gatewayView struct {
	Name     string `json:"name"`
	URI      string `json:"uri"`
	Nets     string `json:"source_nets"`
	TLSName  string `json:"tls_name"`
	Class    string `json:"inbound_class"`
	Probe    int    `json:"probe_s"`
	MaxCalls int    `json:"max_calls"`
	Weight   int    `json:"weight"`
	Enabled  bool   `json:"enabled"`
	Drained  bool   `json:"drained"`
	Comment  string `json:"comment"`

	Live *liveGateway `json:"live,omitempty"` // none: the running server has not said
}

func viewGateway(g *store.Gateway, classes []store.GatewayClass) gatewayView {
	v := gatewayView{g.Name, g.URI, g.SourceNets, g.TLSName, "", g.ProbeSeconds, g.MaxCalls, max(g.Weight, 1), g.Enabled, g.Drained, g.Comment, nil}
	for _, c := range classes {
		if c.ID == g.InboundClassID {
			v.Class = c.Name
		}
	}
	return v
}

func (v *gatewayView) state() string {
	switch {
	case !v.Enabled:
		return "off"
	case v.Drained:
		return "drained"
	}
	return "on"
}

// gatewayFlags are what add and set say of a gateway.
type gatewayFlags struct {
	nets                 []string
	tls, class, comment  string
	probe, calls, weight int
	off, on              bool
	uri                  string
}

func (f *gatewayFlags) add(c *cobra.Command) {
	fs := c.Flags()
	fs.StringArrayVar(&f.nets, "net", nil, "a network or `address` its own calls come from; repeatable")
	fs.StringVar(&f.tls, "tls-name", "", "the `domain` of the certificate it must show")
	fs.StringVar(&f.class, "class", "", "the gateway `class` of its own calls; NULL for none")
	fs.IntVar(&f.probe, "probe", 0, "`seconds` between questions whether it lives; 0 for the server's 30, -1 for never")
	fs.IntVar(&f.calls, "max-calls", 0, "how many calls it takes at a time; 0 for any number")
	fs.IntVar(&f.weight, "weight", 1, "its share of the calls of a hunt group")
	fs.StringVar(&f.comment, "comment", "", "a `note` for people")
	fs.BoolVar(&f.off, "off", false, "do not use it")
}

// apply changes what was given on the command line.
func (f *gatewayFlags) apply(c *cobra.Command, g *store.Gateway, classes []store.GatewayClass) error {
	given := c.Flags().Changed
	if given("net") {
		g.SourceNets = strings.Join(f.nets, " ")
	}
	if given("tls-name") {
		g.TLSName = f.tls
	}
	if given("probe") {
		g.ProbeSeconds = f.probe
	}
	if given("max-calls") {
		g.MaxCalls = f.calls
	}
	if given("weight") {
		g.Weight = f.weight
	}
	if given("comment") {
		g.Comment = f.comment
	}
	if given("uri") {
		g.URI = f.uri
	}
	if given("off") || given("on") {
		g.Enabled = !f.off
	}
	if given("class") {
		i := slices.IndexFunc(classes, func(c store.GatewayClass) bool { return c.Name == f.class })
		switch {
		case strings.EqualFold(f.class, "NULL"):
			g.InboundClassID = 0
		case i < 0:
			return fmt.Errorf("there is no gateway class %s; write `sipd class add %s` first", f.class, f.class)
		default:
			g.InboundClassID = classes[i].ID
		}
	}
	return nil
}

func (p *Program) gateway() *cobra.Command {
	var f gatewayFlags
	var mode Mode
	add := &cobra.Command{
		Use:   "add NAME URI",
		Short: "Add a gateway: where calls for targets at NAME go",
		Long: "Add a gateway: where calls for targets at NAME go. Calls from its own networks, or with its certificate, come from it: they are not challenged,\n" +
			"and may call what --class may.",
		Example: "  sipd gateway add gw1 'sip:192.0.2.7:5070;transport=tcp' --net 192.0.2.7 --class staff --max-calls 24",
		Args:    cobra.ExactArgs(2),
	}
	f.add(add)
	add.RunE = func(c *cobra.Command, args []string) error {
		return p.Run(func(ctx context.Context, db Database, args []string) error {
			v := gatewayView{}
			err := p.edit(ctx, db, "gateway add", args[0], mode, func(rows *store.PlanRows) (string, error) {
				g := store.Gateway{Name: args[0], URI: args[1], Weight: 1, Enabled: true}
				if err := f.apply(c, &g, rows.Classes); err != nil {
					return "", err
				}
				if err := g.Normalize(); err != nil {
					return "", err
				}
				rows.Gateways = append(rows.Gateways, g)
				v = viewGateway(&g, rows.Classes)
				return fmt.Sprintf("+ %+v", v), nil
			})
			if errors.Is(err, store.ErrExists) {
				return fmt.Errorf("gateway %s is there already; `sipd gateway set %s` changes it", v.Name, v.Name)
			}
			if err != nil {
				return err
			}
			return p.Say(v, "added gateway %s %s", v.Name, v.URI)
		})(c, args)
	}
	set := &cobra.Command{Use: "set NAME", Short: "Change a gateway", Args: cobra.ExactArgs(1),
		Example: "  sipd gateway set gw1 --max-calls 48 --on"}
	f.add(set)
	set.Flags().StringVar(&f.uri, "uri", "", "where its requests go")
	set.Flags().BoolVar(&f.on, "on", false, "use it again")
	set.MarkFlagsMutuallyExclusive("on", "off")
	set.RunE = func(c *cobra.Command, args []string) error {
		if !slices.ContainsFunc([]string{"net", "tls-name", "class", "probe", "max-calls", "weight", "comment", "off", "on", "uri"}, c.Flags().Changed) {
			return p.Usage(errors.New("nothing is to be changed; `sipd gateway set --help` shows what can be"))
		}
		return p.Run(func(ctx context.Context, db Database, args []string) error {
			v, err := p.setGateway(ctx, db, "gateway set", args[0], mode, func(g *store.Gateway, classes []store.GatewayClass) error { return f.apply(c, g, classes) })
			if err != nil {
				return err
			}
			return p.Say(v, "changed gateway %s", v.Name)
		})(c, args)
	}
	drain := p.switchGateway("drain NAME", "Give a gateway no new calls", "drained", func(g *store.Gateway) { g.Drained = true })
	up := p.switchGateway("up NAME", "Give a gateway calls again", "up", func(g *store.Gateway) { g.Drained, g.Enabled = false, true })
	rm := &cobra.Command{Use: "rm NAME", Short: "Remove a gateway", Args: cobra.ExactArgs(1), RunE: p.Run(func(ctx context.Context, db Database, args []string) error {
		name := store.NormalHost(args[0])
		if err := p.edit(ctx, db, "gateway rm", name, mode, func(rows *store.PlanRows) (string, error) {
			i := slices.IndexFunc(rows.Gateways, func(g store.Gateway) bool { return g.Name == name })
			if i < 0 {
				return "", noGateway(name)
			}
			if ids := rulesOf(rows, name); len(ids) > 0 && !mode.Force {
				return "", fmt.Errorf("rules %s of the gateway map lead to %s; remove them first (`sipd gatewaymap rm ID`), or write --force", strings.Join(ids, ", "), name)
			}
			detail := fmt.Sprintf("- %+v", viewGateway(&rows.Gateways[i], rows.Classes))
			rows.Gateways = slices.Delete(rows.Gateways, i, i+1)
			return detail, nil
		}); err != nil {
			return err
		}
		return p.Say(map[string]string{"removed": name}, "removed gateway %s", name)
	})}
	var admin string
	list := &cobra.Command{Use: "list", Short: "List the gateways, and how the running server finds them", Args: cobra.NoArgs, RunE: p.Run(func(ctx context.Context, db Database, _ []string) error {
		if admin != "" {
			if _, _, err := config.ParseAdmin(admin); err != nil {
				return p.Usage(fmt.Errorf("--admin: %w", err))
			}
		}
		rows, err := db.Plan(ctx)
		if err != nil {
			return err
		}
		views := make([]gatewayView, len(rows.Gateways))
		for i := range rows.Gateways {
			views[i] = viewGateway(&rows.Gateways[i], rows.Classes)
		}
		live := p.watch(ctx, admin, rows.Gateways, views)
		if p.JSON() {
			return p.Say(views, "")
		}
		header := []string{"NAME", "URI", "STATE", "NETS", "TLS NAME", "CLASS", "MAX CALLS", "WEIGHT", "COMMENT"}
		if live {
			header = append(header, "NOW", "CALLS", "SINCE", "WHY")
		}
		row, end := p.Table(header...)
		for _, v := range views {
			calls := "-"
			if v.MaxCalls > 0 {
				calls = strconv.Itoa(v.MaxCalls)
			}
			cells := []string{v.Name, v.URI, v.state(), orDash(v.Nets), orDash(v.TLSName), orDash(v.Class), calls, strconv.Itoa(v.Weight), v.Comment}
			if live {
				cells = append(cells, v.Live.cells()...)
			}
			row(cells...)
		}
		return end()
	})}
	list.Flags().StringVar(&admin, "admin", "", "where the server answers, `ADDR:PORT|unix:PATH`; without it AdminListen of the settings")
	ForceFlag(&mode, rm)
	return p.Group("gateway", "Gateways: where numbers go, and who calls from there", list, add, set, rm, drain, up)
}

func noGateway(name string) error {
	return fmt.Errorf("there is no gateway %s; `sipd gateway list` shows those that are", name)
}

// rulesOf are the rules whose targets name a gateway.
func rulesOf(rows *store.PlanRows, name string) (ids []string) {
	for _, r := range rows.GatewayRules {
		u, err := sipaddr.Parse([]byte(strings.ReplaceAll(r.Target, "$", "1")))
		if err == nil && strings.EqualFold(string(u.Host), name) {
			ids = append(ids, strconv.FormatInt(r.ID, 10))
		}
	}
	return ids
}

func (p *Program) setGateway(ctx context.Context, db Database, action, name string, mode Mode, do func(*store.Gateway, []store.GatewayClass) error) (gatewayView, error) {
	name = store.NormalHost(name)
	var v gatewayView
	err := p.edit(ctx, db, action, name, mode, func(rows *store.PlanRows) (string, error) {
		i := slices.IndexFunc(rows.Gateways, func(g store.Gateway) bool { return g.Name == name })
		if i < 0 {
			return "", noGateway(name)
		}
		g := &rows.Gateways[i]
		before := viewGateway(g, rows.Classes)
		if err := do(g, rows.Classes); err != nil {
			return "", err
		}
		if err := g.Normalize(); err != nil {
			return "", err
		}
		v = viewGateway(g, rows.Classes)
		return fmt.Sprintf("- %+v\n+ %+v", before, v), nil
	})
	return v, err
}

func (p *Program) switchGateway(use, short, word string, do func(*store.Gateway)) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Args: cobra.ExactArgs(1), RunE: p.Run(func(ctx context.Context, db Database, args []string) error {
		v, err := p.setGateway(ctx, db, "gateway "+strings.Fields(use)[0], args[0], Mode{}, func(g *store.Gateway, _ []store.GatewayClass) error {
			do(g)
			return nil
		})
		if err != nil {
			return err
		}
		return p.Say(v, "gateway %s is %s", v.Name, word)
	})}
}
