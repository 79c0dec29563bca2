package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"sipd/store"
	"sipd/store/provision"
)

// The files of a quickstart directory.
const (
	quickstartDB   = "sipd.db"
	quickstartText = "quickstart.txt"
)

// quickstartUsers bounds the names of one command line.
const quickstartUsers = 100

func (a *app) quickstartCommand() *cobra.Command {
	var dir, domain string
	c := &cobra.Command{
		Use:     "quickstart --data DIR NAME...",
		Short:   "Make a directory with a database, a domain and users, and print what to type into a phone",
		Example: "  sipd quickstart --data ./data alice bob\n  sipd run -D sqlite:./data/sipd.db",
		Args:    cobra.RangeArgs(1, quickstartUsers),
		RunE: a.action(func(ctx context.Context, args []string) error {
			return a.quickstart(ctx, dir, domain, args)
		}),
	}
	c.Flags().StringVar(&dir, "data", "", "`directory` to make; it must not exist or be empty")
	c.Flags().StringVar(&domain, "domain", "", "domain of the users; the first IPv4 address of this machine when left out")
	return c
}

// account is a user that quickstart made.
type account struct {
	Key      string `json:"user_key"`
	Name     string `json:"username"`
	Password string `json:"password"`
}

// quickstartView is what quickstart made, as --json prints it.
type quickstartView struct {
	Database string    `json:"database"`
	Domain   string    `json:"domain"`
	Server   string    `json:"server"`
	Accounts []account `json:"accounts"`
}

func (a *app) quickstart(ctx context.Context, dir, domain string, names []string) (err error) {
	if a.database != "" || a.file != "" {
		return usage(errors.New("quickstart makes its own database below --data; leave -D and -f out"))
	}
	if dir == "" {
		return usage(errors.New("quickstart makes a directory; name it: sipd quickstart --data ./data alice bob"))
	}
	entries, err := os.ReadDir(dir)
	switch {
	case err == nil && len(entries) > 0:
		return fmt.Errorf("%s is not empty; name another directory, or run what is there: sipd run -D sqlite:%s", dir, filepath.Join(dir, quickstartDB))
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	addresses, note := ownAddresses()
	q := quickstartView{Database: "sqlite:" + filepath.Join(dir, quickstartDB), Domain: domain, Server: addresses[0].String()}
	if q.Domain == "" {
		q.Domain = q.Server
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	// Half a directory would block the next try: what was made goes when something fails.
	defer func() {
		if err != nil {
			left, _ := os.ReadDir(dir)
			for _, e := range left { // with the files that SQLite and its locks put beside the database
				if strings.HasPrefix(e.Name(), quickstartDB) || e.Name() == quickstartText {
					os.Remove(filepath.Join(dir, e.Name()))
				}
			}
		}
	}()

	if err := a.fill(ctx, &q, addresses, names); err != nil {
		return err
	}
	text := q.text(a.program(), note)
	if err := os.WriteFile(filepath.Join(dir, quickstartText), []byte(text), 0o600); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(q)
	}
	_, err = fmt.Fprint(a.stdout, text)
	return err
}

// fill makes the database: domain, its other names, users.
func (a *app) fill(ctx context.Context, q *quickstartView, addresses []netip.Addr, names []string) error {
	a.database = q.Database
	s, err := a.create(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	settings, err := s.settings(ctx)
	if err != nil {
		return err
	}
	for _, d := range quickstartDomains(q.Domain, addresses) {
		if err := s.AddDomain(ctx, &d); err != nil && !errors.Is(err, store.ErrExists) {
			return ofValue(err)
		}
	}
	for _, name := range names {
		if !strings.Contains(name, "@") {
			name += "@" + provision.Bracket(q.Domain)
		}
		u, err := provision.Prepare(ctx, s, name, "")
		if err != nil {
			return usage(err)
		}
		password := provision.RandomPassword()
		if err := s.AddUser(ctx, &u, provision.Credentials(u.Key, u.Realm, password, settings.DigestAlgorithms)); err != nil {
			if errors.Is(err, store.ErrExists) {
				return usage(fmt.Errorf("%s stands twice among the names", u.Key))
			}
			return ofValue(err)
		}
		q.Accounts = append(q.Accounts, account{Key: string(u.Key), Name: u.Key.User(), Password: password})
	}
	return nil
}

// quickstartDomains are the rows that let phones reach the domain whatever they call this machine: its name and its
// addresses stand for the domain (BEHAVIOUR J).
func quickstartDomains(domain string, addresses []netip.Addr) []store.Domain {
	row := func(name string) store.Domain {
		d := store.Domain{Name: name}
		if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
			d.Kind = store.IP
		}
		return d
	}
	rows := []store.Domain{row(domain)}
	other := []string{"localhost", "127.0.0.1", "::1"}
	for _, addr := range addresses {
		other = append(other, addr.String())
	}
	if host, err := os.Hostname(); err == nil && host != "" {
		other = append(other, strings.ToLower(host))
	}
	if err := rows[0].Normalize(); err != nil {
		return rows // AddDomain says what is wrong
	}
	seen := []string{rows[0].Name}
	for _, name := range other {
		d := row(name)
		d.Canonical = rows[0].Name
		// A host name with characters that no domain has is left out.
		if d.Normalize() != nil || slices.Contains(seen, d.Name) {
			continue
		}
		seen = append(seen, d.Name)
		rows = append(rows, d)
	}
	return rows
}

// ownAddresses returns the addresses of this machine, the one to print first: the first IPv4 address that is not
// loopback or link-local. Without one it is 127.0.0.1 and a note says so.
func ownAddresses() (addresses []netip.Addr, note string) {
	var six []netip.Addr
	prefixes, err := net.InterfaceAddrs()
	if err != nil {
		prefixes = nil // an exotic system: loopback serves
	}
	for _, p := range prefixes {
		prefix, err := netip.ParsePrefix(p.String())
		if err != nil {
			continue
		}
		addr := prefix.Addr().Unmap()
		switch {
		case addr.IsLoopback() || addr.IsLinkLocalUnicast():
		case addr.Is4():
			addresses = append(addresses, addr)
		default:
			six = append(six, addr)
		}
	}
	if len(addresses) == 0 {
		addresses = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
		note = "This machine has no IPv4 address but 127.0.0.1: only phones on this machine can reach the server.\n"
	}
	return append(addresses, six...), note
}

// text is what a person types into a phone, and next into a shell; program is what the command was called by.
func (q *quickstartView) text(program, note string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%sType into a phone (other names of the fields in brackets):\n", note)
	for _, acc := range q.Accounts {
		fmt.Fprintf(&b, "\n  username [user, login, auth name]   %s\n  password                            %s\n"+
			"  domain [server, registrar, proxy]   %s\n  transport                           UDP or TCP, port 5060\n  others call it                      sip:%s\n",
			acc.Name, acc.Password, q.Domain, acc.Key)
		if q.Domain != q.Server {
			fmt.Fprintf(&b, "  outbound proxy                      %s, unless DNS knows %s\n", q.Server, q.Domain)
		}
	}
	fmt.Fprintf(&b, "\nThe server:   %s run -D %s\nAnother user: %[1]s user add NAME@%[3]s -D %[2]s\n", program, q.Database, provision.Bracket(q.Domain))
	return b.String()
}
