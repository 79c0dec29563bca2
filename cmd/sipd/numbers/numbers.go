package numbers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"sipd/canonicalize"
	"sipd/config"
	"sipd/plan"
	"sipd/sipaddr"
	"sipd/store"
	"sipd/store/cache"
	"sipd/store/provision"
)

// Program is what these commands need of the program they are part of.
type Program struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Env            func(string) string
	// Run makes a RunE of a function that works on the database.
	Run func(do func(context.Context, Database, []string) error) func(*cobra.Command, []string) error
	// Group makes a command that only has sub-commands.
	Group func(use, short string, subs ...*cobra.Command) *cobra.Command
	// Say writes a line of text, with --json the value instead.
	Say func(v any, format string, args ...any) error
	// JSON tells whether --json is given.
	JSON func() bool
	// Table begins a table: row adds a row to it, end writes it.
	Table func(header ...string) (row func(cells ...string), end func() error)
	// Visible replaces control characters.
	Visible func(string) string
	// Usage marks an error, which may be nil, as one of usage.
	Usage func(error) error
	// Status reads what page has fields for of how the running server is; it takes a second at most. admin is where the server answers, ""
	// for AdminListen of the settings.
	Status func(ctx context.Context, admin string, page any) error
	// Failed ends with status 1 after the reason has been printed.
	Failed func() error
}

// Database is the database of a command.
type Database interface {
	store.Admin
	Configured(ctx context.Context) (*config.Settings, error)
}

// Commands returns the commands.
func (p *Program) Commands() []*cobra.Command {
	return []*cobra.Command{p.dialplan(), p.gatewaymap(), p.gateway(), p.class(), p.group(), p.forward(), p.plantest()}
}

// Mode is how a change is made.
type Mode struct {
	Force  bool // also when plan tests break
	DryRun bool // nothing is changed
}

// ForceFlag adds --force to commands that change what plan tests are about.
func ForceFlag(mode *Mode, cmds ...*cobra.Command) {
	for _, c := range cmds {
		c.Flags().BoolVar(&mode.Force, "force", false, "also when plan tests break; audit_log has who did it")
	}
}

// actor is the user of the system who changes something.
func (p *Program) actor() string {
	name := "uid " + strconv.Itoa(os.Getuid())
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if by := p.Env("SUDO_USER"); by != "" && by != name {
		name += " (sudo " + strings.ToValidUTF8(by[:min(len(by), 64)], "?") + ")"
	}
	return "os:" + name
}

// place is what a number depends on besides the tables of numbers.
type place struct {
	home      string // the domain of numbers
	ask       canonicalize.Arguments
	canonical func(host []byte) (domain string, local bool)
}

func placeOf(ctx context.Context, db Database) (place, error) {
	rows, err := db.Domains(ctx)
	if err != nil {
		return place{}, err
	}
	// Rows that a server cannot use are its trouble: here the others count, and without settings the first domain is home.
	settings, err := db.Configured(ctx)
	if err != nil {
		settings = nil
	}
	s, _ := cache.Build(store.Tables{Domains: rows}, settings)
	at := place{ask: canonicalize.All, canonical: func(host []byte) (string, bool) {
		if d := s.Domain(host); d != nil {
			return d.Canonical, true
		}
		return "", false
	}}
	if settings != nil {
		at.ask = settings.Canonicalize
	}
	if d := s.HomeDomain(); d != nil {
		at.home = d.Canonical
	}
	return at, nil
}

func (at *place) book(p *plan.Plan, names plan.Names) *plan.Book {
	return &plan.Book{Plan: p, Names: names, Home: at.home, Ask: at.ask, Canonical: at.canonical}
}

// Change makes a change that do makes and tells what there is to say of it. do returns what it did, for audit_log.
func (p *Program) Change(ctx context.Context, db Database, action, object string, mode Mode, do func(store.PlanTx) (detail string, err error)) error {
	at, err := placeOf(ctx, db)
	if err != nil {
		return err
	}
	c := plan.Change{Actor: p.actor(), Action: action, Object: object, Force: mode.Force, DryRun: mode.DryRun, Home: at.home, Ask: at.ask, Canonical: at.canonical}
	report, err := c.Apply(ctx, db, do)
	var broken *plan.BrokenError
	switch {
	case errors.As(err, &broken):
		return fmt.Errorf("%w\nby this change:\n  %s\nnothing is changed; change the tests if they are wrong (`sipd plantest`), or write --force", broken, firstLines(broken.Detail))
	case errors.Is(err, store.ErrInvalid):
		return p.Usage(err)
	case err != nil:
		return err
	}
	for _, t := range report.Broken {
		fmt.Fprintf(p.Stderr, "broken by force: %s\n", t.String())
	}
	for _, t := range report.Failing {
		fmt.Fprintf(p.Stderr, "note: a plan test fails as before: %s\n", t.String())
	}
	for _, n := range report.Notes {
		fmt.Fprintf(p.Stderr, "note: %s\n", n)
	}
	return nil
}

// maxLines is how much of a change that is refused is printed: who wants all of a large map file asks for it by --dry-run --force.
const maxLines = 40

func firstLines(text string) string {
	lines := strings.Split(text, "\n")
	if more := len(lines) - maxLines; more > 0 {
		lines = append(lines[:maxLines], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, "\n  ")
}

// edit is Change for a function that edits the rows of the plan.
func (p *Program) edit(ctx context.Context, db Database, action, object string, mode Mode, do func(*store.PlanRows) (detail string, err error)) error {
	return p.Change(ctx, db, action, object, mode, func(tx store.PlanTx) (string, error) {
		rows, err := tx.Plan()
		if err != nil {
			return "", err
		}
		detail, err := do(rows)
		if err != nil || detail == "" {
			return "", err
		}
		return detail, tx.SetPlan(rows)
	})
}

// compiled returns what a server would work with, and tells of rows that cannot be used.
func (p *Program) compiled(ctx context.Context, db Database) (*plan.Plan, *store.PlanRows, error) {
	rows, err := db.Plan(ctx)
	if err != nil {
		return nil, nil, err
	}
	compiled, problems := plan.Compile(rows, nil)
	for i := range problems {
		if !problems[i].InForce {
			fmt.Fprintf(p.Stderr, "note: it is left out here, and a server keeps the last good table: %v\n", &problems[i])
		}
	}
	return compiled, rows, nil
}

// id reads the number of a row.
func (p *Program) id(text, list string) (int64, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id <= 0 {
		return 0, p.Usage(fmt.Errorf("%q is no number of a row; write the ID that `sipd %s` shows", text, list))
	}
	return id, nil
}

// key makes the key of a user or an alias as somebody wrote it; what has no domain gets home, "" for none.
func (p *Program) key(ctx context.Context, db Database, text, home string) (sipaddr.AOR, error) {
	rows, err := db.Domains(ctx)
	if err != nil {
		return "", err
	}
	if home != "" && !strings.Contains(text, "@") {
		text += "@" + home
	}
	key, _, err := provision.Domains(rows).Resolve(text)
	return key, p.Usage(err)
}

// yes is a truth value of a table.
func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// orDash is a cell that may be empty.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
