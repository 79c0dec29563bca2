package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// rings calls alice from a stranger and tells whether her phone, which listens on c, gets the INVITE. It is busy.
func rings(t *testing.T, server, call string, c net.PacketConn) bool {
	t.Helper()
	caller, err := net.Dial("udp", server)
	if err != nil {
		t.Fatal(err)
	}
	defer caller.Close()
	me := caller.LocalAddr().String()
	_, err = fmt.Fprintf(caller, "INVITE sip:alice@example.com SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bKi%s;rport\r\nFrom: <sip:x@elsewhere.invalid>;tag=1\r\n"+
		"To: <sip:alice@example.com>\r\nCall-ID: %s-%s\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContact: <sip:x@%s>\r\nContent-Length: 0\r\n\r\n", me, call, call, me, me)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	var n int
	var from net.Addr
	for !strings.HasPrefix(string(buf[:n]), "INVITE ") { // Before it the ACK of the last one.
		if n, from, err = c.ReadFrom(buf); err != nil {
			t.Fatalf("no call reaches the phone: %v", err)
		}
	}
	busy := "SIP/2.0 486 Busy Here\r\nContent-Length: 0\r\n"
	for line := range strings.Lines(string(buf[:n])) {
		if name, _, _ := strings.Cut(line, ":"); name == "Via" || name == "From" || name == "To" || name == "Call-ID" || name == "CSeq" {
			busy += line
		}
	}
	if _, err := c.WriteTo([]byte(busy+"\r\n"), from); err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(buf[:n]), "Call-ID: "+call+"-")
}

// get reads a page of the health listener on a unix socket.
func get(t *testing.T, socket, path string) string {
	t.Helper()
	client := http.Client{Timeout: patience, Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://sipd" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// eventually waits until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// A server whose database cannot be used when it starts serves calls with what it knew and refuses registrations; when the database is
// there again it takes over.
func TestStartWithoutDatabase(t *testing.T) {
	aside := func(path string) string { return path + ".aside" }
	move := func(t *testing.T, from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	version := func(t *testing.T, path, statement string) {
		t.Helper()
		db, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name       string
		away, back func(t *testing.T, path string)
		want       string // in what /readyz says
	}{
		{"the file is gone",
			func(t *testing.T, path string) { move(t, path, aside(path)) },
			func(t *testing.T, path string) { move(t, aside(path), path) }, "there is no database file"},
		{"the file is damaged",
			func(t *testing.T, path string) {
				move(t, path, aside(path))
				writeFile(t, path, strings.Repeat("this is no database ", 1000))
			},
			func(t *testing.T, path string) { move(t, aside(path), path) }, "not a database"},
		{"the tables are newer",
			func(t *testing.T, path string) {
				version(t, path, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)")
			},
			func(t *testing.T, path string) {
				version(t, path, "DELETE FROM goose_db_version WHERE version_id = 9999")
			}, "newer"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := database(t)
			path := strings.TrimPrefix(d, "-Dsqlite:")
			must(t, "user", "add", "alice@example.com", "-p", "secret", "-a", "never", d)
			r := start(t, d, "--listen", "udp:127.0.0.1:0", "--admin", "off")
			server := strings.TrimPrefix(r.addrs[0], "udp:")
			phone := registeredPhone(t, server)
			if code := r.stop(); code != exitDone {
				t.Fatalf("got exit status %d: %s", code, r.log)
			}
			tt.away(t, path)

			socket := filepath.Join(t.TempDir(), "admin.sock")
			r = start(t, d, "--listen", "udp:"+server, "--admin", "unix:"+socket)
			if page := get(t, socket, "/readyz"); !strings.Contains(page, `"ready":true`) || !strings.Contains(page, "ago: ") || !strings.Contains(page, tt.want) || !strings.Contains(page, "503") {
				t.Errorf("/readyz: got %s, want ready with the age of the tables, %q and that registrations are refused", page, tt.want)
			}
			if !strings.Contains(r.log.String(), "started without the database") || !strings.Contains(r.log.String(), tt.want) {
				t.Errorf("got the log %s, want that and why the server started without its database", r.log)
			}
			if !rings(t, server, "away", phone) {
				t.Error("without the database: the call does not reach the phone")
			}
			if got := register(t, server, "secret"); !strings.HasPrefix(got, "SIP/2.0 503 ") || !strings.Contains(got, "\r\nRetry-After: ") {
				t.Errorf("without the database: got %q, want 503 with Retry-After", got)
			}
			tt.back(t, path)
			eventually(t, "registrations are taken", func() bool { return strings.HasPrefix(register(t, server, "secret"), "SIP/2.0 200 ") })
			if out := must(t, "reg", "list", d); strings.Count(out, "sip:alice@") < 2 {
				t.Errorf("reg list: got %q, want the old contact and the new one", out)
			}
			if !strings.Contains(r.log.String(), "the database is there") {
				t.Errorf("got the log %s, want that the database is there", r.log)
			}
			eventually(t, "/readyz has nothing to say", func() bool { return strings.Contains(get(t, socket, "/readyz"), `"reasons":[]`) })
			if code := r.stop(); code != exitDone {
				t.Errorf("got exit status %d: %s", code, r.log)
			}
		})
	}
}

// registeredPhone is a socket that alice is registered with.
func registeredPhone(t *testing.T, server string) net.PacketConn {
	t.Helper()
	phone, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { phone.Close() })
	if got := registerAt(t, server, "secret", phone.LocalAddr().String()); !strings.HasPrefix(got, "SIP/2.0 200 ") {
		t.Fatalf("got %q, want 200", got)
	}
	return phone
}

// Tables that a newer program changes while the server runs are left alone; calls go on, and the log says it once.
func TestTablesBecomeNewer(t *testing.T) {
	d := database(t)
	must(t, "user", "add", "alice@example.com", "-p", "secret", "-a", "never", d)
	r := start(t, d, "--listen", "udp:127.0.0.1:0", "--admin", "off")
	server := strings.TrimPrefix(r.addrs[0], "udp:")
	phone := registeredPhone(t, server)
	db, err := sql.Open("sqlite", strings.TrimPrefix(d, "-Dsqlite:")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	change := func(statement string) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	change("INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)")
	change("ALTER TABLE contacts RENAME COLUMN methods TO methods_known")
	r.waitFor(t, "changed by a newer sipd")
	if got := register(t, server, "secret"); !strings.HasPrefix(got, "SIP/2.0 503 ") {
		t.Errorf("got %q, want 503", got)
	}
	if !rings(t, server, "newer", phone) {
		t.Error("the call does not reach the phone")
	}
	change("ALTER TABLE contacts RENAME COLUMN methods_known TO methods")
	change("DELETE FROM goose_db_version WHERE version_id = 9999")
	eventually(t, "registrations are taken", func() bool { return strings.HasPrefix(register(t, server, "secret"), "SIP/2.0 200 ") })
	if n := strings.Count(r.log.String(), "changed by a newer sipd"); n != 1 {
		t.Errorf("the log says it %d times, want once: %s", n, r.log)
	}
	if code := r.stop(); code != exitDone {
		t.Errorf("got exit status %d: %s", code, r.log)
	}
}

// Where nothing is kept on disk, or nothing was, a server without a database ends as it always did. A copy of another database is
// not used, and two servers do not share a folder.
func TestStartWithoutDatabaseOrCopy(t *testing.T) {
	d := database(t)
	path := strings.TrimPrefix(d, "-Dsqlite:")
	start(t, d, "--listen", "udp:127.0.0.1:0", "--admin", "off").stop()
	writeFile(t, path, "damaged")
	state := t.TempDir()
	pg := "-Dpostgres://sipd@127.0.0.1:1/sipd"
	expect(t, []expectation{
		{"switched off", []string{"run", d, "--set", "StateDir=off", "--listen", "udp:127.0.0.1:0", "--admin", "off"}, exitFailed, "StateDir is off"},
		{"nothing there yet", []string{"run", d, "--set", "StateDir=" + state, "--listen", "udp:127.0.0.1:0", "--admin", "off"}, exitFailed, "not a database"},
		{"another database's", []string{"run", pg, "--set", "StateDir=" + strings.TrimSuffix(path, ".db") + ".state", "--listen", "udp:127.0.0.1:0", "--admin", "off"}, exitFailed, "it is of the database sqlite:"},
		{"no folder", []string{"run", pg, "--listen", "udp:127.0.0.1:0", "--admin", "off"}, exitFailed, "StateDirectory=sipd"},
	})
	other := database(t)
	start(t, other, "--set", "StateDir="+state, "--listen", "udp:127.0.0.1:0", "--admin", "off")
	expect(t, []expectation{
		{"another server's folder", []string{"run", database(t), "--set", "StateDir=" + state, "--listen", "udp:127.0.0.1:0", "--admin", "off"}, exitUsage, "write another StateDir"},
	})
}

// The folder and what is in it are the owner's alone.
func TestStateIsPrivate(t *testing.T) {
	d := database(t)
	start(t, d, "--listen", "udp:127.0.0.1:0", "--admin", "off").stop()
	state := strings.TrimSuffix(strings.TrimPrefix(d, "-Dsqlite:"), ".db") + ".state"
	entries, err := os.ReadDir(state)
	if err != nil || len(entries) < 3 {
		t.Fatalf("got %v, %v; want the files of tables and bindings, and the lock", entries, err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: got mode %v, %v; want 0600", e.Name(), info.Mode().Perm(), err)
		}
	}
	if info, err := os.Stat(state); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("got mode %v, %v; want 0700", info.Mode().Perm(), err)
	}
}

// Rows of the request log that cannot be written wait on disk, also across a restart without the database, and stand in it once when it
// is there.
func TestRequestLogWaits(t *testing.T) {
	d := database(t)
	path := strings.TrimPrefix(d, "-Dsqlite:")
	queue := filepath.Join(t.TempDir(), "queue")
	must(t, "user", "add", "alice@example.com", "-p", "secret", "-a", "never", d)
	listen := []string{d, "--listen", "udp:127.0.0.1:0", "--admin", "off", "--set", "LogQueueDir=" + queue}
	r := start(t, listen...)
	server := strings.TrimPrefix(r.addrs[0], "udp:")
	phone := registeredPhone(t, server)
	r.stop()
	if err := os.Rename(path, path+".aside"); err != nil {
		t.Fatal(err)
	}
	for i := range 2 { // The second start finds what the first one left.
		r = start(t, listen...)
		server = strings.TrimPrefix(r.addrs[0], "udp:")
		if !rings(t, server, fmt.Sprint("waits", i), phone) {
			t.Error("without the database: the call does not reach the phone")
		}
		if code := r.stop(); code != exitDone {
			t.Errorf("got exit status %d: %s", code, r.log)
		}
	}
	if names, err := filepath.Glob(filepath.Join(queue, "requestlog-*")); err != nil || len(names) != 2 {
		t.Errorf("got the files %v, %v; want one of each run", names, err)
	}
	if err := os.Rename(path+".aside", path); err != nil {
		t.Fatal(err)
	}
	start(t, listen...)
	db, err := sql.Open("sqlite", path+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	eventually(t, "both calls stand in the log", func() bool {
		var n int
		if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM requestlog WHERE method = 'INVITE' AND sip_status = 486").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n == 2
	})
	eventually(t, "the files are gone", func() bool {
		names, err := filepath.Glob(filepath.Join(queue, "requestlog-*"))
		return err == nil && len(names) == 0
	})
}
