package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"sipd/store"
	"sipd/store/provision"
)

// domainView is a domain as --json prints it.
type domainView struct {
	Name      string `json:"name"`
	Kind      string `json:"kind"`
	Canonical string `json:"canonical"`
	Realm     string `json:"realm"`
}

func viewDomain(rows provision.Domains, d *store.Domain) domainView {
	return domainView{Name: d.Name, Kind: d.Kind.String(), Canonical: provision.Canonical(d), Realm: rows.Realm(d)}
}

func (a *app) domainCommand() *cobra.Command {
	var kind, canonical, realm string
	add := &cobra.Command{
		Use:     "add NAME",
		Short:   "Make this server responsible for a domain, or for another name of one",
		Example: "  sipd domain add example.com\n  sipd domain add 192.0.2.1 --canonical example.com\n  sipd domain add '.*\\.example\\.com' --kind regex --canonical example.com",
		Args:    cobra.ExactArgs(1),
		RunE: a.inDatabase(func(ctx context.Context, s *session, args []string) error {
			d := &store.Domain{Name: args[0], Canonical: canonical, Realm: realm}
			if kind != "" {
				k, err := store.ParseDomainKind(kind)
				if err != nil {
					return usage(err)
				}
				d.Kind = k
			} else if _, err := netip.ParseAddr(strings.Trim(d.Name, "[]")); err == nil {
				d.Kind = store.IP
			}
			return a.addDomain(ctx, s, d)
		}),
	}
	add.Flags().StringVar(&kind, "kind", "", "exact, ip or regex (RE2, anchored); taken from the name when left out")
	add.Flags().StringVar(&canonical, "canonical", "", "the `domain` that this name stands for; itself when left out")
	add.Flags().StringVarP(&realm, "realm", "r", "", "authentication realm; the canonical domain when left out")
	list := &cobra.Command{Use: "list", Short: "List the domains", Args: cobra.NoArgs, RunE: a.inDatabase(a.listDomains)}
	rm := &cobra.Command{Use: "rm NAME", Short: "Remove a domain or a name of one", Args: cobra.ExactArgs(1), RunE: a.inDatabase(a.removeDomain)}
	return group("domain", "The domains this server is responsible for", add, list, rm)
}

func (a *app) addDomain(ctx context.Context, s *session, d *store.Domain) error {
	if err := d.Normalize(); err != nil {
		return usage(err)
	}
	if d.Canonical == d.Name {
		d.Canonical = ""
	}
	rows, err := s.Domains(ctx)
	if err != nil {
		return err
	}
	if d.Canonical != "" {
		c := provision.Domains(rows).Find(d.Canonical)
		if c == nil {
			return fmt.Errorf("%s stands for %s, which is no domain of this server; write `sipd domain add %s` first", d.Name, d.Canonical, d.Canonical)
		}
		if provision.Canonical(c) != d.Canonical {
			return fmt.Errorf("%s stands for %s, which itself stands for %s; write --canonical %s", d.Name, d.Canonical, provision.Canonical(c), provision.Canonical(c))
		}
	}
	if err := s.AddDomain(ctx, d); err != nil {
		if errors.Is(err, store.ErrExists) {
			return fmt.Errorf("domain %s is there already; `sipd domain list` shows it", d.Name)
		}
		return err
	}
	return a.say(viewDomain(rows, d), "added domain %s", d.Name)
}

func (a *app) listDomains(ctx context.Context, s *session, _ []string) error {
	rows, err := s.Domains(ctx)
	if err != nil {
		return err
	}
	if a.json {
		views := make([]domainView, len(rows))
		for i := range rows {
			views[i] = viewDomain(rows, &rows[i])
		}
		return a.printJSON(views)
	}
	t := newTable(a.stdout, "NAME", "KIND", "CANONICAL", "REALM")
	for i := range rows {
		v := viewDomain(rows, &rows[i])
		t.row(v.Name, v.Kind, v.Canonical, v.Realm)
	}
	return t.end()
}

func (a *app) removeDomain(ctx context.Context, s *session, args []string) error {
	rows, err := s.Domains(ctx)
	if err != nil {
		return err
	}
	name := store.NormalHost(args[0])
	for i := range rows {
		if rows[i].Name == args[0] {
			name = args[0] // a pattern keeps its case
		}
		if rows[i].Canonical == name && rows[i].Name != name {
			return fmt.Errorf("%s stands for %s; write `sipd domain rm %s` first", rows[i].Name, name, rows[i].Name)
		}
	}
	users := 0
	if err := s.Users(ctx, provision.Bracket(name), func(*store.User) error { users++; return nil }); err != nil {
		return err
	}
	if users > 0 {
		return fmt.Errorf("%d users are in %s; remove them first (`sipd user list %s`)", users, name, name)
	}
	if err := s.RemoveDomain(ctx, name); err != nil {
		if errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("there is no domain %s; `sipd domain list` shows those that are", name)
		}
		return err
	}
	return a.say(map[string]string{"removed": name}, "removed domain %s", name)
}
