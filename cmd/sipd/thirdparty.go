package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"sipd/sipaddr"
	"sipd/store"
	"sipd/store/provision"
)

// thirdPartyView is a row of third_parties as --json prints it.
type thirdPartyView struct {
	User       string `json:"user"`
	Registrant string `json:"registrant"`
}

func (a *app) thirdPartyCommand() *cobra.Command {
	add := &cobra.Command{
		Use:     "add USER REGISTRANT",
		Short:   "Let a user register for another",
		Long:    "Let a user register for another: add, list and remove his contacts by REGISTER, with credentials of his own.\nThe setting ThirdPartyReg must be true.",
		Example: "  sipd thirdparty add alice@example.com secretary@example.com",
		Args:    cobra.ExactArgs(2),
		RunE:    a.inDatabase(a.addThirdParty),
	}
	list := &cobra.Command{Use: "list [USER]", Short: "List who may register for whom, or for one user", Args: cobra.MaximumNArgs(1), RunE: a.inDatabase(a.listThirdParties)}
	rm := &cobra.Command{Use: "rm USER [REGISTRANT]", Short: "Let nobody register for a user any more, or one not", Args: cobra.RangeArgs(1, 2),
		RunE: a.inDatabase(a.removeThirdParty)}
	return group("thirdparty", "Who may register for whom", add, list, rm)
}

func (a *app) addThirdParty(ctx context.Context, s *session, args []string) error {
	rows, err := s.Domains(ctx)
	if err != nil {
		return err
	}
	var keys [2]sipaddr.AOR
	for i, text := range args {
		if keys[i], _, err = provision.Domains(rows).Resolve(text); err != nil {
			return usage(err)
		}
		if store.IsTemplate(keys[i]) {
			return usage(fmt.Errorf("%s is the template of new users and never registered; write a user", keys[i]))
		}
	}
	user, registrant := keys[0], keys[1]
	if user == registrant {
		return usage(fmt.Errorf("%s may register for himself anyway; write another user as the second", user))
	}
	for _, key := range keys {
		if _, err := s.User(ctx, key); errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("there is no user %s; write `sipd user add %s` first, or the user's own name when that is an alias", key, key)
		} else if err != nil {
			return err
		}
	}
	if _, err := s.AddThirdParty(ctx, user, registrant); errors.Is(err, store.ErrExists) {
		return fmt.Errorf("%s may register for %s already; `sipd thirdparty list %s` shows it", registrant, user, user)
	} else if err != nil {
		return ofValue(err)
	}
	if err := a.say(thirdPartyView{string(user), string(registrant)}, "%s may register for %s", registrant, user); err != nil {
		return err
	}
	// The row is in. Settings that cannot be read are not this command's trouble.
	if set, err := s.settings(ctx); err == nil && !set.ThirdPartyReg {
		fmt.Fprintln(a.stderr, "note: ThirdPartyReg is false, so nobody may register for others: set it to true")
	}
	return nil
}

func (a *app) listThirdParties(ctx context.Context, s *session, args []string) error {
	user, err := "", error(nil)
	if len(args) > 0 {
		if user, err = s.aliasName(ctx, args[0]); err != nil {
			return err
		}
		if _, err := s.User(ctx, sipaddr.AOR(user)); errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("there is no user %s; `sipd user list` shows those that are", user)
		} else if err != nil {
			return err
		}
	}
	views := []thirdPartyView{}
	err = s.ThirdParties(ctx, sipaddr.AOR(user), func(t *store.ThirdParty) error {
		views = append(views, thirdPartyView{string(t.User), string(t.Registrant)})
		return nil
	})
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(views)
	}
	t := newTable(a.stdout, "USER", "REGISTRANT")
	for _, v := range views {
		t.row(v.User, v.Registrant)
	}
	return t.end()
}

func (a *app) removeThirdParty(ctx context.Context, s *session, args []string) error {
	user, err := s.aliasName(ctx, args[0])
	if err != nil {
		return err
	}
	registrant := ""
	if len(args) > 1 {
		if registrant, err = s.aliasName(ctx, args[1]); err != nil {
			return err
		}
	}
	switch err := s.RemoveThirdParty(ctx, sipaddr.AOR(user), sipaddr.AOR(registrant)); {
	case errors.Is(err, store.ErrNotFound) && registrant == "":
		return fmt.Errorf("nobody may register for %s; `sipd thirdparty list` shows who may for whom", user)
	case errors.Is(err, store.ErrNotFound):
		return fmt.Errorf("%s may not register for %s; `sipd thirdparty list` shows who may for whom", registrant, user)
	case err != nil:
		return err
	case registrant == "":
		return a.say(thirdPartyView{User: user}, "nobody else may register for %s any more", user)
	}
	return a.say(thirdPartyView{user, registrant}, "%s may not register for %s any more", registrant, user)
}
