package cache

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"sipd/store"
)

// pair is a row of third_parties.
type pair struct{ user, registrant int64 }

func comparePairs(a, b pair) int {
	return cmp.Or(cmp.Compare(a.user, b.user), cmp.Compare(a.registrant, b.registrant))
}

// thirdParties is the table of who may register for whom: 16 bytes a row, without pointers, cut into shards that snapshots share.
type thirdParties struct {
	bits   uint
	n      int      // rows
	shards [][]pair // by user, in the order of both ids
}

func newThirdParties(rows int) *thirdParties {
	t := &thirdParties{}
	for rows > shardRows<<t.bits && 1<<t.bits < maxShards {
		t.bits++
	}
	t.shards = make([][]pair, 1<<t.bits)
	return t
}

func (t *thirdParties) shard(user int64) int { return int(hashID(user) >> (64 - t.bits)) }

func (t *thirdParties) has(p pair) bool {
	_, found := slices.BinarySearchFunc(t.shards[t.shard(p.user)], p, comparePairs)
	return found
}

func (t *thirdParties) crowded() bool {
	return len(t.shards) < maxShards && t.n > crowdedRows*len(t.shards)
}

// fill adds rows to shards that nobody else has and counts what is in these, and returns the users who have too many.
func (t *thirdParties) fill(owned map[int]bool, rows []pair) (problems []Problem) {
	for _, p := range rows {
		i := t.shard(p.user)
		t.shards[i] = append(t.shards[i], p)
		owned[i] = true
	}
	for _, i := range slices.Sorted(maps.Keys(owned)) {
		s := t.shards[i]
		slices.SortFunc(s, comparePairs)
		kept, user, n := s[:0], int64(0), 0
		for _, p := range s {
			if p.user != user {
				user, n = p.user, 0
			}
			switch n++; {
			case n <= store.MaxThirdParties:
				kept = append(kept, p)
			case n == store.MaxThirdParties+1:
				problems = append(problems, Problem{"third_parties", strconv.FormatInt(user, 10), fmt.Errorf(
					"%w: more than %d may register for the user with this id: those with the lowest ids count, remove some of the others", store.ErrInvalid, store.MaxThirdParties)})
			}
		}
		t.n += len(kept)
		t.shards[i] = slices.Clip(kept)
	}
	return problems
}

// withDelta returns the table after the delta.
func (t *thirdParties) withDelta(d *store.Delta) (*thirdParties, []Problem) {
	c := &thirdParties{bits: t.bits, n: t.n, shards: slices.Clone(t.shards)}
	gone := make(map[int64]bool, len(d.ThirdPartyIDs))
	owned := map[int]bool{}
	for _, id := range d.ThirdPartyIDs {
		gone[id] = true
		owned[c.shard(id)] = true
	}
	for i := range owned {
		s := c.shards[i]
		c.n -= len(s)
		c.shards[i] = slices.DeleteFunc(slices.Clone(s), func(p pair) bool { return gone[p.user] })
	}
	var problems []Problem
	var rows []pair
	for i := range d.ThirdParties {
		r := &d.ThirdParties[i]
		if err := r.Check(); err != nil {
			problems = append(problems, Problem{"third_parties", strconv.FormatInt(r.UserID, 10), err})
			continue
		}
		rows = append(rows, pair{r.UserID, r.RegistrantID})
	}
	return c, append(problems, c.fill(owned, rows)...)
}
