package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"sipd/cmd/sipd/daemon"
	"sipd/cmd/sipd/numbers"
	"sipd/store"
)

// version is set by the linker: git describe.
var version = "unknown"

// The exit statuses, as sipd(8) has them.
const (
	exitDone   = 0
	exitFailed = 1 // at run time
	exitUsage  = 2 // bad usage or configuration
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	context.AfterFunc(ctx, stop)     // a second signal ends the process at once
	other := make(chan os.Signal, 1) // a second HUP while one is pending adds nothing
	signal.Notify(other, syscall.SIGHUP, syscall.SIGUSR2)
	a := &app{name: os.Args[0], stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, env: os.Getenv, signals: other}
	code := a.execute(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// app is one call of the program: what it reads and writes, and what its flags say.
type app struct {
	name           string // what it was called by, "" for sipd
	stdin          io.Reader
	stdout, stderr io.Writer
	env            func(string) string
	etc            []string         // tests: instead of the files below /etc
	signals        <-chan os.Signal // HUP and USR2
	ready          func([]string)   // tests: told the addresses once every listener answers

	database, file, root, server string
	json                         bool
	serve                        serveFlags

	acting bool // a command has begun: its errors are no longer about usage
}

// program is what to type to call this program again.
func (a *app) program() string {
	if strings.ContainsRune(a.name, os.PathSeparator) {
		return a.name
	}
	return "sipd"
}

// usageError makes an error end with status 2.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// usage marks err, which may be nil, as one of usage or configuration.
func usage(err error) error {
	if err == nil {
		return nil
	}
	return usageError{err}
}

// ofValue marks err as one of usage when it is about a value that somebody wrote, and not about the database.
func ofValue(err error) error {
	if errors.Is(err, store.ErrInvalid) {
		return usage(err)
	}
	return err
}

// quietError carries an exit status whose reason has been printed already.
type quietError struct{ code int }

func (e quietError) Error() string { return fmt.Sprintf("exit status %d", e.code) }

// execute runs the program and returns its exit status.
func (a *app) execute(ctx context.Context, args []string) int {
	root := a.command()
	root.SetArgs(args)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitDone
	}
	var quiet quietError
	if errors.As(err, &quiet) {
		return quiet.code
	}
	fmt.Fprintln(a.stderr, "sipd:", err)
	switch {
	case a.acting: // the error itself says what to write
	case cmd.HasSubCommands():
		fmt.Fprintf(a.stderr, "`%s --help` lists what there is\n", cmd.CommandPath())
	default:
		fmt.Fprintln(a.stderr, "write:", cmd.UseLine())
	}
	var bad usageError
	if !a.acting || errors.As(err, &bad) {
		return exitUsage
	}
	return exitFailed
}

// command builds the tree of sub-commands.
func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:           "sipd",
		Short:         "SIP registrar, forking proxy and redirect server",
		Long:          "sipd is a SIP registrar, forking proxy and redirect server whose users and policy live in SQL tables.\nWithout a sub-command it serves (`sipd run`).",
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          a.action(a.run),
	}
	root.SetVersionTemplate("sipd {{.Version}}\n")
	root.CompletionOptions.DisableDefaultCmd = true
	p := root.PersistentFlags()
	p.StringVarP(&a.database, "database", "D", "", "database `URL`: sqlite:PATH, postgres://..., sql://... (or the variable SIPD_DB)")
	p.StringVarP(&a.file, "file", "f", "", "a sipd.conf or cinema_db.conf; else /etc/sipd/sipd.conf, /etc/cinema_db.conf")
	p.StringVarP(&a.root, "root", "s", "", "ServerRoot: relative file names hang below this `DIR`")
	p.StringVarP(&a.server, "server", "S", "", "`name` of the server record in the database; may be left out when there is one")
	p.BoolVar(&a.json, "json", false, "print JSON")
	a.serve.add(root.Flags())

	run := &cobra.Command{Use: "run", Short: "Serve until TERM or INT", Args: cobra.NoArgs, RunE: a.action(a.run)}
	a.serve.add(run.Flags())
	root.AddCommand(run, a.quickstartCommand(), a.dbCommand(), a.userCommand(), a.aliasCommand(), a.thirdPartyCommand(), a.domainCommand(),
		a.peerCommand(), a.regCommand(), a.explainCommand(), a.dnsCommand(), a.locatorCommand(), a.confCommand())
	root.AddCommand(a.numbers().Commands()...)
	return root
}

// action makes a RunE of a function and remembers that usage was right.
func (a *app) action(do func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		a.acting = true
		return do(cmd.Context(), args)
	}
}

// inDatabase makes a RunE of a function that works on the database.
func (a *app) inDatabase(do func(ctx context.Context, s *session, args []string) error) func(*cobra.Command, []string) error {
	return a.action(func(ctx context.Context, args []string) error {
		s, err := a.open(ctx)
		if err != nil {
			return err
		}
		defer s.close()
		return do(ctx, s, args)
	})
}

// numbers is what the commands about numbers need of this program.
func (a *app) numbers() *numbers.Program {
	return &numbers.Program{
		Stdin: a.stdin, Stdout: a.stdout, Stderr: a.stderr, Env: a.env, Group: group, Say: a.say, JSON: func() bool { return a.json }, Usage: usage, Visible: visible,
		Failed: func() error { return quietError{exitFailed} },
		Status: func(ctx context.Context, flag string, page any) error {
			admin, root, err := a.adminAddress(ctx, flag)
			if err != nil {
				return err
			}
			return daemon.Status(ctx, admin, root, page)
		},
		Run: func(do func(context.Context, numbers.Database, []string) error) func(*cobra.Command, []string) error {
			return a.inDatabase(func(ctx context.Context, s *session, args []string) error { return do(ctx, s, args) })
		},
		Table: func(header ...string) (func(...string), func() error) {
			t := newTable(a.stdout, header...)
			return t.row, t.end
		},
	}
}

// group makes a command that only has sub-commands.
func group(use, short string, subs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		return usage(fmt.Errorf("%s: write one of its sub-commands; `%s --help` lists them", cmd.CommandPath(), cmd.CommandPath()))
	}}
	c.AddCommand(subs...)
	return c
}
