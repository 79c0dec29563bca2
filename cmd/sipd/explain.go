package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sipd/config"
	"sipd/location"
	"sipd/server/target"
	"sipd/sipaddr"
	"sipd/store/cache"
	"sipd/store/sqlstore"
	"sipd/trace"
)

// stepView is a step of the trace as --json prints it.
type stepView struct {
	Rule    string `json:"rule"`
	Subject string `json:"subject,omitempty"`
	Verdict string `json:"verdict"`
	Table   string `json:"table,omitempty"`
	Row     int64  `json:"row,omitempty"`
	Note    string `json:"note,omitempty"`
}

// targetView is a member of the target set.
type targetView struct {
	URI   string  `json:"uri"`
	User  string  `json:"user_key"`
	Q     float64 `json:"q"`
	Group int     `json:"group"`
}

// decisionView is what would happen.
type decisionView struct {
	Decision string       `json:"decision"`
	Status   int          `json:"status,omitempty"`
	Realm    string       `json:"realm,omitempty"`
	Targets  []targetView `json:"targets,omitempty"`
	Fallback []targetView `json:"redirect_on_failure,omitempty"`
	Trace    []stepView   `json:"trace"`
	LookUp   *lookUpView  `json:"look_up,omitempty"` // with --hops, of a request for another domain
}

func (a *app) explainCommand() *cobra.Command {
	var from, method string
	var noCredentials, hops bool
	c := &cobra.Command{
		Use:   "explain REQUEST-URI",
		Short: "Say what would happen to a request now, and why, from the database alone",
		Long: "Say what would happen to a request now, and why, from the database alone: the same decision as for a real call.\n" +
			"--from is the caller; a local user is taken as authenticated unless --no-credentials is given. Without --from a stranger calls.",
		Example: "  sipd explain sip:bob@example.com --from alice@example.com",
		Args:    cobra.ExactArgs(1),
		RunE: a.action(func(ctx context.Context, args []string) error {
			return a.explain(ctx, args[0], from, method, noCredentials, hops)
		}),
	}
	c.Flags().StringVar(&from, "from", "", "`address` of the caller")
	c.Flags().StringVar(&method, "method", "INVITE", "request method")
	c.Flags().BoolVar(&noCredentials, "no-credentials", false, "the caller has not proven who he is")
	c.Flags().BoolVar(&hops, "hops", false, "look up the next hops of a request for another domain, as sipd dns explain does")
	return c
}

// stranger is a caller from nowhere (RFC 2606).
const stranger = "sip:anonymous@anonymous.invalid"

func (a *app) explain(ctx context.Context, requestURI, from, method string, noCredentials, hops bool) error {
	if !strings.Contains(requestURI, ":") {
		requestURI = "sip:" + requestURI
	}
	uri, err := sipaddr.Parse([]byte(requestURI))
	if err != nil {
		return usage(fmt.Errorf("request URI %q: %w", requestURI, err))
	}
	switch method {
	case "REGISTER", "ACK", "CANCEL":
		return usage(fmt.Errorf("--method %s: it is not routed by this decision; write INVITE, MESSAGE or another", method))
	}
	caller, err := callerURI(from)
	if err != nil {
		return usage(err)
	}
	s, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()

	tables, err := s.tables(ctx)
	if err != nil {
		return err
	}
	facts := target.Facts{Method: []byte(method), URI: &uri, From: &caller, OwnURI: ownURI(tables.Settings, &uri)}
	if !uri.HasUser && target.Local(tables, &uri, facts.OwnURI) {
		return usage(fmt.Errorf("%s names no user: the server itself answers, 200 to OPTIONS, 405 to what is not for it; write whom to call: alice@%s", requestURI, uri.Host))
	}
	if dom := tables.Domain(caller.Host); dom != nil && !noCredentials && from != "" {
		key := caller.AppendAOR(nil)
		if at := strings.LastIndexByte(string(key), '@'); at >= 0 {
			key = append(key[:at+1], dom.Canonical...)
		}
		if facts.User = tables.User(key); !facts.User.Exists() {
			return fmt.Errorf("there is no user %s to call; `sipd user list` shows those that are", key)
		}
		facts.Verdict = target.Authenticated
	}
	var d target.Decision
	target.Decide(tables, &facts, time.Now(), &d)
	v := viewDecision(&d)
	if hops && d.Kind == target.Proxy && slices.ContainsFunc(d.Targets, func(t target.Target) bool { return t.Binding == nil }) {
		if v.LookUp, err = lookUp(ctx, &uri, tables.Settings); err != nil {
			return err
		}
	}
	if a.json {
		return a.printJSON(v)
	}
	if err := d.Trace.Print(a.stdout); err != nil {
		return err
	}
	if _, err = fmt.Fprint(a.stdout, describe(v)); err != nil || v.LookUp == nil {
		return err
	}
	return v.LookUp.print(a.stdout)
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
func (s *session) tables(ctx context.Context) (target.Tables, error) {
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
	return target.Tables{Snapshot: c.Snapshot(), Location: loc, Own: own, Names: true}, loc.Load(ctx)
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

func viewDecision(d *target.Decision) decisionView {
	v := decisionView{Status: d.Status, Realm: d.Realm, Trace: []stepView{}}
	switch d.Kind {
	case target.Reject:
		v.Decision = "reject"
	case target.Challenge:
		v.Decision = "challenge"
	case target.Proxy:
		v.Decision, v.Status = "proxy", 0
	case target.Redirect:
		v.Decision = "redirect"
	}
	if d.Kind == target.Proxy || d.Kind == target.Redirect {
		v.Targets = viewTargets(d.Targets)
	}
	v.Fallback = viewTargets(d.Redirect)
	for _, st := range d.Trace.Steps() {
		v.Trace = append(v.Trace, viewStep(st))
	}
	return v
}

func viewStep(st trace.Step) stepView {
	return stepView{Rule: st.Rule, Subject: st.Subject, Verdict: st.Verdict.String(), Table: st.Table, Row: st.Row, Note: st.Note}
}

// onward is what stands for the target of a request that goes where its Request-URI leads.
const onward = "the domain of the Request-URI"

func viewTargets(targets []target.Target) []targetView {
	views := make([]targetView, len(targets))
	for i, t := range targets {
		if t.Binding == nil { // Another domain: nobody's contact.
			views[i] = targetView{URI: onward, Q: 1, Group: t.Group}
			continue
		}
		views[i] = targetView{URI: t.Binding.URI, User: string(t.Owner.Key), Q: float64(t.Binding.Q) / 1000, Group: t.Group}
	}
	return views
}

// describe is the decision in words.
func describe(v decisionView) string {
	var b strings.Builder
	switch v.Decision {
	case "reject":
		fmt.Fprintf(&b, "=> rejected with %d\n", v.Status)
	case "challenge":
		fmt.Fprintf(&b, "=> challenged with %d, realm %q\n", v.Status, visible(v.Realm))
	case "redirect":
		fmt.Fprintf(&b, "=> redirected with %d to\n", v.Status)
	default:
		b.WriteString("=> proxied to\n")
	}
	for _, t := range v.Targets {
		if t.User == "" {
			fmt.Fprintf(&b, "   %s\n", visible(t.URI))
			continue
		}
		fmt.Fprintf(&b, "   group %d  q=%.3g  %s  of %s\n", t.Group+1, t.Q, visible(t.URI), visible(t.User))
	}
	for _, t := range v.Fallback {
		fmt.Fprintf(&b, "   when all fail, redirected to  %s  of %s\n", visible(t.URI), visible(t.User))
	}
	return b.String()
}
