package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"sipd/cmd/sipd/numbers"
	"sipd/sipaddr"
	"sipd/store"
	"sipd/store/provision"
)

// aliasView is a row of aliases as --json prints it.
type aliasView struct {
	Alias    string `json:"alias"`
	User     string `json:"user"`
	Kind     string `json:"kind"`
	Priority int    `json:"priority"`
}

func viewAlias(r *store.Alias) aliasView {
	return aliasView{Alias: r.Alias, User: string(r.PrimaryUser), Kind: r.Kind.String(), Priority: r.Priority}
}

func (a *app) aliasCommand() *cobra.Command {
	var isGroup bool
	var priority int
	var mode numbers.Mode
	add := &cobra.Command{
		Use:     "add ALIAS USER",
		Short:   "Let a name or an extension lead to a user",
		Long:    "Let a name or an extension lead to a user. An ALIAS without a domain gets the user's.\nSeveral rows of one alias are ambiguous (485); with --group they are a group whose members all ring.",
		Example: "  sipd alias add 201 alice@example.com\n  sipd alias add sales@example.com alice@example.com --group",
		Args:    cobra.ExactArgs(2),
		RunE: a.inDatabase(func(ctx context.Context, s *session, args []string) error {
			kind := store.PlainAlias
			if isGroup {
				kind = store.Group
			}
			return a.addAlias(ctx, s, args[0], args[1], &store.Alias{Kind: kind, Priority: priority}, mode)
		}),
	}
	add.Flags().BoolVar(&isGroup, "group", false, "the alias is a group and the user one of its members")
	add.Flags().IntVar(&priority, "priority", 0, "order among the rows of one alias, lowest first")
	list := &cobra.Command{Use: "list [ALIAS]", Short: "List aliases", Args: cobra.MaximumNArgs(1), RunE: a.inDatabase(a.listAliases)}
	rm := &cobra.Command{Use: "rm ALIAS [USER]", Short: "Remove an alias, or one user of it", Args: cobra.RangeArgs(1, 2), RunE: a.inDatabase(func(ctx context.Context, s *session, args []string) error { return a.removeAlias(ctx, s, args, mode) })}
	numbers.ForceFlag(&mode, add, rm)
	return group("alias", "Names, extensions and groups that lead to users", add, list, rm)
}

func (a *app) addAlias(ctx context.Context, s *session, alias, user string, row *store.Alias, mode numbers.Mode) error {
	rows, err := s.Domains(ctx)
	if err != nil {
		return err
	}
	domains := provision.Domains(rows)
	key, _, err := domains.Resolve(user)
	if err != nil {
		return usage(err)
	}
	name, err := resolveAlias(domains, alias, key)
	if err != nil {
		return usage(err)
	}
	if name == key {
		return usage(fmt.Errorf("%s is the user himself; write another name for the alias", key))
	}
	row.Alias, row.PrimaryUser = string(name), key
	err = a.numbers().Change(ctx, s, "alias add", row.Alias, mode, func(tx store.PlanTx) (string, error) {
		return fmt.Sprintf("+ %+v", viewAlias(row)), tx.AddAlias(row)
	})
	switch {
	case errors.Is(err, store.ErrExists):
		return fmt.Errorf("alias %s leads to %s already; `sipd alias list %s` shows it", name, key, name)
	case errors.Is(err, store.ErrNotFound):
		return fmt.Errorf("there is no user %s; write `sipd user add %s` first", key, key)
	case err != nil:
		return err
	}
	return a.say(viewAlias(row), "added alias %s of %s", name, key)
}

// resolveAlias makes the canonical form of an alias; one without a domain gets that of user.
func resolveAlias(domains provision.Domains, alias string, user sipaddr.AOR) (sipaddr.AOR, error) {
	if !strings.Contains(alias, "@") && user != "" {
		alias += "@" + user.Host()
	}
	name, _, err := domains.Resolve(alias)
	return name, err
}

func (a *app) listAliases(ctx context.Context, s *session, args []string) error {
	alias := ""
	if len(args) > 0 {
		name, err := s.aliasName(ctx, args[0])
		if err != nil {
			return err
		}
		alias = name
	}
	rows, err := s.Aliases(ctx, alias)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if a.json {
		views := make([]aliasView, len(rows))
		for i := range rows {
			views[i] = viewAlias(&rows[i])
		}
		return a.printJSON(views)
	}
	t := newTable(a.stdout, "ALIAS", "USER", "KIND", "PRIORITY")
	for i := range rows {
		v := viewAlias(&rows[i])
		t.row(v.Alias, v.User, v.Kind, strconv.Itoa(v.Priority))
	}
	return t.end()
}

// aliasName makes the canonical form of an alias that is looked for. Its domain may be gone: the row can be listed and removed all the same.
func (s *session) aliasName(ctx context.Context, text string) (string, error) {
	rows, err := s.Domains(ctx)
	if err != nil {
		return "", err
	}
	name, _, err := provision.Domains(rows).Resolve(text)
	if errors.Is(err, provision.ErrNoDomain) {
		name, err = sipaddr.ParseAOR(text)
	}
	return string(name), usage(err)
}

func (a *app) removeAlias(ctx context.Context, s *session, args []string, mode numbers.Mode) error {
	name, err := s.aliasName(ctx, args[0])
	if err != nil {
		return err
	}
	user, shown := "", name
	if len(args) > 1 {
		if user, err = s.aliasName(ctx, args[1]); err != nil {
			return err
		}
		shown += " of " + user
	}
	err = a.numbers().Change(ctx, s, "alias rm", name, mode, func(tx store.PlanTx) (string, error) {
		return "- " + shown, tx.RemoveAlias(name, sipaddr.AOR(user))
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return fmt.Errorf("there is no alias %s; `sipd alias list` shows those that are", shown)
	case err != nil:
		return err
	}
	return a.say(map[string]string{"removed": shown}, "removed alias %s", shown)
}
