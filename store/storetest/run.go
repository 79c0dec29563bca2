package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"sipd/location"
	"sipd/sipaddr"
	"sipd/store"
	"sipd/store/storetest/planrun"
)

// Run is the conformance suite: open returns a new store with one server record and nothing else. A store that is a
// location.Store too is tested as one.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for _, tt := range []struct {
		name string
		test func(t *testing.T, s store.Store)
	}{
		{"servers and settings", testSettings},
		{"domains", testDomains},
		{"users", testUsers},
		{"users by page", testUserPages},
		{"credentials", testCredentials},
		{"aliases", testAliases},
		{"gateway classes", testClasses},
		{"third parties", testThirdParties},
		{"trusted peers", testTrustedPeers},
		{"third parties and peers in memory", testPeersInMemory},
		{"bulk load", testBulk},
		{"load", testLoad},
		{"delta", testDelta},
		{"watch", testWatch},
		{"trim", testTrim},
		{"log", testLog},
		{"cancelled", testCancelled},
		{"bindings", testBindings},
		{"bad set fails alone", testBadSet},
		{"contacts", testContacts},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, open(t)) })
	}
	for _, tt := range planrun.Tests {
		t.Run(tt.Name, func(t *testing.T) { tt.Test(t, open(t)) })
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got error %v, want %v", what, err, want)
	}
}

const domain = "example.com"

// HA1 returns a well-formed HA1 that is unlike those of other names.
func HA1(name string, alg store.Algorithm) string {
	var b strings.Builder
	for b.Len() < alg.HA1Len() {
		fmt.Fprintf(&b, "%x", name)
	}
	return b.String()[:alg.HA1Len()]
}

// Add adds name@example.com with a credential for name.
func Add(t testing.TB, s store.Admin, name string) *store.User {
	t.Helper()
	u := &store.User{Key: sipaddr.AOR(name + "@" + domain), Realm: domain}
	must(t, s.AddUser(t.Context(), u, []store.Credential{{Username: name, Realm: domain, HA1: HA1(name, store.MD5)}}))
	return u
}

func firstServer(t testing.TB, s store.Admin) store.Server {
	t.Helper()
	list, err := s.Servers(t.Context())
	must(t, err)
	if len(list) != 1 {
		t.Fatalf("got servers %v, want one", list)
	}
	return list[0]
}

func testSettings(t *testing.T, s store.Store) {
	ctx := t.Context()
	srv := firstServer(t, s)
	must(t, s.SetSetting(ctx, srv.ID, "Expires", "3600"))
	must(t, s.SetSetting(ctx, srv.ID, "Expires", "1800"))
	must(t, s.SetSetting(ctx, srv.ID, "ServerName", ""))
	got, err := s.Settings(ctx, srv.ID)
	must(t, err)
	if got["Expires"] != "1800" || len(got) != 2 {
		t.Errorf("got %v, want Expires 1800 and an empty ServerName", got)
	}
	must(t, s.RemoveSetting(ctx, srv.ID, "Expires"))
	wantErr(t, "remove again", s.RemoveSetting(ctx, srv.ID, "Expires"), store.ErrNotFound)
	wantErr(t, "setting of no server", s.SetSetting(ctx, srv.ID+99, "Expires", "1"), store.ErrNotFound)
	wantErr(t, "setting without name", s.SetSetting(ctx, srv.ID, "", "1"), store.ErrInvalid)
	_, err = s.Settings(ctx, srv.ID+99)
	wantErr(t, "settings of no server", err, store.ErrNotFound)

	_, _, err = s.Load(ctx, "", (&store.Tables{}).Sink())
	must(t, err)
	second, err := s.AddServer(ctx, "second")
	must(t, err)
	_, err = s.AddServer(ctx, "second")
	wantErr(t, "same name", err, store.ErrExists)
	_, err = s.AddServer(ctx, "*")
	wantErr(t, "not a name", err, store.ErrInvalid)
	_, _, err = s.Load(ctx, "", (&store.Tables{}).Sink())
	if err == nil || !strings.Contains(err.Error(), "-S") {
		t.Errorf("load without a name among two: got %v, want an error that names -S", err)
	}
	got2, _, err := s.Load(ctx, "second", (&store.Tables{}).Sink())
	must(t, err)
	if got2 != second {
		t.Errorf("got server %v, want %v", got2, second)
	}
	_, _, err = s.Load(ctx, "third", (&store.Tables{}).Sink())
	wantErr(t, "load of no server", err, store.ErrNotFound)
}

func testDomains(t *testing.T, s store.Store) {
	ctx := t.Context()
	for _, d := range []*store.Domain{
		{Name: "Example.COM."},
		{Name: "sip.example.com", Canonical: "Example.com", Realm: "Example"},
		{Name: "[2001:DB8:0::1]", Kind: store.IP, Canonical: "example.com"},
		{Name: `pbx\d+\.example\.com`, Kind: store.Regex, Canonical: "example.com"},
	} {
		must(t, s.AddDomain(ctx, d))
		if d.ID == 0 {
			t.Errorf("domain %s got no id", d.Name)
		}
	}
	got, err := s.Domains(ctx)
	must(t, err)
	var names []string
	for _, d := range got {
		names = append(names, d.Name+" "+d.Kind.String()+" "+d.Canonical+" "+d.Realm)
	}
	want := []string{"example.com exact  ", "sip.example.com exact example.com Example", "2001:db8::1 ip example.com ", `pbx\d+\.example\.com regex example.com `}
	if !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
	wantErr(t, "same name in another case", s.AddDomain(ctx, &store.Domain{Name: "EXAMPLE.com"}), store.ErrExists)
	wantErr(t, "broken regex", s.AddDomain(ctx, &store.Domain{Name: "(", Kind: store.Regex, Canonical: "example.com"}), store.ErrInvalid)
	wantErr(t, "not a name", s.AddDomain(ctx, &store.Domain{Name: "exa mple"}), store.ErrInvalid)
	wantErr(t, "of no server", s.AddDomain(ctx, &store.Domain{Name: "a.org", ServerID: 999}), store.ErrNotFound)
	must(t, s.RemoveDomain(ctx, "SIP.example.com"))
	wantErr(t, "remove again", s.RemoveDomain(ctx, "sip.example.com"), store.ErrNotFound)
}

func testUsers(t *testing.T, s store.Store) {
	ctx := t.Context()
	class, err := s.AddClass(ctx, "staff")
	must(t, err)
	u := &store.User{
		Key: "alice@example.com", Realm: domain, DisplayName: "Alice Ünal", Email: "a@example.com", AuthPolicy: store.Never,
		GatewayClassID: class.ID, DefaultAction: store.Redirect, IsAdmin: true, Disabled: true, MayUploadCGI: true, MaxContacts: 3,
	}
	before := time.Now().Add(-time.Second)
	must(t, s.AddUser(ctx, u, nil))
	if u.ID == 0 || u.CreatedAt.Before(before) || u.UpdatedAt.Before(before) {
		t.Errorf("got %+v, want id and times", u)
	}
	same := func(what string) {
		t.Helper()
		got, err := s.User(ctx, u.Key)
		must(t, err)
		if !got.CreatedAt.Truncate(time.Millisecond).Equal(u.CreatedAt.Truncate(time.Millisecond)) || !got.UpdatedAt.Truncate(time.Millisecond).Equal(u.UpdatedAt.Truncate(time.Millisecond)) {
			t.Errorf("%s: got times %v %v, want %v %v", what, got.CreatedAt, got.UpdatedAt, u.CreatedAt, u.UpdatedAt)
		}
		g, w := *got, *u
		g.CreatedAt, g.UpdatedAt, w.CreatedAt, w.UpdatedAt = time.Time{}, time.Time{}, time.Time{}, time.Time{}
		if g != w {
			t.Errorf("%s: got %+v, want %+v", what, g, w)
		}
	}
	same("added")
	created := u.CreatedAt
	*u = store.User{ID: u.ID, Key: "alicia@example.com", Realm: "r", AuthPolicy: store.Requested}
	must(t, s.UpdateUser(ctx, u))
	if !u.CreatedAt.Truncate(time.Millisecond).Equal(created.Truncate(time.Millisecond)) {
		t.Errorf("got created_at %v, want %v", u.CreatedAt, created)
	}
	same("updated")
	_, err = s.User(ctx, "alice@example.com")
	wantErr(t, "old key", err, store.ErrNotFound)

	Add(t, s, "bob")
	dup := store.User{ID: u.ID, Key: "bob@example.com", Realm: domain}
	wantErr(t, "key taken", s.UpdateUser(ctx, &dup), store.ErrExists)
	wantErr(t, "add again", s.AddUser(ctx, &store.User{Key: "bob@example.com", Realm: domain}, nil), store.ErrExists)
	wantErr(t, "no realm", s.AddUser(ctx, &store.User{Key: "carol@example.com"}, nil), store.ErrInvalid)
	wantErr(t, "no domain", s.AddUser(ctx, &store.User{Key: "carol", Realm: domain}, nil), store.ErrInvalid)
	wantErr(t, "no class", s.AddUser(ctx, &store.User{Key: "carol@example.com", Realm: domain, GatewayClassID: class.ID + 9}, nil), store.ErrNotFound)
	wantErr(t, "update of nobody", s.UpdateUser(ctx, &store.User{ID: 9999, Key: "x@example.com", Realm: domain}), store.ErrNotFound)
	must(t, s.RemoveUser(ctx, "bob@example.com"))
	wantErr(t, "remove again", s.RemoveUser(ctx, "bob@example.com"), store.ErrNotFound)
}

func testUserPages(t *testing.T, s store.Store) {
	ctx := t.Context()
	const n = 2500 // more than two pages
	var users []store.ImportUser
	for i := range n {
		users = append(users, store.ImportUser{User: store.User{Key: sipaddr.AOR(fmt.Sprintf("u%04d@example.com", i)), Realm: domain}})
	}
	users = append(users, store.ImportUser{User: store.User{Key: "x@other.example.com", Realm: domain}})
	must(t, s.BulkUsers(ctx, users, nil))
	list := func(domain string) (keys []sipaddr.AOR) {
		t.Helper()
		must(t, s.Users(ctx, domain, func(u *store.User) error {
			keys = append(keys, u.Key)
			return nil
		}))
		return keys
	}
	all, one := list(""), list("other.example.com")
	if len(all) != n+1 || !slices.IsSorted(all) {
		t.Errorf("got %d users, sorted %v, want %d", len(all), slices.IsSorted(all), n+1)
	}
	if len(one) != 1 || one[0] != "x@other.example.com" || len(list("example.com")) != n || len(list("ample.com")) != 0 {
		t.Errorf("got %v in other.example.com, %d in example.com, %d in ample.com; want 1, %d, 0", one, len(list("example.com")), len(list("ample.com")), n)
	}
	stop := errors.New("stop")
	wantErr(t, "an error of the callback", s.Users(ctx, "", func(*store.User) error { return stop }), stop)
}

func testCredentials(t *testing.T, s store.Store) {
	ctx := t.Context()
	alice := Add(t, s, "alice")
	bob := Add(t, s, "bob")
	creds := []store.Credential{
		{UserID: alice.ID, Username: "alice", Realm: domain, Algorithm: store.MD5, HA1: HA1("new", store.MD5)},
		{UserID: alice.ID, Username: "alice", Realm: domain, Algorithm: store.SHA256, HA1: HA1("new", store.SHA256)},
		{UserID: alice.ID, Username: "alice@example.com", Realm: domain, Algorithm: store.SHA512_256, HA1: HA1("new", store.SHA512_256)},
	}
	must(t, s.SetCredentials(ctx, alice.ID, creds))
	got, err := s.Credentials(ctx, alice.ID)
	must(t, err)
	if !slices.Equal(got, creds) {
		t.Errorf("got %+v, want %+v", got, creds)
	}
	taken := []store.Credential{{Username: "alice", Realm: domain, HA1: HA1("x", store.MD5)}}
	wantErr(t, "another's name", s.SetCredentials(ctx, bob.ID, taken), store.ErrExists)
	if got, err := s.Credentials(ctx, bob.ID); err != nil || len(got) != 1 || got[0].Username != "bob" {
		t.Errorf("got %+v, %v; want Bob's as before", got, err)
	}
	carol := &store.User{Key: "carol@example.com", Realm: domain}
	wantErr(t, "new user with another's name", s.AddUser(ctx, carol, taken), store.ErrExists)
	_, err = s.User(ctx, carol.Key)
	wantErr(t, "half a user", err, store.ErrNotFound)
	wantErr(t, "HA1 in capitals", s.SetCredentials(ctx, bob.ID, []store.Credential{{Username: "b", Realm: domain, HA1: strings.Repeat("A", 32)}}), store.ErrInvalid)
	wantErr(t, "HA1 too short", s.SetCredentials(ctx, bob.ID, []store.Credential{{Username: "b", Realm: domain, HA1: "aa"}}), store.ErrInvalid)
	wantErr(t, "credentials of nobody", s.SetCredentials(ctx, 9999, nil), store.ErrNotFound)
	must(t, s.RemoveUser(ctx, alice.Key))
	if got, err := s.Credentials(ctx, alice.ID); err != nil || len(got) != 0 {
		t.Errorf("got %+v, %v; want none after the user is gone", got, err)
	}
	must(t, s.SetCredentials(ctx, bob.ID, taken))
}

func testAliases(t *testing.T, s store.Store) {
	ctx := t.Context()
	Add(t, s, "alice")
	bob := Add(t, s, "bob")
	for _, a := range []*store.Alias{
		{Alias: "sales@example.com", PrimaryUser: "bob@example.com", Kind: store.Group, Priority: 2},
		{Alias: "sales@example.com", PrimaryUser: "alice@example.com", Kind: store.Group, Priority: 1},
		{Alias: "100@example.com", PrimaryUser: "bob@example.com"},
	} {
		must(t, s.AddAlias(ctx, a))
		if a.ID == 0 {
			t.Errorf("alias %s got no id", a.Alias)
		}
	}
	text := func(alias string) string {
		t.Helper()
		list, err := s.Aliases(ctx, alias)
		must(t, err)
		var b strings.Builder
		for _, a := range list {
			fmt.Fprintf(&b, "%s>%s %s %d;", a.Alias, a.PrimaryUser.User(), a.Kind, a.Priority)
		}
		return b.String()
	}
	user := func(a sipaddr.AOR) string { return a.User() }
	sales := fmt.Sprintf("sales@example.com>%s group 1;sales@example.com>%s group 2;", user("alice@example.com"), user("bob@example.com"))
	if got, want := text(""), fmt.Sprintf("100@example.com>%s alias 0;", user("bob@example.com"))+sales; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := text("sales@example.com"); got != sales {
		t.Errorf("got %q, want %q", got, sales)
	}
	wantErr(t, "again", s.AddAlias(ctx, &store.Alias{Alias: "100@example.com", PrimaryUser: "bob@example.com"}), store.ErrExists)
	wantErr(t, "of nobody", s.AddAlias(ctx, &store.Alias{Alias: "101@example.com", PrimaryUser: "x@example.com"}), store.ErrNotFound)
	wantErr(t, "without domain", s.AddAlias(ctx, &store.Alias{Alias: "101", PrimaryUser: "bob@example.com"}), store.ErrInvalid)
	bob.Key = "robert@example.com"
	must(t, s.UpdateUser(ctx, bob))
	if list, err := s.Aliases(ctx, "100@example.com"); err != nil || len(list) != 1 || list[0].PrimaryUser != bob.Key {
		t.Errorf("got %v, %v; want the alias to follow its user's new key", list, err)
	}
	must(t, s.RemoveAlias(ctx, "sales@example.com", "alice@example.com"))
	wantErr(t, "remove again", s.RemoveAlias(ctx, "sales@example.com", "alice@example.com"), store.ErrNotFound)
	must(t, s.RemoveAlias(ctx, "sales@example.com", ""))
	must(t, s.RemoveUser(ctx, bob.Key))
	if got := text(""); got != "" {
		t.Errorf("got %q, want no alias after its user is gone", got)
	}
}

func testClasses(t *testing.T, s store.Store) {
	ctx := t.Context()
	for _, name := range []string{"staff", "guest"} {
		_, err := s.AddClass(ctx, name)
		must(t, err)
	}
	_, err := s.AddClass(ctx, "staff")
	wantErr(t, "again", err, store.ErrExists)
	for _, name := range []string{"", "*", "null"} {
		_, err := s.AddClass(ctx, name)
		wantErr(t, "not a name "+name, err, store.ErrInvalid)
	}
	list, err := s.Classes(ctx)
	must(t, err)
	if len(list) != 2 || list[0].Name != "guest" || list[1].Name != "staff" {
		t.Errorf("got %v, want guest and staff", list)
	}
}

func imports(names ...string) []store.ImportUser {
	var us []store.ImportUser
	for _, n := range names {
		us = append(us, store.ImportUser{
			User: store.User{Key: sipaddr.AOR(n + "@" + domain), Realm: domain, DisplayName: n},
			Credentials: []store.Credential{
				{Username: n, Realm: domain, HA1: HA1(n, store.MD5)},
				{Username: n + "@" + domain, Realm: domain, HA1: HA1(n, store.MD5)},
			},
		})
	}
	return us
}

func testBulk(t *testing.T, s store.Store) {
	ctx := t.Context()
	srv := firstServer(t, s)
	Add(t, s, "alice")
	_, seq, err := s.Load(ctx, "", (&store.Tables{}).Sink())
	must(t, err)
	last := 0
	must(t, s.BulkUsers(ctx, imports("dave", "carol"), func(done int) { last = done }))
	if last != 2 {
		t.Errorf("got progress %d, want 2", last)
	}
	d, err := s.Delta(ctx, srv.ID, seq)
	must(t, err)
	if !d.Full || d.Seq != seq+1 {
		t.Errorf("got full %v seq %d, want one change that asks for a full load, seq %d", d.Full, d.Seq, seq+1)
	}
	u, err := s.User(ctx, "carol@example.com")
	must(t, err)
	creds, err := s.Credentials(ctx, u.ID)
	must(t, err)
	if u.DisplayName != "carol" || u.CreatedAt.IsZero() || len(creds) != 2 || creds[0].Username != "carol" || creds[1].HA1 != HA1("carol", store.MD5) {
		t.Errorf("got %+v %+v, want Carol with two credentials", u, creds)
	}
	wantErr(t, "one is there", s.BulkUsers(ctx, imports("erin", "alice", "frank"), nil), store.ErrExists)
	_, err = s.User(ctx, "erin@example.com")
	wantErr(t, "all or nothing", err, store.ErrNotFound)
	taken := imports("gina")
	taken[0].Credentials[0].Username = "alice"
	err = s.BulkUsers(ctx, taken, nil)
	wantErr(t, "credential of another", err, store.ErrExists)
	if err != nil && !strings.Contains(err.Error(), "alice") {
		t.Errorf("got %q, want it to name alice", err)
	}
	bad := imports("heidi")
	bad[0].User.Realm = ""
	wantErr(t, "bad row", s.BulkUsers(ctx, bad, nil), store.ErrInvalid)
	must(t, s.BulkUsers(ctx, nil, nil))
	bob := Add(t, s, "bob") // Changes are noted one by one again.
	_, seq, err = s.Load(ctx, "", (&store.Tables{}).Sink())
	must(t, err)
	must(t, s.UpdateUser(ctx, bob))
	if d, err := s.Delta(ctx, srv.ID, seq); err != nil || d.Full || len(d.UserIDs) != 1 {
		t.Errorf("got %+v, %v; want one changed user", d, err)
	}
}

func testLoad(t *testing.T, s store.Store) {
	ctx := t.Context()
	srv := firstServer(t, s)
	second, err := s.AddServer(ctx, "second")
	must(t, err)
	must(t, s.SetSetting(ctx, srv.ID, "Expires", "1800"))
	must(t, s.SetSetting(ctx, second.ID, "Expires", "900"))
	must(t, s.AddDomain(ctx, &store.Domain{Name: domain}))
	must(t, s.AddDomain(ctx, &store.Domain{Name: "second.example.com", ServerID: second.ID}))
	alice := Add(t, s, "alice")
	must(t, s.AddAlias(ctx, &store.Alias{Alias: "100@example.com", PrimaryUser: alice.Key}))
	var got store.Tables
	server, seq, err := s.Load(ctx, srv.Name, got.Sink())
	must(t, err)
	if server != srv || seq == 0 {
		t.Errorf("got server %v seq %d, want %v and some seq", server, seq, srv)
	}
	if !maps.Equal(got.Settings, map[string]string{"Expires": "1800"}) || len(got.Domains) != 1 || len(got.Users) != 1 ||
		len(got.Credentials) != 1 || len(got.Aliases) != 1 {
		t.Fatalf("got %+v, want one row each", got)
	}
	if got.Users[0].ID != alice.ID || got.Credentials[0].UserID != alice.ID || got.Credentials[0].HA1 != HA1("alice", store.MD5) ||
		got.Aliases[0].PrimaryUser != alice.Key {
		t.Errorf("got %+v, want Alice", got)
	}
	var other store.Tables
	_, _, err = s.Load(ctx, "second", other.Sink())
	must(t, err)
	if len(other.Domains) != 2 || other.Settings["Expires"] != "900" {
		t.Errorf("got %+v, want both domains and the second server's setting", other)
	}
}

func testDelta(t *testing.T, s store.Store) {
	ctx := t.Context()
	srv := firstServer(t, s)
	alice, bob := Add(t, s, "alice"), Add(t, s, "bob")
	_, seq, err := s.Load(ctx, "", (&store.Tables{}).Sink())
	must(t, err)
	step := func(what string) *store.Delta {
		t.Helper()
		d, err := s.Delta(ctx, srv.ID, seq)
		must(t, err)
		if d.Full || d.Seq <= seq {
			t.Fatalf("%s: got %+v after seq %d, want changes", what, d, seq)
		}
		seq = d.Seq
		return d
	}
	if d, err := s.Delta(ctx, srv.ID, seq); err != nil || !d.Empty() || d.Seq != seq {
		t.Errorf("got %+v, %v; want nothing", d, err)
	}
	alice.DisplayName = "Alice"
	must(t, s.UpdateUser(ctx, alice))
	d := step("user")
	if !slices.Equal(d.UserIDs, []int64{alice.ID}) || len(d.Users) != 1 || d.Users[0].DisplayName != "Alice" || len(d.Credentials) != 1 || d.DomainsChanged || d.SettingsChanged {
		t.Errorf("user changed: got %+v", d)
	}
	must(t, s.SetCredentials(ctx, alice.ID, nil))
	must(t, s.RemoveUser(ctx, bob.Key))
	d = step("credentials and removal")
	slices.Sort(d.UserIDs)
	if !slices.Equal(d.UserIDs, []int64{alice.ID, bob.ID}) || len(d.Users) != 1 || d.Users[0].ID != alice.ID || len(d.Credentials) != 0 {
		t.Errorf("credentials and removal: got %+v", d)
	}
	must(t, s.AddAlias(ctx, &store.Alias{Alias: "100@example.com", PrimaryUser: alice.Key}))
	must(t, s.AddAlias(ctx, &store.Alias{Alias: "101@example.com", PrimaryUser: alice.Key}))
	must(t, s.RemoveAlias(ctx, "101@example.com", ""))
	d = step("aliases")
	slices.Sort(d.AliasNames)
	if !slices.Equal(d.AliasNames, []string{"100@example.com", "101@example.com"}) || len(d.Aliases) != 1 || d.Aliases[0].Alias != "100@example.com" || len(d.UserIDs) != 0 {
		t.Errorf("aliases: got %+v", d)
	}
	must(t, s.AddDomain(ctx, &store.Domain{Name: domain}))
	if d = step("domains"); !d.DomainsChanged || len(d.Domains) != 1 || len(d.UserIDs) != 0 {
		t.Errorf("domains: got %+v", d)
	}
	must(t, s.SetSetting(ctx, srv.ID, "Expires", "1800"))
	if d = step("settings"); !d.SettingsChanged || d.Settings["Expires"] != "1800" {
		t.Errorf("settings: got %+v", d)
	}
	if d, err := s.Delta(ctx, srv.ID, seq+100); err != nil || !d.Full {
		t.Errorf("from the future: got %+v, %v; want a full load", d, err)
	}
}

func testWatch(t *testing.T, s store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	notes := make(chan struct{}, 100)
	ended := make(chan error, 1)
	go func() { ended <- s.Watch(ctx, func() { notes <- struct{}{} }) }()
	note := func(what string) {
		t.Helper()
		select {
		case <-notes:
		case err := <-ended:
			t.Fatalf("%s: watch ended: %v", what, err)
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: not told", what)
		}
	}
	note("begin")
	for i := range 3 {
		Add(t, s, fmt.Sprint("user", i))
		note("user added")
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context canceled", err)
	}
}

func testTrim(t *testing.T, s store.Store) {
	ctx := t.Context()
	srv := firstServer(t, s)
	Add(t, s, "alice")
	_, seq, err := s.Load(ctx, "", (&store.Tables{}).Sink())
	must(t, err)
	must(t, s.TrimChanges(ctx, time.Now().Add(time.Minute)))
	if d, err := s.Delta(ctx, srv.ID, seq); err != nil || !d.Empty() {
		t.Errorf("after trim: got %+v, %v; want nothing new", d, err)
	}
	Add(t, s, "bob")
	if d, err := s.Delta(ctx, srv.ID, seq); err != nil || len(d.Users) != 1 {
		t.Errorf("after trim and a change: got %+v, %v; want Bob", d, err)
	}
}

func testLog(t *testing.T, s store.Store) {
	ctx := t.Context()
	var rows []store.LogRow
	for i := range 1100 { // Postgres: more than one way to write them
		rows = append(rows, store.LogRow{
			Time: time.Now(), Method: "INVITE", Status: 200, RequestURL: "sip:bob@example.com", CallID: "a", From: "sip:alice@example.com",
			To: "sip:bob@example.com", Server: "sipd", CSeq: 1, FromTag: "f", ToTag: "t", AuthUser: "alice", Source: "192.0.2.1:5060",
			NextHop: "192.0.2.2:5060", Class: "staff", Duration: 1500 * time.Millisecond, EventID: fmt.Sprint("e", i),
		})
	}
	must(t, s.AppendLog(ctx, rows[:1]))
	must(t, s.AppendLog(ctx, rows[:300]))
	must(t, s.AppendLog(ctx, rows))
	must(t, s.AppendLog(ctx, rows))
	must(t, s.AppendLog(ctx, nil))
	must(t, s.AppendLog(ctx, []store.LogRow{{Time: time.Now(), Method: "BYE\x00\xff", Status: 200, EventID: "odd"}}))
}

func testCancelled(t *testing.T, s store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := s.Load(ctx, "", (&store.Tables{}).Sink())
	wantErr(t, "load", err, context.Canceled)
	_, err = s.User(ctx, "alice@example.com")
	wantErr(t, "user", err, context.Canceled)
	wantErr(t, "add", s.AddUser(ctx, &store.User{Key: "alice@example.com", Realm: domain}, nil), context.Canceled)
	_, err = s.User(t.Context(), "alice@example.com")
	wantErr(t, "nothing was added", err, store.ErrNotFound)
}

func asLocation(t *testing.T, s store.Store) location.Store {
	t.Helper()
	l, ok := s.(location.Store)
	if !ok {
		t.Fatal("it keeps no contacts: every store is a location.Store")
	}
	return l
}
