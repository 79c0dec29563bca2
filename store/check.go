package store

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"sipd/sipaddr"
)

// Limits of what people type into tables. They keep one row from costing the cache or a screen more than it should.
const (
	maxKey     = 255  // an AOR: DNS names end at 253 bytes, no phone shows more
	maxName    = 255  // a domain, realm, display name, class
	maxPattern = 1024 // a regular expression of a domain
	maxValue   = 8192 // a setting: the longest are lists of networks
)

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// CheckAOR tells what is wrong with a key of users or aliases; what names it in the error.
func CheckAOR(what, s string) error {
	at := strings.LastIndexByte(s, '@')
	switch {
	case s == "":
		return invalid("%s is empty: write user@domain", what)
	case at <= 0 || at == len(s)-1:
		return invalid("%s %q: write user@domain", what, s)
	case len(s) > maxKey:
		return invalid("%s %.40q... has %d bytes: write at most %d", what, s, len(s), maxKey)
	case strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || r == 0xfffd }):
		return invalid("%s %q: a blank, a control character or a byte that is not UTF-8 is in it", what, s)
	case s[at+1:] != strings.ToLower(s[at+1:]):
		return invalid("%s %q: write the domain in lower case, %s@%s", what, s, s[:at], strings.ToLower(s[at+1:]))
	case strings.HasPrefix(s, "sip:") || strings.HasPrefix(s, "sips:"):
		return invalid("%s %q: write it without the scheme, %s", what, s, s[strings.IndexByte(s, ':')+1:])
	}
	return nil
}

func checkText(what, s string, limit int) error {
	if len(s) > limit {
		return invalid("%s has %d bytes: write at most %d", what, len(s), limit)
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f || r == 0xfffd }) {
		return invalid("%s %.60q: a control character or a byte that is not UTF-8 is in it", what, s)
	}
	return nil
}

// Check tells what is wrong with a user's row.
func (u *User) Check() error {
	if err := CheckAOR("user", string(u.Key)); err != nil {
		return err
	}
	if u.Realm == "" {
		return invalid("user %s has no realm: write the domain when in doubt", u.Key)
	}
	for _, f := range [...]struct{ what, text string }{
		{"realm", u.Realm}, {"display name", u.DisplayName}, {"email", u.Email},
	} {
		if err := checkText(f.what+" of "+string(u.Key), f.text, maxName); err != nil {
			return err
		}
	}
	if u.MaxContacts < 0 {
		return invalid("max_contacts of %s is %d: write 0 for the server's limit, or more", u.Key, u.MaxContacts)
	}
	if int(u.AuthPolicy) >= len(policyNames) || int(u.DefaultAction) >= len(actionNames) {
		return invalid("auth policy or default action of %s is out of range", u.Key)
	}
	return nil
}

// Check tells what is wrong with a credential's row.
func (c *Credential) Check() error {
	switch {
	case c.Username == "":
		return invalid("a credential without auth_username")
	case c.Realm == "":
		return invalid("credential of %s has no realm", c.Username)
	case int(c.Algorithm) >= len(algorithmNames):
		return invalid("credential of %s: unknown algorithm", c.Username)
	case len(c.HA1) != c.Algorithm.HA1Len():
		return invalid("HA1 of %s for %s has %d characters: write %d hex digits", c.Username, c.Algorithm, len(c.HA1), c.Algorithm.HA1Len())
	}
	for i := range len(c.HA1) { // Of a million users, so byte by byte.
		switch d := c.HA1[i]; {
		case d >= '0' && d <= '9', d >= 'a' && d <= 'f':
		case d >= 'A' && d <= 'F':
			return invalid("HA1 of %s: write the hex digits in lower case", c.Username)
		default:
			return invalid("HA1 of %s: write hex digits only", c.Username)
		}
	}
	if err := checkText("auth_username", c.Username, maxKey); err != nil {
		return err
	}
	return checkText("realm of "+c.Username, c.Realm, maxName)
}

// Check tells what is wrong with an alias's row.
func (a *Alias) Check() error {
	if err := CheckAOR("alias", a.Alias); err != nil {
		return err
	}
	if err := CheckAOR("user of alias "+a.Alias, string(a.PrimaryUser)); err != nil {
		return err
	}
	switch {
	case int(a.Kind) >= len(aliasNames) || int(a.RingMode) >= len(ringNames):
		return invalid("kind or ring mode of alias %s is out of range", a.Alias)
	case a.Alias == string(a.PrimaryUser):
		return invalid("alias %s is the user himself: write another name", a.Alias)
	case a.Kind != Group && (a.RingMode != RingDefault || a.Delay != 0):
		return invalid("alias %s has a ring mode or a delay: only members of a group do", a.Alias)
	case a.Delay < 0 || a.Delay > MaxRing:
		return invalid("delay_s of alias %s is %d: write 0 to %d seconds", a.Alias, a.Delay, MaxRing)
	}
	return nil
}

// Normalize brings a domain's row into the form of the table (lower case, no trailing dot, an address as RFC 5952 writes
// it) and tells what is wrong with it.
func (d *Domain) Normalize() error {
	d.Canonical = NormalHost(d.Canonical)
	if d.Canonical != "" {
		if err := checkHost("canonical name of "+d.Name, d.Canonical); err != nil {
			return err
		}
	}
	if err := checkText("realm of "+d.Name, d.Realm, maxName); err != nil {
		return err
	}
	switch d.Kind {
	case Exact:
		d.Name = NormalHost(d.Name)
		return checkHost("domain", d.Name)
	case IP:
		a, err := netip.ParseAddr(strings.Trim(d.Name, "[]"))
		if err != nil || a.Zone() != "" {
			return invalid("domain %q of kind ip: write an IPv4 or IPv6 address", d.Name)
		}
		d.Name = a.Unmap().String()
		return nil
	case Regex:
		if d.Canonical == "" {
			return invalid("domain %q of kind regex: write with --canonical which domain it stands for", d.Name)
		}
		_, err := d.Pattern()
		return err
	}
	return invalid("domain %q: unknown kind", d.Name)
}

// Pattern compiles the name of a regex domain: RE2, anchored at both ends, any case.
func (d *Domain) Pattern() (*regexp.Regexp, error) {
	if d.Name == "" || len(d.Name) > maxPattern {
		return nil, invalid("a regex domain has 1 to %d bytes, this one %d", maxPattern, len(d.Name))
	}
	re, err := regexp.Compile(`(?i)\A(?:` + d.Name + `)\z`)
	if err != nil {
		return nil, invalid("domain %q is not a regular expression (RE2): %v", d.Name, err)
	}
	return re, nil
}

// NormalHost brings a host as people write it into the form of domains.name: lower case, no trailing dot, an address
// without brackets and as RFC 5952 writes it.
func NormalHost(s string) string {
	s = strings.ToLower(strings.TrimSuffix(strings.Trim(s, "[]"), "."))
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Unmap().String()
	}
	return s
}

func checkHost(what, s string) error {
	switch {
	case s == "":
		return invalid("%s is empty: write a name such as example.com", what)
	case len(s) > maxName:
		return invalid("%s %.40q... has %d bytes: write at most %d", what, s, len(s), maxName)
	case strings.ContainsFunc(s, notInHost):
		return invalid("%s %q: write letters, digits, dots and hyphens; a pattern needs --kind regex", what, s)
	}
	return nil
}

// notInHost tells whether r is in no host name and no address.
func notInHost(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_' || r == ':')
}

// CheckSetting tells whether a name and value fit the table; package config knows which names exist.
func CheckSetting(name, value string) error {
	if name == "" {
		return invalid("a setting without a name")
	}
	if err := checkText("setting", name, maxName); err != nil {
		return err
	}
	if len(value) > maxValue {
		return invalid("setting %s has %d bytes: write at most %d", name, len(value), maxValue)
	}
	return nil
}

// CheckName tells whether s can be the name of a server or gateway class.
func CheckName(what, s string) error {
	if s == "" || s == "*" || strings.EqualFold(s, "NULL") {
		return invalid("%s %q: `*`, NULL and nothing are not names", what, s)
	}
	return checkText(what, s, maxName)
}

// IsTemplate tells whether key is default@domain, the template for new users.
func IsTemplate(key sipaddr.AOR) bool {
	return strings.HasPrefix(string(key), TemplateUser+"@")
}
