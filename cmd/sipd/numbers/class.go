package numbers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"sipd/canonicalize/pattern"
	"sipd/store"
)

func (p *Program) class() *cobra.Command {
	var mode Mode
	add := &cobra.Command{Use: "add NAME", Short: "Add a gateway class", Args: cobra.ExactArgs(1), RunE: p.Run(func(ctx context.Context, db Database, args []string) error {
		name := args[0]
		if err := store.CheckName("gateway class", name); err != nil {
			return p.Usage(err)
		}
		if _, err := pattern.ParseClasses(name); err != nil || strings.Contains(name, ",") {
			return p.Usage(fmt.Errorf("gateway class %q: write letters, digits and - . _, so that rules can name it", name))
		}
		err := p.edit(ctx, db, "class add", name, Mode{}, func(rows *store.PlanRows) (string, error) {
			rows.Classes = append(rows.Classes, store.GatewayClass{Name: name})
			return "+ " + name, nil
		})
		if errors.Is(err, store.ErrExists) {
			return fmt.Errorf("gateway class %s is there already; `sipd class list` shows it", name)
		}
		if err != nil {
			return err
		}
		return p.Say(map[string]string{"name": name}, "added gateway class %s", name)
	})}
	rm := &cobra.Command{Use: "rm NAME", Short: "Remove a gateway class that nobody is in", Args: cobra.ExactArgs(1), RunE: p.Run(func(ctx context.Context, db Database, args []string) error {
		name := args[0]
		if err := p.edit(ctx, db, "class rm", name, mode, func(rows *store.PlanRows) (string, error) {
			i := slices.IndexFunc(rows.Classes, func(c store.GatewayClass) bool { return c.Name == name })
			if i < 0 {
				return "", fmt.Errorf("there is no gateway class %s; `sipd class list` shows those that are", name)
			}
			if uses := usesOf(rows, rows.Classes[i]); len(uses) > 0 {
				return "", fmt.Errorf("class %s is named by %s; change them first", name, strings.Join(uses, ", "))
			}
			rows.Classes = slices.Delete(rows.Classes, i, i+1)
			return "- " + name, nil
		}); err != nil {
			return err
		}
		return p.Say(map[string]string{"removed": name}, "removed gateway class %s", name)
	})}
	list := &cobra.Command{Use: "list", Short: "List the gateway classes", Args: cobra.NoArgs, RunE: p.Run(func(ctx context.Context, db Database, _ []string) error {
		classes, err := db.Classes(ctx)
		if err != nil {
			return err
		}
		names := make([]string, len(classes))
		for i, c := range classes {
			names[i] = c.Name
		}
		if p.JSON() {
			return p.Say(names, "")
		}
		for _, n := range names {
			if err := p.Say(nil, "%s", p.Visible(n)); err != nil {
				return err
			}
		}
		return nil
	})}
	ForceFlag(&mode, rm)
	return p.Group("class", "Gateway classes: what a user may call", add, list, rm)
}

// usesOf are the rows of the plan that name a class.
func usesOf(rows *store.PlanRows, c store.GatewayClass) (uses []string) {
	for _, r := range rows.GatewayRules {
		if slices.Contains(strings.Split(r.Classes, ","), c.Name) {
			uses = append(uses, "rule "+strconv.FormatInt(r.ID, 10)+" of the gateway map")
		}
	}
	for _, g := range rows.Gateways {
		if g.InboundClassID == c.ID {
			uses = append(uses, "gateway "+g.Name)
		}
	}
	return uses
}
