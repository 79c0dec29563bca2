package cache_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"sipd/config"
	"sipd/sipaddr"
	"sipd/store"
	"sipd/store/cache"
)

const ha1 = "0123456789abcdef0123456789abcdef"

func tables() store.Tables {
	return store.Tables{
		Domains: []store.Domain{
			{ID: 1, Name: "example.com"},
			{ID: 2, Name: "sip.example.com", Canonical: "example.com"},
			{ID: 3, Name: "192.0.2.1", Kind: store.IP, Canonical: "sip.example.com"},
			{ID: 4, Name: "2001:db8::1", Kind: store.IP, Canonical: "example.com"},
			{ID: 5, Name: `pbx[0-9]+\.example\.net`, Kind: store.Regex, Canonical: "example.net"},
			{ID: 6, Name: "example.net", Realm: "Example Net"},
			{ID: 7, Name: `.*\.example\.net`, Kind: store.Regex, Canonical: "example.com"},
		},
		Users: []store.User{
			{ID: 10, Key: "alice@example.com", Realm: "example.com", DisplayName: "Alice"},
			{ID: 11, Key: "bob@example.com", Realm: "example.com", Disabled: true},
			{ID: 12, Key: "default@example.com", Realm: "example.com"},
		},
		Credentials: []store.Credential{
			{UserID: 10, Username: "alice", Realm: "example.com", HA1: ha1},
			{UserID: 10, Username: "alice@example.com", Realm: "example.com", HA1: strings.Repeat("a", 32)},
			{UserID: 10, Username: "alice", Realm: "example.com", Algorithm: store.SHA256, HA1: strings.Repeat("b", 64)},
			{UserID: 12, Username: "default", Realm: "example.com", HA1: ha1},
		},
		Aliases: []store.Alias{
			{ID: 3, Alias: "sales@example.com", PrimaryUser: "bob@example.com", Priority: 2},
			{ID: 2, Alias: "sales@example.com", PrimaryUser: "alice@example.com", Priority: 1},
			{ID: 4, Alias: "100@example.com", PrimaryUser: "alice@example.com"},
		},
	}
}

func build(t testing.TB, tab store.Tables, s *config.Settings) *cache.Snapshot {
	t.Helper()
	snap, err := cache.Build(tab, s)
	if err != nil {
		t.Fatal(err)
	}
	return snap
}

func TestDomain(t *testing.T) {
	snap := build(t, tables(), &config.Settings{
		ServerName:    "sip.example.com",
		PublicAddress: netip.MustParseAddr("203.0.113.9"),
		Listen:        []config.Listen{{Transport: "udp", Addr: netip.MustParseAddrPort("192.0.2.77:5060")}, {Transport: "udp", Addr: netip.MustParseAddrPort("0.0.0.0:5060")}},
	})
	tests := []struct{ name, host, canonical, realm string }{
		{"exact", "example.com", "example.com", "example.com"},
		{"any case and a dot", "EXAMPLE.Com.", "example.com", "example.com"},
		{"stands for another", "sip.example.com", "example.com", "example.com"},
		{"canonical names are followed", "192.0.2.1", "example.com", "example.com"},
		{"IPv6", "2001:db8::1", "example.com", "example.com"},
		{"IPv6 written at length", "2001:0DB8:0:0::0001", "example.com", "example.com"},
		{"own realm", "example.net", "example.net", "Example Net"},
		{"regex, realm of its canonical", "PBX12.example.net", "example.net", "Example Net"},
		{"regex by id", "pbx.example.net", "example.com", "example.com"},
		{"anchored", "pbx1.example.net.evil.org", "", ""},
		{"anchored at the start", "xpbx1.example.netx", "", ""},
		{"listener", "192.0.2.77", "example.com", "example.com"},
		{"public address", "203.0.113.9", "example.com", "example.com"},
		{"unspecified address", "0.0.0.0", "", ""},
		{"foreign", "example.org", "", ""},
		{"nothing", "", "", ""},
		{"a dot", ".", "", ""},
		{"too long", strings.Repeat("a", 300), "", ""},
		{"not an address", "2001:db8::zz", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := snap.Domain([]byte(tt.host))
			if d == nil {
				d = &cache.Domain{}
			} else if d.Row == nil {
				t.Error("no row")
			}
			if d.Canonical != tt.canonical || d.Realm != tt.realm {
				t.Errorf("got %q realm %q, want %q realm %q", d.Canonical, d.Realm, tt.canonical, tt.realm)
			}
		})
	}
}

func TestUsersAndCredentials(t *testing.T) {
	snap := build(t, tables(), &config.Settings{})
	alice := snap.User([]byte("alice@example.com"))
	if alice.ID != 10 || alice.DisplayName != "Alice" {
		t.Fatalf("got %+v, want Alice", alice)
	}
	if got := snap.UserByID(11); !got.Disabled {
		t.Errorf("got %+v, want Bob, disabled", got)
	}
	if snap.Users() != 2 {
		t.Errorf("got %d users, want 2", snap.Users())
	}
	for _, key := range []string{"default@example.com", "Alice@example.com", "carol@example.com", ""} {
		if u := snap.User([]byte(key)); u.Exists() {
			t.Errorf("%q: got %v, want none", key, u.Key)
		}
	}
	if snap.UserByID(12).Exists() || snap.UserByID(0).Exists() {
		t.Error("got the template or a user without id, want none")
	}
	creds := []struct {
		realm, name string
		alg         store.Algorithm
		want        string
	}{
		{"example.com", "alice", store.MD5, ha1},
		{"example.com", "alice@example.com", store.MD5, strings.Repeat("a", 32)},
		{"example.com", "alice", store.SHA256, strings.Repeat("b", 64)},
		{"example.com", "alice@example.com", store.SHA256, ""},
		{"example.net", "alice", store.MD5, ""},
		{"example.com", "bob", store.MD5, ""},
		{"example.com", "default", store.MD5, ""},
		{"", "", store.MD5, ""},
	}
	for _, tt := range creds {
		c := snap.Credential([]byte(tt.realm), []byte(tt.name), tt.alg)
		got := string(c.AppendHA1(nil))
		if got != "" && c.User.ID != 10 {
			t.Errorf("%s in %s: got %+v", tt.name, tt.realm, c)
		}
		if got != tt.want {
			t.Errorf("%s in %s with %s: got %q, want %q", tt.name, tt.realm, tt.alg, got, tt.want)
		}
	}
}

func TestAliasesAndOwns(t *testing.T) {
	snap := build(t, tables(), &config.Settings{})
	rows := snap.Aliases([]byte("sales@example.com"))
	if len(rows) != 2 || rows[0].PrimaryUser != "alice@example.com" || rows[1].PrimaryUser != "bob@example.com" {
		t.Errorf("got %v, want Alice and Bob by priority", rows)
	}
	alice, bob := snap.UserByID(10), snap.UserByID(11)
	tests := []struct {
		name string
		u    cache.User
		aor  string
		want bool
	}{
		{"key", alice, "alice@example.com", true},
		{"alias", alice, "100@example.com", true},
		{"one of several", bob, "sales@example.com", true},
		{"another's key", alice, "bob@example.com", false},
		{"another's alias", bob, "100@example.com", false},
		{"nobody", cache.User{}, "alice@example.com", false},
	}
	for _, tt := range tests {
		if got := snap.Owns(tt.u, []byte(tt.aor)); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestBadRowsAreNamed(t *testing.T) {
	tests := []struct {
		name   string
		change func(*store.Tables)
		want   string
	}{
		{"broken regex", func(tab *store.Tables) { tab.Domains[4].Name = "pbx[" }, "domains pbx["},
		{"regex without canonical", func(tab *store.Tables) { tab.Domains[4].Canonical = "" }, "write with --canonical"},
		{"unknown canonical", func(tab *store.Tables) { tab.Domains[1].Canonical = "nowhere.org" }, "sipd domain add nowhere.org"},
		{"circle", func(tab *store.Tables) { tab.Domains[0].Canonical = "sip.example.com" }, "circle"},
		{"twice", func(tab *store.Tables) { tab.Domains[5].Name = "Example.com." }, "same domain"},
		{"not an address", func(tab *store.Tables) { tab.Domains[2].Name = "192.0.2.256" }, "write an IPv4 or IPv6 address"},
		{"user without domain", func(tab *store.Tables) { tab.Users[1].Key = "bob" }, "users bob"},
		{"upper case", func(tab *store.Tables) { tab.Users[1].Key = "bob@Example.com" }, "lower case"},
		{"HA1", func(tab *store.Tables) { tab.Credentials[0].HA1 = "secret" }, "credentials alice"},
		{"alias", func(tab *store.Tables) { tab.Aliases[0].Alias = "sales" }, "aliases sales"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tab := tables()
			tt.change(&tab)
			snap, err := cache.Build(tab, &config.Settings{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
			if snap == nil || !snap.User([]byte("alice@example.com")).Exists() || snap.Domain([]byte("example.net")) == nil && tt.name != "twice" {
				t.Error("the good rows are gone")
			}
		})
	}
}

// many returns n users with two credentials each.
func many(n int) store.Tables {
	tab := store.Tables{Domains: []store.Domain{{ID: 1, Name: "example.com"}}}
	for i := range n {
		key := fmt.Sprintf("user%07d@example.com", i)
		id := int64(i + 1)
		tab.Users = append(tab.Users, store.User{ID: id, Key: sipaddr.AOR(key), Realm: "example.com"})
		for _, name := range []string{key[:11], key} {
			tab.Credentials = append(tab.Credentials, store.Credential{UserID: id, Username: name, Realm: "example.com", HA1: fmt.Sprintf("%032x", i)})
		}
	}
	return tab
}

func TestLookupsDoNotAllocate(t *testing.T) {
	tab := many(5000)
	tab.Domains = append(tab.Domains, tables().Domains[4:6]...)
	tab.Domains = append(tab.Domains, store.Domain{ID: 9, Name: "2001:db8::1", Kind: store.IP})
	tab.Aliases = []store.Alias{{ID: 1, Alias: "100@example.com", PrimaryUser: "user0000001@example.com"}}
	snap := build(t, tab, &config.Settings{})
	aor, name, realm := []byte("user0000001@example.com"), []byte("user0000001"), []byte("example.com")
	host, alias, far, v6 := []byte("EXAMPLE.com"), []byte("100@example.com"), []byte("pbx12.example.net"), []byte("2001:DB8:0::1")
	var ok bool
	allocs := testing.AllocsPerRun(100, func() {
		u := snap.User(aor)
		ok = u.Exists() && snap.UserByID(2) == u && snap.Credential(realm, name, store.MD5).Exists() &&
			snap.Domain(host) != nil && len(snap.Aliases(alias)) == 1 && snap.Owns(u, alias) &&
			snap.Domain(far) != nil && snap.Domain(v6) != nil
	})
	if !ok {
		t.Error("something was not found")
	}
	if allocs != 0 && !raceEnabled {
		t.Errorf("got %v allocations, want 0", allocs)
	}
}
