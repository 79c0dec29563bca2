//go:build !race

package sqlstore_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"sipd/location"
	"sipd/store/storetest"
)

// A hundred thousand users are loaded in less than 20 s (make scale; a few thousand in make test), while phones register one after the
// other and nobody waits for longer than a part of the load takes.
func TestSizeOfImport(t *testing.T) {
	users := 5000
	if os.Getenv("SIPD_SCALE_USERS") != "" {
		users = 100_000
	}
	for _, d := range []struct{ name, url string }{
		{"sqlite", "sqlite:" + filepath.Join(t.TempDir(), "sipd.db")},
		{"postgres", storetest.DurablePostgres(t)},
	} {
		t.Run(d.name, func(t *testing.T) {
			db, other := ready(t, d.url), ready(t, d.url)
			ids := fill(t, db, 1000)
			now := time.Now()
			done := make(chan error, 1)
			load := crowd("v", users)
			go func() { done <- other.BulkUsers(t.Context(), load, nil) }()
			begin := time.Now()
			var took []time.Duration
			for n := int64(0); ; n++ {
				from := time.Now()
				id := ids[n%int64(len(ids))]
				errs, err := db.Commit(t.Context(), []location.RowSet{{UserID: id, Upsert: []*location.Binding{phone(id, id, now)}}})
				if err != nil || errs != nil {
					t.Fatalf("registration %d: %v %v", n, errs, err)
				}
				took = append(took, time.Since(from))
				select {
				case err := <-done:
					if err != nil {
						t.Fatal(err)
					}
					all := time.Since(begin)
					slices.Sort(took)
					t.Logf("%d users in %v; %d registrations meanwhile, half within %v, 99%% within %v, the slowest %v", users, all.Round(time.Millisecond),
						len(took), took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
					if all > 20*time.Second {
						t.Errorf("got %v for %d users, want less than 20s", all, users)
					}
					if p99 := took[len(took)*99/100]; p99 > 500*time.Millisecond { // A tenth of that on a machine with nothing else to do.
						t.Errorf("99%% of the registrations within %v, want 500ms", p99)
					}
					return
				case <-time.After(time.Millisecond):
				}
			}
		})
	}
}
