package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sipd/cmd/sipd/daemon"
	"sipd/config"
	"sipd/resolve"
	"sipd/server/proxy/hop"
	"sipd/sipaddr"
)

// dnsStepView is a step of a look-up as --json prints it: a question, or something that was decided.
type dnsStepView struct {
	Section  string `json:"section"` // of RFC 3263, or RFC 6116
	Text     string `json:"text,omitempty"`
	Question string `json:"question,omitempty"`
	Records  int    `json:"records,omitempty"`
	TTL      int    `json:"ttl_s,omitempty"` // not of what comes from the cache
	From     string `json:"from,omitempty"`
	Error    string `json:"error,omitempty"`
}

// hopView is a next hop.
type hopView struct {
	Transport string  `json:"transport"`
	Address   string  `json:"address"`
	Name      string  `json:"name"`
	Priority  uint16  `json:"priority"`
	Share     float64 `json:"share"` // how often it is the first to be tried of its priority
}

// lookUpView is a look-up.
type lookUpView struct {
	Query   string           `json:"query"`
	Servers []netip.AddrPort `json:"servers"`
	Steps   []dnsStepView    `json:"steps"`
	Hops    []hopView        `json:"hops"`
	Error   string           `json:"error,omitempty"`

	steps []resolve.Step
	host  string
}

func (a *app) dnsCommand() *cobra.Command {
	var servers []string
	explain := &cobra.Command{
		Use:   "explain URI",
		Short: "Look up where requests to a URI go (RFC 3263), step by step",
		Long: "Look up where requests to a URI go (RFC 3263), step by step. The name servers are asked now: what a running server\n" +
			"has cached may differ until its time to live is over. Without a database all transports and both families are taken\n" +
			"to be there, and the name servers of " + daemon.SystemResolver + " are asked.",
		Example: "  sipd dns explain sip:bob@example.com --resolver 192.0.2.53",
		Args:    cobra.ExactArgs(1),
		RunE: a.action(func(ctx context.Context, args []string) error {
			return a.explainDNS(ctx, args[0], servers)
		}),
	}
	explain.Flags().StringArrayVar(&servers, "resolver", nil, "`address` of a name server, with a port where it is not 53; repeatable")
	return group("dns", "Names of next hops, and numbers in DNS", explain, a.enumCommand())
}

func (a *app) explainDNS(ctx context.Context, text string, servers []string) error {
	uri, err := parseURI(text)
	if err != nil {
		return usage(err)
	}
	set, err := a.resolverSettings(ctx, servers)
	if err != nil {
		return err
	}
	v, err := lookUp(ctx, &uri, set)
	if err != nil {
		return err
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

// parseURI reads a URI as people write it: the scheme may be left out.
func parseURI(text string) (sipaddr.URI, error) {
	switch scheme, number, _ := strings.Cut(text, ":"); strings.ToLower(scheme) {
	case "sip", "sips":
	case "tel":
		return sipaddr.URI{}, fmt.Errorf("URI %q is a number; write `sipd dns enum %s`, or sip:user@example.com", text, visible(number))
	default:
		text = "sip:" + text
	}
	uri, err := sipaddr.Parse([]byte(text))
	if err != nil {
		return uri, fmt.Errorf("URI %q: %w; write sip:user@example.com", text, err)
	}
	return uri, nil
}

// resolverSettings are the settings of a server where a database is named, else those of a server that has all transports.
// servers stand above both.
func (a *app) resolverSettings(ctx context.Context, servers []string) (*config.Settings, error) {
	var overrides []config.Value
	for _, s := range servers {
		overrides = append(overrides, config.Value{Name: "Resolver", Args: []string{s}, Source: "--resolver"})
	}
	if _, err := a.locate(); errors.Is(err, config.ErrNoDatabase) {
		set, err := config.Build(overrides)
		if err != nil {
			return nil, usage(err)
		}
		set.Listen = append(set.Listen, config.Listen{Transport: "tls", Addr: netip.AddrPortFrom(netip.IPv4Unspecified(), 5061)})
		return set, nil
	}
	s, err := a.open(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	return s.settings(ctx, overrides...)
}

// lookUp does a look-up. Its own failure is part of what it returns; the error is that there was nobody to ask, or nothing.
func lookUp(ctx context.Context, uri *sipaddr.URI, set *config.Settings) (*lookUpView, error) {
	q, ok := hop.Query(uri)
	if !ok {
		return nil, usage(fmt.Errorf("%s: nothing is looked up for this scheme, host or transport; write sip:user@example.com, ;transport=udp, tcp or tls", visible(string(uri.Text))))
	}
	servers, err := daemon.NameServers(set)
	if _, name := netip.ParseAddr(q.Host); err != nil && name != nil { // An address needs none.
		return nil, fmt.Errorf("%w; write --resolver ADDRESS", err)
	}
	r := resolve.New(resolve.Config{Servers: servers, Support: daemon.Support(set.Listen)})
	defer r.Close()
	v := &lookUpView{Query: q.String(), Servers: servers, Steps: []dnsStepView{}, Hops: []hopView{}, host: q.Host}
	hops, err := r.Explain(ctx, q, func(s resolve.Step) {
		v.steps = append(v.steps, s)
		v.Steps = append(v.Steps, viewDNSStep(s))
	})
	for _, h := range hops {
		v.Hops = append(v.Hops, hopView{h.Transport.String(), h.Addr.String(), h.Name, h.Priority, h.Share})
	}
	if err != nil {
		v.Error = err.Error()
	}
	return v, nil
}

func viewDNSStep(s resolve.Step) dnsStepView {
	step := dnsStepView{Section: s.Section, Text: s.Text, Question: s.Question, Records: s.Records}
	if s.Err != nil {
		step.Error = s.Err.Error()
	} else if s.Question != "" {
		step.TTL, step.From = int(s.TTL/time.Second), s.From
	}
	return step
}

// writeSteps writes who was asked, and what was found out.
func writeSteps(b *strings.Builder, servers []netip.AddrPort, steps []resolve.Step) {
	for _, s := range servers {
		fmt.Fprintf(b, " %s", s)
	}
	b.WriteString("\n")
	for _, s := range steps {
		text := s.String()
		if s.Question == "" {
			text = "  " + text
		}
		fmt.Fprintf(b, "%s  %s\n", s.Section, visible(text))
	}
}

// print writes a look-up for people.
func (v *lookUpView) print(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s by RFC 3263, name servers", visible(v.Query))
	writeSteps(&b, v.Servers, v.steps)
	if v.Error != "" {
		fmt.Fprintf(&b, "=> no next hop: %s\n", visible(v.Error))
		_, err := io.WriteString(out, b.String())
		return err
	}
	b.WriteString("=> tried in this order\n")
	if _, err := io.WriteString(out, b.String()); err != nil {
		return err
	}
	t := newTable(out, "", "TRANSPORT", "ADDRESS", "NAME", "PRIORITY", "FIRST OF ITS PRIORITY")
	overTLS := false
	for i, h := range v.Hops {
		t.row(strconv.Itoa(i+1), h.Transport, h.Address, h.Name, strconv.Itoa(int(h.Priority)), resolve.Percent(h.Share))
		overTLS = overTLS || h.Transport == resolve.TLS.String()
	}
	if err := t.end(); err != nil || !overTLS {
		return err
	}
	_, err := fmt.Fprintf(out, "over TLS the certificate must be one of %s (RFC 5922)\n", visible(v.host))
	return err
}
