package cache_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"sipd/config"
	"sipd/sipaddr"
	"sipd/store"
	"sipd/store/cache"
	"sipd/store/sqlstore"
	"sipd/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// start runs a cache of s until the test ends and waits for its first tables.
func start(t *testing.T, s store.Reader, cfg cache.Config) *cache.Cache {
	t.Helper()
	cfg.Store = s
	c, err := cache.New(cfg)
	check(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := c.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context canceled", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return c
}

// has tells whether the snapshot in force knows the user and all of his credentials.
func has(c *cache.Cache, name string) bool {
	s := c.Snapshot()
	return s != nil && s.User([]byte(name+"@example.com")).Exists() && s.Credential([]byte("example.com"), []byte(name), store.MD5).Exists()
}

func TestDeltas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := storetest.New()
		alice := storetest.Add(t, m, "alice")
		check(t, m.AddDomain(t.Context(), &store.Domain{Name: "example.com"}))
		changed := 0
		c := start(t, m, cache.Config{Changed: func(*cache.Snapshot) { changed++ }})
		synctest.Wait()
		first := c.Snapshot()
		if !has(c, "alice") || !c.Status().Watching || c.Status().Users != 1 {
			t.Fatalf("got status %+v, want Alice, watching", c.Status())
		}
		begin := time.Now()

		storetest.Add(t, m, "bob")
		synctest.Wait()
		if !has(c, "bob") {
			t.Error("added: Bob is not there")
		}
		check(t, m.AddAlias(t.Context(), &store.Alias{Alias: "100@example.com", PrimaryUser: alice.Key}))
		check(t, m.AddDomain(t.Context(), &store.Domain{Name: "example.net"}))
		check(t, m.SetSetting(t.Context(), 1, "Expires", "1800"))
		synctest.Wait()
		s := c.Snapshot()
		if len(s.Aliases([]byte("100@example.com"))) != 1 || s.Domain([]byte("example.net")) == nil || s.Settings.Expires != 30*time.Minute {
			t.Errorf("got alias %v, domain %v, expires %v; want all three changes", s.Aliases([]byte("100@example.com")), s.Domain([]byte("example.net")), s.Settings.Expires)
		}

		check(t, m.SetCredentials(t.Context(), alice.ID, []store.Credential{{Username: "al", Realm: "example.com", HA1: ha1}}))
		alice.Key = "alicia@example.com"
		check(t, m.UpdateUser(t.Context(), alice))
		synctest.Wait()
		s = c.Snapshot()
		if s.User([]byte("alice@example.com")).Exists() || s.UserByID(alice.ID).Key != alice.Key || !s.User([]byte("alicia@example.com")).Exists() ||
			s.Credential([]byte("example.com"), []byte("alice"), store.MD5).Exists() || !s.Credential([]byte("example.com"), []byte("al"), store.MD5).Exists() {
			t.Error("renamed with new credentials: the old are there or the new are not")
		}
		if !s.Owns(s.UserByID(alice.ID), []byte("100@example.com")) {
			t.Error("renamed: the alias did not follow")
		}
		check(t, m.RemoveUser(t.Context(), alice.Key))
		check(t, m.RemoveDomain(t.Context(), "example.net"))
		synctest.Wait()
		s = c.Snapshot()
		if s.UserByID(alice.ID).Exists() || s.User([]byte("alicia@example.com")).Exists() || s.Aliases([]byte("100@example.com")) != nil ||
			s.Credential([]byte("example.com"), []byte("al"), store.MD5).Exists() || s.Domain([]byte("example.net")) != nil || !has(c, "bob") {
			t.Error("removed: something of Alice or example.net is left, or Bob is gone")
		}
		if !first.User([]byte("alice@example.com")).Exists() || first.User([]byte("bob@example.com")).Exists() {
			t.Error("an old snapshot has changed")
		}
		if d := time.Since(begin); d > time.Second {
			t.Errorf("got %v for all of it, want less than 1 s", d)
		}
		if changed < 4 {
			t.Errorf("got %d calls of Changed, want one for each snapshot", changed)
		}
	})
}

func TestBulkLoadIsAFullRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := storetest.New()
		c := start(t, m, cache.Config{})
		synctest.Wait()
		var users []store.ImportUser
		for i := range 5000 {
			name := fmt.Sprintf("u%d", i)
			users = append(users, store.ImportUser{User: store.User{Key: sipaddr.AOR(name + "@example.com"), Realm: "example.com"},
				Credentials: []store.Credential{{Username: name, Realm: "example.com", HA1: ha1}}})
		}
		check(t, m.BulkUsers(t.Context(), users, nil))
		synctest.Wait()
		if got := c.Status().Users; got != 5000 || !has(c, "u0") || !has(c, "u4999") {
			t.Errorf("got %d users, want 5000", got)
		}
	})
}

func TestFailedRefreshKeepsTheLastGoodTables(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := storetest.New()
		storetest.Add(t, m, "alice")
		var log bytes.Buffer
		c := start(t, m, cache.Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
		synctest.Wait()
		loaded := c.Status().Current
		away := errors.New("the database is away")
		m.Fail(away)
		time.Sleep(16 * time.Minute) // The full refresh is due after 15.
		synctest.Wait()
		st := c.Status()
		if !has(c, "alice") || !errors.Is(st.Err, away) || st.Failing.IsZero() || !st.Current.Equal(loaded) {
			t.Errorf("got %+v, want Alice, an error, its beginning and the age of the tables", st)
		}
		if n := strings.Count(log.String(), "the database is away"); n != 1 {
			t.Errorf("got %d lines about it, want one, not one for each attempt:\n%s", n, log.String())
		}
		m.Fail(nil)
		storetest.Add(t, m, "bob")
		time.Sleep(time.Minute) // Attempts are at most 30 s apart.
		synctest.Wait()
		if st := c.Status(); !has(c, "bob") || st.Err != nil || !st.Failing.IsZero() || !st.Current.After(loaded) {
			t.Errorf("got %+v, want Bob and no error", st)
		}
	})
}

func TestNoDatabaseAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := storetest.New()
		storetest.Add(t, m, "alice")
		m.Fail(errors.New("away"))
		c := start(t, m, cache.Config{})
		synctest.Wait()
		if c.Snapshot() != nil || c.Status().Err == nil {
			t.Errorf("got status %+v, want no tables and an error", c.Status())
		}
		m.Fail(nil)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if !has(c, "alice") {
			t.Error("Alice is not there 5 s after the database came")
		}
	})
}

// quiet is a store whose changes nobody is told of.
type quiet struct{ *storetest.Mem }

func (quiet) Watch(ctx context.Context, notify func()) error {
	return errors.New("cannot watch")
}

func TestFullRefreshIsTheGuarantee(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := storetest.New()
		check(t, m.SetSetting(t.Context(), 1, "Refresh", "60"))
		c := start(t, quiet{m}, cache.Config{})
		synctest.Wait()
		storetest.Add(t, m, "alice")
		time.Sleep(59 * time.Second)
		synctest.Wait()
		if has(c, "alice") || c.Status().Watching {
			t.Error("Alice is there before the refresh, or it claims to watch")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if !has(c, "alice") {
			t.Error("Alice is not there after the refresh")
		}
	})
}

func TestBadRowsLeaveTheLastGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := storetest.New()
		check(t, m.AddDomain(t.Context(), &store.Domain{Name: "example.com"}))
		check(t, m.SetSetting(t.Context(), 1, "Expires", "1800"))
		alice := storetest.Add(t, m, "alice")
		var log bytes.Buffer
		c := start(t, &spoiler{Mem: m}, cache.Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
		synctest.Wait()

		check(t, m.AddDomain(t.Context(), &store.Domain{Name: "spoiled.example.com"}))
		alice.DisplayName = "spoiled"
		check(t, m.UpdateUser(t.Context(), alice))
		storetest.Add(t, m, "bob")
		synctest.Wait()
		st := c.Status()
		s := c.Snapshot()
		if s.Domain([]byte("example.com")) == nil || s.Domain([]byte("spoiled.example.com")) != nil || !s.User([]byte("alice@example.com")).Exists() ||
			s.User([]byte("alice@example.com")).DisplayName != "" || !has(c, "alice") || !has(c, "bob") {
			t.Error("got other tables than the last good ones and Bob")
		}
		if len(st.Problems) != 2 || !strings.Contains(fmt.Sprint(st.Problems), "alice@EXAMPLE") || st.Err != nil {
			t.Errorf("got %v, %v; want the domain and Alice named", st.Problems, st.Err)
		}
		check(t, c.Refresh(t.Context())) // All tables at once: the same.
		if st := c.Status(); len(st.Problems) != 2 || c.Snapshot().Domain([]byte("example.com")) == nil || !has(c, "alice") || c.Snapshot().UserByID(alice.ID).DisplayName != "" {
			t.Errorf("full: got %v, want the same problems and the last good rows", st.Problems)
		}
		if n := strings.Count(log.String(), "row cannot be used"); n != 2 {
			t.Errorf("got %d lines about bad rows, want 2:\n%s", n, log.String())
		}
		check(t, m.RemoveDomain(t.Context(), "spoiled.example.com"))
		alice.DisplayName = "fine"
		check(t, m.UpdateUser(t.Context(), alice))
		synctest.Wait()
		if st := c.Status(); c.Snapshot().UserByID(alice.ID).DisplayName != "fine" || len(st.Problems) > 1 {
			t.Errorf("mended: got %v, want no problem with domains", st.Problems)
		}

		check(t, m.SetSetting(t.Context(), 1, "Expirse", "1"))
		check(t, m.SetSetting(t.Context(), 1, "TimeOut", "20"))
		storetest.Add(t, m, "carol")
		synctest.Wait()
		if st := c.Status(); st.Err == nil || !strings.Contains(st.Err.Error(), "Expires") || c.Snapshot().Settings.Expires != 30*time.Minute || c.Snapshot().Settings.TimeOut != 30*time.Second || !has(c, "carol") {
			t.Errorf("unknown setting: got %v, expires %v; want an error with the nearest name, the last good settings, and Carol", st.Err, c.Snapshot().Settings.Expires)
		}
		check(t, m.RemoveSetting(t.Context(), 1, "Expirse"))
		synctest.Wait()
		if st := c.Status(); st.Err != nil || c.Snapshot().Settings.TimeOut != 20*time.Second {
			t.Errorf("setting mended: got %v, TimeOut %v; want no error, 20s", st.Err, c.Snapshot().Settings.TimeOut)
		}
	})
}

// spoiler hands over rows that a store would not take: as if somebody had written SQL by hand.
type spoiler struct{ *storetest.Mem }

func spoil(d *store.Domain, u *store.User) {
	if d != nil && d.Name == "spoiled.example.com" {
		d.Name, d.Kind = "pbx[", store.Regex
	}
	if u != nil && u.DisplayName == "spoiled" {
		u.Key = "alice@EXAMPLE.com"
	}
}

type spoilingSink struct{ store.Sink }

func (s spoilingSink) Domain(d *store.Domain) { c := *d; spoil(&c, nil); s.Sink.Domain(&c) }
func (s spoilingSink) User(u *store.User)     { c := *u; spoil(nil, &c); s.Sink.User(&c) }

func (s *spoiler) Load(ctx context.Context, name string, into store.Sink) (store.Server, int64, error) {
	return s.Mem.Load(ctx, name, spoilingSink{into})
}

func (s *spoiler) Delta(ctx context.Context, server, seq int64) (*store.Delta, error) {
	d, err := s.Mem.Delta(ctx, server, seq)
	if err == nil {
		for i := range d.Domains {
			spoil(&d.Domains[i], nil)
		}
		for i := range d.Users {
			spoil(nil, &d.Users[i])
		}
	}
	return d, err
}

func TestRefreshErrors(t *testing.T) {
	if _, err := cache.New(cache.Config{}); err == nil {
		t.Error("no store: got no error")
	}
	m := storetest.New()
	for _, tt := range []struct {
		name string
		cfg  cache.Config
		prep func()
		want string
	}{
		{"no such server", cache.Config{Store: m, ServerName: "other"}, func() {}, `no server record "other"`},
		{"bad override", cache.Config{Store: m, Overrides: [][]config.Value{{{Name: "Expires", Args: []string{"soon"}, Source: "--set"}}}}, func() {}, "--set"},
		{"bad setting", cache.Config{Store: m}, func() { check(t, m.SetSetting(t.Context(), 1, "MaxContcts", "1")) }, "MaxContacts"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.prep()
			c, err := cache.New(tt.cfg)
			check(t, err)
			err = c.Refresh(t.Context())
			if err == nil || !strings.Contains(err.Error(), tt.want) || c.Snapshot() != nil {
				t.Errorf("got %v, want %q in it and no tables", err, tt.want)
			}
		})
	}
}

func TestOverridesWin(t *testing.T) {
	m := storetest.New()
	check(t, m.SetSetting(t.Context(), 1, "Expires", "1800"))
	c, err := cache.New(cache.Config{Store: m, Overrides: [][]config.Value{
		{{Name: "Expires", Args: []string{"600"}, Source: "sipd.conf:1"}, {Name: "TimeOut", Args: []string{"10"}, Source: "sipd.conf:2"}},
		{{Name: "Expires", Args: []string{"900"}, Source: "--set"}},
	}})
	check(t, err)
	check(t, c.Refresh(t.Context()))
	if s := c.Snapshot().Settings; s.Expires != 15*time.Minute || s.TimeOut != 10*time.Second {
		t.Errorf("got Expires %v, TimeOut %v; want 15m of --set and 10s of the file", s.Expires, s.TimeOut)
	}
}

// On real databases a change of another process is in force within a second.
func TestDeltaFromAnotherProcess(t *testing.T) {
	for _, d := range []struct {
		name string
		url  func(t testing.TB) string
	}{
		{"sqlite", func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "sipd.db") }},
		{"postgres", storetest.Postgres},
	} {
		t.Run(d.name, func(t *testing.T) {
			url := d.url(t)
			open := func() *sqlstore.DB {
				db, err := sqlstore.Open(t.Context(), url)
				check(t, err)
				t.Cleanup(func() { check(t, db.Close()) })
				return db
			}
			db, other := open(), open()
			_, err := db.Migrate(t.Context())
			check(t, err)
			check(t, db.Init(t.Context()))
			alice := storetest.Add(t, db, "alice")
			c := start(t, db, cache.Config{})
			until := func(what string, limit time.Duration, ok func() bool) {
				t.Helper()
				from := time.Now()
				for !ok() {
					if time.Since(from) > limit {
						t.Fatalf("%s: not in force after %v: %+v", what, limit, c.Status())
					}
					time.Sleep(5 * time.Millisecond)
				}
				t.Logf("%s: %v", what, time.Since(from).Round(time.Millisecond))
			}
			const limit = 5 * time.Second // A second, and a machine that tests other packages meanwhile.
			until("first tables", limit, func() bool { return has(c, "alice") && c.Status().Watching })
			storetest.Add(t, other, "bob")
			until("added", limit, func() bool { return has(c, "bob") })
			alice.Disabled = true
			check(t, other.UpdateUser(t.Context(), alice))
			until("changed", limit, func() bool { return c.Snapshot().UserByID(alice.ID).Disabled })
			check(t, other.RemoveUser(t.Context(), alice.Key))
			until("removed", limit, func() bool { return !c.Snapshot().UserByID(alice.ID).Exists() })
			check(t, other.BulkUsers(t.Context(), []store.ImportUser{{User: store.User{Key: "carol@example.com", Realm: "example.com"},
				Credentials: []store.Credential{{Username: "carol", Realm: "example.com", HA1: ha1}}}}, nil))
			until("bulk", limit, func() bool { return has(c, "carol") })
		})
	}
}
