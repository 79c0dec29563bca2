package cache_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"sipd/config"
	"sipd/store"
	"sipd/store/cache"
	"sipd/store/sqlstore"
	"sipd/store/storetest"
)

// BenchmarkLoad loads SIPD_BENCH_USERS users (100,000) from each database.
func BenchmarkLoad(b *testing.B) {
	n, _ := strconv.Atoi(os.Getenv("SIPD_BENCH_USERS"))
	if n == 0 {
		n = 100_000
	}
	for _, d := range []struct {
		name string
		url  func(b *testing.B) string
	}{
		{"sqlite", func(b *testing.B) string { return "sqlite:" + filepath.Join(b.TempDir(), "sipd.db") }},
		{"postgres", func(b *testing.B) string { return storetest.Postgres(b) }},
	} {
		b.Run(fmt.Sprintf("%s/%d", d.name, n), func(b *testing.B) {
			ctx := context.Background()
			db, err := sqlstore.Open(ctx, d.url(b))
			check(b, err)
			defer db.Close()
			_, err = db.Migrate(ctx)
			check(b, err)
			check(b, db.Init(ctx))
			tab := many(n)
			users := make([]store.ImportUser, n)
			for i := range users {
				users[i] = store.ImportUser{User: tab.Users[i], Credentials: tab.Credentials[2*i : 2*i+2]}
			}
			check(b, db.BulkUsers(ctx, users, nil))
			users, tab = nil, store.Tables{}
			runtime.GC()
			c, err := cache.New(cache.Config{Store: db})
			check(b, err)
			b.ResetTimer()
			for b.Loop() {
				check(b, c.Refresh(ctx))
			}
			b.ReportMetric(float64(c.Status().Users), "users")
		})
	}
}

func BenchmarkLookup(b *testing.B) {
	const n = 100_000
	snap := build(b, many(n), &config.Settings{})
	aors, names := make([][]byte, n), make([][]byte, n)
	for i := range aors {
		aors[i] = []byte(fmt.Sprintf("user%07d@example.com", i))
		names[i] = aors[i][:11]
	}
	realm := []byte("example.com")
	b.Run("User", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			if i = (i + 7919) % n; !snap.User(aors[i]).Exists() {
				b.Fatal(i)
			}
		}
	})
	b.Run("Credential", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			if i = (i + 7919) % n; !snap.Credential(realm, names[i], store.MD5).Exists() {
				b.Fatal(i)
			}
		}
	})
	b.Run("Domain", func(b *testing.B) {
		b.ReportAllocs()
		host := []byte("Example.com")
		for b.Loop() {
			if snap.Domain(host) == nil {
				b.Fatal("none")
			}
		}
	})
}
