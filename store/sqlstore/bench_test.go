package sqlstore_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"sipd/location"
	"sipd/sipaddr"
	"sipd/store"
	"sipd/store/sqlstore"
)

// cpu returns the processor time this process has used. Postgres works in processes of its own.
func cpu(b *testing.B) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// fill adds n users and returns their ids by number.
func fill(tb testing.TB, db *sqlstore.DB, n int) []int64 {
	tb.Helper()
	users := make([]store.ImportUser, n)
	for i := range users {
		name := fmt.Sprintf("user%06d", i)
		users[i] = store.ImportUser{
			User: store.User{Key: sipaddr.AOR(name + "@example.com"), Realm: "example.com"},
			Credentials: []store.Credential{
				{Username: name, Realm: "example.com", HA1: fmt.Sprintf("%032x", i)},
				{Username: name + "@example.com", Realm: "example.com", HA1: fmt.Sprintf("%032x", i)},
			},
		}
	}
	if err := db.BulkUsers(tb.Context(), users, nil); err != nil {
		tb.Fatal(err)
	}
	ids := make([]int64, 0, n)
	if err := db.Users(tb.Context(), "", func(u *store.User) error { ids = append(ids, u.ID); return nil }); err != nil {
		tb.Fatal(err)
	}
	return ids
}

func phone(id, userID int64, now time.Time) *location.Binding {
	return &location.Binding{
		ID: id, UserID: userID, URI: fmt.Sprintf("sip:user%06d@192.0.2.7:%d;ob", userID, 1024+id%60000), CallID: fmt.Sprintf("3848276298220188511@192.0.2.%d", id%250),
		UserAgent: "phone/1.0 (bench)", Methods: "INVITE,ACK,CANCEL,BYE,OPTIONS", Q: 1000, CSeq: 1, Source: addr("192.0.2.7:1024"), Local: addr("192.0.2.1:5060"),
		Expires: location.At(now.Add(time.Hour)), Updated: location.At(now),
	}
}

// BenchmarkCommit measures registrations of 10,000 users in groups: new contacts first, then refreshes.
func BenchmarkCommit(b *testing.B) {
	const users = 10000
	for _, d := range databases {
		for _, kind := range []string{"new", "refresh"} {
			for _, group := range []int{1, 10, 100} {
				b.Run(fmt.Sprintf("%s/%s/%d", d.name, kind, group), func(b *testing.B) {
					db := ready(b, d.url(b))
					ids := fill(b, db, users)
					now := time.Now()
					next := int64(0)
					var err error
					one := func(n int) {
						sets := make([]location.RowSet, 0, group)
						for i := range group {
							user := ids[(n*group+i)*7919%users]
							id := user
							if kind == "new" {
								next++
								id = next
							}
							p := phone(id, user, now)
							p.CSeq = uint32(n)
							sets = append(sets, location.RowSet{AOR: "x@example.com", UserID: user, Upsert: []*location.Binding{p}})
						}
						errs, e := db.Commit(b.Context(), sets)
						if e != nil || errs != nil {
							b.Fatal(errs, e)
						}
					}
					if kind == "refresh" {
						for i := 0; i < users; i += 100 {
							var sets []location.RowSet
							for _, id := range ids[i : i+100] {
								sets = append(sets, location.RowSet{UserID: id, Upsert: []*location.Binding{phone(id, id, now)}})
							}
							if _, err = db.Commit(b.Context(), sets); err != nil {
								b.Fatal(err)
							}
						}
					}
					from := cpu(b)
					b.ResetTimer()
					n := 0
					for b.Loop() {
						one(n)
						n++
					}
					b.ReportMetric(float64((cpu(b)-from).Microseconds())/float64(n*group), "cpu-us/row")
				})
			}
		}
	}
}

// BenchmarkBulk measures a load of 100,000 users with two credentials each.
func BenchmarkBulk(b *testing.B) {
	for _, d := range databases {
		b.Run(d.name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				db := ready(b, d.url(b))
				b.StartTimer()
				fill(b, db, 100000)
			}
		})
	}
}

// BenchmarkLog measures appending to requestlog.
func BenchmarkLog(b *testing.B) {
	for _, d := range databases {
		for _, group := range []int{10, 100, 2000} {
			b.Run(fmt.Sprintf("%s/%d", d.name, group), func(b *testing.B) {
				db := ready(b, d.url(b))
				n := 0
				rows := make([]store.LogRow, group)
				from := cpu(b)
				for b.Loop() {
					for i := range rows {
						n++
						rows[i] = store.LogRow{Time: time.Now(), Method: "INVITE", Status: 200, RequestURL: "sip:bob@example.com", CallID: fmt.Sprintf("%d@192.0.2.1", n),
							From: "sip:alice@example.com", To: "sip:bob@example.com", Server: "sipd", CSeq: 1, FromTag: "4711", ToTag: "0815", AuthUser: "alice",
							Source: "192.0.2.1:5060", NextHop: "192.0.2.2:5060", EventID: fmt.Sprintf("event-%d", n)}
					}
					if err := db.AppendLog(b.Context(), rows); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64((cpu(b)-from).Microseconds())/float64(n), "cpu-us/row")
			})
		}
	}
}
