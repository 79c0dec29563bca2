package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"sipd/cmd/sipd/daemon"
	"sipd/resolve"
	"sipd/sipaddr"
)

// defaultEnumRoot is the tree that is asked when the settings name none: the public one (RFC 6116 3.2).
const defaultEnumRoot = "e164.arpa"

// enumTargetView is an address that a number stands for.
type enumTargetView struct {
	URI        string `json:"uri"`
	Name       string `json:"name"`
	Order      uint16 `json:"order"`
	Preference uint16 `json:"preference"`
}

// enumView is the look-up of a number.
type enumView struct {
	Number  string           `json:"number"`
	Root    string           `json:"root"`
	Servers []netip.AddrPort `json:"servers"`
	Steps   []dnsStepView    `json:"steps"`
	Targets []enumTargetView `json:"targets"`
	Error   string           `json:"error,omitempty"`

	steps []resolve.Step
}

func (a *app) enumCommand() *cobra.Command {
	var root string
	var servers []string
	enum := &cobra.Command{
		Use:   "enum NUMBER",
		Short: "Look up the SIP addresses of a telephone number (ENUM, RFC 6116), step by step",
		Long: "Look up the SIP addresses of a telephone number (ENUM, RFC 6116), step by step. The name servers are asked now: what a\n" +
			"running server has cached may differ until its time to live is over.",
		Example: "  sipd dns enum +44-1632-960083\n  sipd dns enum +441632960083 --root nrenum.net --resolver 192.0.2.53",
		Args:    cobra.ExactArgs(1),
		RunE: a.action(func(ctx context.Context, args []string) error {
			return a.lookUpNumber(ctx, args[0], root, servers)
		}),
	}
	enum.Flags().StringVar(&root, "root", "", "the `domain` below which numbers are; without it the setting EnumRoot, else "+defaultEnumRoot)
	enum.Flags().StringArrayVar(&servers, "resolver", nil, "`address` of a name server, with a port where it is not 53; repeatable")
	return enum
}

func (a *app) lookUpNumber(ctx context.Context, text, root string, servers []string) error {
	number, err := parseNumber(text)
	if err != nil {
		return usage(err)
	}
	set, err := a.resolverSettings(ctx, servers)
	if err != nil {
		return err
	}
	for _, other := range []string{set.EnumRoot, defaultEnumRoot} {
		if root == "" {
			root = other
		}
	}
	addrs, err := daemon.NameServers(set)
	if err != nil {
		return fmt.Errorf("%w; write --resolver ADDRESS", err)
	}
	r := resolve.New(resolve.Config{Servers: addrs, Support: daemon.Support(set.Listen)})
	defer r.Close()
	v := enumView{Number: number, Root: root, Servers: addrs, Steps: []dnsStepView{}, Targets: []enumTargetView{}}
	targets, err := r.ExplainEnum(ctx, number, root, func(s resolve.Step) {
		v.steps = append(v.steps, s)
		v.Steps = append(v.Steps, viewDNSStep(s))
	})
	for _, t := range targets {
		v.Targets = append(v.Targets, enumTargetView{t.URI, t.Name, t.Order, t.Preference})
	}
	if err != nil {
		v.Error = err.Error()
	}
	if a.json {
		err = a.printJSON(v)
	} else {
		err = v.print(a.stdout)
	}
	if err == nil && v.Error != "" {
		return quietError{exitFailed}
	}
	return err
}

// parseNumber reads a global number as people write it: tel: may stand before it, and spaces in it.
func parseNumber(text string) (string, error) {
	digits := strings.ReplaceAll(text, " ", "")
	if len(digits) < 4 || !strings.EqualFold(digits[:4], "tel:") {
		digits = "tel:" + digits
	}
	u, err := sipaddr.Parse([]byte(digits))
	if err == nil {
		if number, ok := u.AppendNumber(nil); ok && sipaddr.Global(number) {
			return string(number), nil
		}
	}
	return "", fmt.Errorf("%q is not a global telephone number; write +44-1632-960083", text)
}

// print writes the look-up of a number for people.
func (v *enumView) print(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s below %s by RFC 6116, name servers", visible(v.Number), visible(v.Root))
	writeSteps(&b, v.Servers, v.steps)
	if v.Error != "" {
		fmt.Fprintf(&b, "=> %s\n", visible(v.Error))
	} else {
		b.WriteString("=> tried in this order\n")
	}
	if _, err := io.WriteString(out, b.String()); err != nil || v.Error != "" {
		return err
	}
	t := newTable(out, "", "URI", "RECORD OF", "ORDER", "PREFERENCE")
	for i, e := range v.Targets {
		t.row(strconv.Itoa(i+1), e.URI, e.Name, strconv.Itoa(int(e.Order)), strconv.Itoa(int(e.Preference)))
	}
	return t.end()
}
