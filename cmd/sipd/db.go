package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"sipd/store/sqlstore"

	"sipd/store/provision"
)

// dbView is the state of a database as --json prints it.
type dbView struct {
	Database string `json:"database"`
	Version  int64  `json:"version"`
	Newest   int64  `json:"newest"` // that this program knows
	Applied  int    `json:"applied"`
	Server   string `json:"server,omitempty"`
}

func (a *app) dbCommand() *cobra.Command {
	return group("db", "The database",
		&cobra.Command{Use: "migrate", Short: "Make the tables or bring them up to date, with a server record and a private key", Args: cobra.NoArgs, RunE: a.action(a.migrate)},
		&cobra.Command{Use: "status", Short: "Show which version the tables have", Args: cobra.NoArgs, RunE: a.action(a.dbStatus)})
}

func (a *app) migrate(ctx context.Context, _ []string) error {
	s, err := a.connect(ctx, sqlstore.Open)
	if err != nil {
		return err
	}
	defer s.close()
	applied, err := s.migrate(ctx)
	if err != nil {
		return err
	}
	have, want, err := s.Version(ctx)
	if err != nil {
		return err
	}
	v := dbView{Database: s.place.Database.String(), Version: have, Newest: want, Applied: applied}
	return a.say(v, "%s: version %d, %d migrations applied", v.Database, have, applied)
}

func (a *app) dbStatus(ctx context.Context, _ []string) error {
	s, err := a.connect(ctx, sqlstore.OpenExisting)
	if err != nil {
		return err
	}
	defer s.close()
	have, want, err := s.Version(ctx)
	if err != nil {
		return err
	}
	v := dbView{Database: s.place.Database.String(), Version: have, Newest: want}
	state := "up to date"
	switch {
	case have < want:
		state = fmt.Sprintf("this program needs %d: run `sipd db migrate`", want)
	case have > want:
		state = fmt.Sprintf("newer than this program, which knows up to %d", want)
	default:
		record, err := provision.Pick(ctx, s, s.server)
		if err != nil {
			state = err.Error()
		}
		v.Server = record.Name
	}
	return a.say(v, "%s: version %d, %s", v.Database, have, state)
}
