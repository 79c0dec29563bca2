package cache

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sipd/config"
	"sipd/sipaddr"
	"sipd/store"
)

// maxProblems bounds how many bad rows are listed: more tell an operator nothing new.
const maxProblems = 100

// builder is the sink of a full load.
type builder struct {
	prev     *Snapshot // of which good rows stand in for bad ones; may be nil
	values   map[string]string
	domains  []store.Domain
	blocks   [][]userRec // of blockRows each but the last
	ids      map[int64]int
	creds    credsRun
	aliases  []*store.Alias
	texts    texts
	problems []Problem
}

// blockRows is how many users are collected at a time while their number is unknown.
const blockRows = 4096

// credsRun is the credentials of one user that came one after the other; a user may have several runs.
type credsRun struct {
	userID int64
	rows   []store.Credential
}

func newBuilder(prev *Snapshot) *builder {
	return &builder{prev: prev, values: map[string]string{}, ids: map[int64]int{}, texts: newTexts()}
}

// Setting implements store.Sink.
func (b *builder) Setting(name, value string) { b.values[name] = value }

// Domain implements store.Sink.
func (b *builder) Domain(d *store.Domain) { b.domains = append(b.domains, *d) }

// User implements store.Sink.
func (b *builder) User(u *store.User) {
	if store.IsTemplate(u.Key) {
		return
	}
	if err := u.Check(); err != nil {
		b.problem("users", string(u.Key), err)
		if old := b.old(u.ID); old != nil {
			b.addUser(userRec{User: old.User})
		}
		return
	}
	b.addUser(userRec{User: b.texts.user(u)})
}

func (b *builder) old(id int64) *userRec {
	if b.prev == nil {
		return nil
	}
	return b.prev.users.byID(id)
}

func (b *builder) addUser(r userRec) {
	n := len(b.blocks)
	if n == 0 || len(b.blocks[n-1]) == blockRows {
		b.blocks = append(b.blocks, make([]userRec, 0, blockRows))
		n++
	}
	b.blocks[n-1] = append(b.blocks[n-1], r)
	b.ids[r.ID] = (n-1)*blockRows + len(b.blocks[n-1]) - 1
}

// Credential implements store.Sink.
func (b *builder) Credential(c *store.Credential) {
	if c.UserID != b.creds.userID {
		b.endCreds()
		b.creds.userID = c.UserID
	}
	b.creds.rows = append(b.creds.rows, *c)
}

// endCreds gives the user his credentials.
func (b *builder) endCreds() {
	rows := b.creds.rows
	b.creds.rows = rows[:0]
	i, ok := b.ids[b.creds.userID]
	if !ok || len(rows) == 0 {
		return // Of a template, or of a user that was left out.
	}
	r := &b.blocks[i/blockRows][i%blockRows]
	creds := make([]store.Credential, 0, len(r.creds)+len(rows))
	creds = append(creds, r.creds...)
	for i := range rows {
		c, err := b.texts.credential(&r.User, &rows[i])
		if err != nil {
			b.problem("credentials", rows[i].Username, err)
			old := b.old(r.ID).credential(&rows[i])
			if old == nil {
				continue
			}
			c = *old
		}
		creds = append(creds, c)
	}
	r.creds = creds
}

// Alias implements store.Sink.
func (b *builder) Alias(a *store.Alias) {
	if err := a.Check(); err != nil {
		b.problem("aliases", a.Alias, err)
		return
	}
	c := *a
	b.aliases = append(b.aliases, &c)
}

func (b *builder) problem(table, row string, err error) {
	if len(b.problems) < maxProblems {
		b.problems = append(b.problems, Problem{table, row, err})
	}
}

// snapshot makes the tables. A domain that cannot be used leaves the last good table of domains in force.
func (b *builder) snapshot(settings *config.Settings, server store.Server, seq int64, now time.Time) *Snapshot {
	b.endCreds()
	s := &Snapshot{Settings: settings, Server: server, Seq: seq, Loaded: now, values: b.values}
	var problems []Problem
	s.domains, problems = newDomains(b.domains, settings)
	if len(problems) > 0 && b.prev != nil {
		s.domains = b.prev.domains
	}
	b.problems = append(b.problems, problems...)
	s.users = b.users()
	s.aliases = newAliases(len(b.aliases))
	for _, a := range b.aliases {
		s.aliases.add(a)
	}
	return s
}

// users cuts what was collected into shards of exactly the size they need.
func (b *builder) users() *users {
	t := newUsers(len(b.ids))
	counts := make([]int, len(t.shards))
	creds := make([]int, len(t.shards))
	for _, block := range b.blocks {
		for i := range block {
			shard, _ := t.split(t.keyHash(block[i].Key))
			counts[shard]++
			creds[shard] += len(block[i].creds)
		}
	}
	slabs := make([][]store.Credential, len(t.shards))
	for i := range t.shards {
		t.shards[i] = &userShard{recs: make([]userRec, 0, counts[i]), keys: newIndex(counts[i])}
		slabs[i] = make([]store.Credential, 0, creds[i])
		x, y := newIndex(len(b.ids)>>t.bits), newIndex(2*len(b.ids)>>t.bits)
		t.ids[i], t.auth[i] = &x, &y
	}
	e := t.edit()
	for i := range t.shards {
		e.ownShard[i], e.ownIDs[i], e.ownAuth[i] = true, true, true
	}
	for n, block := range b.blocks {
		for i := range block {
			r := &block[i]
			if b.ids[r.ID] != n*blockRows+i || e.named(r.Key) != nil {
				continue // A bad row's stand-in that another row has replaced.
			}
			shard, _ := t.split(t.keyHash(r.Key))
			from := len(slabs[shard])
			slabs[shard] = append(slabs[shard], r.creds...)
			r.creds = slabs[shard][from:len(slabs[shard]):len(slabs[shard])]
			e.put(*r)
		}
		b.blocks[n] = nil
	}
	return e.done()
}

// texts keeps the strings of rows together: few large pieces of memory instead of a million small ones, and one copy of
// those that repeat.
type texts struct {
	common map[string]string
	block  *strings.Builder
}

const (
	textBlock = 64 << 10
	maxCommon = 10000 // realms: beyond it they are not common
)

func newTexts() texts { return texts{common: map[string]string{}, block: new(strings.Builder)} }

// add copies s behind the others.
func (t *texts) add(s string) string {
	if s == "" {
		return ""
	}
	if t.block.Cap()-t.block.Len() < len(s) {
		t.block = new(strings.Builder)
		t.block.Grow(max(textBlock, len(s)))
	}
	from := t.block.Len()
	t.block.WriteString(s)
	return t.block.String()[from:]
}

// share returns the one copy of a text that many rows have.
func (t *texts) share(s string) string {
	c, ok := t.common[s]
	if !ok {
		c = strings.Clone(s)
		if len(t.common) < maxCommon {
			t.common[c] = c
		}
	}
	return c
}

func (t *texts) user(u *store.User) store.User {
	c := *u
	c.Key = sipaddr.AOR(t.add(string(u.Key)))
	c.Realm = t.share(u.Realm)
	c.DisplayName = t.add(u.DisplayName)
	c.Email = t.add(u.Email)
	return c
}

// credential checks and copies a row of the user; names that are his key or its user part share its bytes.
func (t *texts) credential(u *store.User, c *store.Credential) (store.Credential, error) {
	if err := c.Check(); err != nil {
		return store.Credential{}, err
	}
	out := *c
	key := string(u.Key)
	if rest, ok := strings.CutPrefix(key, c.Username); ok && (rest == "" || rest[0] == '@') {
		out.Username = key[:len(c.Username)]
	} else {
		out.Username = t.add(c.Username)
	}
	if c.Realm == u.Realm {
		out.Realm = u.Realm
	} else {
		out.Realm = t.share(c.Realm)
	}
	out.HA1 = t.add(c.HA1)
	return out, nil
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
