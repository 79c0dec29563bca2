package cache_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"sipd/store"
	"sipd/store/cache"
	"sipd/store/storetest"
)

// What Feed hands out and Restore takes in answers as before; the state says how old it is and why; the next refresh takes over.
func TestRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := storetest.New()
		check(t, m.SetSetting(t.Context(), 1, "PrivateKey", "secret"))
		check(t, m.SetSetting(t.Context(), 1, "TimeOut", "17"))
		check(t, m.AddDomain(t.Context(), &store.Domain{Name: "example.com"}))
		storetest.Add(t, m, "alice")
		storetest.Add(t, m, "bob")
		check(t, m.AddAlias(t.Context(), &store.Alias{Alias: "100@example.com", PrimaryUser: "alice@example.com"}))
		first := start(t, m, cache.Config{})
		synctest.Wait()
		var saved store.Tables
		first.Snapshot().Feed(saved.Sink())
		key := first.Snapshot().Settings.PrivateKey
		of := time.Now()
		time.Sleep(time.Hour)

		why := errors.New("connection refused")
		m.Fail(why)
		c, err := cache.New(cache.Config{Store: m})
		check(t, err)
		broken := errors.New("damaged")
		err = c.Restore(t.Context(), &cache.Saved{Server: store.Server{ID: 1, Name: "sipd"}, Of: of, Why: why, Read: func(into store.Sink) error {
			saved.Feed(into)
			return broken
		}})
		if !errors.Is(err, broken) || c.Snapshot() != nil {
			t.Errorf("a damaged copy: got %v and tables %v, want the error and none", err, c.Snapshot())
		}
		check(t, c.Restore(t.Context(), &cache.Saved{Server: store.Server{ID: 1, Name: "sipd"}, Of: of, Why: why, Read: func(into store.Sink) error {
			saved.Feed(into)
			return nil
		}}))
		s, st := c.Snapshot(), c.Status()
		if !has(c, "alice") || !has(c, "bob") || s.Domain([]byte("example.com")) == nil || len(s.Aliases([]byte("100@example.com"))) != 1 {
			t.Error("restored: something is missing")
		}
		if s.Settings.PrivateKey != key || s.Settings.TimeOut != 17*time.Second || s.Server.Name != "sipd" {
			t.Errorf("restored: got TimeOut %v of %q, or another key", s.Settings.TimeOut, s.Server.Name)
		}
		if !st.Current.Equal(of) || !errors.Is(st.Err, why) || st.Users != 2 {
			t.Errorf("restored: got state %+v, want the age and the reason", st)
		}

		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		defer func() { stop(); <-done }()
		time.Sleep(time.Minute)
		synctest.Wait()
		if !has(c, "alice") || !c.Status().Current.Equal(of) {
			t.Error("a minute without a database: the tables are gone or called new")
		}
		// While nobody looked Bob was removed, and nothing says so among the changes any more.
		m.Fail(nil)
		check(t, m.RemoveUser(t.Context(), "bob@example.com"))
		check(t, m.TrimChanges(t.Context(), time.Now().Add(time.Hour)))
		storetest.Add(t, m, "carol")
		time.Sleep(time.Minute)
		synctest.Wait()
		if has(c, "bob") || !has(c, "carol") || c.Status().Err != nil {
			t.Errorf("database back: got Bob %v, Carol %v, %v; want what it has", has(c, "bob"), has(c, "carol"), c.Status().Err)
		}
	})
}
