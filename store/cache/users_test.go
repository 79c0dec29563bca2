package cache

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"sipd/config"
	"sipd/sipaddr"
	"sipd/store"
)

// userRec is a user and what he authenticates with.
type userRec struct {
	store.User
	creds []store.Credential
}

// model is what the table of users should hold.
type model map[int64]userRec

func (m model) check(t *testing.T, what string, s *Snapshot) {
	t.Helper()
	if s.Users() != len(m) {
		t.Fatalf("%s: got %d users, want %d", what, s.Users(), len(m))
	}
	creds := 0
	for id, want := range m {
		u := s.UserByID(id)
		if u.Key != want.Key || s.User([]byte(want.Key)) != u || s.users.byID(id).row() != want.User {
			t.Fatalf("%s: user %d: got %v, want %v", what, id, u, want.User)
		}
		for _, w := range want.creds {
			creds++
			if c := s.Credential([]byte(w.Realm), []byte(w.Username), w.Algorithm); c.User != u || string(c.AppendHA1(nil)) != w.HA1 {
				t.Fatalf("%s: credential of %s: got %v, want %v", what, want.Key, c, w)
			}
		}
	}
	// Nothing else is found: the indexes hold what the rows have.
	ids, auth, keys := 0, 0, 0
	for i := range s.users.shards {
		ids += s.users.ids[i].n
		auth += s.users.auth[i].n
		keys += s.users.shards[i].keys.n
	}
	if ids != len(m) || keys != len(m) || auth > creds {
		t.Fatalf("%s: got %d ids, %d keys, %d names in the indexes; want %d, %d, at most %d", what, ids, keys, auth, len(m), len(m), creds)
	}
}

// Random changes in random groups, against a map; snapshots taken before must not change.
func TestUsersAgainstModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	m := model{}
	next := int64(0)
	row := func(id int64) userRec {
		key := fmt.Sprintf("u%d@example.com", id)
		if r.IntN(4) == 0 {
			key = fmt.Sprintf("renamed%d@example.com", id)
		}
		rec := userRec{User: store.User{ID: id, Key: sipaddr.AOR(key), Realm: []string{"example.com", "campus"}[r.IntN(2)], Email: []string{"", key}[r.IntN(2)],
			DisplayName: strings.Repeat("x", r.IntN(20)), AuthPolicy: store.AuthPolicy(r.IntN(3)), DefaultAction: store.Action(r.IntN(3)), GatewayClassID: int64(r.IntN(2)),
			MaxContacts: r.IntN(2) * 70000, IsAdmin: r.IntN(2) == 0, Disabled: r.IntN(2) == 0, MayUploadCGI: r.IntN(2) == 0}}
		for i := range r.IntN(4) {
			rec.creds = append(rec.creds, store.Credential{UserID: id, Username: []string{fmt.Sprintf("n%d-%d", id, i/2), key, rec.Key.User()}[i%3], Realm: []string{"example.com", "campus"}[r.IntN(2)], Algorithm: store.Algorithm(i % 2), HA1: fmt.Sprintf("%0*x", store.Algorithm(i%2).HA1Len(), r.Uint32())})
		}
		return rec
	}
	var tab store.Tables
	for range 3000 { // More than one shard.
		next++
		rec := row(next)
		m[next] = rec
		tab.Users = append(tab.Users, rec.User)
		tab.Credentials = append(tab.Credentials, rec.creds...)
	}
	s, err := Build(tab, &config.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.users.shards) < 2 {
		t.Fatalf("got %d shards, want several", len(s.users.shards))
	}
	m.check(t, "built", s)
	for step := range 150 {
		before, was := s, maps.Clone(m)
		d := &store.Delta{Seq: int64(step)}
		touched := map[int64]bool{}
		for range 1 + r.IntN(30) {
			id := 1 + r.Int64N(next+1)
			if touched[id] {
				continue
			}
			touched[id] = true
			next = max(next, id)
			d.UserIDs = append(d.UserIDs, id)
			if r.IntN(3) == 0 {
				delete(m, id)
				continue
			}
			rec := row(id)
			m[id] = rec
			d.Users = append(d.Users, rec.User)
			d.Credentials = append(d.Credentials, rec.creds...)
		}
		if step%10 == 9 { // Nobody told us: a full load finds out.
			s = m.load(t, s, r)
		} else {
			var problems []Problem
			if s, problems, err = apply(s, d, nil); err != nil || len(problems) > 0 {
				t.Fatal(err, problems)
			}
		}
		m.check(t, fmt.Sprint("step ", step), s)
		if step%30 == 0 {
			was.check(t, fmt.Sprint("before step ", step), before)
		}
	}
}

// load reads the model in full, the credentials in any order.
func (m model) load(t *testing.T, prev *Snapshot, r *rand.Rand) *Snapshot {
	t.Helper()
	b := newBuilder(prev)
	var creds []store.Credential
	for _, rec := range m {
		b.User(&rec.User)
		creds = append(creds, rec.creds...)
	}
	r.Shuffle(len(creds), func(i, j int) { creds[i], creds[j] = creds[j], creds[i] })
	for i := range creds {
		b.Credential(&creds[i])
	}
	s := b.snapshot(&config.Settings{}, store.Server{}, 0, time.Now())
	if len(b.problems) > 0 {
		t.Fatal(b.problems)
	}
	return s
}

// A refresh that finds nothing new makes nothing new; one that finds a row that cannot be used keeps the last good one.
func TestRefreshCompares(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	m := model{}
	for id := range int64(2500) {
		key := fmt.Sprintf("u%d@example.com", id+1)
		rec := userRec{User: store.User{ID: id + 1, Key: sipaddr.AOR(key), Realm: "example.com"}}
		names := 2
		if id == 7 {
			names = 100 // more than the bits of seen
		}
		for i := range names {
			rec.creds = append(rec.creds, store.Credential{UserID: id + 1, Username: fmt.Sprint(key[:len(key)-12], "-", i), Realm: "example.com", HA1: fmt.Sprintf("%032x", i)})
		}
		m[id+1] = rec
	}
	first := m.load(t, nil, r)
	many := m[8]
	delete(m, 8)
	without := m.load(t, first, r)
	m.check(t, "without the user of many credentials", without)
	if again := m.load(t, without, r); again.users != without.users {
		t.Error("got another table of the same rows, want the same")
	}
	m[8] = many
	for _, change := range []struct {
		name string
		do   func()
	}{
		{"many credentials", func() {}},
		{"an HA1", func() { m[5].creds[1].HA1 = strings.Repeat("e", 32) }},
		{"one credential less", func() { rec := m[6]; rec.creds = rec.creds[:1]; m[6] = rec }},
		{"one of many less", func() { rec := m[8]; rec.creds = rec.creds[:99]; m[8] = rec }},
		{"no credential left", func() { rec := m[7]; rec.creds = nil; m[7] = rec }},
		{"a realm, by which names are told", func() { rec := m[9]; rec.Realm = "campus"; m[9] = rec }},
		{"a user less", func() { delete(m, 10) }},
	} {
		change.do()
		without = m.load(t, without, r)
		m.check(t, change.name, without)
	}
	m.check(t, "from nothing", m.load(t, nil, r))

	b := newBuilder(without)
	for id, rec := range m {
		if id == 20 {
			rec.Key = "not an AOR"
		}
		b.User(&rec.User)
		for i, c := range rec.creds {
			if id == 21 && i == 0 {
				c.HA1 = "spoiled"
			}
			if id == 22 && i == 0 { // A new one beside a bad one.
				c.HA1 = strings.Repeat("f", 32)
				m[22].creds[0] = c
			}
			if id == 22 && i == 1 {
				c.HA1 = "spoiled"
			}
			b.Credential(&c)
		}
	}
	m.check(t, "bad rows", b.snapshot(&config.Settings{}, store.Server{}, 0, time.Now()))
	if len(b.problems) != 3 {
		t.Errorf("got %v, want three problems", b.problems)
	}
}

// A user with more credentials than anybody has keeps the first ones, and is named.
func TestTooManyCredentials(t *testing.T) {
	tab := store.Tables{Users: []store.User{{ID: 1, Key: "a@example.com", Realm: "r"}}}
	for i := range maxCredentials + 2 {
		tab.Credentials = append(tab.Credentials, store.Credential{UserID: 1, Username: fmt.Sprint(i), Realm: "r", HA1: strings.Repeat("0", 32)})
	}
	s, err := Build(tab, &config.Settings{})
	if err == nil || !strings.Contains(err.Error(), "at most 256") {
		t.Errorf("got %v, want a problem", err)
	}
	for i, want := range map[int]bool{0: true, maxCredentials - 1: true, maxCredentials: false} {
		if got := s.Credential([]byte("r"), []byte(fmt.Sprint(i)), store.MD5).Exists(); got != want {
			t.Errorf("credential %d: got %v, want %v", i, got, want)
		}
	}
}

// A table that grows far beyond what its shards were made for is cut anew.
func TestCrowdedTableIsCutAnew(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	m := model{1: {User: store.User{ID: 1, Key: "first@example.com", Realm: "r"}}}
	s := m.load(t, nil, r)
	for id := range int64(crowdedRows + 1) {
		m[id+2] = userRec{User: store.User{ID: id + 2, Key: sipaddr.AOR(fmt.Sprintf("u%d@example.com", id)), Realm: "r"}}
	}
	s = m.load(t, s, r)
	m.check(t, "grown", s)
	if got := len(s.users.shards); got < crowdedRows/shardRows {
		t.Errorf("got %d shards, want about %d", got, crowdedRows/shardRows)
	}
}

// Two users swap their keys in one delta: neither may lose his.
func TestKeysSwap(t *testing.T) {
	a := store.User{ID: 1, Key: "a@example.com", Realm: "r"}
	b := store.User{ID: 2, Key: "b@example.com", Realm: "r"}
	s, err := Build(store.Tables{Users: []store.User{a, b}}, &config.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	a.Key, b.Key = b.Key, a.Key
	s, _, err = apply(s, &store.Delta{UserIDs: []int64{1, 2}, Users: []store.User{a, b}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	model{1: {User: a}, 2: {User: b}}.check(t, "swapped", s)
	// One row of two arrives before the other: the key goes to who has it now.
	s, _, err = apply(s, &store.Delta{UserIDs: []int64{1}, Users: []store.User{{ID: 1, Key: "a@example.com", Realm: "r"}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if u := s.User([]byte("a@example.com")); u.ID != 1 || s.UserByID(2) != (User{}) {
		t.Errorf("got %v and %v, want the first user alone with the key", u, s.UserByID(2))
	}
}
