package cache

import (
	"maps"

	"sipd/config"
	"sipd/plan"
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
	if d.PeersChanged {
		t, bad := newPeers(d.Peers, prev.peers)
		problems = append(problems, bad...)
		next.peers = t
	}
	if len(d.ThirdPartyIDs) > 0 {
		t, bad := prev.thirds.withDelta(d)
		problems = append(problems, bad...)
		next.thirds = t
	}
	if d.Plan != nil {
		t, bad := plan.Compile(d.Plan, prev.plan)
		problems = append(problems, bad...)
		next.plan = t
	}
	if len(d.ForwardIDs) > 0 {
		t, bad := prev.forwards.withDelta(d)
		problems = append(problems, bad...)
		next.forwards = t
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
	g := newGather(t, func(table, row string, err error) {
		problems = append(problems, Problem{Table: table, Row: row, Err: err})
	})
	for i := range d.Users {
		g.user(&d.Users[i])
	}
	for i := range d.Credentials {
		g.credential(&d.Credentials[i])
	}
	return g.some(d.UserIDs), problems
}

// withDelta returns the table after the delta.
func (t *aliases) withDelta(d *store.Delta) (*aliases, []Problem) {
	var problems []Problem
	var rows []*store.Alias
	for i := range d.Aliases {
		a := d.Aliases[i]
		if err := a.Check(); err != nil {
			problems = append(problems, Problem{Table: "aliases", Row: a.Alias, Err: err})
			continue
		}
		rows = append(rows, &a)
	}
	return t.with(d.AliasNames, rows), problems
}
