package cache

import (
	"cmp"
	"hash/maphash"
	"maps"
	"slices"

	"sipd/store"
)

// aliases is the table of aliases, cut into shards that snapshots share.
type aliases struct {
	seed   maphash.Seed
	bits   uint
	n      int // rows
	shards []map[string][]*store.Alias
}

func newAliases(rows int) *aliases {
	t := &aliases{seed: maphash.MakeSeed()}
	for rows > shardRows<<t.bits && 1<<t.bits < maxShards {
		t.bits++
	}
	t.shards = make([]map[string][]*store.Alias, 1<<t.bits)
	return t
}

func (t *aliases) find(alias []byte) []*store.Alias {
	return t.shards[maphash.Bytes(t.seed, alias)>>(64-t.bits)][string(alias)]
}

func (t *aliases) crowded() bool {
	return len(t.shards) < maxShards && t.n > crowdedRows*len(t.shards)
}

// add files a row; only while the table is being made.
func (t *aliases) add(a *store.Alias) {
	i := maphash.String(t.seed, a.Alias) >> (64 - t.bits)
	if t.shards[i] == nil {
		t.shards[i] = make(map[string][]*store.Alias)
	}
	rows := append(t.shards[i][a.Alias], a)
	slices.SortFunc(rows, func(a, b *store.Alias) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.ID, b.ID))
	})
	t.shards[i][a.Alias] = rows
	t.n++
}

// with returns the table with all rows of the names replaced by rows.
func (t *aliases) with(names []string, rows []*store.Alias) *aliases {
	c := &aliases{seed: t.seed, bits: t.bits, n: t.n, shards: slices.Clone(t.shards)}
	owned := map[uint64]bool{}
	for _, name := range names {
		i := maphash.String(t.seed, name) >> (64 - t.bits)
		if !owned[i] {
			c.shards[i] = maps.Clone(c.shards[i])
			owned[i] = true
		}
		c.n -= len(c.shards[i][name])
		delete(c.shards[i], name)
	}
	for _, a := range rows {
		c.add(a)
	}
	return c
}
