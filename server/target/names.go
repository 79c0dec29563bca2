package target

import (
	"slices"
	"strings"

	"sipd/canonicalize"
	"sipd/sipaddr"
	"sipd/store/cache"
	"sipd/trace"
)

// Names are what the machine knows of its users (setting Canonicalize); nil ones are not asked.
type Names struct {
	Aliases   *canonicalize.Names // of its mail
	FullNames *canonicalize.Names // of passwd
}

// maxAliasDepth bounds how often an alias of the alias file may lead to another one.
const maxAliasDepth = 8

// named looks for a sip name among the machine's mail aliases, then its full names. The members of a mail alias are a group; a full name of
// several users is ambiguous.
func (d *Decision) named(t Tables, u *sipaddr.URI, dom *cache.Domain) finding {
	if t.Machine.Aliases == nil && t.Machine.FullNames == nil || u.Scheme == sipaddr.TEL || !u.HasUser {
		return nobody
	}
	d.aor = appendCanonical(d.aor[:0], u, dom.Canonical)
	user := d.aor[:len(d.aor)-len(dom.Canonical)-1]
	for i, names := range [...]*canonicalize.Names{t.Machine.Aliases, t.Machine.FullNames} {
		if names == nil {
			continue
		}
		rule := [...]string{"alias file", "full name"}[i]
		list := names.Find(user)
		if len(list) == 0 {
			d.text(rule, user, trace.NoMatch, "it has no such name")
			continue
		}
		x := expansion{d: d, t: t, names: t.Machine.Aliases, rule: rule, domain: dom.Canonical}
		x.expand(list, 0)
		d.members = d.members[:0]
		if d.one = append(d.one[:0], x.users...); len(d.one) == 0 {
			return gone
		}
		return d.oneOrGroup(i == 0)
	}
	return nobody
}

// expansion is a name on its way to the users it stands for.
type expansion struct {
	d      *Decision
	t      Tables
	names  *canonicalize.Names // nil: there are no further aliases
	rule   string
	domain string
	seen   []string
	users  []cache.User
}

func (x *expansion) expand(list []string, depth int) {
	for _, to := range list {
		if depth > maxAliasDepth || slices.Contains(x.seen, to) || len(x.users) >= maxTargets {
			x.d.step(x.rule, to, trace.Skip, "it leads round, or to too many")
			continue
		}
		x.seen = append(x.seen, to)
		login, host, has := strings.Cut(to, "@")
		domain := x.domain
		if has {
			dom := x.t.Domain([]byte(host))
			if dom == nil {
				x.d.step(x.rule, to, trace.Skip, "it is in another domain")
				continue
			}
			domain = dom.Canonical
		}
		aor := append(append([]byte(login), '@'), domain...)
		switch x.d.usersOf(x.t, aor) {
		case people, unclear:
			x.d.step(x.rule, to, trace.Match, "")
			for _, u := range x.d.one {
				if !slices.ContainsFunc(x.users, func(o cache.User) bool { return o.ID == u.ID }) {
					x.users = append(x.users, u)
				}
			}
		case nobody:
			if further := x.find(login); further != nil {
				x.expand(further, depth+1)
				continue
			}
			x.d.step(x.rule, to, trace.NoMatch, "nobody here has this name")
		}
	}
}

func (x *expansion) find(login string) []string {
	if x.names == nil {
		return nil
	}
	return x.names.Find([]byte(login))
}
