package test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sipd/internal/testneed"
	_ "sipd/store/sqlstore" // its drivers, "sqlite" and "pgx"
)

// binaries are built once for a run of the tests.
var binaries struct {
	once sync.Once
	dir  string
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if binaries.dir != "" {
		os.RemoveAll(binaries.dir)
	}
	os.Exit(code)
}

// built returns the path of a command of ours, built as it is released but for the stamp.
func built(t testing.TB, name string) string {
	t.Helper()
	binaries.once.Do(func() {
		if binaries.dir, binaries.err = os.MkdirTemp("", "sipd-bin"); binaries.err != nil {
			return
		}
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", binaries.dir+"/", "sipd/cmd/sipd", "sipd/cmd/addsipuser")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			binaries.err = fmt.Errorf("%w: %s", err, out)
		}
	})
	if binaries.err != nil {
		t.Fatal(binaries.err)
	}
	return filepath.Join(binaries.dir, name)
}

// need skips the test when a program is not installed.
func need(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			testneed.Missing(t, p)
		}
	}
}

// run runs a program to its end and returns what it printed; it must succeed.
func run(t testing.TB, argv ...string) string {
	t.Helper()
	out, err := tryRun(argv...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return out
}

func tryRun(argv ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	return string(out), err
}

// process is a program in the background whose output is kept.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // of Wait, when done is closed

	mu  sync.Mutex
	out bytes.Buffer
}

// start starts a program in a process group of its own; the test's end kills what is left of it.
func start(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p, p
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 2 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() { p.kill() })
	return p
}

// Write keeps output.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

// output returns what the program has printed so far.
func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// kill ends the program and its children at once.
func (p *process) kill() {
	select {
	case <-p.done:
	default:
		syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // Fails when it has just ended by itself.
		<-p.done
	}
}

// stop asks the program to end and returns how it did; after limit it is killed.
func (p *process) stop(limit time.Duration) error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.done:
		return p.err
	case <-time.After(limit):
		p.kill()
		return fmt.Errorf("did not end within %v of SIGTERM:\n%s", limit, p.output())
	}
}

// eventually waits until ok is true; what names it in the failure.
func eventually(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		if ok() {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// printed waits until the program has printed a match of pattern, at or after offset from; it returns where the match ends.
func (p *process) printed(t testing.TB, from int, limit time.Duration, pattern string) int {
	t.Helper()
	re := regexp.MustCompile(pattern)
	for end := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		out := p.output()
		if at := re.FindStringIndex(out[min(from, len(out)):]); at != nil {
			return from + at[1]
		}
		ended := false
		select {
		case <-p.done:
			ended = true
		default:
		}
		if ended || time.Now().After(end) {
			t.Fatalf("%s did not print %q within %v (ended: %v):\n%s", filepath.Base(p.cmd.Path), pattern, limit, ended, tail(out[min(from, len(out)):]))
		}
	}
}

// tail is the last part of a long text.
func tail(s string) string {
	const most = 4000
	if len(s) > most {
		return "..." + s[len(s)-most:]
	}
	return s
}

// database is one to run a server on.
type database struct {
	name   string // for test names
	url    string
	driver string // of database/sql
	source string
}

// query calls each with the columns of every row.
func (d *database) query(t testing.TB, text string, each func(columns []string)) {
	t.Helper()
	if err := d.tryQuery(context.Background(), text, each); err != nil {
		t.Fatal(err)
	}
}

// tryQuery is query on a database that may be away.
func (d *database) tryQuery(ctx context.Context, text string, each func(columns []string)) error {
	db, err := sql.Open(d.driver, d.source)
	if err != nil {
		return err
	}
	defer db.Close()
	rows, err := db.QueryContext(ctx, text)
	if err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return err
	}
	for rows.Next() {
		values := make([]sql.NullString, len(names))
		into := make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		columns := make([]string, len(names))
		for i := range values {
			columns[i] = values[i].String
		}
		each(columns)
	}
	return rows.Err()
}

// sqliteIn is an SQLite database below dir.
func sqliteIn(dir string) *database {
	path := filepath.Join(dir, "sipd.db")
	return &database{name: "sqlite", url: "sqlite:" + path, driver: "sqlite", source: path + "?_pragma=busy_timeout(5000)"}
}

// postgresAt is a Postgres database.
func postgresAt(url string) *database {
	return &database{name: "postgres", url: url, driver: "pgx", source: url}
}

// freePort returns a loopback address that is free for UDP and TCP now.
func freePort(t testing.TB) netip.AddrPort {
	t.Helper()
	for range 20 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := l.Addr().(*net.TCPAddr).AddrPort()
		u, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr))
		l.Close()
		if err == nil {
			u.Close()
			return addr
		}
	}
	t.Fatal("no port is free for UDP and TCP")
	return netip.AddrPort{}
}
