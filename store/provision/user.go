package provision

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sipd/digest"
	"sipd/sipaddr"
	"sipd/store"
)

// ErrNoDomain means that no row of domains covers a user's host.
var ErrNoDomain = errors.New("no such domain")

// Domains are the rows of domains, for looking up hosts.
type Domains []store.Domain

// Find returns the row that covers host: exact and ip rows first, then regular expressions by id; nil when there is none.
func (ds Domains) Find(host string) *store.Domain {
	host = store.NormalHost(host)
	for i := range ds {
		if ds[i].Kind != store.Regex && ds[i].Name == host {
			return &ds[i]
		}
	}
	byID := slices.SortedFunc(slices.Values(ds), func(a, b store.Domain) int { return cmp.Compare(a.ID, b.ID) })
	for i := range byID {
		if byID[i].Kind != store.Regex {
			continue
		}
		if re, err := byID[i].Pattern(); err == nil && re.MatchString(host) {
			return &byID[i]
		}
	}
	return nil
}

// Canonical is the host that AORs of a domain have.
func Canonical(d *store.Domain) string {
	if d.Canonical != "" {
		return d.Canonical
	}
	return d.Name
}

// Realm is the realm of a domain: its own, else that of the domain it stands for, else the canonical name.
func (ds Domains) Realm(d *store.Domain) string {
	if d.Realm == "" && d.Canonical != "" && d.Canonical != d.Name {
		if c := ds.Find(d.Canonical); c != nil && c.Realm != "" {
			return c.Realm
		}
	}
	if d.Realm == "" {
		return Canonical(d)
	}
	return d.Realm
}

// Resolve makes the user key of what a person typed: the canonical AOR in the domain that the host stands for.
func (ds Domains) Resolve(text string) (sipaddr.AOR, *store.Domain, error) {
	aor, err := sipaddr.ParseAOR(text)
	if err != nil {
		return "", nil, err
	}
	if aor.User() == "" || !strings.Contains(string(aor), "@") {
		return "", nil, fmt.Errorf("%q names no user; write user@domain", text)
	}
	d := ds.Find(aor.Host())
	if d == nil {
		return "", nil, fmt.Errorf("%w: %s is not among the domains of this server; write `sipd domain add %s` first", ErrNoDomain, aor.Host(), aor.Host())
	}
	return sipaddr.AOR(aor.User() + "@" + Bracket(Canonical(d))), d, nil
}

// Bracket writes an IPv6 host as AORs have it.
func Bracket(host string) string {
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		return "[" + host + "]"
	}
	return host
}

// Names are the two authentication names of a user: phones send one or the other, and an HA1 covers the name.
func Names(key sipaddr.AOR) []string { return []string{key.User(), string(key)} }

// Credentials makes the rows of a password: for each algorithm one for `alice` and one for `alice@example.com`.
func Credentials(key sipaddr.AOR, realm, password string, algorithms []store.Algorithm) []store.Credential {
	rows := make([]store.Credential, 0, 2*len(algorithms))
	for _, a := range algorithms {
		alg, _ := digest.ParseAlgorithm(a.String()) // both packages name them after RFC 8760
		for _, name := range Names(key) {
			rows = append(rows, store.Credential{Username: name, Realm: realm, Algorithm: a, HA1: digest.HA1(alg, name, realm, password)})
		}
	}
	return rows
}

// maxPassword is more than any phone's input field takes.
const maxPassword = 256

// CheckPassword tells what is wrong with a password.
func CheckPassword(password string) error {
	switch {
	case password == "":
		return errors.New("the password is empty; every caller could guess it")
	case len(password) > maxPassword:
		return fmt.Errorf("the password has %d bytes; write at most %d", len(password), maxPassword)
	case strings.ContainsFunc(password, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return errors.New("a control character is in the password; phones cannot type it")
	}
	return nil
}

// Template returns the user that new users of a domain take their columns from: default@domain, or nothing special.
func Template(ctx context.Context, st store.Admin, domain string) (store.User, error) {
	u, err := st.User(ctx, sipaddr.AOR(store.TemplateUser+"@"+Bracket(domain)))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return store.User{}, nil
	case err != nil:
		return store.User{}, err
	}
	return *u, nil
}

// Fresh makes a new user of a template: policies and limits are copied, the person is not, and nobody inherits the
// administrator's rights.
func Fresh(template store.User, key sipaddr.AOR, realm string) store.User {
	return store.User{
		Key: key, Realm: realm, AuthPolicy: template.AuthPolicy, GatewayClassID: template.GatewayClassID,
		DefaultAction: template.DefaultAction, MayUploadCGI: template.MayUploadCGI, MaxContacts: template.MaxContacts,
	}
}

// ClassID returns the id of a gateway class by name.
func ClassID(ctx context.Context, st store.Admin, name string) (int64, error) {
	classes, err := st.Classes(ctx)
	if err != nil {
		return 0, err
	}
	known := make([]string, 0, len(classes))
	for _, c := range classes {
		if c.Name == name {
			return c.ID, nil
		}
		known = append(known, c.Name)
	}
	if len(known) == 0 {
		return 0, fmt.Errorf("gateway class %q: there is none yet; write `sipd class add %s` first", name, name)
	}
	return 0, fmt.Errorf("gateway class %q: write one of %s, or `sipd class add %s` first", name, strings.Join(known, ", "), name)
}

// Prepare makes the row of a new user: what a person typed resolved, the realm of the domain unless one is given, and the
// rest of the template. It adds nothing to the store.
func Prepare(ctx context.Context, st store.Admin, name, realm string) (store.User, error) {
	rows, err := st.Domains(ctx)
	if err != nil {
		return store.User{}, err
	}
	key, d, err := Domains(rows).Resolve(name)
	if err != nil {
		return store.User{}, err
	}
	template, err := Template(ctx, st, Canonical(d))
	if err != nil {
		return store.User{}, err
	}
	if realm == "" {
		realm = Domains(rows).Realm(d)
	}
	u := Fresh(template, key, realm)
	return u, u.Check()
}
