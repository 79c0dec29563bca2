package test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sipd/store/storetest"
)

// The rhythm of an outage run.
const (
	outageWarm   = 2 * time.Second
	outageSettle = 2 * time.Second
	// outageDrained is how long a run waits for what was logged in the outage.
	outageDrained = 30 * time.Second
)

// rig is a server under traffic whose database can be taken away.
type rig struct {
	t       *testing.T
	db      *database // as the test reaches it
	url     string    // as the server reaches it
	cluster *storetest.Cluster
	proxy   *proxy
	folder  string // of the database, when it is on a disk of its own
	image   string // the file of that disk
	work    string // where the server runs
	addr    netip.AddrPort
	servers []*process
	f       *traffic

	undo    func() // ends what a fault holds
	faultAt time.Time
	healAt  time.Time
	killed  []span // when no server ran
	atFault int    // what the server had printed when the outage began
	row     outageRow
}

// span is a time in which there was no server.
type span struct {
	from, to time.Time
	inOrder  bool // it was asked to stop
}

// medium is what the database lies on.
type medium int

const (
	ordinary medium = iota
	smallDisk
	ownDisk // a file system that an error makes read-only
	behindProxy
)

func newRig(t *testing.T, kind string, on medium) *rig {
	t.Helper()
	r := &rig{t: t, work: t.TempDir(), addr: freePort(t)}
	switch on {
	case smallDisk:
		r.folder = mountTmpfs(t, 80)
	case ownDisk:
		r.image = makeImage(t, 64)
		r.folder = mountImage(t, r.image)
	}
	if kind == "sqlite" {
		dir := r.folder
		if dir == "" {
			dir = t.TempDir()
		}
		r.db = sqliteIn(dir)
		r.url = r.db.url
	} else {
		data := ""
		if r.folder != "" {
			data = r.folder
		}
		r.cluster = storetest.NewCluster(t, data)
		r.db = postgresAt(r.cluster.URL(r.cluster.Port))
		r.url = r.db.url
		if on == behindProxy {
			r.proxy = newProxy(t, fmt.Sprintf("127.0.0.1:%d", r.cluster.Port))
			r.url = r.cluster.URL(r.proxy.port())
		}
	}
	sipd := built(t, "sipd")
	run(t, sipd, "db", "migrate", "-D", r.db.url)
	run(t, sipd, "domain", "add", outageDomain, "-D", r.db.url)
	run(t, sipd, "user", "import", outageUsers(t), "-D", r.db.url)
	return r
}

// serve starts a server and waits until it is ready.
func (r *rig) serve() {
	r.t.Helper()
	r.launch().printed(r.t, 0, 30*time.Second, `(?m)^sipd ready$`)
}

func (r *rig) launch() *process {
	r.t.Helper()
	cmd := exec.Command(built(r.t, "sipd"), "run", "-D", r.url, "--listen", "udp:"+r.addr.String(), "--admin", "unix:"+r.admin())
	if r.cluster != nil || r.image != "" { // Else it lies beside the database.
		cmd.Args = append(cmd.Args, "--set", "StateDir="+filepath.Join(r.work, "state"))
	}
	cmd.Dir = r.work
	p := start(r.t, cmd)
	r.servers = append(r.servers, p)
	r.t.Cleanup(func() {
		if r.t.Failed() {
			r.t.Logf("sipd:\n%s", tail(p.output()))
		}
	})
	return p
}

// admin is the socket of the health pages.
func (r *rig) admin() string { return filepath.Join(r.work, "admin") }

// server is the one that runs.
func (r *rig) server() *process { return r.servers[len(r.servers)-1] }

// without kills the server, does something, and starts another one; calls under way then are nobody's fault.
func (r *rig) without(do func()) {
	r.t.Helper()
	from := time.Now()
	r.server().kill()
	do()
	r.serve()
	r.killed = append(r.killed, span{from: from, to: time.Now()})
}

// readyz reads the page for monitors.
func (r *rig) readyz() string {
	r.t.Helper()
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", r.admin())
	}}}
	defer client.CloseIdleConnections()
	response, err := client.Get("http://sipd/readyz")
	if err != nil {
		r.t.Errorf("readyz: %v", err)
		return ""
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Errorf("readyz: %v", err)
	}
	return string(text)
}

// warm starts the server and the traffic.
func (r *rig) warm() {
	r.t.Helper()
	r.serve()
	r.f = newTraffic(r.t, r.addr)
	r.f.settle(r.t)
	r.f.start()
	time.Sleep(outageWarm)
}

// fault notes the beginning of the outage.
func (r *rig) fault() {
	r.atFault = len(r.server().output())
	r.faultAt = time.Now()
}

// healed notes the end of the outage and measures the return.
func (r *rig) healed() {
	r.t.Helper()
	r.healAt = time.Now()
	r.f.after.Store(true)
	r.row.drained = r.drain()
	time.Sleep(outageSettle)
}

// drain waits until every BYE that was answered in the outage is in the request log.
func (r *rig) drain() time.Duration {
	r.t.Helper()
	want := map[string]bool{}
	r.f.mu.Lock()
	for _, c := range r.f.calls {
		if c.bye == 200 && c.byeAt.Before(r.healAt) && !r.unlogged(c.byeAt) {
			want[c.id] = true
		}
	}
	r.f.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), outageDrained)
	defer cancel()
	var last error
	for {
		missing := len(want)
		err := r.db.tryQuery(ctx, "SELECT sip_callid FROM requestlog WHERE method = 'BYE'", func(c []string) {
			if want[c[0]] {
				missing--
			}
		})
		if err == nil && missing <= 0 {
			return time.Since(r.healAt)
		}
		if ctx.Err() != nil {
			r.t.Errorf("%v after the outage %d of %d BYEs are not in the request log (%v)", outageDrained, missing, len(want), last)
			return outageDrained
		}
		if err != nil {
			last = err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// unlogged tells whether a row of that time may have died with the server: it had not left memory yet.
func (r *rig) unlogged(at time.Time) bool {
	return slices.ContainsFunc(r.killed, func(k span) bool { return !k.inOrder && at.After(k.from.Add(-mayBeLost)) && at.Before(k.to) })
}

// refusedAtStop tells whether an answer is that of a server which stops: nobody keeps a state for it, nor a row.
func (r *rig) refusedAtStop(status int, at time.Time) bool {
	return status == 503 && slices.ContainsFunc(r.killed, func(k span) bool { return k.inOrder && at.After(k.from) && at.Before(k.to) })
}

// mayBeLost is how old a row of the request log may be that a killed server takes with it.
const mayBeLost = 500 * time.Millisecond

// serverGone tells whether the server was down at some time between two.
func (r *rig) serverGone(from, to time.Time) bool {
	return slices.ContainsFunc(r.killed, func(k span) bool { return from.Before(k.to) && to.After(k.from) })
}

// finish ends the traffic and compares everything: then memory with the database, then the database with what was answered, with the
// server killed in between, and at last the memory of a new server with the database.
func (r *rig) finish() {
	r.t.Helper()
	r.f.end()
	for _, p := range r.servers {
		r.row.lines += logLines(p, r)
	}
	r.count()
	time.Sleep(2 * requestLogDelay)
	r.row.memory = r.compareMemory()
	r.server().kill()
	r.row.falseOK = r.verifyBindings()
	r.verifyLog()
	r.serve()
	r.row.memory += r.compareMemory()
	for _, p := range r.servers {
		if out := p.output(); strings.Contains(out, "panic") || strings.Contains(out, "DATA RACE") {
			r.t.Errorf("the server panicked:\n%s", tail(out))
		}
	}
	r.judge()
}

// requestLogDelay is how long a row may wait for others.
const requestLogDelay = 250 * time.Millisecond

// worthTelling finds the lines that an operator is to look at.
var worthTelling = regexp.MustCompile(`(?m)\b(level=(WARN|ERROR)\b|msg="(database is back|request log is written again))`)

// logLines counts what a server said of the outage.
func logLines(p *process, r *rig) int {
	out := p.output()
	if p == r.servers[0] {
		out = out[r.atFault:]
	}
	return len(worthTelling.FindAllString(out, -1))
}
