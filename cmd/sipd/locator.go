package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sipd/config"
	"sipd/locator"
	"sipd/sipaddr"
)

// locatedView is a contact that the locator answered.
type locatedView struct {
	URI string  `json:"uri"`
	Q   float64 `json:"q"`
}

// locatorView is an answer of the locator.
type locatorView struct {
	Locator  string        `json:"locator"`
	AOR      string        `json:"aor"`
	Caller   string        `json:"caller,omitempty"`
	Method   string        `json:"method"`
	Contacts []locatedView `json:"contacts"`
	TTL      int           `json:"ttl_s"`
	Took     int64         `json:"took_ms"`
	Faults   []string      `json:"faults,omitempty"`
	Error    string        `json:"error,omitempty"`
}

func (a *app) locatorCommand() *cobra.Command {
	var who, caller, method string
	test := &cobra.Command{
		Use:   "test AOR",
		Short: "Ask the program or web service of the setting Locator where a user is",
		Long: "Ask the program or web service of the setting Locator where a user is, and show what a server makes of the answer.\n" +
			"It is asked now, as the user who runs this command.",
		Example: "  sipd locator test bob@example.com\n  sipd locator test bob@example.com --locator exec:/usr/local/bin/locate",
		Args:    cobra.ExactArgs(1),
		RunE: a.action(func(ctx context.Context, args []string) error {
			return a.testLocator(ctx, who, locator.Query{AOR: args[0], Caller: caller, Method: method})
		}),
	}
	test.Flags().StringVar(&who, "locator", "", "ask this one: exec:/path or a `URL`; without it the one of the settings")
	test.Flags().StringVar(&caller, "caller", "", "the `AOR` of who has proven to be calling")
	test.Flags().StringVar(&method, "method", "INVITE", "the `method` of the request")
	return group("locator", "The program or web service that knows where users are", test)
}

func (a *app) testLocator(ctx context.Context, who string, q locator.Query) error {
	for _, name := range []*string{&q.AOR, &q.Caller} {
		if *name == "" {
			continue
		}
		aor, err := sipaddr.ParseAOR(*name)
		if err != nil {
			return usage(fmt.Errorf("%q: %w; write bob@example.com", *name, err))
		}
		*name = string(aor)
	}
	set, err := a.locatorSetting(ctx, who)
	if err != nil {
		return err
	}
	l, err := locator.New(locator.Config{Program: set.Program, URL: set.URL})
	if err != nil {
		return err
	}
	defer l.Close()
	v := locatorView{Locator: set.String(), AOR: q.AOR, Caller: q.Caller, Method: q.Method, Contacts: []locatedView{}}
	begin := time.Now()
	ans, err := l.Ask(ctx, q)
	v.Took = time.Since(begin).Milliseconds()
	v.TTL, v.Faults = int(ans.TTL/time.Second), ans.Faults
	for _, c := range ans.Contacts {
		v.Contacts = append(v.Contacts, locatedView{c.URI, float64(c.Q) / 1000})
	}
	if err != nil {
		v.Error = err.Error()
	}
	if a.json {
		err = a.printJSON(v)
	} else {
		err = a.printLocator(&v)
	}
	if err == nil && v.Error != "" {
		return quietError{exitFailed}
	}
	return err
}

// locatorSetting is who is asked: what the command line names, else what the settings do.
func (a *app) locatorSetting(ctx context.Context, who string) (l config.Locator, err error) {
	if who != "" {
		if l, err = config.ParseLocator(who); err != nil {
			return l, usage(fmt.Errorf("--locator: %w", err))
		}
	} else {
		s, err := a.open(ctx)
		if err != nil {
			return l, err
		}
		defer s.close()
		set, err := s.settings(ctx)
		if err != nil {
			return l, err
		}
		l = set.Locator
	}
	if l == (config.Locator{}) {
		return l, usage(errors.New("there is no locator; write the setting Locator, or --locator exec:/usr/local/bin/locate"))
	}
	return l, nil
}

// printLocator writes an answer for people.
func (a *app) printLocator(v *locatorView) error {
	var b strings.Builder
	by := ""
	if v.Caller != "" {
		by = " by " + v.Caller
	}
	fmt.Fprintf(&b, "%s: %s of %s%s, %d ms\n", visible(v.Locator), visible(v.Method), visible(v.AOR), visible(by), v.Took)
	for _, f := range v.Faults {
		fmt.Fprintf(&b, "  passed over: %s\n", visible(f))
	}
	switch {
	case v.Error != "":
		fmt.Fprintf(&b, "=> %s\n", visible(v.Error))
	case len(v.Contacts) == 0:
		fmt.Fprintf(&b, "=> no contact, for %d s\n", v.TTL)
	default:
		fmt.Fprintf(&b, "=> for %d s\n", v.TTL)
	}
	if _, err := a.stdout.Write([]byte(b.String())); err != nil || len(v.Contacts) == 0 {
		return err
	}
	t := newTable(a.stdout, "", "CONTACT", "Q")
	for i, c := range v.Contacts {
		t.row(strconv.Itoa(i+1), c.URI, strconv.FormatFloat(c.Q, 'f', -1, 64))
	}
	return t.end()
}
