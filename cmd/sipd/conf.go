package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"sipd/config"
)

// settingView is a setting as --json prints it.
type settingView struct {
	Name   string   `json:"name"`
	Values []string `json:"values"`
	Source string   `json:"source"` // who wrote it; "default" for nobody
}

func (a *app) confCommand() *cobra.Command {
	var set []string
	show := &cobra.Command{Use: "show [NAME]...", Short: "Show the settings in force and who wrote each",
		RunE: a.action(func(ctx context.Context, args []string) error { return a.showConf(ctx, args, set) })}
	show.Flags().StringArrayVar(&set, "set", nil, "`Name=value` as for run")
	return group("conf", "The settings", show)
}

func (a *app) showConf(ctx context.Context, names, set []string) error {
	overrides, err := parseSet(set)
	if err != nil {
		return usage(err)
	}
	for i, n := range names {
		if names[i], err = config.Known(n); err != nil {
			return usage(err)
		}
	}
	s, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	settings, err := s.settings(ctx, overrides...)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		names = config.Names()
	}
	views := make([]settingView, 0, len(names))
	for _, n := range names {
		v := settingView{Name: n, Values: settings.Values[n], Source: settings.Sources[n]}
		if v.Source == "" {
			v.Values, v.Source = []string{config.Default(n)}, "default"
		}
		for i := range v.Values {
			switch {
			case n == "PrivateKey" && v.Source != "default":
				v.Values = []string{config.Masked}
			case config.Secret(n) || n == "RequestLog":
				v.Values[i] = config.MaskURL(v.Values[i])
			}
		}
		views = append(views, v)
	}
	if a.json {
		return a.printJSON(views)
	}
	t := newTable(a.stdout, "NAME", "VALUE", "FROM")
	for _, v := range views {
		t.row(v.Name, strings.Join(v.Values, " | "), v.Source)
	}
	return t.end()
}
