package storetest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sipd/internal/testneed"
)

// startTimeout is how long the server may take to start; a loaded machine takes some seconds.
const startTimeout = 60 * time.Second

// private is a database server of this test binary.
type private struct {
	durable bool
	once    sync.Once
	bin     string // folder of its programs
	dir     string // its folder, with its socket
	port    int
	err     error
	life    io.Closer // held open: the server ends when it is closed
	mu      sync.Mutex
	made    int // databases, guarded by mu
}

var fast, durable = &private{}, &private{durable: true}

// Postgres returns the URL of a fresh database on a private server, which starts with the first call, listens on loopback
// and in a folder of its own, and ends with the test binary. Without Postgres on this machine the test is skipped (see
// package testneed). The server does not sync to disk: it is fast, and no place for tests of durability.
func Postgres(t testing.TB) string {
	t.Helper()
	name := fast.database(t)
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", fast.port, name)
}

// DurablePostgres is Postgres on another server, which syncs to disk. Its URL names a Unix socket, so that it can be reached from other
// network namespaces, too.
func DurablePostgres(t testing.TB) string {
	t.Helper()
	name := durable.database(t)
	return fmt.Sprintf("postgres:///%s?host=%s&port=%d&user=postgres&sslmode=disable", name, durable.dir, durable.port)
}

// database makes a fresh database and returns its name.
func (p *private) database(t testing.TB) string {
	t.Helper()
	if p.once.Do(p.start); p.err != nil {
		if errors.Is(p.err, errNoPostgres) {
			testneed.Missing(t, "Postgres")
		}
		t.Fatalf("private Postgres: %v", p.err)
	}
	p.mu.Lock()
	p.made++
	name := "t" + strconv.Itoa(p.made)
	p.mu.Unlock()
	tool := func(program string, args ...string) error {
		args = append([]string{"-h", "127.0.0.1", "-p", strconv.Itoa(p.port), "-U", "postgres"}, args...)
		out, err := exec.Command(filepath.Join(p.bin, program), args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: %w: %s", program, err, out)
		}
		return nil
	}
	if err := tool("createdb", name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tool("dropdb", "--force", "--if-exists", name); err != nil {
			t.Error(err)
		}
	})
	return name
}

var errNoPostgres = errors.New("not installed")

func (p *private) start() {
	if p.bin, p.err = postgresBin(); p.err != nil {
		return
	}
	// Another process may take the free port before Postgres does.
	for range 3 {
		if p.err = p.startOnce(); p.err == nil {
			return
		}
	}
}

// postgresBin finds the newest installed version, as Debian lays them out, else what the path has.
func postgresBin() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	slices.SortFunc(found, func(a, b string) int { return version(b) - version(a) })
	if len(found) > 0 {
		return filepath.Dir(found[0]), nil
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	return "", errNoPostgres
}

func version(initdb string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(initdb)))) // An odd name counts as 0.
	return n
}

func (p *private) startOnce() error {
	dir, err := os.MkdirTemp("/tmp", "sipdpg") // Short: a socket's path has at most 107 bytes.
	if err != nil {
		return err
	}
	attr, err := unprivileged(dir)
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	data := filepath.Join(dir, "data")
	initdb := exec.Command(filepath.Join(p.bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "--encoding=UTF8", "--locale=C")
	initdb.SysProcAttr, initdb.Dir = attr, dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return errors.Join(fmt.Errorf("initdb: %w: %s", err, out), os.RemoveAll(dir))
	}
	port, err := freePort()
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	// The shell holds the other end of a pipe: it reads the end of this process, however that ends, stops the server and
	// removes its folder.
	const script = `"$1" -D "$2/data" -k "$2" -h 127.0.0.1 -p "$3" $4 -c max_connections=60 -c shared_buffers=32MB >"$2/log" 2>&1 </dev/null &
pid=$!
read -r _
kill -QUIT $pid
wait $pid
cd / && rm -rf "$2"`
	noSync := "-F"
	if p.durable {
		noSync = ""
	}
	shell := exec.Command("/bin/sh", "-c", script, "sh", filepath.Join(p.bin, "postgres"), dir, strconv.Itoa(port), noSync)
	shell.SysProcAttr, shell.Dir = attr, dir
	life, err := shell.StdinPipe()
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	if err := shell.Start(); err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	for end := time.Now().Add(startTimeout); ; time.Sleep(30 * time.Millisecond) {
		if exec.Command(filepath.Join(p.bin, "pg_isready"), "-q", "-h", "127.0.0.1", "-p", strconv.Itoa(port)).Run() == nil {
			p.dir, p.port, p.life = dir, port, life
			return nil
		}
		log, _ := os.ReadFile(filepath.Join(dir, "log")) // It may not be there yet.
		if time.Now().After(end) || strings.Contains(string(log), "FATAL") && !strings.Contains(string(log), "starting up") {
			return errors.Join(fmt.Errorf("postgres does not start: %s", log), life.Close())
		}
	}
}

// unprivileged makes dir belong to the user that the server shall run as: it refuses to run as root.
func unprivileged(dir string) (*syscall.SysProcAttr, error) {
	// A group of its own: a signal from the terminal is for the test, which then ends the server.
	attr := &syscall.SysProcAttr{Setpgid: true}
	if os.Geteuid() != 0 {
		return attr, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2, os.Chown(dir, int(uid), int(gid))); err != nil {
			return nil, err
		}
		attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		return attr, nil
	}
	return nil, errors.New("running as root, and there is no user postgres or nobody")
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}
