package cache

import (
	"hash/maphash"

	"sipd/sipaddr"
	"sipd/store"
)

// A location is a shard and a position in it.
const (
	positionBits = 21
	maxShards    = 1 << (32 - 1 - positionBits)
	maxPosition  = 1<<positionBits - 1
	// shardRows is how many users a shard is made for: copying one takes some 50 us, a million users make 1024 pointers.
	shardRows = 1000
	// crowdedRows is the mean above which deltas have made shards so large that a full load should cut them anew.
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

type userShard struct {
	recs []userRec
	keys index
}

// userRec is a user and what he authenticates with.
type userRec struct {
	store.User
	creds []store.Credential
}

func newUsers(rows int) *users {
	t := &users{seed: maphash.MakeSeed()}
	for rows > shardRows<<t.bits && 1<<t.bits < maxShards {
		t.bits++
	}
	t.shards = make([]*userShard, 1<<t.bits)
	t.ids = make([]*index, 1<<t.bits)
	t.auth = make([]*index, 1<<t.bits)
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

func (t *users) at(location int) *userRec {
	return &t.shards[location>>positionBits].recs[location&maxPosition]
}

func (t *users) byKey(key []byte) *userRec {
	shard, part := t.split(maphash.Bytes(t.seed, key))
	s := t.shards[shard]
	for i, at := s.keys.first(part); at >= 0; i, at = s.keys.next(part, i) {
		if r := &s.recs[at]; string(r.Key) == string(key) {
			return r
		}
	}
	return nil
}

// named is byKey of a text.
func (t *users) named(key sipaddr.AOR) *userRec {
	shard, part := t.split(t.keyHash(key))
	s := t.shards[shard]
	for i, at := s.keys.first(part); at >= 0; i, at = s.keys.next(part, i) {
		if r := &s.recs[at]; r.Key == key {
			return r
		}
	}
	return nil
}

// locate finds a user's location by id, -1 if there is none.
func (t *users) locate(id int64) int {
	shard, part := t.split(hashID(id))
	x := t.ids[shard]
	for i, at := x.first(part); at >= 0; i, at = x.next(part, i) {
		if t.at(at).ID == id {
			return at
		}
	}
	return -1
}

func (t *users) byID(id int64) *userRec {
	if at := t.locate(id); at >= 0 {
		return t.at(at)
	}
	return nil
}

func (t *users) credential(realm, username []byte, alg store.Algorithm) *store.Credential {
	shard, part := t.split(mixAuth(maphash.Bytes(t.seed, realm), maphash.Bytes(t.seed, username)))
	x := t.auth[shard]
	for i, at := x.first(part); at >= 0; i, at = x.next(part, i) {
		r := t.at(at)
		for j := range r.creds {
			if c := &r.creds[j]; c.Algorithm == alg && c.Username == string(username) && c.Realm == string(realm) {
				return c
			}
		}
	}
	return nil
}

// keyHash, authHash are the hashes of what makes a location findable.
func (t *users) keyHash(key sipaddr.AOR) uint64 { return maphash.String(t.seed, string(key)) }

func (t *users) authHash(c *store.Credential) uint64 {
	return mixAuth(maphash.String(t.seed, c.Realm), maphash.String(t.seed, c.Username))
}

// firstOfName tells whether creds[i] is the first of its name and realm: one entry of the index serves all algorithms.
func firstOfName(creds []store.Credential, i int) bool {
	for j := range i {
		if creds[j].Username == creds[i].Username && creds[j].Realm == creds[i].Realm {
			return false
		}
	}
	return true
}

// crowded tells whether the table should be cut into shards anew.
func (t *users) crowded() bool {
	return len(t.shards) < maxShards && t.n > crowdedRows*len(t.shards)
}

// credential finds the row of the same name, realm and algorithm, nil if there is none or no user.
func (r *userRec) credential(like *store.Credential) *store.Credential {
	if r == nil {
		return nil
	}
	for i := range r.creds {
		if c := &r.creds[i]; c.Username == like.Username && c.Realm == like.Realm && c.Algorithm == like.Algorithm {
			return c
		}
	}
	return nil
}

// usersEdit is a copy of a table that is being changed: it owns the shards and indexes it has copied.
type usersEdit struct {
	users
	ownShard, ownIDs, ownAuth map[int]bool
}

func (t *users) edit() *usersEdit {
	e := &usersEdit{users: *t, ownShard: map[int]bool{}, ownIDs: map[int]bool{}, ownAuth: map[int]bool{}}
	e.shards = append([]*userShard(nil), t.shards...)
	e.ids = append([]*index(nil), t.ids...)
	e.auth = append([]*index(nil), t.auth...)
	return e
}

// shard returns a shard that may be changed.
func (e *usersEdit) shard(i int) *userShard {
	if !e.ownShard[i] {
		old := e.shards[i]
		recs := make([]userRec, len(old.recs), len(old.recs)+1)
		copy(recs, old.recs)
		e.shards[i] = &userShard{recs: recs, keys: old.keys.clone()}
		e.ownShard[i] = true
	}
	return e.shards[i]
}

func own(list []*index, owned map[int]bool, i int) *index {
	if !owned[i] {
		c := list[i].clone()
		list[i] = &c
		owned[i] = true
	}
	return list[i]
}

// link files everything a location is found by but its key.
func (e *usersEdit) link(r *userRec, at int) {
	shard, part := e.split(hashID(r.ID))
	own(e.ids, e.ownIDs, shard).add(part, at)
	for i := range r.creds {
		if firstOfName(r.creds, i) {
			shard, part := e.split(e.authHash(&r.creds[i]))
			own(e.auth, e.ownAuth, shard).add(part, at)
		}
	}
}

func (e *usersEdit) unlink(r *userRec, at int) {
	shard, part := e.split(hashID(r.ID))
	own(e.ids, e.ownIDs, shard).remove(part, at)
	for i := range r.creds {
		if firstOfName(r.creds, i) {
			shard, part := e.split(e.authHash(&r.creds[i]))
			own(e.auth, e.ownAuth, shard).remove(part, at)
		}
	}
}

// remove takes a user out; the last of his shard takes his place.
func (e *usersEdit) remove(id int64) {
	at := e.locate(id)
	if at < 0 {
		return
	}
	i, pos := at>>positionBits, at&maxPosition
	s := e.shard(i)
	e.unlink(&s.recs[pos], at)
	_, part := e.split(e.keyHash(s.recs[pos].Key))
	s.keys.remove(part, pos)
	last := len(s.recs) - 1
	if pos != last {
		moved := &s.recs[last]
		e.unlink(moved, i<<positionBits|last)
		_, part := e.split(e.keyHash(moved.Key))
		s.keys.remove(part, last)
		s.recs[pos] = *moved
		s.keys.add(part, pos)
		e.link(&s.recs[pos], at)
	}
	s.recs[last] = userRec{}
	s.recs = s.recs[:last]
	e.n--
}

// put adds a user or replaces the one with his id.
func (e *usersEdit) put(r userRec) {
	shard, part := e.split(e.keyHash(r.Key))
	if at := e.locate(r.ID); at >= 0 {
		if old := e.at(at); old.Key == r.Key {
			s := e.shard(at >> positionBits)
			rec := &s.recs[at&maxPosition]
			e.unlink(rec, at)
			*rec = r
			e.link(rec, at)
			return
		}
		e.remove(r.ID)
	}
	s := e.shard(shard)
	pos := len(s.recs)
	s.recs = append(s.recs, r)
	s.keys.add(part, pos)
	e.link(&s.recs[pos], shard<<positionBits|pos)
	e.n++
}

func (e *usersEdit) done() *users { return &e.users }
