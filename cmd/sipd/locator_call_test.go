package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestCallsAskLocator: a running server runs the program of Locator for users that nobody knows, sends calls where it says, tells of it in
// /status, and follows the setting.
func TestCallsAskLocator(t *testing.T) {
	phone, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer phone.Close()
	dir := t.TempDir()
	program := filepath.Join(dir, "locate")
	text := fmt.Sprintf("#!/bin/sh\ncase $SIPD_AOR in frank@example.com) echo \"sip:$SIPD_METHOD@%s\";; esac\necho ttl 0\n", phone.LocalAddr())
	if err := os.WriteFile(program, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	d, socket := database(t), filepath.Join(dir, "admin.sock")
	db, err := sql.Open("sqlite", strings.TrimPrefix(d, "-Dsqlite:")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	set := func(value string) {
		t.Helper()
		for _, s := range []string{"DELETE FROM server_settings WHERE name = 'Locator'",
			"INSERT INTO server_settings (server_id, name, value) SELECT id, 'Locator', '" + value + "' FROM servers"} {
			if _, err := db.ExecContext(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
	}
	set("exec:" + program)
	r := start(t, d, "--listen", "udp:127.0.0.1:0", "--admin", "unix:"+socket, "--set", "AuthMethod=none")
	caller, err := net.Dial("udp", strings.TrimPrefix(r.addrs[0], "udp:"))
	if err != nil {
		t.Fatal(err)
	}
	defer caller.Close()
	n := 0
	send := func(user string) {
		t.Helper()
		n++
		if _, err := fmt.Fprintf(caller, "MESSAGE sip:%s@example.com SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%d;rport\r\nFrom: <sip:alice@elsewhere.example>;tag=1\r\n"+
			"To: <sip:%s@example.com>\r\nCall-ID: %d\r\nCSeq: 1 MESSAGE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n", user, caller.LocalAddr(), n, user, n); err != nil {
			t.Fatal(err)
		}
	}
	read := func(c net.PacketConn) (text string, from net.Addr) {
		t.Helper()
		if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 4096)
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			t.Fatalf("nothing came: %v\n%s", err, r.log)
		}
		return string(buf[:n]), from
	}
	want := func(user, answer string) {
		t.Helper()
		send(user)
		if got, _ := read(caller.(*net.UDPConn)); !strings.HasPrefix(got, answer) {
			t.Errorf("got %q of %s, want %s", got, user, answer)
		}
	}
	send("frank")
	request, server := read(phone)
	line, rest, _ := strings.Cut(request, "\r\n")
	if want := "MESSAGE sip:MESSAGE@" + phone.LocalAddr().String() + " SIP/2.0"; line != want {
		t.Errorf("got %q, want %q", line, want)
	}
	if _, err := phone.WriteTo([]byte("SIP/2.0 200 OK\r\n"+rest), server); err != nil {
		t.Fatal(err)
	}
	if got, _ := read(caller.(*net.UDPConn)); !strings.HasPrefix(got, "SIP/2.0 200 ") {
		t.Errorf("got %q, want the 200", got)
	}
	want("nobody", "SIP/2.0 404 ")
	var st struct {
		Locator *struct {
			Locator          string
			Answered, Failed int
		}
	}
	status := func() {
		t.Helper()
		client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}}}
		resp, err := client.Get("http://sipd/status")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		st.Locator = nil
		if err := json.NewDecoder(resp.Body).Decode(&st); err != nil {
			t.Fatal(err)
		}
	}
	status()
	if l := st.Locator; l == nil || l.Locator != "exec:"+program || l.Answered != 2 || l.Failed != 0 {
		t.Errorf("got locator %+v, want %s with two answers", l, program)
	}
	set("off")
	for end := time.Now().Add(patience); st.Locator != nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("got locator %+v, want none: it has been switched off", st.Locator)
		}
		status()
	}
	want("frank", "SIP/2.0 404 ")
}
