package provision_test

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"sipd/store"
	"sipd/store/provision"
	"sipd/store/storetest"
)

func filled(t *testing.T) *storetest.Mem {
	t.Helper()
	st := storetest.New()
	for _, d := range []store.Domain{
		{Name: "example.com", Realm: "campus"},
		{Name: "pbx.example.com", Canonical: "example.com"},
		{Name: "192.0.2.1", Kind: store.IP, Canonical: "example.com"},
		{Name: "2001:db8::1", Kind: store.IP},
		{Name: `.*\.lab`, Kind: store.Regex, Canonical: "example.com"},
	} {
		if err := st.AddDomain(t.Context(), &d); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := st.AddClass(t.Context(), "staff"); err != nil {
		t.Fatal(err)
	}
	return st
}

func TestResolve(t *testing.T) {
	st := filled(t)
	rows, err := st.Domains(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ in, want, err string }{
		{"alice@example.com", "alice@example.com", ""},
		{"sip:Alice@EXAMPLE.com.;transport=udp", "Alice@example.com", ""},
		{"alice@pbx.example.com", "alice@example.com", ""},
		{"alice@192.0.2.1", "alice@example.com", ""},
		{"alice@[2001:DB8:0::1]", "alice@[2001:db8::1]", ""},
		{"alice@a.b.lab", "alice@example.com", ""},
		{"alice@example.org", "", "sipd domain add example.org"},
		{"alice@lab", "", "sipd domain add lab"},
		{"alice", "", "alice@example.com"},
		{"sip:example.com", "", "write user@domain"},
	}
	for _, tt := range tests {
		got, _, err := provision.Domains(rows).Resolve(tt.in)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("Resolve(%q): got error %v, want %q", tt.in, err, tt.err)
			}
			continue
		}
		if err != nil || string(got) != tt.want {
			t.Errorf("Resolve(%q): got %q, %v, want %q", tt.in, got, err, tt.want)
		}
	}
}

func TestCredentials(t *testing.T) {
	got := provision.Credentials("alice@example.com", "campus", "pw", []store.Algorithm{store.SHA256, store.MD5, store.SHA512_256})
	if len(got) != 6 {
		t.Fatalf("got %d rows, want 6", len(got))
	}
	for i, c := range got {
		if err := c.Check(); err != nil {
			t.Errorf("row %d: %v", i, err)
		}
	}
	sha := sha256.Sum256([]byte("alice:campus:pw"))
	if got[0].Username != "alice" || got[0].HA1 != hex.EncodeToString(sha[:]) {
		t.Errorf("got %+v, want the SHA-256 of alice:campus:pw", got[0])
	}
	md := md5.Sum([]byte("alice@example.com:campus:pw"))
	if got[3].Username != "alice@example.com" || got[3].HA1 != hex.EncodeToString(md[:]) {
		t.Errorf("got %+v, want the MD5 of alice@example.com:campus:pw", got[3])
	}
}

func TestPrepareTakesTheTemplate(t *testing.T) {
	st := filled(t)
	template := store.User{Key: "default@example.com", Realm: "x", AuthPolicy: store.Never, MaxContacts: 3, IsAdmin: true, Disabled: true, DisplayName: "nobody"}
	if err := st.AddUser(t.Context(), &template, nil); err != nil {
		t.Fatal(err)
	}
	u, err := provision.Prepare(t.Context(), st, "bob@pbx.example.com", "")
	if err != nil {
		t.Fatal(err)
	}
	want := store.User{Key: "bob@example.com", Realm: "campus", AuthPolicy: store.Never, MaxContacts: 3}
	if u != want {
		t.Errorf("got %+v, want %+v", u, want)
	}
	if u, err = provision.Prepare(t.Context(), st, "bob@example.com", "other"); err != nil || u.Realm != "other" {
		t.Errorf("got realm %q, %v, want other", u.Realm, err)
	}
}

func TestReadCSV(t *testing.T) {
	st := filled(t)
	text := "\ufeffUser_Key,password,ha1,auth_policy,gateway_class,display_name,email\r\n" +
		"alice@example.com,\" p,w \",,never,staff,\"Alice, A.\",a@example.com\n" +
		"bob@192.0.2.1,,0123456789ABCDEF0123456789abcdef,,,,\n"
	imp, err := provision.ReadCSV(t.Context(), "f.csv", strings.NewReader(text), st, []store.Algorithm{store.MD5})
	if err != nil {
		t.Fatal(err)
	}
	if len(imp.Users) != 2 {
		t.Fatalf("got %d users, want 2", len(imp.Users))
	}
	a, b := imp.Users[0], imp.Users[1]
	md := md5.Sum([]byte("alice:campus: p,w "))
	if a.User.AuthPolicy != store.Never || a.User.DisplayName != "Alice, A." || a.User.GatewayClassID == 0 || a.User.Realm != "campus" || len(a.Credentials) != 2 ||
		a.Credentials[0].HA1 != hex.EncodeToString(md[:]) {
		t.Errorf("got %+v", a)
	}
	if b.User.Key != "bob@example.com" || len(b.Credentials) != 1 || b.Credentials[0].HA1 != "0123456789abcdef0123456789abcdef" || b.Credentials[0].Username != "bob" {
		t.Errorf("got %+v", b)
	}
	if err := st.BulkUsers(t.Context(), imp.Users, nil); err != nil {
		t.Fatal(err)
	}
	more := text + "carol@example.com,secret,,,,,\n"
	imp, err = provision.ReadCSV(t.Context(), "f.csv", strings.NewReader(more), st, []store.Algorithm{store.MD5})
	if err != nil || imp.Known != 2 || len(imp.Users) != 1 || imp.Users[0].User.Key != "carol@example.com" {
		t.Errorf("again, with one more: got %+v, %v; want two that are known and Carol", imp, err)
	}
	_, err = provision.ReadCSV(t.Context(), "f.csv", strings.NewReader(strings.Replace(text, "p,w", "other", 1)), st, []store.Algorithm{store.MD5})
	var line *provision.LineError
	if !errors.As(err, &line) || line.Line != 2 || !errors.Is(err, store.ErrExists) {
		t.Errorf("again with another password: got %v, want line 2 exists", err)
	}
}

// LibreOffice quotes every field, and may put a byte order mark before the first quote.
func TestReadCSVQuotedAfterByteOrderMark(t *testing.T) {
	text := "\ufeff\"user_key\",\"password\"\r\n\"alice@example.com\",\"p w\"\r\n"
	imp, err := provision.ReadCSV(t.Context(), "f.csv", strings.NewReader(text), filled(t), []store.Algorithm{store.MD5})
	if err != nil || len(imp.Users) != 1 || imp.Users[0].User.Key != "alice@example.com" {
		t.Errorf("got %+v, %v, want Alice", imp, err)
	}
}

func TestReadCSVErrors(t *testing.T) {
	const head = "user_key,password,ha1,realm,auth_policy,gateway_class\n"
	good := "a@example.com,pw,,,,\n"
	tests := []struct{ name, text, want string }{
		{"empty", "", "f.csv:1: the file is empty"},
		{"unknown column", "user_key,pasword\n", `f.csv:1: column "pasword"; the columns are user_key, password`},
		{"column twice", "user_key,user_key\n", "f.csv:1: column user_key stands twice"},
		{"no user_key", "password\n", "f.csv:1: no column user_key"},
		{"too few fields", head + good + "b@example.com\n", "f.csv:3: "},
		{"quote", head + good + "\"b@example.com,pw,,,,\n", "f.csv:3: "},
		{"no domain", head + good + "b@example.org,pw,,,,\n", "f.csv:3: no such domain: example.org"},
		{"no user part", head + "example.com,pw,,,,\n", "f.csv:2: "},
		{"no secret", head + "b@example.com,,,,,\n", "f.csv:2: no password and no HA1"},
		{"two secrets", head + "b@example.com,pw,0123456789abcdef0123456789abcdef,,,\n", "f.csv:2: a password and an HA1"},
		{"HA1 too short", head + "b@example.com,,0123,,,\n", "f.csv:2: "},
		{"HA1 not hex", head + "b@example.com,,0123456789abcdef0123456789abcdeX,,,\n", "f.csv:2: "},
		{"policy", head + "b@example.com,pw,,,sometimes,\n", "f.csv:2: auth policy"},
		{"class", head + "b@example.com,pw,,,,students\n", "sipd class add students"},
		{"twice", head + good + "b@example.com,pw,,,,\nA@EXAMPLE.com,pw,,,,\na@pbx.example.com,pw,,,,\n", "f.csv:5: user a@example.com stands in line 2 already"},
		{"name twice in a realm", head + good + "a@[2001:db8::1],pw,,campus,,\n", "f.csv:3: line 2 has the name a in realm campus already"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := provision.ReadCSV(t.Context(), "f.csv", strings.NewReader(tt.text), filled(t), []store.Algorithm{store.MD5})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestPasswords(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		p := provision.RandomPassword()
		if len(p) != 19 || seen[p] {
			t.Fatalf("got %q, want 19 characters, never twice", p)
		}
		if err := provision.CheckPassword(p); err != nil {
			t.Fatal(err)
		}
		seen[p] = true
	}
	for in, want := range map[string]string{"secret\n": "secret", "secret": "secret", " s t \r\nmore\n": " s t ", "": "", "\n": ""} {
		got, err := provision.ReadPassword(strings.NewReader(in))
		if got != want || (err != nil) != (want == "") {
			t.Errorf("ReadPassword(%q): got %q, %v, want %q", in, got, err, want)
		}
	}
	for _, bad := range []string{"", "a\x00b", strings.Repeat("x", 257)} {
		if provision.CheckPassword(bad) == nil {
			t.Errorf("CheckPassword(%q): got no error", bad)
		}
	}
}

// FuzzReadCSV: whatever the bytes, the file is read or a line is named.
func FuzzReadCSV(f *testing.F) {
	f.Add("user_key,password\na@example.com,pw\n")
	f.Add("user_key,ha1\n\"a\"\"@example.com\",0123456789abcdef0123456789abcdef\n")
	st := storetest.New()
	if err := st.AddDomain(f.Context(), &store.Domain{Name: "example.com"}); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		imp, err := provision.ReadCSV(t.Context(), "f", strings.NewReader(text), st, []store.Algorithm{store.MD5})
		var line *provision.LineError
		if err != nil && !errors.As(err, &line) {
			t.Errorf("got %v, want an error with a line", err)
		}
		if err == nil {
			for i := range imp.Users {
				if err := imp.Users[i].User.Check(); err != nil {
					t.Error(err)
				}
			}
		}
	})
}
