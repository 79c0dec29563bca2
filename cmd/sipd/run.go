package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"sipd/cmd/sipd/daemon"
	"sipd/config"
	"sipd/store"
)

// serveFlags are the flags of run.
type serveFlags struct {
	foreground, noLookup, logJSON bool
	debug, set, listen            []string
	admin, licence                string
}

func (f *serveFlags) add(fs *pflag.FlagSet) {
	fs.BoolVarP(&f.foreground, "foreground", "X", false, "stay in the foreground, which is the default")
	fs.BoolVarP(&f.noLookup, "no-lookup", "n", false, "no reverse lookup of the own address; there is none in this version")
	fs.StringArrayVarP(&f.debug, "debug", "d", nil, "debug output of a `category`: all, sql, net, sdp, misc; repeatable")
	fs.StringArrayVar(&f.set, "set", nil, "`Name=value`: any setting, overrides file and database; repeatable")
	fs.StringArrayVar(&f.listen, "listen", nil, "`udp|tcp:ADDR:PORT`, replaces the configured listeners; repeatable")
	fs.StringVar(&f.admin, "admin", "", "health pages on `ADDR:PORT|unix:PATH`, or off (default 127.0.0.1:8060)")
	fs.StringVarP(&f.licence, "licence", "l", "", "licence `FILE` of the classic sipd: accepted and ignored")
	fs.BoolVar(&f.logJSON, "log-json", false, "log lines of JSON instead of key=value")
}

// values are the settings that the flags stand for.
func (f *serveFlags) values() ([]config.Value, error) {
	values, err := parseSet(f.set)
	if err != nil {
		return nil, err
	}
	add := func(name, text, source string, weak bool) {
		values = append(values, config.Value{Name: name, Args: []string{text}, Source: source, Weak: weak})
	}
	if len(f.listen) > 0 { // --listen replaces --set Listen, too
		values = slices.DeleteFunc(values, func(v config.Value) bool { return strings.EqualFold(v.Name, "Listen") })
	}
	for _, l := range f.listen {
		add("Listen", l, "--listen", false)
	}
	if f.admin != "" {
		add("AdminListen", f.admin, "--admin", false)
	}
	if len(f.debug) > 0 {
		add("Debug", strings.Join(f.debug, ","), "-d", true) // the setting in the database is stronger
	}
	return values, nil
}

// run is `sipd run` and sipd alone.
func (a *app) run(ctx context.Context, _ []string) error {
	flags, err := a.serve.values()
	if err != nil {
		return usage(err)
	}
	place, err := a.locate()
	if err != nil {
		return err
	}
	overrides := [][]config.Value{place.Values(), flags}
	// Mistakes on the command line and in the file are told before the database is touched.
	early, err := config.Build(overrides...)
	if err != nil {
		return usage(err)
	}
	var levels daemon.Levels
	levels.Set(early.Debug)
	log := daemon.NewLogger(logHandler(a.stderr, a.serve.logJSON), &levels)
	if a.serve.licence != "" {
		log.Info("-l is accepted and ignored: sipd needs no licence file", "file", a.serve.licence)
	}
	log.Info("starting", "version", version, "database", place.Database.String(), "pid", os.Getpid())
	err = daemon.Run(ctx, daemon.Config{
		Database: place.Database.URL, Server: a.server, Overrides: overrides, Root: place.Root, StateEnv: a.env("STATE_DIRECTORY"),
		Log: log, Levels: &levels, Signals: a.signals,
		Ready: func(addrs []string) {
			fmt.Fprintln(a.stderr, "sipd ready")
			if a.ready != nil {
				a.ready(addrs)
			}
		},
	})
	if errors.Is(err, daemon.ErrConfig) || errors.Is(err, store.ErrLocked) {
		return usage(err)
	}
	return err
}

// logHandler writes every level: daemon.NewLogger drops what is not asked for.
func logHandler(out io.Writer, asJSON bool) slog.Handler {
	o := &slog.HandlerOptions{Level: slog.LevelDebug}
	if asJSON {
		return slog.NewJSONHandler(out, o)
	}
	return slog.NewTextHandler(out, o)
}
