package cache

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"sipd/config"
	"sipd/plan"
	"sipd/store"
)

// maxProblems bounds how many bad rows are listed: more tell an operator nothing new.
const maxProblems = 100

// builder is the sink of a full load.
type builder struct {
	prev     *Snapshot // of which good rows stand in for bad ones; may be nil
	values   map[string]string
	domains  []store.Domain
	users    *gather
	aliases  []*store.Alias
	peers    []store.TrustedPeer
	thirds   []pair
	forwards []store.Forward
	plan     store.PlanRows
	problems []Problem
}

func newBuilder(prev *Snapshot) *builder {
	b := &builder{prev: prev, values: map[string]string{}}
	before := newUsers(0)
	if prev != nil {
		before = prev.users
	}
	b.users = newGather(before, b.problem)
	return b
}

// Setting implements store.Sink.
func (b *builder) Setting(name, value string) { b.values[name] = value }

// Domain implements store.Sink.
func (b *builder) Domain(d *store.Domain) { b.domains = append(b.domains, *d) }

// User implements store.Sink.
func (b *builder) User(u *store.User) { b.users.user(u) }

// Credential implements store.Sink.
func (b *builder) Credential(c *store.Credential) { b.users.credential(c) }

// Alias implements store.Sink.
func (b *builder) Alias(a *store.Alias) {
	if err := a.Check(); err != nil {
		b.problem("aliases", a.Alias, err)
		return
	}
	c := *a
	b.aliases = append(b.aliases, &c)
}

// ThirdParty implements store.Sink.
func (b *builder) ThirdParty(t *store.ThirdParty) {
	if err := t.Check(); err != nil {
		b.problem("third_parties", strconv.FormatInt(t.UserID, 10), err)
		return
	}
	b.thirds = append(b.thirds, pair{t.UserID, t.RegistrantID})
}

// TrustedPeer implements store.Sink.
func (b *builder) TrustedPeer(p *store.TrustedPeer) { b.peers = append(b.peers, *p) }

// Forward implements store.Sink.
func (b *builder) Forward(f *store.Forward) { b.forwards = append(b.forwards, *f) }

// PlanRows implements store.Sink.
func (b *builder) PlanRows(p *store.PlanRows) { b.plan = *p }

func (b *builder) problem(table, row string, err error) {
	if len(b.problems) < maxProblems {
		b.problems = append(b.problems, Problem{Table: table, Row: row, Err: err})
	}
}

// snapshot makes the tables. A domain that cannot be used leaves the last good table of domains in force.
func (b *builder) snapshot(settings *config.Settings, server store.Server, seq int64, now time.Time) *Snapshot {
	s := &Snapshot{Settings: settings, Server: server, Seq: seq, Loaded: now, values: b.values}
	var problems []Problem
	s.domains, problems = newDomains(b.domains, settings)
	if len(problems) > 0 && b.prev != nil {
		s.domains = b.prev.domains
	}
	b.problems = append(b.problems, problems...)
	prev := b.prev
	if prev == nil {
		prev = &Snapshot{}
	}
	s.peers, problems = newPeers(b.peers, prev.peers)
	b.problems = append(b.problems, problems...)
	s.plan, problems = plan.Compile(&b.plan, prev.plan)
	b.problems = append(b.problems, problems...)
	s.forwards, problems = newForwards(b.forwards, prev.forwards)
	b.problems = append(b.problems, problems...)
	s.users = b.users.all()
	s.thirds, problems = newThirdParties(b.thirds)
	b.problems = append(b.problems, problems...)
	s.aliases = newAliases(len(b.aliases))
	for _, a := range b.aliases {
		s.aliases.add(a)
	}
	return s
}

func joinProblems(ps []Problem) error {
	if len(ps) == 0 {
		return nil
	}
	errs := make([]error, 0, len(ps)+1)
	for i := range ps {
		errs = append(errs, &ps[i])
	}
	if len(ps) >= maxProblems {
		errs = append(errs, fmt.Errorf("only the first %d are listed", maxProblems))
	}
	return errors.Join(slices.Clip(errs)...)
}
