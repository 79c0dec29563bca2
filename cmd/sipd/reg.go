package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"sipd/sipaddr"
	"sipd/store"
)

// contactView is a contact as --json prints it.
type contactView struct {
	AOR       string     `json:"user_key"`
	URI       string     `json:"uri"`
	Q         float64    `json:"q"`
	Action    string     `json:"action,omitempty"`
	Expires   *time.Time `json:"expires_at"` // null: static
	Received  string     `json:"received,omitempty"`
	Flow      string     `json:"flow,omitempty"`
	Instance  string     `json:"instance_id,omitempty"`
	UserAgent string     `json:"user_agent,omitempty"`
	Updated   time.Time  `json:"updated_at"`
}

func viewContact(c *store.Contact) contactView {
	v := contactView{AOR: string(c.AOR), URI: c.URI, Q: float64(c.Q) / 1000, Action: c.Action.String(), Received: c.Received,
		Flow: c.Flow, Instance: c.InstanceID, UserAgent: c.UserAgent, Updated: c.Updated}
	if !c.Expires.IsZero() {
		v.Expires = &c.Expires
	}
	return v
}

func (a *app) regCommand() *cobra.Command {
	var all bool
	list := &cobra.Command{Use: "list [USER]", Short: "List registered contacts", Args: cobra.MaximumNArgs(1),
		RunE: a.inDatabase(func(ctx context.Context, s *session, args []string) error { return a.listContacts(ctx, s, args, all) })}
	list.Flags().BoolVar(&all, "all", false, "expired ones that are not swept yet, too")
	rm := &cobra.Command{Use: "rm USER [URI]", Short: "Remove the contacts of a user, or one of them", Args: cobra.RangeArgs(1, 2), RunE: a.inDatabase(a.removeContacts),
		Long: "Remove the contacts of a user, or one of them, from the database of a server that is stopped.\nA running server keeps its bindings in memory; lock the user out of it with `sipd user disable`."}
	return group("reg", "Registered contacts", list, rm)
}

func (a *app) listContacts(ctx context.Context, s *session, args []string, all bool) error {
	aor := ""
	if len(args) > 0 {
		u, err := s.find(ctx, args[0])
		if err != nil {
			return err
		}
		aor = string(u.Key)
	}
	now := time.Now()
	views := []contactView{}
	t := newTable(a.stdout, "USER", "CONTACT", "Q", "EXPIRES IN", "FROM", "USER AGENT")
	err := s.Contacts(ctx, sipaddr.AOR(aor), func(c *store.Contact) error {
		static := c.Expires.IsZero()
		if !static && !c.Expires.After(now) && !all {
			return nil
		}
		if a.json {
			views = append(views, viewContact(c))
			return nil
		}
		expires := "static"
		if !static {
			expires = c.Expires.Sub(now).Round(time.Second).String()
		}
		t.row(string(c.AOR), c.URI, strconv.FormatFloat(float64(c.Q)/1000, 'f', -1, 64), expires, c.Received, c.UserAgent)
		return nil
	})
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(views)
	}
	return t.end()
}

func (a *app) removeContacts(ctx context.Context, s *session, args []string) error {
	u, err := s.find(ctx, args[0])
	if err != nil {
		return err
	}
	// Rows that a running server wrote are copies of its memory: it would write them again.
	release, err := s.LockServer(ctx, 0, func(error) {})
	if errors.Is(err, store.ErrLocked) {
		return fmt.Errorf("a server works on this database and keeps its bindings in memory; stop it first, or lock the user out with `sipd user disable %s`", u.Key)
	}
	if err != nil {
		return err
	}
	defer release()
	uri := ""
	if len(args) > 1 {
		uri = args[1]
	}
	n, err := s.RemoveContacts(ctx, u.Key, uri)
	switch {
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return err
	case n == 0 && uri != "":
		return fmt.Errorf("%s has no contact %s; `sipd reg list %s` shows those that are", u.Key, uri, u.Key)
	}
	return a.say(map[string]int{"removed": n}, "removed %d contacts of %s", n, u.Key)
}
