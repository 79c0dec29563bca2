package cache

import (
	"maps"

	"sipd/config"
	"sipd/store"
)

// apply makes the snapshot that d turns prev into. Rows that cannot be used leave the last good ones in force and are
// returned; the error is about settings, which then stay as they are.
func apply(prev *Snapshot, d *store.Delta, settings func(map[string]string) (*config.Settings, error)) (*Snapshot, []Problem, error) {
	next := *prev
	next.Seq = d.Seq
	var problems []Problem
	var err error
	if d.SettingsChanged && !maps.Equal(d.Settings, prev.values) {
		var s *config.Settings
		if s, err = settings(d.Settings); err == nil {
			next.Settings, next.values = s, d.Settings
		}
	}
	rows := prev.domains.rows
	if d.DomainsChanged {
		rows = d.Domains
	}
	if d.DomainsChanged || next.Settings != prev.Settings { // Own addresses and ServerName are settings.
		t, bad := newDomains(rows, next.Settings)
		problems = append(problems, bad...)
		if len(bad) == 0 {
			next.domains = t
		}
	}
	if len(d.UserIDs) > 0 {
		t, bad := prev.users.with(d)
		problems = append(problems, bad...)
		next.users = t
	}
	if len(d.AliasNames) > 0 {
		t, bad := prev.aliases.withDelta(d)
		problems = append(problems, bad...)
		next.aliases = t
	}
	return &next, problems, err
}

// with returns the table after the delta.
func (t *users) with(d *store.Delta) (*users, []Problem) {
	var problems []Problem
	e := t.edit()
	exists := make(map[int64]int, len(d.Users))
	for i := range d.Users {
		exists[d.Users[i].ID] = i
	}
	// All that go first: a name may pass from one user to another.
	for _, id := range d.UserIDs {
		if i, ok := exists[id]; !ok || store.IsTemplate(d.Users[i].Key) {
			e.remove(id)
		} else if old := e.byID(id); old != nil && old.Key != d.Users[i].Key && d.Users[i].Check() == nil {
			e.remove(id)
		}
	}
	creds := make(map[int64][]*store.Credential, len(d.Users))
	for i := range d.Credentials {
		c := &d.Credentials[i]
		creds[c.UserID] = append(creds[c.UserID], c)
	}
	text := newTexts()
	for i := range d.Users {
		u := &d.Users[i]
		if store.IsTemplate(u.Key) {
			continue
		}
		old := t.byID(u.ID)
		rec := userRec{}
		if err := u.Check(); err == nil {
			rec.User = text.user(u)
		} else {
			problems = append(problems, Problem{"users", string(u.Key), err})
			if old == nil {
				continue
			}
			rec.User = old.User
		}
		for _, row := range creds[u.ID] {
			c, err := text.credential(&rec.User, row)
			if err != nil {
				problems = append(problems, Problem{"credentials", row.Username, err})
				good := old.credential(row)
				if good == nil {
					continue
				}
				c = *good
			}
			rec.creds = append(rec.creds, c)
		}
		if other := e.named(rec.Key); other != nil && other.ID != rec.ID {
			e.remove(other.ID) // Its own row comes in this delta or the next: keys are unique.
		}
		e.put(rec)
	}
	return e.done(), problems
}

// withDelta returns the table after the delta.
func (t *aliases) withDelta(d *store.Delta) (*aliases, []Problem) {
	var problems []Problem
	var rows []*store.Alias
	for i := range d.Aliases {
		a := d.Aliases[i]
		if err := a.Check(); err != nil {
			problems = append(problems, Problem{"aliases", a.Alias, err})
			continue
		}
		rows = append(rows, &a)
	}
	return t.with(d.AliasNames, rows), problems
}
