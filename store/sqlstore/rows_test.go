package sqlstore_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sipd/location"
	"sipd/store"
	"sipd/store/storetest"
)

func TestRequestlogRows(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		db := ready(t, url)
		plain, _ := raw(t, url)
		at := time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)
		row := store.LogRow{
			Time: at, Method: "INVITE", Status: 486, RequestURL: "sip:b\x00ob@example.com", CallID: "c", From: "sip:a@x", To: "sip:b@x", Server: "s", CSeq: 4294967295,
			FromTag: "f", ToTag: "t", AuthUser: "u", Source: "192.0.2.1:1", NextHop: "192.0.2.2:2", Class: "k", Duration: 1234 * time.Millisecond, EventID: "e1",
		}
		if err := db.AppendLog(t.Context(), []store.LogRow{row, {Time: at, Method: "BYE\xff", Status: 200, EventID: "e2"}, row}); err != nil {
			t.Fatal(err)
		}
		var many []store.LogRow
		for i := range 1500 { // Postgres: COPY
			many = append(many, store.LogRow{Time: at, Method: "OPTIONS", Status: 200, EventID: fmt.Sprint("m", i)})
		}
		for range 2 {
			if err := db.AppendLog(t.Context(), append(many, row)); err != nil {
				t.Fatal(err)
			}
		}
		var n, periods int
		if err := plain.QueryRow(`SELECT count(*), count(period) FROM requestlog`).Scan(&n, &periods); err != nil || n != 1502 || periods != 0 {
			t.Errorf("got %d rows, %d with period, %v; want 1502, none", n, periods, err)
		}
		var when, texts string
		if err := plain.QueryRow(`SELECT CAST(request_time AS varchar), method || '|' || sip_status || '|' || request_url || '|' || sip_callid || '|' || sip_from || '|' || sip_to
			|| '|' || server || '|' || cseq || '|' || from_tag || '|' || to_tag || '|' || auth_user || '|' || source || '|' || next_hop || '|' || gateway_class || '|' || duration_ms
			FROM requestlog WHERE event_id = 'e1'`).Scan(&when, &texts); err != nil {
			t.Fatal(err)
		}
		want := "INVITE|486|sip:b\uFFFDob@example.com|c|sip:a@x|sip:b@x|s|4294967295|f|t|u|192.0.2.1:1|192.0.2.2:2|k|1234"
		if texts != want || !strings.Contains(when, "04:05.678") {
			t.Errorf("got %q at %q, want %q at 2026-01-02 03:04:05.678", texts, when, want)
		}
		var method string
		var callid *string
		if err := plain.QueryRow(`SELECT method, sip_callid FROM requestlog WHERE event_id = 'e2'`).Scan(&method, &callid); err != nil || method != "BYE\uFFFD" || callid != nil {
			t.Errorf("got %q %v, %v; want a cleaned method and null", method, callid, err)
		}
	})
}

// A stranger chooses how long his Call-ID is, and an index takes no entry of any length: one row must not hold up the others.
func TestRequestlogLongCallID(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		db := ready(t, url)
		plain, _ := raw(t, url)
		random := make([]byte, 4096) // random, so that it cannot be compressed
		rand.Read(random)
		long := base64.StdEncoding.EncodeToString(random)
		for _, rows := range []int{1, 1000} { // Postgres: single rows, COPY
			var batch []store.LogRow
			for i := range rows {
				batch = append(batch, store.LogRow{Time: time.Now(), Method: "INVITE", Status: 200, CallID: long[:len(long)-i], EventID: fmt.Sprint(rows, " ", i)})
			}
			if err := db.AppendLog(t.Context(), batch); err != nil {
				t.Fatalf("%d rows: %v", rows, err)
			}
		}
		var n int
		if err := plain.QueryRow(`SELECT count(*) FROM requestlog WHERE substr(sip_callid, 1, 100) = '` + long[:100] + `'`).Scan(&n); err != nil || n != 1001 {
			t.Errorf("got %d rows that begin like the Call-ID, %v; want 1001", n, err)
		}
	})
}

// A reader that has seen change n never finds a smaller one later: a load waits for changes that are being made.
func TestBulkKeepsTheOrderOfChanges(t *testing.T) {
	url := databases[1].url(t)
	db := ready(t, url)
	plain, _ := raw(t, url)
	tx, err := plain.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.Exec(`INSERT INTO domains (name) VALUES ('example.com')`); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		done <- db.BulkUsers(context.Background(), []store.ImportUser{{User: store.User{Key: "a@example.com", Realm: "example.com"}}}, nil)
	}()
	select {
	case err := <-done:
		t.Errorf("got %v while another change is open, want it to wait", err)
		done <- err
	case <-time.After(200 * time.Millisecond):
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	var last string
	if err := plain.QueryRow(`SELECT row_key FROM changes ORDER BY seq DESC LIMIT 1`).Scan(&last); err != nil || last != "*" {
		t.Errorf("got the last change %q, %v; want that of the load", last, err)
	}
}

// Two servers that gave out the same id, or a contact written by hand beside a server, must not end in one row.
func TestCommitSparesForeignRows(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		db := ready(t, url)
		alice, bob := storetest.Add(t, db, "alice"), storetest.Add(t, db, "bob")
		plain, _ := raw(t, url)
		if _, err := plain.Exec(fmt.Sprintf(`INSERT INTO contacts (id, user_id, uri) VALUES (1, %d, 'sip:static@192.0.2.1')`, bob.ID)); err != nil {
			t.Fatal(err)
		}
		set := func(id int64, u *store.User) location.RowSet {
			return location.RowSet{AOR: u.Key, UserID: u.ID, Upsert: []*location.Binding{phone(id, u.ID, time.Now())}}
		}
		for _, sets := range [][]location.RowSet{{set(1, alice)}, {set(1, bob)}, {set(1, alice), set(2, alice)}} {
			errs, err := db.Commit(t.Context(), sets)
			if err != nil || len(errs) != len(sets) || errs[0] == nil || len(errs) > 1 && errs[1] != nil {
				t.Errorf("%d sets: got %v, %v; want the first refused alone", len(sets), errs, err)
			}
		}
		got, err := db.LoadAOR(t.Context(), bob.Key)
		if err != nil || len(got) != 1 || got[0].URI != "sip:static@192.0.2.1" || !got[0].Static() {
			t.Errorf("got %+v, %v; want Bob's static contact as it was", got, err)
		}
	})
}

// An id is never given twice: what still knows a removed user by id must not take the next one for him.
func TestUserIDsAreNotReused(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		db := ready(t, url)
		storetest.Add(t, db, "alice")
		bob := storetest.Add(t, db, "bob")
		if err := db.RemoveUser(t.Context(), bob.Key); err != nil {
			t.Fatal(err)
		}
		again := storetest.Add(t, db, "bob")
		if err := db.RemoveUser(t.Context(), again.Key); err != nil {
			t.Fatal(err)
		}
		if err := db.BulkUsers(t.Context(), []store.ImportUser{{User: store.User{Key: bob.Key, Realm: bob.Realm}}}, nil); err != nil {
			t.Fatal(err)
		}
		loaded, err := db.User(t.Context(), bob.Key)
		if err != nil || again.ID <= bob.ID || loaded.ID <= again.ID {
			t.Errorf("got ids %d, %d, %+v, %v; want each larger than the one before", bob.ID, again.ID, loaded, err)
		}
	})
}

// What people do by hand is noticed like what commands do.
func TestHandWrittenSQLIsNoticed(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		db := ready(t, url)
		plain, _ := raw(t, url)
		ctx := t.Context()
		servers, err := db.Servers(ctx)
		if err != nil {
			t.Fatal(err)
		}
		_, seq, err := db.Load(ctx, "", (&store.Tables{}).Sink())
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range []string{
			`INSERT INTO users (user_key, realm) VALUES ('zoe@example.com', 'example.com')`,
			`INSERT INTO credentials (user_id, auth_username, realm, ha1) SELECT id, 'zoe', 'example.com', '0123456789abcdef0123456789abcdef' FROM users`,
			`UPDATE users SET disabled = true`,
			`INSERT INTO domains (name) VALUES ('example.com')`,
		} {
			if _, err := plain.Exec(q); err != nil {
				t.Fatal(err)
			}
		}
		d, err := db.Delta(ctx, servers[0].ID, seq)
		if err != nil || len(d.Users) != 1 || !d.Users[0].Disabled || d.Users[0].AuthPolicy != store.Required || len(d.Credentials) != 1 || len(d.Domains) != 1 {
			t.Errorf("got %+v, %v; want Zoe, disabled, with a credential, and the domain", d, err)
		}
		for _, q := range []string{
			`INSERT INTO users (user_key, realm, auth_policy) VALUES ('x@example.com', 'r', 'maybe')`,
			`INSERT INTO gateway_classes (name) VALUES ('*')`,
			`INSERT INTO contacts (id, user_id, uri, q_milli) SELECT 1, id, 'sip:x', 1001 FROM users`,
		} {
			if _, err := plain.Exec(q); err == nil {
				t.Errorf("%s: got no error, want the table to refuse it", q)
			}
		}
	})
}

// Registrations and the log commit all the time: who watches configuration must not be woken.
func TestRegistrationsAreNotNotified(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		db := ready(t, url)
		alice := storetest.Add(t, db, "alice")
		ctx, cancel := context.WithCancel(t.Context())
		var notes atomic.Int32
		began := make(chan struct{}, 100)
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := db.Watch(ctx, func() { notes.Add(1); began <- struct{}{} }); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want context canceled", err)
			}
		})
		<-began
		for i := range 20 {
			set := location.RowSet{AOR: alice.Key, UserID: alice.ID, Upsert: []*location.Binding{phone(int64(i+1), alice.ID, time.Now())}}
			if errs, err := db.Commit(ctx, []location.RowSet{set}); err != nil || errs != nil {
				t.Fatal(errs, err)
			}
			if err := db.AppendLog(ctx, []store.LogRow{{Time: time.Now(), Method: "REGISTER", Status: 200, EventID: fmt.Sprint(i)}}); err != nil {
				t.Fatal(err)
			}
		}
		// The next note can only be that of the user: it comes after everything before it.
		storetest.Add(t, db, "bob")
		<-began
		if n := notes.Load(); n != 2 {
			t.Errorf("got %d notes, want 2: the beginning and the user", n)
		}
		cancel()
		wg.Wait()
	})
}

func TestBulkLetsRegistrationsThrough(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		db, importer := ready(t, url), open(t, url)
		alice := storetest.Add(t, db, "alice")
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		var longest time.Duration
		commits := 0
		wg.Go(func() {
			for id := int64(1); ctx.Err() == nil; id++ {
				from := time.Now()
				set := location.RowSet{AOR: alice.Key, UserID: alice.ID, Upsert: []*location.Binding{phone(id%10+1, alice.ID, from)}}
				if errs, err := db.Commit(context.Background(), []location.RowSet{set}); err != nil || errs != nil {
					t.Error(errs, err)
					return
				}
				longest = max(longest, time.Since(from))
				commits++
			}
		})
		from := time.Now()
		users := 10000
		if raceEnabled {
			users = 1000 // SQLite is ten times as slow then.
		}
		fill(t, importer, users)
		took := time.Since(from)
		cancel()
		wg.Wait()
		t.Logf("%d users in %v; %d registrations meanwhile, the longest took %v", users, took, commits, longest)
		if took > 15*time.Second {
			t.Errorf("got %v for %d users, want a few seconds", took, users)
		}
		if longest > 4*time.Second || commits < 10 {
			t.Errorf("got %d registrations, the longest in %v; want many, quick", commits, longest)
		}
	})
}

func TestCommitAfterLostConnections(t *testing.T) {
	url := databases[1].url(t)
	db := ready(t, url)
	plain, _ := raw(t, url)
	alice := storetest.Add(t, db, "alice")
	set := []location.RowSet{{AOR: alice.Key, UserID: alice.ID, Upsert: []*location.Binding{phone(1, alice.ID, time.Now())}}}
	if errs, err := db.Commit(t.Context(), set); err != nil || errs != nil {
		t.Fatal(errs, err)
	}
	if _, err := plain.Exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`); err != nil {
		t.Fatal(err)
	}
	for i := range 20 { // As many as the pool has dead connections, at most.
		errs, err := db.Commit(t.Context(), set)
		if err == nil && errs == nil {
			return
		}
		if errs != nil || !errors.Is(err, location.ErrNotCommitted) && !errors.Is(err, location.ErrUnknownOutcome) {
			t.Fatalf("attempt %d: got %v, %v; want not committed or unknown", i, errs, err)
		}
	}
	t.Error("the pool does not recover")
}

func TestCommitAway(t *testing.T) {
	url := databases[1].url(t)
	db := ready(t, url)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := db.Commit(ctx, []location.RowSet{{Delete: []int64{1}}}); !errors.Is(err, location.ErrNotCommitted) {
		t.Errorf("never sent: got %v, want ErrNotCommitted", err)
	}
}

func TestCommitWaitsForAnotherProcess(t *testing.T) {
	url := databases[0].url(t)
	db := ready(t, url)
	alice := storetest.Add(t, db, "alice")
	plain, _ := raw(t, url)
	conn, err := plain.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		errs, err := db.Commit(context.Background(), []location.RowSet{{AOR: alice.Key, UserID: alice.ID, Upsert: []*location.Binding{phone(1, alice.ID, time.Now())}}})
		done <- errors.Join(append(errs, err)...)
	}()
	select {
	case err := <-done:
		t.Errorf("got %v while another process writes, want it to wait", err)
	case <-time.After(100 * time.Millisecond):
	}
	if _, err := conn.ExecContext(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestOddBytesOfABinding(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		db := ready(t, url)
		alice := storetest.Add(t, db, "alice")
		odd := phone(1, alice.ID, time.Now())
		odd.UserAgent, odd.DisplayName = "ph\xf6ne", "A\x00B"
		bad := phone(2, alice.ID, time.Now())
		bad.URI = "sip:a\xff@x"
		huge := phone(3, alice.ID, time.Now())
		huge.UserAgent = strings.Repeat("x", 70000)
		set := func(b *location.Binding) location.RowSet {
			return location.RowSet{AOR: alice.Key, UserID: alice.ID, Upsert: []*location.Binding{b}}
		}
		errs, err := db.Commit(t.Context(), []location.RowSet{set(odd), set(bad), set(huge)})
		if err != nil || len(errs) != 3 || errs[0] != nil || !errors.Is(errs[1], store.ErrInvalid) || !errors.Is(errs[2], store.ErrInvalid) {
			t.Fatalf("got %v, %v; want the second and third refused", errs, err)
		}
		got, err := db.LoadAOR(t.Context(), alice.Key)
		if err != nil || len(got) != 1 || got[0].UserAgent != "ph\uFFFDne" || got[0].DisplayName != "A\uFFFDB" {
			t.Errorf("got %+v, %v; want one binding with cleaned texts", got, err)
		}
	})
}

// A standby that only reads is nobody's bad contact.
func TestCommitToReadOnlyPostgres(t *testing.T) {
	url := databases[1].url(t)
	db := ready(t, url)
	plain, _ := raw(t, url)
	alice := storetest.Add(t, db, "alice")
	if _, err := plain.Exec(`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$`); err != nil {
		t.Fatal(err)
	}
	standby := open(t, url)
	set := location.RowSet{AOR: alice.Key, UserID: alice.ID, Upsert: []*location.Binding{phone(1, alice.ID, time.Now())}}
	if errs, err := standby.Commit(t.Context(), []location.RowSet{set}); errs != nil || !errors.Is(err, location.ErrNotCommitted) {
		t.Errorf("got %v, %v; want not committed", errs, err)
	}
}
