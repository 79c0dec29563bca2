package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"sipd/sipaddr"
	"sipd/store"
)

// crowd returns users whose names begin with prefix.
func crowd(prefix string, n int) []store.ImportUser {
	users := make([]store.ImportUser, n)
	for i := range users {
		name := fmt.Sprintf("%s%06d", prefix, i)
		users[i] = store.ImportUser{User: store.User{Key: sipaddr.AOR(name + "@example.com"), Realm: "example.com"},
			Credentials: []store.Credential{{Username: name, Realm: "example.com", HA1: fmt.Sprintf("%032x", i)}}}
	}
	return users
}

func countRows(t *testing.T, db *sql.DB, table string) (n int) {
	t.Helper()
	if err := db.QueryRow(`SELECT count(*) FROM ` + table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// A load that fails when parts of it are in leaves nothing; one that is broken off, too.
func TestBulkAllOrNone(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		db := ready(t, url)
		plain, _ := raw(t, url)
		users := crowd("u", 2500)
		users[2400].Credentials[0].Username = users[3].Credentials[0].Username
		if err := db.BulkUsers(t.Context(), users, nil); !errors.Is(err, store.ErrExists) {
			t.Errorf("one name twice: got %v, want ErrExists", err)
		}
		if n, c := countRows(t, plain, "users"), countRows(t, plain, "credentials"); n != 0 || c != 0 {
			t.Errorf("one name twice: got %d users and %d credentials, want none", n, c)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() { // As soon as the first part is there, or when there is nothing to see until the end.
			for db.User(ctx, "u000000@example.com"); ctx.Err() == nil; time.Sleep(time.Millisecond) {
				if _, err := db.User(ctx, "u000000@example.com"); err == nil {
					cancel()
				}
			}
		}()
		err := db.BulkUsers(ctx, crowd("u", 20_000), nil)
		cancel()
		if n := countRows(t, plain, "users"); err != nil && n != 0 || err == nil && n != 20_000 {
			t.Errorf("broken off: got %d users and %v, want none, or all of them", n, err)
		}
		if err == nil {
			return
		}
		if err := db.BulkUsers(t.Context(), crowd("u", 2500), nil); err != nil {
			t.Errorf("again: got %v", err)
		}
		if n, c := countRows(t, plain, "users"), countRows(t, plain, "credentials"); n != 2500 || c != 2500 {
			t.Errorf("again: got %d users and %d credentials, want 2500", n, c)
		}
		if n := countRows(t, plain, "credentials c JOIN users u ON u.id = c.user_id AND u.user_key = c.auth_username || '@example.com'"); n != 2500 {
			t.Errorf("got %d credentials of their users, want 2500", n)
		}
	})
}
