package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"sipd/config"
	"sipd/store"
	"sipd/store/provision"
	"sipd/store/sqlstore"
)

// session is an open database and what the command line says about it.
type session struct {
	*sqlstore.DB
	place  config.Place
	server string // -S
}

// locate finds the configuration that the flags name.
func (a *app) locate() (config.Place, error) {
	p, err := config.Flags{Database: a.database, File: a.file, Root: a.root, Env: a.env("SIPD_DB"), Etc: a.etc}.Locate()
	return p, usage(err)
}

// connect opens the database by open, without looking into it.
func (a *app) connect(ctx context.Context, open func(context.Context, string) (*sqlstore.DB, error)) (*session, error) {
	p, err := a.locate()
	if err != nil {
		return nil, err
	}
	st, err := open(ctx, p.Database.URL)
	if err != nil {
		return nil, err
	}
	return &session{DB: st, place: p, server: a.server}, nil
}

// open opens the database of a command. Its tables must be there and current.
func (a *app) open(ctx context.Context) (*session, error) {
	s, err := a.connect(ctx, sqlstore.OpenExisting)
	if err != nil {
		return nil, err
	}
	if err := s.current(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// current tells whether the tables are what this program needs.
func (s *session) current(ctx context.Context) error {
	have, want, err := s.Version(ctx)
	switch {
	case err != nil:
		return err
	case have < want:
		return fmt.Errorf("the tables of %s have version %d, this program needs %d; write `sipd db migrate -D %s` first", s.place.Database, have, want, s.place.Database)
	case have > want:
		return fmt.Errorf("the tables of %s have version %d, this program knows up to %d; use the sipd that made them, or a newer one", s.place.Database, have, want)
	}
	return nil
}

// create opens a database, makes its tables, a server record and a private key where they are missing.
func (a *app) create(ctx context.Context) (*session, error) {
	s, err := a.connect(ctx, sqlstore.Open)
	if err != nil {
		return nil, err
	}
	if _, err := s.migrate(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// migrate brings the tables up to date and adds what they must hold: the server record that -S names, else one when there
// is none, and private keys. It returns how many migrations were applied.
func (s *session) migrate(ctx context.Context) (int, error) {
	applied, err := s.Migrate(ctx)
	if err != nil {
		return applied, err
	}
	if s.server != "" {
		if _, err := s.AddServer(ctx, s.server); err != nil && !errors.Is(err, store.ErrExists) {
			return applied, err
		}
	}
	return applied, s.Init(ctx)
}

// close ends the session. What a command wrote was committed before; an error here loses nothing.
func (s *session) close() { s.Close() }

// settings are those in force for a server started the same way; overrides stand above all.
func (s *session) settings(ctx context.Context, overrides ...config.Value) (*config.Settings, error) {
	record, err := provision.Pick(ctx, s, s.server)
	if errors.Is(err, store.ErrNotFound) {
		return nil, usage(err)
	}
	if err != nil {
		return nil, ofValue(err)
	}
	rows, err := s.Settings(ctx, record.ID)
	if err != nil {
		return nil, err
	}
	settings, err := config.Build(config.Map("server_settings", rows), s.place.Values(), overrides)
	return settings, usage(err)
}

// Configured is settings without overrides.
func (s *session) Configured(ctx context.Context) (*config.Settings, error) { return s.settings(ctx) }

// parseSet reads --set Name=value.
func parseSet(texts []string) ([]config.Value, error) {
	values := make([]config.Value, 0, len(texts))
	for _, text := range texts {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("--set %s: write Name=value", text)
		}
		values = append(values, config.Value{Name: name, Args: []string{value}, Source: "--set"})
	}
	return values, nil
}
