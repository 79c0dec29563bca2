package test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sipd/store/storetest"
)

// What the crash test does to a server.
const (
	crashRounds  = 10
	crashClients = 4
	crashUsers   = 10_000
	crashDomain  = "example.org"
	// firstAnswer is the most that a restart may take before the first answer. The aim is half a second; this leaves room for a
	// loaded machine, and the figure is in the log.
	firstAnswer = 2 * time.Second
)

// TestCrash kills a server again and again while four clients register: what it has acknowledged must be there
// afterwards, and it must answer soon.
func TestCrash(t *testing.T) {
	for _, name := range []string{"sqlite", "postgres"} {
		t.Run(name, func(t *testing.T) {
			db := sqliteIn(t.TempDir())
			if name == "postgres" {
				db = postgresAt(storetest.DurablePostgres(t))
			}
			crash(t, db)
		})
	}
}

func crash(t *testing.T, db *database) {
	fillMany(t, db)
	acked := map[string]int{} // user -> highest CSeq answered with 200
	addr := freePort(t)
	var waits []time.Duration
	for round := range crashRounds {
		began := time.Now()
		server := launchServer(t, nil, db, "--listen", "udp:"+addr.String(), "--set", "AuthMethod=none", "--set", "RequestLog=none", "--set", "RateLimit=off")
		wait := awaitAnswer(t, addr, began)
		waits = append(waits, wait)
		if round > 0 && wait > firstAnswer {
			t.Errorf("round %d: the first answer came %v after the start, want at most %v", round, wait, firstAnswer)
		}
		checkFetch(t, addr, acked)

		life := time.Duration(150+rand.IntN(350)) * time.Millisecond
		done := make(chan map[string]int, crashClients)
		var clients sync.WaitGroup
		for c := range crashClients {
			clients.Go(func() { done <- registerUntilDead(addr, round, c) })
		}
		time.Sleep(life)
		server.kill()
		clients.Wait()
		n := 0
		for range crashClients {
			for user, cseq := range <-done {
				acked[user] = max(acked[user], cseq)
				n++
			}
		}
		if n == 0 {
			t.Errorf("round %d: nothing was registered in %v", round, life)
		}
		checkRows(t, db, acked)
	}
	slices.Sort(waits)
	t.Logf("%s: %d bindings acknowledged, %d users; first answer after a restart: median %v, worst %v",
		db.name, len(acked), crashUsers, waits[len(waits)/2].Round(time.Millisecond), waits[len(waits)-1].Round(time.Millisecond))
}

// fillMany makes a database with many users.
func fillMany(t *testing.T, db *database) {
	t.Helper()
	sipd := built(t, "sipd")
	run(t, sipd, "db", "migrate", "-D", db.url)
	run(t, sipd, "domain", "add", crashDomain, "-D", db.url)
	var b strings.Builder
	b.WriteString("user_key,ha1,auth_policy\n")
	for i := range crashUsers {
		fmt.Fprintf(&b, "u%d@%s,%032x,never\n", i, crashDomain, i)
	}
	file := filepath.Join(t.TempDir(), "users.csv")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, sipd, "user", "import", file, "-D", db.url)
}

// awaitAnswerAt waits until the server answers.
func awaitAnswerAt(t *testing.T, addr netip.AddrPort) {
	t.Helper()
	awaitAnswer(t, addr, time.Now())
}

// awaitAnswer asks with OPTIONS until the server answers, and returns how long that took since began.
func awaitAnswer(t *testing.T, addr netip.AddrPort, began time.Time) time.Duration {
	t.Helper()
	c, err := dialClient(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.conn.Close()
	for i := 1; ; i++ {
		// Each try is a request of its own with little patience: a lost first one shall not cost its half second.
		status, _ := c.do(request{method: "OPTIONS", uri: "sip:" + addr.String(), aor: "probe@" + crashDomain,
			callID: fmt.Sprintf("probe-%d-%d", began.UnixNano(), i), cseq: 1}, 20*time.Millisecond)
		if status == 200 {
			return time.Since(began)
		}
		if status != 0 {
			t.Fatalf("OPTIONS to the server: got %d, want 200", status)
		}
		if time.Since(began) > 30*time.Second {
			t.Fatal("no answer within 30s of the start")
		}
	}
}

// registerUntilDead registers one user after another until the server is gone, and returns what was answered with 200.
func registerUntilDead(addr netip.AddrPort, round, number int) map[string]int {
	acked := map[string]int{}
	c, err := dialClient(addr)
	if err != nil {
		return acked
	}
	defer c.conn.Close()
	for i := 0; ; i++ {
		user := fmt.Sprintf("u%d", (i*crashClients+number)%crashUsers)
		cseq := round*crashUsers + i + 1
		status, _ := c.do(request{method: "REGISTER", uri: "sip:" + crashDomain, aor: user + "@" + crashDomain, callID: "reg-" + user, cseq: cseq,
			headers: fmt.Sprintf("Contact: <sip:%s@127.0.0.1:9>\r\nExpires: 7200\r\n", user)}, 300*time.Millisecond)
		if status != 200 {
			return acked
		}
		acked[user] = cseq
	}
}

// checkRows looks for every acknowledged binding in the table. A later one that was not acknowledged any more may be there instead.
func checkRows(t *testing.T, db *database, acked map[string]int) {
	t.Helper()
	rows := map[string]int{}
	db.query(t, "SELECT user_key, cseq FROM contacts JOIN users ON users.id = user_id", func(c []string) {
		user, _, _ := strings.Cut(c[0], "@")
		cseq, err := strconv.Atoi(c[1])
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := rows[user]; twice {
			t.Errorf("%s has two bindings, want one", user)
		}
		rows[user] = cseq
	})
	lost := 0
	for user, cseq := range acked {
		if rows[user] < cseq {
			if lost++; lost <= 5 {
				t.Errorf("%s was acknowledged with CSeq %d, the table has %d", user, cseq, rows[user])
			}
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d acknowledged bindings are lost, want 0", lost, len(acked))
	}
}

// checkFetch asks the restarted server for some of the bindings: memory must have them, too.
func checkFetch(t *testing.T, addr netip.AddrPort, acked map[string]int) {
	t.Helper()
	c, err := dialClient(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.conn.Close()
	const some = 50
	for i, user := range slices.Sorted(maps.Keys(acked)) {
		if i == some {
			break
		}
		status, text := c.do(request{method: "REGISTER", uri: "sip:" + crashDomain, aor: user + "@" + crashDomain,
			callID: fmt.Sprintf("fetch-%s-%d", user, time.Now().UnixNano()), cseq: 1}, 5*time.Second)
		if status != 200 || !strings.Contains(text, "<sip:"+user+"@127.0.0.1:9>") {
			t.Errorf("after the restart %s has no binding: %d\n%s", user, status, text)
			return
		}
	}
}
