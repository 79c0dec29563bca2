package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"sipd/sipaddr"
	"sipd/store"
	"sipd/store/provision"
)

// userView is a user as --json prints it.
type userView struct {
	Key           string   `json:"user_key"`
	Realm         string   `json:"realm"`
	DisplayName   string   `json:"display_name,omitempty"`
	Email         string   `json:"email,omitempty"`
	AuthPolicy    string   `json:"auth_policy"`
	GatewayClass  string   `json:"gateway_class,omitempty"`
	DefaultAction string   `json:"default_action,omitempty"`
	Admin         bool     `json:"is_admin"`
	Disabled      bool     `json:"disabled"`
	MaxContacts   int      `json:"max_contacts,omitempty"`
	Credentials   []string `json:"credentials,omitempty"` // "MD5 alice"; never an HA1
	Password      string   `json:"password,omitempty"`    // only when it was made up here
}

// view needs the names of the gateway classes.
func viewUser(u *store.User, classes map[int64]string) userView {
	return userView{
		Key: string(u.Key), Realm: u.Realm, DisplayName: u.DisplayName, Email: u.Email, AuthPolicy: u.AuthPolicy.String(),
		GatewayClass: classes[u.GatewayClassID], DefaultAction: u.DefaultAction.String(), Admin: u.IsAdmin, Disabled: u.Disabled,
		MaxContacts: u.MaxContacts,
	}
}

func (s *session) classNames(ctx context.Context) (map[int64]string, error) {
	classes, err := s.Classes(ctx)
	if err != nil {
		return nil, err
	}
	names := make(map[int64]string, len(classes))
	for _, c := range classes {
		names[c.ID] = c.Name
	}
	return names, nil
}

// userFlags are the columns of a user that a command line may set. nil and "" leave them alone.
type userFlags struct {
	password, realm, class, policy, action, displayName, email string
	admin, disabled                                            bool
	maxContacts                                                int
}

func (f *userFlags) add(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVarP(&f.class, "class", "c", "", "gateway `class`; `\"\"` for none")
	fs.StringVarP(&f.policy, "auth-policy", "a", "", "whether callers are challenged: never, requested or required")
	fs.StringVar(&f.action, "default-action", "", "what a call does: proxy or redirect; `\"\"` for the server's DefaultReg")
	fs.StringVar(&f.displayName, "display-name", "", "name as people read it")
	fs.StringVar(&f.email, "email", "", "mail address")
	fs.BoolVar(&f.admin, "admin", false, "make the user an administrator; --admin=false takes it away")
	fs.IntVar(&f.maxContacts, "max-contacts", 0, "most contacts registered at a time; 0 for the server's MaxContacts")
}

// apply writes what the command line says into u.
func (f *userFlags) apply(ctx context.Context, cmd *cobra.Command, st store.Admin, u *store.User) (err error) {
	changed := cmd.Flags().Changed
	if changed("class") {
		u.GatewayClassID = 0
		if f.class != "" {
			if u.GatewayClassID, err = provision.ClassID(ctx, st, f.class); err != nil {
				return usage(err)
			}
		}
	}
	if changed("auth-policy") {
		if u.AuthPolicy, err = store.ParseAuthPolicy(f.policy); err != nil {
			return usage(err)
		}
	}
	if changed("default-action") {
		if u.DefaultAction, err = store.ParseAction(f.action); err != nil {
			return usage(err)
		}
	}
	if changed("display-name") {
		u.DisplayName = f.displayName
	}
	if changed("email") {
		u.Email = f.email
	}
	if changed("admin") {
		u.IsAdmin = f.admin
	}
	if changed("max-contacts") {
		u.MaxContacts = f.maxContacts
	}
	return usage(u.Check())
}

func (a *app) userCommand() *cobra.Command {
	var addFlags, setFlags userFlags
	add := &cobra.Command{
		Use: "add USER", Short: "Add a user; without -p a random password is made and printed", Args: cobra.ExactArgs(1),
		Example: "  sipd user add carol@example.com\n  echo secret | sipd user add carol@example.com -p -",
	}
	add.RunE = a.inDatabase(func(ctx context.Context, s *session, args []string) error {
		return a.addUser(ctx, s, add, args[0], &addFlags)
	})
	addFlags.add(add)
	add.Flags().StringVarP(&addFlags.password, "password", "p", "", "password; - reads a line of standard input")
	add.Flags().StringVarP(&addFlags.realm, "realm", "r", "", "authentication realm; the domain's when left out")

	set := &cobra.Command{Use: "set USER", Short: "Change columns of a user", Args: cobra.ExactArgs(1), Example: "  sipd user set carol@example.com --auth-policy never"}
	set.RunE = a.inDatabase(func(ctx context.Context, s *session, args []string) error {
		return a.setUser(ctx, s, set, args[0], &setFlags)
	})
	setFlags.add(set)
	set.Flags().BoolVar(&setFlags.disabled, "disabled", false, "the user cannot register nor be called; --disabled=false lets him again")

	var password, realm string
	passwd := &cobra.Command{
		Use: "passwd USER", Short: "Change a password; without -p a random one is made and printed", Args: cobra.ExactArgs(1),
	}
	passwd.RunE = a.inDatabase(func(ctx context.Context, s *session, args []string) error {
		return a.setPassword(ctx, s, passwd, args[0], password, realm)
	})
	passwd.Flags().StringVarP(&password, "password", "p", "", "password; - reads a line of standard input")
	passwd.Flags().StringVarP(&realm, "realm", "r", "", "change the realm, too")

	return group("user", "The users of this server",
		add, set, passwd,
		&cobra.Command{Use: "list [DOMAIN]", Short: "List the users", Args: cobra.MaximumNArgs(1), RunE: a.inDatabase(a.listUsers)},
		&cobra.Command{Use: "show USER", Short: "Show a user", Args: cobra.ExactArgs(1), RunE: a.inDatabase(a.showUser)},
		&cobra.Command{Use: "disable USER", Short: "Lock a user out; `sipd user set USER --disabled=false` undoes it", Args: cobra.ExactArgs(1), RunE: a.inDatabase(a.disableUser)},
		&cobra.Command{Use: "rm USER", Short: "Remove a user with his credentials, contacts and aliases", Args: cobra.ExactArgs(1), RunE: a.inDatabase(a.removeUser)},
		&cobra.Command{Use: "import FILE.csv", Short: "Add users from a CSV file, all or none (- is standard input)", Args: cobra.ExactArgs(1), RunE: a.action(a.importUsers),
			Long: "Add users from a CSV file, all or none. The first line names the columns: user_key and any of password, ha1 (MD5),\nha1_sha256, realm, auth_policy, gateway_class, display_name, email. The first bad line is reported and ends the import. Users who are\nthere already with the same credentials are left as they are: an import that was broken off is repeated."},
	)
}

// secret returns the password that the flag -p of a command names: given, read from standard input, or made up when it was
// not written. An empty one is a mistake, such as a variable of a script that is not set.
func (a *app) secret(cmd *cobra.Command, flag string) (password string, random bool, err error) {
	switch {
	case !cmd.Flags().Changed("password"):
		return provision.RandomPassword(), true, nil
	case flag == "-":
		password, err = provision.ReadPassword(a.stdin)
	default:
		password = flag
	}
	if err == nil {
		err = provision.CheckPassword(password)
	}
	return password, false, usage(err)
}

func (a *app) addUser(ctx context.Context, s *session, cmd *cobra.Command, name string, f *userFlags) error {
	settings, err := s.settings(ctx)
	if err != nil {
		return err
	}
	u, err := provision.Prepare(ctx, s, name, f.realm)
	if errors.Is(err, provision.ErrNoDomain) {
		return err
	}
	if err != nil {
		return usage(err)
	}
	if err := f.apply(ctx, cmd, s, &u); err != nil {
		return err
	}
	password, random, err := a.secret(cmd, f.password)
	if err != nil {
		return err
	}
	switch err := s.AddUser(ctx, &u, provision.Credentials(u.Key, u.Realm, password, settings.DigestAlgorithms)); {
	case errors.Is(err, store.ErrExists):
		return fmt.Errorf("%w; `sipd user set %s` and `sipd user passwd %s` change a user", err, u.Key, u.Key)
	case err != nil:
		return err
	}
	classes, err := s.classNames(ctx)
	if err != nil {
		return err
	}
	v := viewUser(&u, classes)
	if random {
		v.Password = password
		return a.say(v, "added user %s, password %s", u.Key, password)
	}
	return a.say(v, "added user %s", u.Key)
}

// find reads the user that a person named.
func (s *session) find(ctx context.Context, text string) (*store.User, error) {
	name, err := s.aliasName(ctx, text)
	if err != nil {
		return nil, err
	}
	u, err := s.User(ctx, sipaddr.AOR(name))
	if errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("there is no user %s; `sipd user list` shows those that are", name)
	}
	return u, err
}

func (a *app) setUser(ctx context.Context, s *session, cmd *cobra.Command, name string, f *userFlags) error {
	if !userFlagSet(cmd) {
		return usage(errors.New("nothing to change; write at least one flag, `sipd user set --help` lists them"))
	}
	u, err := s.find(ctx, name)
	if err != nil {
		return err
	}
	if err := f.apply(ctx, cmd, s, u); err != nil {
		return err
	}
	if cmd.Flags().Changed("disabled") {
		u.Disabled = f.disabled
	}
	if err := s.UpdateUser(ctx, u); err != nil {
		return err
	}
	return a.sayUser(ctx, s, u, "changed user %s")
}

// userFlagSet tells whether a flag of the command's own was written.
func userFlagSet(cmd *cobra.Command) bool {
	for _, name := range []string{"class", "auth-policy", "default-action", "display-name", "email", "admin", "max-contacts", "disabled"} {
		if cmd.Flags().Changed(name) {
			return true
		}
	}
	return false
}

func (a *app) sayUser(ctx context.Context, s *session, u *store.User, format string) error {
	classes, err := s.classNames(ctx)
	if err != nil {
		return err
	}
	return a.say(viewUser(u, classes), format, u.Key)
}

func (a *app) setPassword(ctx context.Context, s *session, cmd *cobra.Command, name, flag, realm string) error {
	settings, err := s.settings(ctx)
	if err != nil {
		return err
	}
	u, err := s.find(ctx, name)
	if err != nil {
		return err
	}
	password, random, err := a.secret(cmd, flag)
	if err != nil {
		return err
	}
	moves := realm != "" && realm != u.Realm
	if moves {
		u.Realm = realm
		if err := u.Check(); err != nil {
			return usage(err)
		}
	}
	// Credentials first: they are what the database may refuse, and then nothing has changed.
	if err := s.SetCredentials(ctx, u.ID, provision.Credentials(u.Key, u.Realm, password, settings.DigestAlgorithms)); err != nil {
		return err
	}
	if moves {
		if err := s.UpdateUser(ctx, u); err != nil {
			return err
		}
	}
	if random {
		return a.say(map[string]string{"user_key": string(u.Key), "password": password}, "new password of %s: %s", u.Key, password)
	}
	return a.say(map[string]string{"user_key": string(u.Key)}, "changed the password of %s", u.Key)
}

func (a *app) listUsers(ctx context.Context, s *session, args []string) error {
	domain := ""
	if len(args) > 0 {
		rows, err := s.Domains(ctx)
		if err != nil {
			return err
		}
		d := provision.Domains(rows).Find(args[0])
		if d == nil {
			return fmt.Errorf("there is no domain %s; `sipd domain list` shows those that are", args[0])
		}
		domain = provision.Bracket(provision.Canonical(d))
	}
	classes, err := s.classNames(ctx)
	if err != nil {
		return err
	}
	if a.json {
		views := []userView{}
		err := s.Users(ctx, domain, func(u *store.User) error { views = append(views, viewUser(u, classes)); return nil })
		if err != nil {
			return err
		}
		return a.printJSON(views)
	}
	t := newTable(a.stdout, "USER", "NAME", "AUTH", "CLASS", "STATE")
	err = s.Users(ctx, domain, func(u *store.User) error {
		state := ""
		if u.IsAdmin {
			state = "admin"
		}
		if u.Disabled {
			state = "disabled"
		}
		t.row(string(u.Key), u.DisplayName, u.AuthPolicy.String(), classes[u.GatewayClassID], state)
		return nil
	})
	if err != nil {
		return err
	}
	return t.end()
}

func (a *app) showUser(ctx context.Context, s *session, args []string) error {
	settings, err := s.settings(ctx)
	if err != nil {
		return err
	}
	u, err := s.find(ctx, args[0])
	if err != nil {
		return err
	}
	classes, err := s.classNames(ctx)
	if err != nil {
		return err
	}
	v := viewUser(u, classes)
	rows, err := s.Credentials(ctx, u.ID)
	if err != nil {
		return err
	}
	have := map[store.Algorithm]bool{}
	for _, c := range rows {
		v.Credentials = append(v.Credentials, c.Algorithm.String()+" "+c.Username)
		have[c.Algorithm] = true
	}
	if a.json {
		return a.printJSON(v)
	}
	t := newTable(a.stdout, "USER", v.Key)
	t.row("realm", v.Realm)
	t.row("display name", v.DisplayName)
	t.row("email", v.Email)
	t.row("auth policy", v.AuthPolicy)
	t.row("gateway class", v.GatewayClass)
	t.row("default action", v.DefaultAction)
	t.row("administrator", strconv.FormatBool(v.Admin))
	t.row("disabled", strconv.FormatBool(v.Disabled))
	t.row("most contacts", strconv.Itoa(v.MaxContacts))
	for _, c := range v.Credentials {
		t.row("credential", c)
	}
	if err := t.end(); err != nil {
		return err
	}
	for _, algorithm := range settings.DigestAlgorithms {
		if !have[algorithm] {
			fmt.Fprintf(a.stdout, "DigestAlgorithms names %s, for which %s has no credential; `sipd user passwd %s` makes it\n", algorithm, u.Key, u.Key)
		}
	}
	return nil
}

func (a *app) disableUser(ctx context.Context, s *session, args []string) error {
	u, err := s.find(ctx, args[0])
	if err != nil {
		return err
	}
	u.Disabled = true
	if err := s.UpdateUser(ctx, u); err != nil {
		return err
	}
	return a.sayUser(ctx, s, u, "disabled user %s")
}

func (a *app) removeUser(ctx context.Context, s *session, args []string) error {
	u, err := s.find(ctx, args[0])
	if err != nil {
		return err
	}
	if err := s.RemoveUser(ctx, u.Key); err != nil {
		return err
	}
	return a.sayUser(ctx, s, u, "removed user %s")
}

func (a *app) importUsers(ctx context.Context, args []string) error {
	in, name := a.stdin, "standard input"
	if args[0] != "-" {
		f, err := os.Open(args[0])
		if err != nil {
			return err
		}
		defer f.Close()
		in, name = io.Reader(f), args[0]
	}
	s, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	settings, err := s.settings(ctx)
	if err != nil {
		return err
	}
	imp, err := provision.ReadCSV(ctx, name, in, s, settings.DigestAlgorithms)
	if err != nil {
		return fmt.Errorf("%w; nothing was imported", err)
	}
	if err := s.BulkUsers(ctx, imp.Users, nil); err != nil {
		return fmt.Errorf("%w; nothing was imported", err)
	}
	if imp.Known > 0 {
		return a.say(map[string]int{"imported": len(imp.Users), "known": imp.Known}, "imported %d users, %d were there already", len(imp.Users), imp.Known)
	}
	return a.say(map[string]int{"imported": len(imp.Users)}, "imported %d users", len(imp.Users))
}
