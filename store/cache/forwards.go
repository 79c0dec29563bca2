package cache

import (
	"maps"
	"slices"
	"strconv"

	"sipd/plan"
	"sipd/store"
)

// Plan returns what numbers are routed by: dial plan, gateway map, gateways and classes.
func (s *Snapshot) Plan() *plan.Plan { return s.plan }

// Class returns the name of the user's gateway class, "" for none.
func (s *Snapshot) Class(u User) string { return s.plan.Class(u.ClassID) }

// Forward returns the forward of a user for a case, nil if he has none. The caller does not change it.
func (s *Snapshot) Forward(u User, kind store.ForwardKind) *store.Forward {
	rows := s.forwards.of(u.ID)
	for i := range rows {
		if rows[i].Kind == kind {
			return &rows[i]
		}
	}
	return nil
}

// Forwards returns all forwards of a user; nobody changes them.
func (s *Snapshot) Forwards(u User) []store.Forward { return s.forwards.of(u.ID) }

// forwards is the table of forwards by user, cut into shards that snapshots share.
type forwards struct {
	bits   uint
	n      int // rows
	shards []map[int64][]store.Forward
}

// newForwards makes the table. The last good version of a row stands in for one that cannot be used.
func newForwards(rows []store.Forward, before *forwards) (*forwards, []Problem) {
	t := &forwards{}
	for len(rows) > shardRows<<t.bits && 1<<t.bits < maxShards {
		t.bits++
	}
	t.shards = make([]map[int64][]store.Forward, 1<<t.bits)
	rows, problems := goodForwards(rows, before)
	for i := range rows {
		t.add(&rows[i])
	}
	return t, problems
}

func goodForwards(rows []store.Forward, before *forwards) (good []store.Forward, problems []Problem) {
	for i := range rows {
		f := rows[i]
		if err := f.Check(); err != nil {
			problems = append(problems, Problem{Table: "forwards", Row: strconv.FormatInt(f.UserID, 10), Err: err})
			if before == nil {
				continue
			}
			old := before.of(f.UserID)
			last := slices.IndexFunc(old, func(o store.Forward) bool { return o.Kind == f.Kind })
			if last < 0 {
				continue
			}
			f = old[last]
		}
		good = append(good, f)
	}
	return good, problems
}

func (t *forwards) shard(id int64) int { return int(hashID(id) >> (64 - t.bits)) }

func (t *forwards) of(id int64) []store.Forward { return t.shards[t.shard(id)][id] }

func (t *forwards) crowded() bool {
	return len(t.shards) < maxShards && t.n > crowdedRows*len(t.shards)
}

// add files a row; only while its shard is being made.
func (t *forwards) add(f *store.Forward) {
	i := t.shard(f.UserID)
	if t.shards[i] == nil {
		t.shards[i] = map[int64][]store.Forward{}
	}
	t.shards[i][f.UserID] = append(t.shards[i][f.UserID], *f)
	t.n++
}

// withDelta returns the table after the delta.
func (t *forwards) withDelta(d *store.Delta) (*forwards, []Problem) {
	rows, problems := goodForwards(d.Forwards, t)
	c := &forwards{bits: t.bits, n: t.n, shards: slices.Clone(t.shards)}
	owned := map[int]bool{}
	for _, id := range d.ForwardIDs {
		i := c.shard(id)
		if !owned[i] {
			c.shards[i] = maps.Clone(c.shards[i])
			owned[i] = true
		}
		c.n -= len(c.shards[i][id])
		delete(c.shards[i], id)
	}
	for i := range rows {
		c.add(&rows[i])
	}
	return c, problems
}
