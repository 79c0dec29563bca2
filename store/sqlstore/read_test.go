package sqlstore_test

import (
	"strings"
	"testing"

	"sipd/store"
)

// Load takes rows as one text each: whatever a hand has typed, it comes as it is or as something that the checks refuse.
func TestLoadCutsRows(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		db := ready(t, url)
		plain, _ := raw(t, url)
		u := store.User{Key: "al ice@example.com", Realm: "a|b,c", DisplayName: `"A" 'b' \ ü`, Email: "a@b", AuthPolicy: store.Requested, DefaultAction: store.Redirect,
			IsAdmin: true, Disabled: true, MayUploadCGI: true, MaxContacts: 7}
		if _, err := plain.Exec(`INSERT INTO users (user_key, realm, display_name, email, auth_policy, default_action, is_admin, disabled, may_upload_cgi, max_contacts)
			VALUES ($1, $2, $3, $4, 'requested', 'redirect', '1', '1', '1', 7), ('bob@example.com', 'r', '', '', 'required', NULL, '0', '0', '0', NULL),
			('eve@example.com', 'r', $5, '', 'never', NULL, '0', '0', '0', NULL)`, string(u.Key), u.Realm, u.DisplayName, u.Email, "a\x1fb"); err != nil {
			t.Fatal(err)
		}
		if _, err := plain.Exec(`INSERT INTO credentials (user_id, auth_username, realm, algorithm, ha1)
			SELECT id, 'a b', 'r', 'SHA-256', 'zz' FROM users WHERE user_key = 'bob@example.com' UNION ALL
			SELECT id, $1, 'r', 'MD5', '' FROM users WHERE user_key = 'bob@example.com'`, "x\x1fy"); err != nil {
			t.Fatal(err)
		}
		var tab store.Tables
		if _, _, err := db.Load(t.Context(), "", tab.Sink()); err != nil {
			t.Fatal(err)
		}
		if len(tab.Users) != 3 || len(tab.Credentials) != 2 {
			t.Fatalf("got %d users and %d credentials, want 3 and 2", len(tab.Users), len(tab.Credentials))
		}
		u.ID = tab.Users[0].ID
		if tab.Users[0] != u {
			t.Errorf("got %+v, want %+v", tab.Users[0], u)
		}
		if want := (store.User{ID: tab.Users[1].ID, Key: "bob@example.com", Realm: "r"}); tab.Users[1] != want {
			t.Errorf("got %+v, want %+v", tab.Users[1], want)
		}
		if err := tab.Users[2].Check(); tab.Users[2].ID == 0 || err == nil || !strings.Contains(err.Error(), "control character") {
			t.Errorf("a separator in a name: got %+v, %v; want a control character refused", tab.Users[2], err)
		}
		for _, c := range tab.Credentials {
			if c.UserID != tab.Users[1].ID {
				t.Errorf("got user %d, want %d", c.UserID, tab.Users[1].ID)
			}
			if strings.Contains(c.Username, "\x1f") {
				if err := c.Check(); err == nil {
					t.Error("a separator in an auth_username: got no error")
				}
			} else if want := (store.Credential{UserID: c.UserID, Username: "a b", Realm: "r", Algorithm: store.SHA256, HA1: "zz"}); c != want {
				t.Errorf("got %+v, want %+v", c, want)
			}
		}
	})
}
