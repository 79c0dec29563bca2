package main

import (
	"database/sql"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sipd/digest"
	"sipd/store/storetest"
)

// register sends a REGISTER of alice, answers the challenge, and returns the last response.
func register(t *testing.T, addr, password string) string { return registerAt(t, addr, password, "") }

// registerAt is register with a contact other than where it comes from. A server that refuses before it asks who it is, is right, too.
func registerAt(t *testing.T, addr, password, contact string) string {
	t.Helper()
	c, err := net.Dial("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	local := c.LocalAddr().String()
	if contact == "" {
		contact = local
	}
	send := func(cseq int, authorization string) string {
		if authorization != "" {
			authorization = "Authorization: " + authorization + "\r\n"
		}
		_, err := fmt.Fprintf(c, "REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bKr%d;rport\r\nFrom: <sip:alice@example.com>;tag=1\r\n"+
			"To: <sip:alice@example.com>\r\nCall-ID: reg-%s\r\nCSeq: %d REGISTER\r\nMax-Forwards: 70\r\nContact: <sip:alice@%s>\r\n%sContent-Length: 0\r\n\r\n",
			local, cseq, local, cseq, contact, authorization)
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 4096)
		n, err := c.Read(buf)
		if err != nil {
			t.Fatalf("REGISTER: %v", err)
		}
		return string(buf[:n])
	}
	challenged := send(1, "")
	if !strings.HasPrefix(challenged, "SIP/2.0 401 ") {
		t.Fatalf("got %q, want 401", challenged)
	}
	_, header, _ := strings.Cut(challenged, "WWW-Authenticate: ")
	header, _, _ = strings.Cut(header, "\r\n")
	authorization, err := digest.Authorize(header, "alice", password, "REGISTER", "sip:example.com")
	if err != nil {
		t.Fatal(err)
	}
	return send(2, authorization)
}

// The same commands and the same server on Postgres, by the classic's spelling of the URL.
func TestPostgres(t *testing.T) {
	url := storetest.Postgres(t)
	_, rest, _ := strings.Cut(url, "://")
	d := "-Dfastsql://" + rest + "&REFRESH=60"
	expect(t, []expectation{
		{"new", []string{"db", "status", d}, 0, "run `sipd db migrate`"},
		{"migrate", []string{"db", "migrate", d}, 0, "migrations applied"},
		{"domain", []string{"domain", "add", "example.com", d}, 0, "added"},
		{"user", []string{"user", "add", "alice@example.com", "-p", "secret", d}, 0, "added user alice@example.com"},
		{"REFRESH of the URL", []string{"conf", "show", "Refresh", d}, 0, "Refresh  60     REFRESH of the database URL"},
	})
	r := start(t, d, "--listen", "udp:127.0.0.1:0", "--admin", "off")
	addr := strings.TrimPrefix(r.addrs[0], "udp:")
	if got := register(t, addr, "secret"); !strings.HasPrefix(got, "SIP/2.0 200 ") {
		t.Fatalf("got %q, want 200", got)
	}
	if second := call(t, "", "run", d, "--listen", "udp:127.0.0.1:0", "--admin", "off"); second.code != exitUsage || !strings.Contains(second.err, "another sipd") {
		t.Errorf("a second server: got %d, %q, want 2 and that another sipd is there", second.code, second.err)
	}
	// A user added beside the running server can register within a second.
	must(t, "user", "passwd", "alice@example.com", "-p", "changed", d)
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if got := register(t, addr, "changed"); strings.HasPrefix(got, "SIP/2.0 200 ") {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the new password is not known to the server")
		}
	}
	if code := r.stop(); code != exitDone {
		t.Errorf("got exit status %d: %s", code, r.log)
	}
	if out := must(t, "reg", "list", d); !strings.Contains(out, "sip:alice@127.0.0.1") {
		t.Errorf("reg list: got %q, want alice's contact", out)
	}
}

// The whole of it: a user added by command registers, is found by the commands, survives a restart, and stands in the log.
func TestRegisterAndRestart(t *testing.T) {
	d := database(t)
	if r := call(t, "secret\n", "user", "add", "alice@example.com", "-p", "-", d); r.code != 0 {
		t.Fatal(r.err)
	}
	r := start(t, d, "--listen", "udp:127.0.0.1:0", "--admin", "off")
	addr := strings.TrimPrefix(r.addrs[0], "udp:")
	if got := register(t, addr, "wrong"); !strings.HasPrefix(got, "SIP/2.0 40") {
		t.Errorf("wrong password: got %q, want 401 or 403", got)
	}
	if got := register(t, addr, "secret"); !strings.HasPrefix(got, "SIP/2.0 200 ") {
		t.Fatalf("got %q, want 200", got)
	}
	registered := func(when string) {
		t.Helper()
		if out := must(t, "reg", "list", "alice@example.com", d); strings.Count(out, "sip:alice@127.0.0.1") != 1 {
			t.Errorf("reg list %s: got %q, want one contact", when, out)
		}
		out := must(t, "explain", "sip:alice@example.com", "--from", "alice@example.com", d)
		if !strings.Contains(out, "=> proxied to\n   group 1  q=1  sip:alice@127.0.0.1") {
			t.Errorf("explain %s: got %q, want the contact", when, out)
		}
	}
	registered("while the server runs")
	if code := r.stop(); code != exitDone {
		t.Fatalf("got exit status %d: %s", code, r.log)
	}
	registered("after the stop")

	db, err := sql.Open("sqlite", strings.TrimPrefix(d, "-Dsqlite:"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var rows int
	if err := db.QueryRow("SELECT count(*) FROM requestlog WHERE method = 'REGISTER' AND sip_status = 200").Scan(&rows); err != nil || rows != 1 {
		t.Errorf("request log: got %d rows, %v, want the one REGISTER", rows, err)
	}

	r = start(t, d, "--listen", "udp:127.0.0.1:0", "--admin", "off")
	registered("after the restart")
	r.stop()
	if out := must(t, "reg", "rm", "alice@example.com", d); !strings.Contains(out, "removed 1 contacts") {
		t.Errorf("reg rm: got %q, want one removed", out)
	}
}

// A sipd.conf starts a server as -D does, from its own directory.
func TestRunFromAFile(t *testing.T) {
	d := database(t)
	dir := filepath.Dir(strings.TrimPrefix(d, "-Dsqlite:"))
	conf := filepath.Join(dir, "sipd.conf")
	text := "# a comment\nServerRoot       " + dir + "\nUserConfig sqlite:sipd.db\nListen udp:127.0.0.1:0\nAdminListen off\nRequestLog \"@user.info\" \"%t %u\"\nUser #99\n"
	writeFile(t, conf, text)
	r := start(t, "-f", conf)
	if got := options(t, "udp", strings.TrimPrefix(r.addrs[0], "udp:")); !strings.HasPrefix(got, "SIP/2.0 200 ") {
		t.Errorf("got %q, want 200", got)
	}
	if !strings.Contains(r.log.String(), conf+":7: User is accepted") {
		t.Errorf("got the log %s, want a note about User", r.log)
	}
}
