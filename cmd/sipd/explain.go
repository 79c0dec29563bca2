package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sipd/cmd/sipd/daemon"
	"sipd/cmd/sipd/explain"
	"sipd/config"
	"sipd/location"
	"sipd/resolve"
	"sipd/server"
	"sipd/server/answers"
	"sipd/server/calltrace"
	"sipd/server/gateway"
	"sipd/server/target"
	"sipd/server/trust"
	"sipd/sipaddr"
	"sipd/store/cache"
	"sipd/store/sqlstore"
)

// decisionView is what would happen.
type decisionView struct {
	explain.View
	LookUp *lookUpView `json:"look_up,omitempty"` // with --hops, of a request for another domain
}

// explainFlags are what a request is like.
type explainFlags struct {
	from, class, at, method, source string
	noCredentials, hops             bool
	call, admin                     string
}

func (a *app) explainCommand() *cobra.Command {
	var f explainFlags
	c := &cobra.Command{
		Use:   "explain REQUEST-URI | --call CALL-ID",
		Short: "Say what would happen to a request now, or what has become of a call, and why",
		Long: "Say what would happen to a request now, and why: the same decision as for a real call, from the database; ENUM and the locator are\n" +
			"asked as a call would ask them. --from is the caller; a local user is taken as authenticated unless --no-credentials is given. Without\n" +
			"--from a stranger calls, with --class somebody of that class who has proven who he is.\n\n" +
			"With --call: why a call went where it did, and what became of it. The running server is asked; it remembers its last " + strconv.Itoa(calltrace.Size) + " calls.",
		Example: "  sipd explain sip:bob@example.com --from alice@example.com\n  sipd explain tel:+12125551234 --class staff\n  sipd explain --call 3848276298220188511@192.0.2.4",
		Args: func(c *cobra.Command, args []string) error {
			if c.Flags().Changed("call") {
				return cobra.NoArgs(c, args)
			}
			return cobra.ExactArgs(1)(c, args)
		},
	}
	c.RunE = a.action(func(ctx context.Context, args []string) error {
		if len(args) == 0 {
			return a.explainCall(ctx, c.Flags(), &f)
		}
		if f.admin != "" {
			return usage(errors.New("--admin goes with --call: without it no server is asked"))
		}
		return a.explain(ctx, args[0], &f)
	})
	c.Flags().StringVar(&f.from, "from", "", "`address` of the caller")
	c.Flags().StringVar(&f.class, "class", "", "gateway `class` of the caller, instead of his own; NULL for none")
	c.Flags().StringVar(&f.at, "at", "", "the `time` of the request, instead of now: 2026-03-01T18:30:00Z, 2026-03-01T18:30 or 18:30")
	c.Flags().StringVar(&f.method, "method", "INVITE", "request method")
	c.Flags().StringVar(&f.source, "source", "", "`address` that the request comes from: one of the campus, or of a gateway")
	c.Flags().BoolVar(&f.noCredentials, "no-credentials", false, "the caller has not proven who he is")
	c.Flags().BoolVar(&f.hops, "hops", false, "look up the next hops of a request for another domain, as sipd dns explain does")
	c.Flags().StringVar(&f.call, "call", "", "the `Call-ID` of a call that the running server has had")
	c.Flags().StringVar(&f.admin, "admin", "", "with --call: where the server answers, `ADDR:PORT|unix:PATH`; without it AdminListen of the settings")
	return c
}

// stranger is a caller from nowhere (RFC 2606).
const stranger = "sip:anonymous@anonymous.invalid"

// askTimeout bounds what ENUM and the locator may take in all.
const askTimeout = 15 * time.Second

func (a *app) explain(ctx context.Context, requestURI string, f *explainFlags) error {
	if !strings.Contains(requestURI, ":") {
		requestURI = "sip:" + requestURI
	}
	uri, err := sipaddr.Parse([]byte(requestURI))
	if err != nil {
		return usage(fmt.Errorf("request URI %q: %w", requestURI, err))
	}
	switch f.method {
	case "REGISTER", "ACK", "CANCEL":
		return usage(fmt.Errorf("--method %s: it is not routed by this decision; write INVITE, MESSAGE or another", f.method))
	}
	caller, err := callerURI(f.from)
	if err != nil {
		return usage(err)
	}
	now, err := timeOf(f.at, time.Now())
	if err != nil {
		return usage(err)
	}
	s, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()

	tables, err := s.tables(ctx, a.stderr)
	if err != nil {
		return err
	}
	facts := target.Facts{Method: []byte(f.method), URI: &uri, From: &caller, OwnURI: ownURI(tables.Settings, &uri)}
	if !uri.HasUser && target.Local(tables, &uri, facts.OwnURI) {
		return usage(fmt.Errorf("%s names no user: the server itself answers, 200 to OPTIONS, 405 to what is not for it; write whom to call: alice@%s", requestURI, uri.Host))
	}
	if err := f.identify(tables, &caller, &facts); err != nil {
		return err
	}
	var d target.Decision
	a.decide(ctx, tables, &facts, now, &d)
	v := decisionView{View: explain.Of(tables, &facts, &d, now)}
	if f.hops && d.Kind == target.Proxy && slices.ContainsFunc(d.Targets, func(t target.Target) bool { return t.Binding == nil }) {
		if v.LookUp, err = lookUp(ctx, &uri, tables.Settings); err != nil {
			return err
		}
	}
	if a.json {
		return a.printJSON(v)
	}
	if _, err = io.WriteString(a.stdout, v.Text(visible)); err != nil || v.LookUp == nil {
		return err
	}
	return v.LookUp.print(a.stdout)
}

// identify puts down who calls, where from, and of which class.
func (f *explainFlags) identify(t target.Tables, caller *sipaddr.URI, facts *target.Facts) error {
	if dom := t.Domain(caller.Host); dom != nil && !f.noCredentials && f.from != "" {
		key := caller.AppendAOR(nil)
		if at := strings.LastIndexByte(string(key), '@'); at >= 0 {
			key = append(key[:at+1], dom.Canonical...)
		}
		if facts.User = t.User(key); !facts.User.Exists() {
			return fmt.Errorf("there is no user %s to call; `sipd user list` shows those that are", key)
		}
		facts.Verdict = target.Authenticated
	}
	if f.source != "" {
		addr, err := netip.ParseAddr(f.source)
		if err != nil {
			return usage(fmt.Errorf("--source %q: %w; write 192.0.2.7", f.source, err))
		}
		facts.Source = addr.Unmap()
		from := trust.Facts{Addr: facts.Source}
		for _, g := range t.Plan().Gateways() {
			if g.Row.Enabled && from.Match(g.Nets, g.Row.TLSName) {
				facts.Trunk = g
				break
			}
		}
	}
	if f.class == "" {
		return nil
	}
	class := ""
	if !strings.EqualFold(f.class, "NULL") {
		for _, c := range t.Plan().Rows().Classes {
			if c.Name == f.class {
				class = c.Name
			}
		}
		if class == "" {
			return usage(fmt.Errorf("--class: there is no gateway class %s; `sipd class list` shows those that are, NULL is none", f.class))
		}
	}
	facts.Class = &class
	if f.from == "" && !f.noCredentials {
		facts.Verdict = target.Authenticated
	}
	return nil
}

// times are how a time may be written; what is missing is that of now.
var times = []string{"2006-01-02T15:04", "2006-01-02 15:04", "15:04"}

func timeOf(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return now, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	for _, form := range times {
		at, err := time.ParseInLocation(form, text, now.Location())
		if err != nil {
			continue
		}
		if at.Year() == 0 {
			at = time.Date(now.Year(), now.Month(), now.Day(), at.Hour(), at.Minute(), 0, 0, now.Location())
		}
		return at, nil
	}
	return now, fmt.Errorf("--at %q is no time; write 2026-03-01T18:30:00Z, 2026-03-01T18:30 or 18:30", text)
}

// decide asks what a server would ask, ENUM and the locator too.
func (a *app) decide(ctx context.Context, t target.Tables, f *target.Facts, now time.Time, d *target.Decision) {
	if t.Settings.EnumRoot == "" && t.Settings.Locator == (config.Locator{}) {
		target.Decide(t, f, now, d)
		return
	}
	servers, err := daemon.NameServers(t.Settings)
	if err != nil {
		fmt.Fprintln(a.stderr, "sipd: no name servers, so ENUM is not asked:", err)
	}
	log := slog.New(slog.DiscardHandler) // What is wrong stands in the trace.
	names := resolve.New(resolve.Config{Servers: servers, Support: daemon.Support(t.Settings.Listen), Log: log})
	defer names.Close()
	sources := answers.New(names, log)
	defer sources.Close()
	sources.Follow(t.Settings)
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	sources.Decide(ctx, t, f, now, d)
}

func callerURI(from string) (sipaddr.URI, error) {
	text := stranger
	if from != "" {
		aor, err := sipaddr.ParseAOR(from)
		if err != nil {
			return sipaddr.URI{}, fmt.Errorf("--from: %w", err)
		}
		text = string(aor.AppendURI(nil))
	}
	u, err := sipaddr.Parse([]byte(text))
	if err != nil {
		return u, fmt.Errorf("--from %s: %w", from, err)
	}
	return u, nil
}

// readOnly keeps location.Load from sweeping: explain changes nothing.
type readOnly struct{ *sqlstore.DB }

// DeleteExpired does nothing.
func (readOnly) DeleteExpired(context.Context, time.Time) error { return nil }

// tables loads what Decide reads, as a server would.
func (s *session) tables(ctx context.Context, stderr io.Writer) (target.Tables, error) {
	c, err := cache.New(cache.Config{Store: s.DB, ServerName: s.server, Overrides: [][]config.Value{s.place.Values()}})
	if err != nil {
		return target.Tables{}, err
	}
	if err := c.Refresh(ctx); err != nil {
		var setting *config.Error
		if errors.As(err, &setting) {
			return target.Tables{}, usage(err)
		}
		return target.Tables{}, err
	}
	loc, err := location.New(location.Config{Store: readOnly{s.DB}})
	if err != nil {
		return target.Tables{}, err
	}
	set := c.Snapshot().Settings
	own := func(addr netip.AddrPort) bool { return listensAt(set, addr) }
	gateways := gateway.New() // What is known of them is the running server's: here only some are drained.
	gateways.Configure(server.GatewayConfigs(c.Snapshot()), time.Now())
	gateways.DrawBy(func(int) int { return 0 }) // The first that may be.
	for _, p := range c.Status().Problems {
		if !p.InForce {
			fmt.Fprintf(stderr, "note: it is left out here, and a server keeps the last good one: %v\n", &p)
		}
	}
	return target.Tables{Snapshot: c.Snapshot(), Location: loc, Own: own, Names: true, Order: gateways.Order,
		Machine: daemon.MachineNames(set.Canonicalize)}, loc.Load(ctx)
}

// ownURI tells whether the URI leads to one of the listeners: its maddr, else its host, and its port.
func ownURI(s *config.Settings, u *sipaddr.URI) bool {
	to, ok := u.AddrPort()
	return ok && listensAt(s, to)
}

// listensAt tells whether what is sent to addr comes to a listener of the server.
func listensAt(s *config.Settings, addr netip.AddrPort) bool {
	for _, l := range s.Listen {
		switch a := l.Addr.Addr(); {
		case l.Addr.Port() != addr.Port():
		case a == addr.Addr(), addr.Addr() == s.PublicAddress, a.IsUnspecified() && a.Is4() == addr.Addr().Is4() && isOwn(addr.Addr()):
			return true
		}
	}
	return false
}

// isOwn tells whether addr is one of this machine's.
func isOwn(addr netip.Addr) bool {
	own, _ := ownAddresses()
	for _, o := range own {
		if o == addr {
			return true
		}
	}
	return addr.IsLoopback()
}
