package numbers

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"sipd/sipaddr"
	"sipd/store"
)

// memberView is a member of a group as --json prints it.
type memberView struct {
	Group    string `json:"group"`
	User     string `json:"user"`
	Mode     string `json:"ring_mode"`
	Delay    int    `json:"delay_s"`
	Priority int    `json:"priority"`
}

func viewMember(a *store.Alias) memberView {
	return memberView{a.Alias, string(a.PrimaryUser), a.RingMode.String(), a.Delay, a.Priority}
}

func (p *Program) group() *cobra.Command {
	var mode Mode
	var serial, parallel bool
	var delay, priority int
	add := &cobra.Command{
		Use:   "add GROUP USER...",
		Short: "Let users ring when a name or number is called",
		Long: "Let users ring when a name or number is called: all at once, or with --serial one after the other. --delay is in parallel how many seconds\n" +
			"after the call began they ring, serially how long each rings before the next does. Who is in the group already is changed.",
		Example: "  sipd group add 500 alice@example.com bob@example.com\n  sipd group add help@example.com carol@example.com --serial --delay 15 --priority 2",
		Args:    cobra.MinimumNArgs(2),
	}
	f := add.Flags()
	f.BoolVar(&serial, "serial", false, "the group's members ring one after the other")
	f.BoolVar(&parallel, "parallel", false, "the group's members ring together")
	f.IntVar(&delay, "delay", 0, "`seconds` before he rings (parallel), or that he rings (serial)")
	f.IntVar(&priority, "priority", 0, "order among the members, lowest first")
	add.MarkFlagsMutuallyExclusive("serial", "parallel")
	add.RunE = p.Run(func(ctx context.Context, db Database, args []string) error {
		ring := store.RingDefault
		if serial {
			ring = store.Serial
		} else if parallel {
			ring = store.Parallel
		}
		var users []sipaddr.AOR
		for _, text := range args[1:] {
			key, err := p.key(ctx, db, text, "")
			if err != nil {
				return err
			}
			users = append(users, key)
		}
		name, err := p.key(ctx, db, args[0], users[0].Host())
		if err != nil {
			return err
		}
		views := []memberView{}
		if err := p.Change(ctx, db, "group add", string(name), mode, func(tx store.PlanTx) (string, error) {
			switch is, err := tx.HasUser(name); {
			case err != nil:
				return "", err
			case is:
				return "", fmt.Errorf("%s is a user, who is called himself; write another name for the group", name)
			}
			rows, err := tx.Aliases(string(name))
			if err != nil {
				return "", err
			}
			members, err := joined(rows, name, users, ring, delay, priority)
			if err != nil {
				return "", err
			}
			if len(rows) > 0 {
				if err := tx.RemoveAlias(string(name), ""); err != nil {
					return "", err
				}
			}
			var detail []string
			for i := range members {
				m := &members[i]
				if err := tx.AddAlias(m); errors.Is(err, store.ErrNotFound) {
					return "", fmt.Errorf("there is no user %s; write `sipd user add %s` first", m.PrimaryUser, m.PrimaryUser)
				} else if err != nil {
					return "", err
				}
				views = append(views, viewMember(m))
				detail = append(detail, fmt.Sprintf("%+v", views[i]))
			}
			return strings.Join(detail, "\n"), nil
		}); err != nil {
			return err
		}
		return p.Say(views, "group %s has %d members", name, len(views))
	})
	rm := &cobra.Command{Use: "rm GROUP [USER]", Short: "Remove a group, or a member of it", Args: cobra.RangeArgs(1, 2),
		RunE: p.Run(func(ctx context.Context, db Database, args []string) error {
			at, err := placeOf(ctx, db)
			if err != nil {
				return err
			}
			name, err := p.key(ctx, db, args[0], at.home)
			if err != nil {
				return err
			}
			user, shown := sipaddr.AOR(""), string(name)
			if len(args) > 1 {
				if user, err = p.key(ctx, db, args[1], ""); err != nil {
					return err
				}
				shown = string(user) + " of " + shown
			}
			err = p.Change(ctx, db, "group rm", string(name), mode, func(tx store.PlanTx) (string, error) {
				rows, err := tx.Aliases(string(name))
				if err != nil {
					return "", err
				}
				if len(rows) > 0 && rows[0].Kind != store.Group {
					return "", fmt.Errorf("%s is an alias and no group; write `sipd alias rm %s`", name, name)
				}
				return "- " + shown, tx.RemoveAlias(string(name), user)
			})
			if errors.Is(err, store.ErrNotFound) {
				return fmt.Errorf("there is no group %s; `sipd group list` shows those that are", shown)
			}
			if err != nil {
				return err
			}
			return p.Say(map[string]string{"removed": shown}, "removed %s", shown)
		})}
	list := &cobra.Command{Use: "list [GROUP]", Short: "List the groups and their members", Args: cobra.MaximumNArgs(1), RunE: p.Run(p.listGroups)}
	ForceFlag(&mode, add, rm)
	return p.Group("group", "Groups: names and numbers that several users ring for", add, list, rm)
}

// joined are the members of a group after users have joined it. The mode is the group's: all rows have it.
func joined(rows []store.Alias, name sipaddr.AOR, users []sipaddr.AOR, ring store.RingMode, delay, priority int) ([]store.Alias, error) {
	var members []store.Alias
	for _, r := range rows {
		if r.Kind != store.Group {
			return nil, fmt.Errorf("%s is an alias of %s and no group; write `sipd alias rm %s` first", name, r.PrimaryUser, name)
		}
		if ring == store.RingDefault {
			ring = r.RingMode
		}
		r.ID = 0
		members = append(members, r)
	}
	for _, u := range users {
		m := store.Alias{Alias: string(name), PrimaryUser: u, Kind: store.Group, Priority: priority, Delay: delay}
		i := 0
		for i < len(members) && members[i].PrimaryUser != u {
			i++
		}
		if i == len(members) {
			members = append(members, m)
		} else {
			members[i] = m
		}
	}
	for i := range members {
		members[i].RingMode = ring
	}
	return members, nil
}

func (p *Program) listGroups(ctx context.Context, db Database, args []string) error {
	name := ""
	if len(args) > 0 {
		at, err := placeOf(ctx, db)
		if err != nil {
			return err
		}
		key, err := p.key(ctx, db, args[0], at.home)
		if err != nil {
			return err
		}
		name = string(key)
	}
	rows, err := db.Aliases(ctx, name)
	if err != nil {
		return err
	}
	views := []memberView{}
	for i := range rows {
		if rows[i].Kind == store.Group {
			views = append(views, viewMember(&rows[i]))
		}
	}
	if p.JSON() {
		return p.Say(views, "")
	}
	row, end := p.Table("GROUP", "USER", "RINGS", "DELAY", "PRIORITY")
	for _, v := range views {
		if v.Mode == "" {
			v.Mode = store.Parallel.String()
		}
		row(v.Group, v.User, v.Mode, strconv.Itoa(v.Delay), strconv.Itoa(v.Priority))
	}
	return end()
}
