package sqlstore_test

import (
	"net/netip"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"sipd/store"
	"sipd/store/sqlstore"
	"sipd/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// databases are what every test of this package runs on.
var databases = []struct {
	name string
	url  func(t testing.TB) string
}{
	{"sqlite", func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "a #1%.db") }},
	{"postgres", storetest.Postgres},
}

// onBoth runs a test on each kind of database.
func onBoth(t *testing.T, test func(t *testing.T, url string)) {
	for _, d := range databases {
		t.Run(d.name, func(t *testing.T) { test(t, d.url(t)) })
	}
}

func open(t testing.TB, url string) *sqlstore.DB {
	t.Helper()
	db, err := sqlstore.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// ready opens a database with tables and first rows.
func ready(t testing.TB, url string) *sqlstore.DB {
	t.Helper()
	db := open(t, url)
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := db.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db
}

func TestConformance(t *testing.T) {
	for _, d := range databases {
		t.Run(d.name, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) store.Store {
				db := ready(t, d.url(t))
				s, err := db.Servers(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if err := db.RemoveSetting(t.Context(), s[0].ID, "PrivateKey"); err != nil {
					t.Fatal(err)
				}
				return db
			})
		})
	}
}

func addr(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
