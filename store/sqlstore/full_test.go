package sqlstore

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"sipd/location"
	"sipd/store"
)

// A full disk is nobody's bad contact: the batch as a whole fails, and works again when there is room.
func TestSQLiteFull(t *testing.T) {
	ctx := t.Context()
	db, err := Open(ctx, "sqlite:"+filepath.Join(t.TempDir(), "sipd.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	alice := store.User{Key: "alice@example.com", Realm: "example.com"}
	if err := db.AddUser(ctx, &alice, nil); err != nil {
		t.Fatal(err)
	}
	sets := func(n int) (sets []location.RowSet) {
		for i := range n {
			sets = append(sets, location.RowSet{AOR: alice.Key, UserID: alice.ID, Upsert: []*location.Binding{
				{ID: int64(i + 1), UserID: alice.ID, URI: fmt.Sprint("sip:", i), UserAgent: strings.Repeat("x", 30000)}}})
		}
		return sets
	}
	limit := func(pages string) {
		t.Helper()
		if _, err := db.write.ExecContext(ctx, "PRAGMA max_page_count = "+pages); err != nil {
			t.Fatal(err)
		}
	}
	limit("1") // SQLite takes the present size.
	for _, n := range []int{1, 3} {
		errs, err := db.Commit(ctx, sets(n))
		if errs != nil || !errors.Is(err, location.ErrNotCommitted) && !errors.Is(err, location.ErrUnknownOutcome) {
			t.Errorf("%d sets: got %v, %v; want an error of the whole batch", n, errs, err)
		}
		if rows, err := db.LoadAOR(ctx, alice.Key); err != nil || len(rows) != 0 {
			t.Errorf("%d sets: got %d rows, %v; want none", n, len(rows), err)
		}
	}
	limit("100000")
	if errs, err := db.Commit(ctx, sets(3)); errs != nil || err != nil {
		t.Errorf("with room: got %v, %v", errs, err)
	}
}
