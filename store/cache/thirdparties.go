package cache

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"

	"sipd/store"
)

// thirdParties is the table of who may register for whom: rows as {user, registrant}, and once more as {registrant, user}.
type thirdParties struct{ users, registrants pairs }

// pair is two ids of users.
type pair struct{ first, second int64 }

func (p pair) turned() pair { return pair{p.second, p.first} }

func comparePairs(a, b pair) int {
	return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.second, b.second))
}

// pairs is a set of pairs that are found by the first id: 16 bytes each, without pointers, cut into shards that snapshots share.
type pairs struct {
	bits   uint
	n      int
	shards [][]pair // each in order
}

func newPairs(rows []pair) pairs {
	var t pairs
	for len(rows) > shardRows<<t.bits && 1<<t.bits < maxShards {
		t.bits++
	}
	t.shards = make([][]pair, 1<<t.bits)
	return t.with(nil, rows)
}

func (t *pairs) shard(id int64) int { return int(hashID(id) >> (64 - t.bits)) }

func (t *pairs) has(p pair) bool {
	_, found := slices.BinarySearchFunc(t.shards[t.shard(p.first)], p, comparePairs)
	return found
}

// of returns the pairs that begin with an id; they share the table's memory.
func (t *pairs) of(id int64) []pair {
	s := t.shards[t.shard(id)]
	from, _ := slices.BinarySearchFunc(s, pair{id, math.MinInt64}, comparePairs)
	to := from
	for to < len(s) && s[to].first == id {
		to++
	}
	return s[from:to]
}

// with returns the set without some pairs and with others.
func (t *pairs) with(gone, added []pair) pairs {
	c := pairs{bits: t.bits, n: t.n - len(gone) + len(added), shards: slices.Clone(t.shards)}
	type change struct{ gone, added []pair }
	changes := map[int]change{}
	for _, p := range gone {
		i := c.shard(p.first)
		changes[i] = change{append(changes[i].gone, p), changes[i].added}
	}
	for _, p := range added {
		i := c.shard(p.first)
		changes[i] = change{changes[i].gone, append(changes[i].added, p)}
	}
	for i, ch := range changes {
		slices.SortFunc(ch.gone, comparePairs)
		slices.SortFunc(ch.added, comparePairs)
		// Both are in order and are merged: one who registers for a million users makes a large shard.
		s, added := make([]pair, 0, len(c.shards[i])-len(ch.gone)+len(ch.added)), ch.added
		for _, p := range c.shards[i] {
			if _, goes := slices.BinarySearchFunc(ch.gone, p, comparePairs); goes {
				continue
			}
			for len(added) > 0 && comparePairs(added[0], p) < 0 {
				s, added = append(s, added[0]), added[1:]
			}
			s = append(s, p)
		}
		c.shards[i] = append(s, added...)
	}
	return c
}

func (t *thirdParties) crowded() bool {
	most := crowdedRows * len(t.users.shards)
	return len(t.users.shards) < maxShards && t.users.n > most
}

// newThirdParties makes the table of all rows.
func newThirdParties(rows []pair) (*thirdParties, []Problem) {
	rows, problems := allowed(rows)
	return &thirdParties{newPairs(rows), newPairs(turned(rows))}, problems
}

// withDelta returns the table after the delta.
func (t *thirdParties) withDelta(d *store.Delta) (*thirdParties, []Problem) {
	var gone, rows []pair
	for _, id := range d.ThirdPartyIDs {
		gone = append(gone, t.users.of(id)...)
	}
	var problems []Problem
	for i := range d.ThirdParties {
		r := &d.ThirdParties[i]
		if err := r.Check(); err != nil {
			problems = append(problems, Problem{Table: "third_parties", Row: strconv.FormatInt(r.UserID, 10), Err: err})
			continue
		}
		rows = append(rows, pair{r.UserID, r.RegistrantID})
	}
	rows, more := allowed(rows)
	return &thirdParties{t.users.with(gone, rows), t.registrants.with(turned(gone), turned(rows))}, append(problems, more...)
}

// allowed brings rows into order and leaves out what is more than a user may have, and what stands twice.
func allowed(rows []pair) ([]pair, []Problem) {
	slices.SortFunc(rows, comparePairs)
	rows = slices.Compact(rows)
	var problems []Problem
	kept := rows[:0]
	for len(rows) > 0 {
		id, n := rows[0].first, 1
		for n < len(rows) && rows[n].first == id {
			n++
		}
		if n > store.MaxThirdParties {
			problems = append(problems, Problem{Table: "third_parties", Row: strconv.FormatInt(id, 10), Err: fmt.Errorf(
				"%w: %d may register for the user with this id, at most %d: those with the lowest ids count, remove some of the others", store.ErrInvalid, n, store.MaxThirdParties)})
		}
		kept = append(kept, rows[:min(n, store.MaxThirdParties)]...)
		rows = rows[n:]
	}
	return kept, problems
}

func turned(rows []pair) []pair {
	t := make([]pair, len(rows))
	for i, p := range rows {
		t[i] = p.turned()
	}
	return t
}
