package cache

import (
	"hash/maphash"
	"slices"
	"strings"

	"sipd/store"
)

// A location is a shard and a position in it.
const (
	positionBits = 21
	maxShards    = 1 << (32 - 1 - positionBits)
	maxPosition  = 1<<positionBits - 1
	// shardRows is how many users a shard is made for: copying one takes some 50 us, a million users make 1024 pointers.
	shardRows = 1000
	// crowdedRows is the mean above which changes have made shards so large that they should be cut anew.
	crowdedRows = 8 * shardRows
)

// users is the table of users with their credentials. Shards are shared between snapshots and never change in one.
type users struct {
	seed   maphash.Seed
	n      int
	bits   uint         // of a hash that choose the shard
	shards []*userShard // by key
	ids    []*index     // by id
	auth   []*index     // by realm and auth_username
}

// userShard is some of the users: their records lie in one text, behind each other.
type userShard struct {
	text string
	ends []uint32 // where each record ends: a shard of the largest records is far below 4 GB
	open []record // instead of both while the shard is being changed
	keys index
}

func (s *userShard) len() int {
	if s.open != nil {
		return len(s.open)
	}
	return len(s.ends)
}

func (s *userShard) at(i int) record {
	if s.open != nil {
		return s.open[i]
	}
	from := uint32(0)
	if i > 0 {
		from = s.ends[i-1]
	}
	return record(s.text[from:s.ends[i]])
}

// pack moves the records of an open shard into one text.
func (s *userShard) pack() {
	n := 0
	for _, r := range s.open {
		n += len(r)
	}
	var text strings.Builder
	text.Grow(n)
	s.ends = make([]uint32, len(s.open))
	for i, r := range s.open {
		text.WriteString(string(r))
		s.ends[i] = uint32(text.Len())
	}
	s.text, s.open = text.String(), nil
}

func newUsers(rows int) *users {
	t := &users{seed: maphash.MakeSeed()}
	for rows > shardRows<<t.bits && 1<<t.bits < maxShards {
		t.bits++
	}
	t.shards = make([]*userShard, 1<<t.bits)
	t.ids = make([]*index, 1<<t.bits)
	t.auth = make([]*index, 1<<t.bits)
	for i := range t.shards {
		t.shards[i], t.ids[i], t.auth[i] = &userShard{}, &index{}, &index{}
	}
	return t
}

// split returns the shard and what indexes are asked by.
func (t *users) split(h uint64) (shard int, part uint32) {
	return int(h >> (64 - t.bits)), uint32(h)
}

func hashID(id int64) uint64 {
	h := uint64(id) * 0x9e3779b97f4a7c15 // Knuth's multiplicative hashing: ids are counted up, nobody chooses them
	return h ^ h>>32
}

func mixAuth(realm, username uint64) uint64 { return realm*0x9e3779b97f4a7c15 + username }

func (t *users) keyHash(key string) uint64 { return maphash.String(t.seed, key) }

func (t *users) authHash(realm, username string) uint64 {
	return mixAuth(maphash.String(t.seed, realm), maphash.String(t.seed, username))
}

func (t *users) at(location int) record {
	return t.shards[location>>positionBits].at(location & maxPosition)
}

// byKey finds a record, "" if there is none.
func (t *users) byKey(key []byte) record {
	shard, part := t.split(maphash.Bytes(t.seed, key))
	s := t.shards[shard]
	for i, at := s.keys.first(part); at >= 0; i, at = s.keys.next(part, i) {
		if r := s.at(at); r.key() == string(key) {
			return r
		}
	}
	return ""
}

// locate finds a user's location by id, -1 if there is none.
func (t *users) locate(id int64) int {
	shard, part := t.split(hashID(id))
	x := t.ids[shard]
	for i, at := x.first(part); at >= 0; i, at = x.next(part, i) {
		if t.at(at).id() == id {
			return at
		}
	}
	return -1
}

// byID finds a record, "" if there is none.
func (t *users) byID(id int64) record {
	if at := t.locate(id); at >= 0 {
		return t.at(at)
	}
	return ""
}

func (t *users) credential(realm, username []byte, alg store.Algorithm) Credential {
	shard, part := t.split(mixAuth(maphash.Bytes(t.seed, realm), maphash.Bytes(t.seed, username)))
	x := t.auth[shard]
	for i, at := x.first(part); at >= 0; i, at = x.next(part, i) {
		r := t.at(at)
		for rest := r.creds(); rest != ""; {
			var c credential
			if c, rest = r.cut(rest); c.algorithm == alg && c.username == string(username) && c.realm == string(realm) {
				return Credential{r.user(), c.ha1}
			}
		}
	}
	return Credential{}
}

// each calls do for every location and record.
func (t *users) each(do func(at int, r record)) {
	for i, s := range t.shards {
		for j := range s.len() {
			do(i<<positionBits|j, s.at(j))
		}
	}
}

// crowded tells whether n rows are too many for the shards there are.
func (t *users) crowded(n int) bool {
	return len(t.shards) < maxShards && n > crowdedRows*len(t.shards)
}

// cutAnew returns the same rows in as many shards as n rows need.
func (t *users) cutAnew(n int) *users {
	c := newUsers(n)
	c.build(t.n, func(yield func(head, creds record)) {
		t.each(func(_ int, r record) { yield(r, "") })
	})
	return c
}

// build fills an empty table with about n records, of which each yields the two parts; it is called twice. Of two
// with one key the first counts.
func (t *users) build(n int, each func(yield func(head, creds record))) {
	sizes, rows := make([]int, len(t.shards)), make([]int, len(t.shards))
	each(func(head, creds record) {
		shard, _ := t.split(t.keyHash(head.key()))
		sizes[shard] += len(head) + len(creds)
		rows[shard]++
	})
	texts := make([]strings.Builder, len(t.shards))
	for i, s := range t.shards {
		texts[i].Grow(sizes[i])
		s.ends = make([]uint32, 0, rows[i])
		s.keys, *t.ids[i], *t.auth[i] = newIndex(rows[i]), newIndex(n>>t.bits), newIndex(n>>t.bits)
	}
	each(func(head, creds record) {
		shard, part := t.split(t.keyHash(head.key()))
		s, text := t.shards[shard], &texts[shard]
		for i, at := s.keys.first(part); at >= 0; i, at = s.keys.next(part, i) {
			if s.at(at).key() == head.key() {
				return
			}
		}
		from, pos := text.Len(), len(s.ends)
		text.WriteString(string(head))
		text.WriteString(string(creds))
		s.text = text.String() // The same bytes: it never grows beyond what was asked for.
		s.ends = append(s.ends, uint32(len(s.text)))
		s.keys.add(part, pos)
		t.link(record(s.text[from:]), shard<<positionBits|pos, func(list []*index, i int) *index { return list[i] })
		t.n++
	})
}

// link files everything a location is found by but its key, in indexes that own lets change.
func (t *users) link(r record, at int, own func(list []*index, i int) *index) {
	shard, part := t.split(hashID(r.id()))
	own(t.ids, shard).add(part, at)
	r.names(func(realm, username string) {
		shard, part := t.split(t.authHash(realm, username))
		own(t.auth, shard).add(part, at)
	})
}

// usersEdit is a copy of a table that is being changed: it owns the shards and indexes it has copied.
type usersEdit struct {
	users
	owned map[*index]bool
}

func (t *users) edit() *usersEdit {
	e := &usersEdit{users: *t, owned: map[*index]bool{}}
	e.shards, e.ids, e.auth = slices.Clone(t.shards), slices.Clone(t.ids), slices.Clone(t.auth)
	return e
}

// shard returns a shard that may be changed.
func (e *usersEdit) shard(i int) *userShard {
	if s := e.shards[i]; s.open == nil {
		open := make([]record, s.len(), s.len()+1)
		for j := range open {
			open[j] = s.at(j)
		}
		e.shards[i] = &userShard{open: open, keys: s.keys.clone()}
	}
	return e.shards[i]
}

func (e *usersEdit) own(list []*index, i int) *index {
	if !e.owned[list[i]] {
		c := list[i].clone()
		list[i] = &c
		e.owned[&c] = true
	}
	return list[i]
}

func (e *usersEdit) unlink(r record, at int) {
	shard, part := e.split(hashID(r.id()))
	e.own(e.ids, shard).remove(part, at)
	r.names(func(realm, username string) {
		shard, part := e.split(e.authHash(realm, username))
		e.own(e.auth, shard).remove(part, at)
	})
}

// remove takes a user out; the last of his shard takes his place.
func (e *usersEdit) remove(id int64) {
	at := e.locate(id)
	if at < 0 {
		return
	}
	i, pos := at>>positionBits, at&maxPosition
	s := e.shard(i)
	e.unlink(s.open[pos], at)
	_, part := e.split(e.keyHash(s.open[pos].key()))
	s.keys.remove(part, pos)
	last := len(s.open) - 1
	if pos != last {
		moved := s.open[last]
		e.unlink(moved, i<<positionBits|last)
		_, part := e.split(e.keyHash(moved.key()))
		s.keys.remove(part, last)
		s.open[pos] = moved
		s.keys.add(part, pos)
		e.link(moved, at, e.own)
	}
	s.open = s.open[:last]
	e.n--
}

// put adds a user or replaces the one with his id. Another one with his key goes: keys are unique, so its own row comes in
// this delta or the next, or it stood in for one that cannot be used.
func (e *usersEdit) put(r record) {
	if other := e.byKey([]byte(r.key())); other != "" && other.id() != r.id() {
		e.remove(other.id())
	}
	if at := e.locate(r.id()); at >= 0 {
		if old := e.at(at); old.key() == r.key() {
			e.unlink(old, at)
			e.shard(at >> positionBits).open[at&maxPosition] = r
			e.link(r, at, e.own)
			return
		}
		e.remove(r.id())
	}
	shard, part := e.split(e.keyHash(r.key()))
	s := e.shard(shard)
	pos := len(s.open)
	s.open = append(s.open, r)
	s.keys.add(part, pos)
	e.link(r, shard<<positionBits|pos, e.own)
	e.n++
}

// done packs what was changed.
func (e *usersEdit) done() *users {
	for _, s := range e.shards {
		if s.open != nil {
			s.pack()
		}
	}
	return &e.users
}
