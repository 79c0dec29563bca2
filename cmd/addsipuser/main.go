package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/pflag"

	"sipd/config"
	"sipd/store"
	"sipd/store/provision"
	"sipd/store/sqlstore"
)

// version is set by the linker: git describe.
var version = "unknown"

// The exit statuses, as addsipuser(1) has them.
const (
	exitDone   = 0
	exitFailed = 1 // the user exists already, or the database refuses
	exitUsage  = 2
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr))
}

// flags are the command line.
type flags struct {
	database, user, password, realm, class, policy string
	admin, update, version                         bool
}

const usageText = `usage: addsipuser -D URL -u alice@example.com -p PASSWORD|- [-r realm] [-c gatewayclass]
                  [-a never|requested|required] [--admin] [--update]
`

func run(ctx context.Context, args []string, env func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	var f flags
	fs := pflag.NewFlagSet("addsipuser", pflag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVarP(&f.database, "database", "D", "", "database `URL`: sqlite:PATH, postgres://..., sql://... (or the variable SIPD_DB)")
	classic := fs.StringP("d", "d", "", "the same as -D, as sipd 1.18 had it")
	fs.StringVarP(&f.user, "user", "u", "", "the new `user`: alice@example.com")
	fs.StringVarP(&f.password, "password", "p", "", "his `password`; - reads a line of standard input")
	fs.StringVarP(&f.realm, "realm", "r", "", "authentication `realm`; the domain's when left out")
	fs.StringVarP(&f.class, "class", "c", "", "gateway `class`")
	fs.StringVarP(&f.policy, "auth-policy", "a", "", "whether callers are challenged: `never, requested or required`")
	fs.BoolVar(&f.admin, "admin", false, "make the user an administrator")
	fs.BoolVar(&f.update, "update", false, "change the user when there is one already")
	fs.BoolVarP(&f.version, "version", "v", false, "print the version and exit")
	err := fs.Parse(args)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		fmt.Fprint(stdout, usageText, fs.FlagUsages())
		return exitDone
	case err != nil:
	case f.version:
		fmt.Fprintln(stdout, "addsipuser", version)
		return exitDone
	case fs.NArg() > 0:
		err = fmt.Errorf("%q: every argument belongs to a flag", fs.Arg(0))
	case *classic != "" && f.database != "":
		err = errors.New("-d and -D both name a database; write one of them")
	case f.user == "":
		err = errors.New("-u is missing; write -u alice@example.com")
	case f.password == "" && fs.Changed("password"):
		err = provision.CheckPassword("")
	case f.password == "" && !f.update:
		err = errors.New("-p is missing; write -p - and the password on standard input")
	}
	if err != nil {
		fmt.Fprintf(stderr, "addsipuser: %v\n%s", err, usageText)
		return exitUsage
	}
	if *classic != "" {
		f.database = *classic
	}
	key, updated, err := f.add(ctx, env, fs.Changed, stdin)
	if err != nil {
		fmt.Fprintln(stderr, "addsipuser:", err)
		var usage usageError
		if errors.As(err, &usage) {
			return exitUsage
		}
		return exitFailed
	}
	if updated {
		fmt.Fprintln(stdout, "changed user", key)
	} else {
		fmt.Fprintln(stdout, "added user", key)
	}
	return exitDone
}

// usageError makes an error end with status 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// add adds the user or, with --update, changes him.
func (f *flags) add(ctx context.Context, env func(string) string, changed func(string) bool, stdin io.Reader) (key string, updated bool, err error) {
	place, err := config.Flags{Database: f.database, Env: env("SIPD_DB")}.Locate()
	if err != nil {
		return "", false, usageError{err}
	}
	password := f.password
	if password == "-" {
		if password, err = provision.ReadPassword(stdin); err != nil {
			return "", false, usageError{err}
		}
	}
	if password != "" {
		if err := provision.CheckPassword(password); err != nil {
			return "", false, usageError{err}
		}
	}
	db, err := sqlstore.OpenExisting(ctx, place.Database.URL)
	if err != nil {
		return "", false, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.CheckVersion(ctx); err != nil {
		return "", false, err
	}
	settings, err := f.settings(ctx, db, place)
	if err != nil {
		return "", false, err
	}
	u, err := provision.Prepare(ctx, db, f.user, f.realm)
	switch {
	case errors.Is(err, provision.ErrNoDomain):
		return "", false, err
	case err != nil:
		return "", false, usageError{err}
	}
	old, err := db.User(ctx, u.Key)
	switch {
	case err == nil && !f.update:
		return "", false, fmt.Errorf("user %s: %w; write --update to change him", u.Key, store.ErrExists)
	case err == nil:
		u, updated = *old, true
	case !errors.Is(err, store.ErrNotFound):
		return "", false, err
	case password == "":
		return "", false, usageError{fmt.Errorf("there is no user %s to update, and a new one needs -p", u.Key)}
	}
	if err := f.apply(ctx, db, &u, changed, password != ""); err != nil {
		return "", false, err
	}
	return string(u.Key), updated, save(ctx, db, &u, updated, provision.Credentials(u.Key, u.Realm, password, settings.DigestAlgorithms), password != "")
}

// settings are those of the only server record: which digest algorithms get credentials.
func (f *flags) settings(ctx context.Context, db *sqlstore.DB, place config.Place) (*config.Settings, error) {
	record, err := provision.Pick(ctx, db, "")
	if errors.Is(err, store.ErrInvalid) {
		// Several servers share these users: the first one's list serves, as all should have the same.
		servers, listErr := db.Servers(ctx)
		if listErr != nil {
			return nil, listErr
		}
		record, err = servers[0], nil
	}
	if err != nil {
		return nil, err
	}
	rows, err := db.Settings(ctx, record.ID)
	if err != nil {
		return nil, err
	}
	return config.Build(config.Map("server_settings", rows), place.Values())
}

// apply writes what the command line says into u.
func (f *flags) apply(ctx context.Context, db *sqlstore.DB, u *store.User, changed func(string) bool, hasPassword bool) (err error) {
	if changed("realm") && f.realm != u.Realm {
		if !hasPassword {
			return usageError{errors.New("-r changes the realm, which needs the password again; write -p, too")}
		}
		u.Realm = f.realm
	}
	if f.class != "" {
		if u.GatewayClassID, err = provision.ClassID(ctx, db, f.class); err != nil {
			return usageError{err}
		}
	}
	if f.policy != "" {
		if u.AuthPolicy, err = store.ParseAuthPolicy(f.policy); err != nil {
			return usageError{err}
		}
	}
	if changed("admin") {
		u.IsAdmin = f.admin
	}
	if err := u.Check(); err != nil {
		return usageError{err}
	}
	return nil
}

func save(ctx context.Context, db *sqlstore.DB, u *store.User, update bool, credentials []store.Credential, hasPassword bool) error {
	if !update {
		return db.AddUser(ctx, u, credentials)
	}
	// Credentials first: they are what the database may refuse, and then nothing has changed.
	if hasPassword {
		if err := db.SetCredentials(ctx, u.ID, credentials); err != nil {
			return err
		}
	}
	return db.UpdateUser(ctx, u)
}
