package locator

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// script writes a program for /bin/sh.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "locate")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// locator makes one that is closed at the end.
func locator(t *testing.T, cfg Config) *Locator {
	t.Helper()
	l, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

var bob = Query{AOR: "bob@example.com", Caller: "alice@example.com", Method: "INVITE"}

func TestProgram(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		name, text, want string
		limit            time.Duration // 0 for askTime
	}{
		{"a contact", "echo sip:bob@192.0.2.1 0.5", "sip:bob@192.0.2.1=500", 0},
		{"nobody", "", "", 0},
		{"who is asked for, and by whom", `echo "sip:${SIPD_AOR%@*}@$SIPD_METHOD.${SIPD_CALLER#*@}"`, "sip:bob@INVITE.example.com=1000", 0},
		{"standard input is empty", "cat; echo sip:bob@192.0.2.1", "sip:bob@192.0.2.1=1000", 0},
		{"complaints of one that succeeds", "echo oh >&2; echo sip:bob@192.0.2.1", "sip:bob@192.0.2.1=1000", 0},
		{"it fails", "echo sip:bob@192.0.2.1; printf 'no\\033[31m database\\n' >&2; echo more >&2; exit 3", `locator: no answer: exit status 3: "no\x1b[31m database"`, 0},
		{"it fails in silence", "exit 4", "locator: no answer: exit status 4", 0},
		{"it is killed", "kill -9 $$", "locator: no answer: signal: killed", 0},
		{"it hangs", "echo sip:bob@192.0.2.1; sleep 60 & echo $! >" + dir + "/hangs; wait", "locator: no answer: not within 200ms", 200 * time.Millisecond},
		{"it hangs and does not heed", "trap '' TERM INT HUP; while :; do :; done", "locator: no answer: not within 200ms", 200 * time.Millisecond},
		{"it writes without end", "exec cat /dev/zero", "locator: no answer: it wrote more than 65536 bytes", 10 * time.Second},
		{"it complains without end", "exec cat /dev/zero >&2", "locator: no answer: not within 200ms", 200 * time.Millisecond},
		{"it leaves something behind", "echo sip:bob@192.0.2.1; sleep 60 & echo $! >" + dir + "/left", "locator: no answer: it ended, and left something behind that holds its output open", 5 * time.Second},
		{"it leaves something behind that does not disturb", "echo sip:bob@192.0.2.1; sleep 0.1 >/dev/null 2>&1 &", "sip:bob@192.0.2.1=1000", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := locator(t, Config{Program: script(t, c.text)})
			if c.limit > 0 {
				l.limit = c.limit
			}
			begin := time.Now()
			if got := answered(l.Ask(t.Context(), bob)); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if took := time.Since(begin); took > 4*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
	for _, name := range []string{"hangs", "left"} {
		pid, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		lives := func() bool {
			stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/stat")
			return err == nil && !strings.Contains(string(stat), ") Z ") // Z: nobody has asked how it ended
		}
		for end := time.Now().Add(5 * time.Second); lives() && time.Now().Before(end); time.Sleep(time.Millisecond) {
		}
		if lives() {
			t.Errorf("%s: its child lives on", name)
		}
	}
}

func answered(a Answer, err error) string {
	if err != nil {
		return err.Error()
	}
	return listed(a.Contacts, nil)
}

func listed(contacts []Contact, err error) string {
	if err != nil {
		return err.Error()
	}
	var list []string
	for _, c := range contacts {
		list = append(list, fmt.Sprintf("%s=%d", c.URI, c.Q))
	}
	return strings.Join(list, " ")
}

// TestProgramIsAlone: what the server's environment has, secrets of its database among it, stays with the server.
func TestProgramIsAlone(t *testing.T) {
	t.Setenv("SIPD_DB", "postgres://sipd:secret@db/sipd")
	dir := t.TempDir()
	l := locator(t, Config{Program: script(t, "cat /proc/$$/environ >"+dir+"/environ; pwd >"+dir+"/pwd; ls -l /proc/$$/fd >"+dir+"/fd")})
	q := bob
	q.AOR = `a"$(id)'; rm b@example.com`
	if got := answered(l.Ask(t.Context(), q)); got != "" {
		t.Fatalf("got %s, want no contact", got)
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(text))
	}
	got := strings.Split(strings.Trim(read("environ"), "\x00"), "\x00")
	want := []string{"PATH=" + pathOfPrograms, "SIPD_AOR=" + q.AOR, "SIPD_CALLER=alice@example.com", "SIPD_METHOD=INVITE"}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("got the environment %q, want %q", got, want)
	}
	if got := read("pwd"); got != "/" {
		t.Errorf("got the directory %s, want /", got)
	}
	if fd := read("fd"); strings.Contains(fd, "socket:") || strings.Contains(fd, "anon_inode") {
		t.Errorf("got open files of the server:\n%s", fd)
	}
}

func TestProgramMissing(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		dir + "/none": "no such file or directory",
		plain:         "permission denied",
		dir:           "permission denied",
	} {
		l := locator(t, Config{Program: path})
		if got := answered(l.Ask(t.Context(), bob)); !strings.HasPrefix(got, ErrUnavailable.Error()) || !strings.HasSuffix(got, want) {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
}

func TestNew(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{}, `locator: "" is not an http or https URL`},
		{Config{Program: "/bin/true", URL: "http://localhost/"}, "locator: a program and a URL; one of them is asked"},
		{Config{Program: "bin/true"}, `locator: "bin/true" is not an absolute path`},
		{Config{URL: "ftp://localhost/"}, `locator: "ftp://localhost/" is not an http or https URL`},
		{Config{URL: "http:///x"}, `locator: "http:///x" is not an http or https URL`},
		{Config{URL: "http://[::1"}, `locator: parse "http://[::1": missing ']' in host`},
	} {
		if _, err := New(c.cfg); err == nil || err.Error() != c.want {
			t.Errorf("%+v: got %v, want %s", c.cfg, err, c.want)
		}
	}
}
