package main

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
)

// TestRowsSpoiltBySQL: what somebody types is named by /status, the last good table stays in force, and neither hinders who drains a gateway.
func TestRowsSpoiltBySQL(t *testing.T) {
	d := database(t)
	must(t, "class", "add", "staff", d)
	must(t, "gateway", "add", "gw1", "sip:192.0.2.7", "--probe", "-1", d)
	must(t, "dialplan", "add", "(9)???????", "tel:+1212$", d)
	must(t, "gatewaymap", "add", "(+1212)???????", "staff", "sip:9$@gw1", d)
	socket := filepath.Join(t.TempDir(), "admin.sock")
	start(t, d, "--listen", "udp:127.0.0.1:0", "--admin", "unix:"+socket)
	db, err := sql.Open("sqlite", strings.TrimPrefix(d, "-Dsqlite:")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, q := range []string{
		`UPDATE dialplan SET pattern = '(9????'`, `UPDATE gatewaymap SET classes = 'nosuch'`,
		`INSERT INTO users (user_key, realm) VALUES ('loop@example.com', 'example.com')`,
		`INSERT INTO aliases (alias, primary_user) VALUES ('loop@example.com', 'loop@example.com')`,
	} {
		if _, err := db.Exec(q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	for _, want := range []string{`dialplan 1: `, `column 1: ( without )`, `gatewaymap 1: `, "there is no gateway class nosuch", "aliases loop@example.com: ", `"problem_rows":3`} {
		eventually(t, "/status says "+want, func() bool { return strings.Contains(get(t, socket, "/status"), want) })
	}
	must(t, "gateway", "drain", "gw1", d)
	if r := call(t, "", "explain", "sip:95551234@example.com", "--class", "staff", d); !strings.Contains(r.err, "note: it is left out here, and a server keeps the last good one: dialplan 1: ") {
		t.Errorf("got %q, want explain to name the rows", r.err)
	}
	expect(t, []expectation{
		{"another rule", []string{"dialplan", "add", "8???", "tel:+1212940$", d}, 2, "row 1 of dialplan, which `sipd dialplan rm 1` removes"},
		{"the rule goes", []string{"dialplan", "rm", "1", d}, 0, "removed rule"},
	})
}
