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

// forwardView is a row of forwards as --json prints it.
type forwardView struct {
	User    string `json:"user"`
	Kind    string `json:"kind"`
	Target  string `json:"target"`
	Timeout int    `json:"timeout_s,omitempty"`
}

func viewForward(f *store.Forward) forwardView {
	return forwardView{string(f.User), f.Kind.String(), f.Target, f.Timeout}
}

func (p *Program) forward() *cobra.Command {
	after := 0
	set := &cobra.Command{
		Use:   "set USER KIND TARGET",
		Short: "Send a user's calls elsewhere: all, busy, noanswer or offline",
		Long: "Send a user's calls elsewhere: all of them, or when he is busy, does not answer, or has nothing registered (offline). TARGET is an address,\n" +
			"a number or a URI. What it costs is charged to him: his gateway class counts, not the caller's.",
		Example: "  sipd forward set bob@example.com noanswer alice@example.com --after 20\n  sipd forward set bob@example.com all tel:+12125551234",
		Args:    cobra.ExactArgs(3),
	}
	set.Flags().IntVar(&after, "after", 0, "of noanswer: how many `seconds` he rings; the server's TimeOut when left out")
	set.RunE = p.Run(func(ctx context.Context, db Database, args []string) error {
		key, err := p.key(ctx, db, args[0], "")
		if err != nil {
			return err
		}
		kind, err := store.ParseForwardKind(args[1])
		if err != nil {
			return p.Usage(err)
		}
		f := store.Forward{User: key, Kind: kind, Target: forwardTarget(args[2]), Timeout: after}
		if f.Target == string(key.AppendURI(nil)) {
			return p.Usage(fmt.Errorf("%s would be forwarded to himself; write another target", key))
		}
		if err := p.forwardDone(db.SetForward(ctx, &f), key); err != nil {
			return err
		}
		return p.Say(viewForward(&f), "%s: %s goes to %s", key, kind, f.Target)
	})
	rm := &cobra.Command{Use: "rm USER [KIND]", Short: "Remove a user's forwards, or one", Args: cobra.RangeArgs(1, 2), RunE: p.Run(func(ctx context.Context, db Database, args []string) error {
		key, err := p.key(ctx, db, args[0], "")
		if err != nil {
			return err
		}
		kinds := []store.ForwardKind{store.ForwardAll, store.ForwardBusy, store.ForwardNoAnswer, store.ForwardOffline}
		if len(args) > 1 {
			kind, err := store.ParseForwardKind(args[1])
			if err != nil {
				return p.Usage(err)
			}
			kinds = []store.ForwardKind{kind}
		}
		if err := db.RemoveForward(ctx, key, kinds...); errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("%s has no such forward; `sipd forward list` shows those that are", key)
		} else if err != nil {
			return err
		}
		shown := "all forwards"
		if len(args) > 1 {
			shown = "forward " + kinds[0].String()
		}
		return p.Say(map[string]string{"removed": shown, "user": string(key)}, "removed %s of %s", shown, key)
	})}
	list := &cobra.Command{Use: "list [USER]", Short: "List the forwards, or one user's", Args: cobra.MaximumNArgs(1), RunE: p.Run(func(ctx context.Context, db Database, args []string) error {
		var key sipaddr.AOR
		if len(args) > 0 {
			var err error
			if key, err = p.key(ctx, db, args[0], ""); err != nil {
				return err
			}
		}
		views := []forwardView{}
		if err := db.Forwards(ctx, key, func(f *store.Forward) error {
			views = append(views, viewForward(f))
			return nil
		}); err != nil {
			return err
		}
		if p.JSON() {
			return p.Say(views, "")
		}
		row, end := p.Table("USER", "KIND", "TARGET", "AFTER")
		for _, v := range views {
			seconds := "-"
			if v.Timeout > 0 {
				seconds = strconv.Itoa(v.Timeout)
			}
			row(v.User, v.Kind, v.Target, seconds)
		}
		return end()
	})}
	return p.Group("forward", "Where users' calls go instead", set, list, rm)
}

// forwardTarget makes a URI of what people write: an address, a number, or a URI.
func forwardTarget(text string) string {
	switch scheme, _, has := strings.Cut(text, ":"); {
	case has && (strings.EqualFold(scheme, "sip") || strings.EqualFold(scheme, "sips") || strings.EqualFold(scheme, "tel")):
		return text
	case strings.Contains(text, "@"):
		return "sip:" + text
	}
	return "tel:" + text
}

func (p *Program) forwardDone(err error, key sipaddr.AOR) error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return fmt.Errorf("there is no user %s; `sipd user list` shows those that are", key)
	case errors.Is(err, store.ErrInvalid):
		return p.Usage(err)
	}
	return err
}
