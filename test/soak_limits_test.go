package test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestFewDescriptors opens more connections than the server has descriptors for. It must neither spin nor fill its log, answer and register
// over UDP meanwhile, and take connections again as soon as others have gone.
func TestFewDescriptors(t *testing.T) {
	for _, limit := range []int{
		64,  // used up before the bound on connections is reached: accept fails
		400, // the bound is reached first
	} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			t.Parallel()
			db := sqliteIn(t.TempDir())
			sipd, addr := built(t, "sipd"), freePort(t)
			run(t, sipd, "db", "migrate", "-D", db.url)
			run(t, sipd, "domain", "add", crashDomain, "-D", db.url)
			run(t, built(t, "addsipuser"), "-D", db.url, "-u", "bob@"+crashDomain, "-p", "word-of-bob")
			cmd := exec.Command("sh", "-c", `ulimit -n `+strconv.Itoa(limit)+` && exec "$0" "$@"`, sipd, "run", "-D", db.url, "--admin", "off", "--set", "AuthMethod=none",
				"--listen", "udp:"+addr.String(), "--listen", "tcp:"+addr.String())
			p := start(t, cmd)
			p.printed(t, 0, 30*time.Second, `(?m)^sipd ready$`)
			before := openFiles(t, p)

			var conns []net.Conn
			defer func() {
				for _, c := range conns {
					c.Close()
				}
			}()
			for range 2 * limit {
				c, err := net.DialTimeout("tcp", addr.String(), 5*time.Second)
				if err != nil {
					t.Fatal(err)
				}
				conns = append(conns, c)
			}
			eventually(t, 10*time.Second, "the server has few descriptors left", func() bool { return openFiles(t, p) >= limit/2 })
			used := processorTime(t, p)
			time.Sleep(2 * time.Second)
			if used = processorTime(t, p) - used; used > 500*time.Millisecond {
				t.Errorf("the server has used %v of 2 s with nothing to do but to refuse connections", used)
			}
			awaitAnswerAt(t, addr)
			c, err := dialClient(addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.conn.Close()
			if status, text := c.do(request{method: "REGISTER", uri: "sip:" + crashDomain, aor: "bob@" + crashDomain, callID: "few", cseq: 1,
				headers: "Contact: <sip:bob@127.0.0.1:9>\r\n"}, 10*time.Second); status != 200 {
				t.Errorf("REGISTER: got %d, want 200\n%s", status, text)
			}
			for _, c := range conns {
				c.Close()
			}
			conns = nil
			eventually(t, 10*time.Second, "a connection is served again", func() bool { return servedByTCP(addr) })
			eventually(t, 10*time.Second, "every descriptor is given back", func() bool { return openFiles(t, p) <= before })
			if lines := strings.Count(p.output(), "\n"); lines > 20 {
				t.Errorf("the server has logged %d lines:\n%s", lines, tail(p.output()))
			}
			if err := p.stop(10 * time.Second); err != nil {
				t.Errorf("sipd: %v\n%s", err, tail(p.output()))
			}
		})
	}
}

// openFiles counts a process's descriptors.
func openFiles(t testing.TB, p *process) int {
	t.Helper()
	names, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

// servedByTCP tells whether a new connection is answered.
func servedByTCP(addr netip.AddrPort) bool {
	c, err := net.DialTimeout("tcp", addr.String(), time.Second)
	if err != nil {
		return false
	}
	defer c.Close()
	if c.SetDeadline(time.Now().Add(time.Second)) != nil {
		return false
	}
	fmt.Fprintf(c, "OPTIONS sip:%v SIP/2.0\r\nVia: SIP/2.0/TCP %v;branch=z9hG4bKfew\r\nMax-Forwards: 70\r\nFrom: <sip:x@elsewhere.example>;tag=1\r\nTo: <sip:%v>\r\nCall-ID: few\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
		addr, c.LocalAddr(), addr)
	buf := make([]byte, 2048)
	n, err := c.Read(buf)
	return err == nil && strings.HasPrefix(string(buf[:n]), "SIP/2.0 200 ")
}

// What the test of GOMEMLIMIT needs: so many users that reading them again and again leaves far more garbage than the limit allows.
const (
	limitUsers   = 50_000
	limitMiB     = 96
	limitReloads = 12
	// limitSlack is what Go does not count: the program (16), SQLite's pages (21).
	limitSlack = 44
)

// TestMemoryLimit makes a server with many users read them again and again. Left alone it lets garbage pile up; with GOMEMLIMIT it stays
// within that.
func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	db := sqliteIn(t.TempDir())
	sipd := built(t, "sipd")
	run(t, sipd, "db", "migrate", "-D", db.url)
	run(t, sipd, "domain", "add", crashDomain, "-D", db.url)
	var b strings.Builder
	b.WriteString("user_key,ha1,auth_policy\n")
	for i := range limitUsers {
		fmt.Fprintf(&b, "u%d@%s,%032x,never\n", i, crashDomain, i)
	}
	file := filepath.Join(t.TempDir(), "users.csv")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, sipd, "user", "import", file, "-D", db.url)
	peak := func(env ...string) (most float64) {
		cmd := exec.Command(sipd, "run", "-D", db.url, "--admin", "off", "--listen", "udp:"+freePort(t).String())
		cmd.Env = append(os.Environ(), env...)
		p := start(t, cmd)
		at := p.printed(t, 0, 30*time.Second, `(?m)^sipd ready$`)
		for range limitReloads {
			if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
			at = p.printed(t, at, 30*time.Second, `msg=reloaded`)
			most = max(most, pss(t, p.cmd.Process.Pid))
		}
		if err := p.stop(10 * time.Second); err != nil {
			t.Errorf("sipd: %v", err)
		}
		return most
	}
	free, limited := peak(), peak(fmt.Sprintf("GOMEMLIMIT=%dMiB", limitMiB))
	t.Logf("%d users, %d reloads: %.0f MiB at most; with GOMEMLIMIT=%dMiB %.0f MiB", limitUsers, limitReloads, free, limitMiB, limited)
	if limited > limitMiB+limitSlack {
		t.Errorf("%.0f MiB with GOMEMLIMIT=%dMiB, want at most %d more", limited, limitMiB, limitSlack)
	}
	if free <= limitMiB+limitSlack {
		t.Errorf("%.0f MiB without a limit: nothing was shown", free)
	}
}
