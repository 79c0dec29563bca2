package cache_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"sipd/config"
	"sipd/sipaddr"
	"sipd/store"
	"sipd/store/cache"
	"sipd/store/sqlstore"
	"sipd/store/storetest"
)

// cpu returns the processor time this process has used. Postgres works in processes of its own.
func cpu(b *testing.B) time.Duration {
	var r syscall.Rusage
	check(b, syscall.Getrusage(syscall.RUSAGE_SELF, &r))
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkLoad loads SIPD_BENCH_USERS users (100,000) with four credentials each from each database. The first time they are new, after
// that a refresh compares them.
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
			users := make([]store.ImportUser, n)
			for i := range users {
				key := fmt.Sprintf("user%07d@example.com", i)
				long := fmt.Sprintf("%064x", i)
				users[i] = store.ImportUser{User: store.User{Key: sipaddr.AOR(key), Realm: "example.com", DisplayName: key[:11]}, Credentials: []store.Credential{
					{Username: key[:11], Realm: "example.com", HA1: long[32:]},
					{Username: key[:11], Realm: "example.com", Algorithm: store.SHA256, HA1: long},
					{Username: key[:11], Realm: "example.com", Algorithm: store.SHA512_256, HA1: long},
					{Username: key, Realm: "example.com", HA1: long[32:]},
				}}
			}
			check(b, db.BulkUsers(ctx, users, nil))
			users = nil
			runtime.GC()
			c, err := cache.New(cache.Config{Store: db})
			check(b, err)
			from := cpu(b)
			b.ResetTimer()
			for b.Loop() {
				check(b, c.Refresh(ctx))
			}
			b.ReportMetric((cpu(b)-from).Seconds()/float64(b.N), "cpu-s/op")
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
