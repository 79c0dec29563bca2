package test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sipd/internal/soak"
	"sipd/store/storetest"
)

// A soak run has a length, a database and a rate: `make soak SOAK=30m SOAK_DB=postgres SOAK_RATE=200` (calls begun in a second). Without a
// rate half of the machine is kept busy: the server and the crowd of telephones together use half of the processor time that there is,
// less when other programs leave less.
// As a part of `make test` it is short, slow and on SQLite.
const (
	soakDomain = "example.org"
	soakShort  = 10 * time.Second
	soakSlow   = 30.0 // calls/s of the short form
	soakFirst  = 100.0
	soakMost   = 2500.0
	soakBehind = 50 * time.Millisecond // a tenth of the calls waits so long for the 180: others need the machine, too
	soakHalf   = 0.5                   // of the processors
	soakLong   = 2 * time.Minute
	soakQuiet  = 75 * time.Second // until every timer of a transaction has ended
	// soakGiveBack is two lives of a nonce, for which its use must be remembered, and the time until the server looks.
	soakGiveBack = 12 * time.Minute
)

// What counts as level, and as back at the start. Memory in MiB.
const (
	levelShare   = 0.08 // the last third may have so much more than the middle third,
	levelSpare   = 12.0 // and so many MiB, or
	levelFew     = 12.0 // goroutines and descriptors
	backFew      = 8    // goroutines and descriptors: connections to the database, the health page's
	backSpareMiB = 40.0
)

// soakState is what /status says.
type soakState struct {
	ServerTransactions int    `json:"server_transactions"`
	ClientTransactions int    `json:"client_transactions"`
	OldestSeconds      int    `json:"oldest_transaction_s"`
	OpenRequests       int    `json:"open_requests"`
	ResponseContexts   int    `json:"response_contexts"`
	AnsweredContexts   int    `json:"answered_contexts"`
	DroppedMessages    int64  `json:"dropped_messages"`
	DroppedDatagrams   uint64 `json:"dropped_datagrams"`
	Connections        int    `json:"connections"`
	LogWaiting         int    `json:"log_waiting"`
	LogDropped         uint64 `json:"log_dropped"`
	Panics             int64  `json:"panics"`
	Goroutines         int    `json:"goroutines"`
	Descriptors        int    `json:"descriptors"`
	LiveBytes          uint64 `json:"live_bytes"`
	Collections        uint64 `json:"collections"`
}

// sample is the server at a moment.
type sample struct {
	at    time.Duration
	rate  float64
	cores float64 // of the server since the last sample
	both  float64 // with the crowd
	pss   float64 // MiB
	soakState
}

func TestSoak(t *testing.T) {
	length, rate := soakShort, soakSlow
	if text := os.Getenv("SOAK"); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatalf("SOAK: %v", err)
		}
		rate = 0
	} else {
		t.Parallel() // Most of it is waiting for timers.
	}
	if text := os.Getenv("SOAK_RATE"); text != "" {
		var err error
		if rate, err = strconv.ParseFloat(text, 64); err != nil || rate <= 0 {
			t.Fatalf("SOAK_RATE is %q, want a number of calls in a second", text)
		}
	}
	db := sqliteIn(t.TempDir())
	switch name := os.Getenv("SOAK_DB"); name {
	case "", "sqlite":
	case "postgres":
		db = postgresAt(storetest.DurablePostgres(t))
	default:
		t.Fatalf("SOAK_DB is %q, want sqlite or postgres", name)
	}
	soakRun(t, db, length, rate)
}

// soaking is a run.
type soaking struct {
	*testing.T
	server *process
	admin  netip.AddrPort
	crowd  *soak.Crowd
	began  time.Time
	fixed  bool // the rate
	used   [2]time.Duration
	last   time.Time
	taken  []sample
}

func soakRun(t *testing.T, db *database, length time.Duration, rate float64) {
	soakUsers(t, db)
	addr, admin := freePort(t), freePort(t)
	s := &soaking{T: t, admin: admin, fixed: rate > 0}
	s.server = startServer(t, nil, db, "--listen", "udp:"+addr.String(), "--listen", "tcp:"+addr.String(), "--admin", admin.String())
	s.last = time.Now()
	s.used = s.usage()
	start := s.sample()

	crowd, err := soak.New(soak.Config{Server: addr, Domain: soakDomain, Corpus: torture(t), For: length})
	if err != nil {
		t.Fatal(err)
	}
	defer crowd.Close()
	s.crowd = crowd
	if err := crowd.Settle(); err != nil {
		t.Fatal(err)
	}
	if rate == 0 {
		rate = soakFirst
	}
	crowd.SetRate(rate)
	s.began = time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		crowd.Run(ctx)
	}()
	s.watch(ctx, length)
	<-ended
	_, missed := crowd.Open()
	crowd.Close()
	rest := s.drain(start)
	if err := s.server.stop(15 * time.Second); err != nil {
		t.Errorf("sipd: %v", err)
	}
	account := crowd.Account()
	db.query(t, "SELECT method, sip_callid, cseq, sip_status FROM requestlog", func(c []string) {
		cseq, err1 := strconv.Atoi(c[2])
		status, err2 := strconv.Atoi(c[3])
		if err1 != nil || err2 != nil {
			t.Fatalf("the request log has %v", c)
		}
		account.Row(soak.Key{Method: c[0], CallID: c[1], CSeq: cseq}, status)
	})
	s.report(db, length, start, rest, missed)
	s.judge(length, start, rest, missed)
}

// soakUsers fills the database.
func soakUsers(t *testing.T, db *database) {
	t.Helper()
	sipd := built(t, "sipd")
	run(t, sipd, "db", "migrate", "-D", db.url)
	run(t, sipd, "domain", "add", soakDomain, "-D", db.url)
	var b strings.Builder
	b.WriteString("user_key,password,auth_policy\n")
	for _, u := range soak.Users() {
		policy := "required"
		if u.Never {
			policy = "never"
		}
		fmt.Fprintf(&b, "%s@%s,%s,%s\n", u.Name, soakDomain, u.Password, policy)
	}
	file := filepath.Join(t.TempDir(), "users.csv")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, sipd, "user", "import", file, "-D", db.url)
}

// torture is the messages of RFC 4475 and RFC 5118, and the seeds of the fuzz tests.
func torture(t *testing.T) (texts []string) {
	t.Helper()
	for _, pattern := range []string{"rfc4475/*.dat", "rfc5118/*.dat", "fuzz/*/*"} {
		files, err := filepath.Glob(filepath.Join("..", "server", "message", "testdata", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			texts = append(texts, string(text))
		}
	}
	if len(texts) == 0 {
		t.Fatal("no messages of RFC 4475 in server/message/testdata")
	}
	return texts
}

// watch takes samples, and keeps half of the machine busy, until ctx ends.
func (s *soaking) watch(ctx context.Context, length time.Duration) {
	period := min(5*time.Second, length/10)
	tick := time.NewTicker(period)
	defer tick.Stop()
	found := 0.0 // the rate that keeps half of the machine busy
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.server.done:
			s.Errorf("sipd ended: %v\n%s", s.server.err, tail(s.server.output()))
			return
		case <-tick.C:
		}
		got := s.sample()
		s.taken = append(s.taken, got)
		if s.fixed {
			continue
		}
		want := soakHalf * float64(runtime.NumCPU())
		behind := s.crowd.Account().Recent(90)[0] > soakBehind
		switch rate := s.crowd.Rate(); {
		case got.at < length/3 && behind:
			s.crowd.SetRate(rate * 0.7)
		case got.at < length/3:
			s.crowd.SetRate(min(soakMost, rate*min(1.25, max(0.8, want/max(got.both, 0.01)))))
		case found == 0: // From here on the rate stays, or nothing could be level.
			middle := s.taken[len(s.taken)/2:]
			for _, x := range middle {
				found += x.rate / float64(len(middle))
			}
			s.crowd.SetRate(found)
		case behind:
			s.crowd.SetRate(max(rate*0.8, found/4))
		default:
			s.crowd.SetRate(min(found, rate*1.1))
		}
	}
}

// drain waits until the server has nothing left to do, and then for the memory that it gives back.
func (s *soaking) drain(start sample) (rest sample) {
	back := func() bool {
		rest = s.sample()
		return rest.ServerTransactions+rest.ClientTransactions+rest.Connections+rest.LogWaiting == 0 &&
			rest.Goroutines <= start.Goroutines+backFew && rest.Descriptors <= start.Descriptors+backFew
	}
	for end := time.Now().Add(soakQuiet); !back() && time.Now().Before(end); {
		time.Sleep(500 * time.Millisecond)
	}
	if time.Since(s.began) < soakLong {
		return rest
	}
	for end := time.Now().Add(soakGiveBack); rest.pss > start.pss+backSpareMiB && time.Now().Before(end); {
		time.Sleep(5 * time.Second)
		rest = s.sample()
	}
	return rest
}

// sample asks the server and the kernel.
func (s *soaking) sample() (got sample) {
	s.Helper()
	resp, err := http.Get("http://" + s.admin.String() + "/status")
	if err != nil {
		s.Fatalf("/status: %v\n%s", err, tail(s.server.output()))
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&got.soakState); err != nil {
		s.Fatalf("/status: %v", err)
	}
	now, used := time.Now(), s.usage()
	wall := now.Sub(s.last).Seconds()
	got.cores = (used[0] - s.used[0]).Seconds() / wall
	got.both = got.cores + (used[1]-s.used[1]).Seconds()/wall
	s.last, s.used = now, used
	got.pss = pss(s.T, s.server.cmd.Process.Pid)
	if s.crowd != nil {
		got.at, got.rate = now.Sub(s.began), s.crowd.Rate()
	}
	return got
}

// clockTick is the unit of times in /proc/PID/stat.
const clockTick = 10 * time.Millisecond

// usage returns the processor time of the server and of this process.
func (s *soaking) usage() (used [2]time.Duration) {
	s.Helper()
	used[0] = processorTime(s.T, s.server)
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		s.Fatal(err)
	}
	used[1] = time.Duration(r.Utime.Nano() + r.Stime.Nano())
	return used
}

// processorTime returns what a process has used so far.
func processorTime(t testing.TB, p *process) (used time.Duration) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	columns := strings.Fields(rest)
	const utime, stime = 11, 12 // proc(5): fields 14 and 15, the third is the first here
	for _, i := range []int{utime, stime} {
		n, err := strconv.Atoi(columns[i])
		if err != nil {
			t.Fatal(err)
		}
		used += time.Duration(n) * clockTick
	}
	return used
}

// pss returns a process's share of the machine's memory, in MiB.
func pss(t testing.TB, pid int) float64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "Pss:" {
			kib, err := strconv.ParseFloat(f[1], 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib / 1024
		}
	}
	t.Fatalf("smaps_rollup of %d has no Pss", pid)
	return 0
}

// third returns the mean of something over the middle and the last third of a run.
func (s *soaking) third(what func(*sample) float64) (middle, last float64) {
	mean := func(list []sample) (sum float64) {
		for i := range list {
			sum += what(&list[i])
		}
		return sum / float64(max(1, len(list)))
	}
	n := len(s.taken)
	return mean(s.taken[n/3 : 2*n/3]), mean(s.taken[2*n/3:])
}

// gauges are what must be level.
var gauges = []struct {
	name  string
	spare float64
	of    func(*sample) float64
}{
	{"memory, PSS MiB", levelSpare, func(x *sample) float64 { return x.pss }},
	{"live heap MiB", levelSpare, func(x *sample) float64 { return float64(x.LiveBytes) / (1 << 20) }},
	{"goroutines", levelFew, func(x *sample) float64 { return float64(x.Goroutines) }},
	{"descriptors", levelFew, func(x *sample) float64 { return float64(x.Descriptors) }},
}

// maxShown is how many samples are printed of a long run.
const maxShown = 40

func (s *soaking) report(db *database, length time.Duration, start, rest sample, missed int64) {
	account := s.crowd.Account()
	var b strings.Builder
	fmt.Fprintf(&b, "\nsoak run of %v on %s, %d processors\n\n", length, db.name, runtime.NumCPU())
	line := func(name string, x sample) {
		fmt.Fprintf(&b, "%8s %8.0f %6.2f %6.2f %8.1f %8.1f %6d %6d %8d %8d %6d %6d\n", name, x.rate, x.cores, x.both, x.pss, float64(x.LiveBytes)/(1<<20),
			x.Goroutines, x.Descriptors, x.ServerTransactions+x.ClientTransactions, x.OpenRequests, x.Connections, x.Panics)
	}
	fmt.Fprintf(&b, "%8s %8s %6s %6s %8s %8s %6s %6s %8s %8s %6s %6s\n", "at", "calls/s", "sipd", "both", "PSS MiB", "live MiB", "gorout", "files", "transact", "open", "conns", "panics")
	line("start", start)
	for i := range s.taken {
		if every := max(1, len(s.taken)/maxShown); i%every == 0 {
			line(s.taken[i].at.Round(time.Second).String(), s.taken[i])
		}
	}
	line("rest", rest)
	b.WriteString("\nlevel: mean of the middle third, of the last third\n")
	for _, g := range gauges {
		middle, last := s.third(g.of)
		fmt.Fprintf(&b, "%-20s %10.1f %10.1f\n", g.name, middle, last)
	}
	_, busy := s.third(func(x *sample) float64 { return x.both })
	_, server := s.third(func(x *sample) float64 { return x.cores })
	fmt.Fprintf(&b, "\nload in the last third: %.2f cores, of them sipd %.2f\n", busy, server)
	w := account.Waits(50, 99, 99.9)
	fmt.Fprintf(&b, "from INVITE to 180, in the crowd: median %v, 99 %% %v, 99.9 %% %v\n", w[0], w[1], w[2])
	fmt.Fprintf(&b, "mutated messages: %d; dropped as malformed or stray: %d; datagrams dropped: %d; requests not begun: %d\n\n",
		s.crowd.Nonsense(), rest.DroppedMessages, rest.DroppedDatagrams, missed)
	for _, line := range account.Table() {
		b.WriteString(line + "\n")
	}
	s.Log(b.String())
}

func (s *soaking) judge(length time.Duration, start, rest sample, missed int64) {
	logged, foreign, faults := s.crowd.Account().Settle()
	s.Logf("%d requests, %d of them in the request log; %d rows of mutated requests", s.crowd.Account().Requests(), logged, foreign)
	for _, fault := range faults {
		s.Error(fault)
	}
	if logged == 0 {
		s.Error("no request had to be in the request log: nothing was tried")
	}
	if missed > 0 {
		s.Errorf("%d requests were not begun, too many were under way", missed)
	}
	if rest.Panics != 0 {
		s.Errorf("%d panics were recovered from, want none", rest.Panics)
	}
	if rest.LogDropped != 0 {
		s.Errorf("%d rows of the request log were dropped, want none", rest.LogDropped)
	}
	if n := rest.ServerTransactions + rest.ClientTransactions + rest.OpenRequests + rest.ResponseContexts + rest.AnsweredContexts; n != 0 {
		s.Errorf("left behind: %+v, want nothing", rest.soakState)
	}
	if rest.Goroutines > start.Goroutines+backFew || rest.Descriptors > start.Descriptors+backFew || rest.Connections != 0 {
		s.Errorf("%d goroutines, %d descriptors, %d connections after the run; %d and %d at the start", rest.Goroutines, rest.Descriptors, rest.Connections, start.Goroutines, start.Descriptors)
	}
	if lines := strings.Count(s.server.output(), "\n"); lines > int(20+length/time.Second) {
		s.Errorf("sipd has logged %d lines in %v: peers fill its log\n%s", lines, length, tail(s.server.output()))
	}
	if length < soakLong {
		return
	}
	for _, g := range gauges {
		if middle, last := s.third(g.of); last > middle*(1+levelShare)+g.spare {
			s.Errorf("%s: %.1f in the middle third, %.1f in the last: it grows", g.name, middle, last)
		}
	}
	if rest.pss > start.pss+backSpareMiB {
		s.Errorf("%.1f MiB after the run, %.1f at the start: memory is not given back", rest.pss, start.pss)
	}
	kinds := strings.Join(s.crowd.Account().Table(), "\n")
	for _, kind := range []string{"forked, one answers", "cancelled before it rings", "abandoned, answered", "refresh", "removal of a binding"} {
		if !strings.Contains(kinds, kind) {
			s.Errorf("the run had no %q", kind)
		}
	}
	if slices.ContainsFunc(s.taken, func(x sample) bool { return x.Panics > 0 }) {
		s.Error("a panic was counted during the run")
	}
}
