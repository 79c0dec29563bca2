package storetest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sipd/internal/testneed"
)

// Cluster is a Postgres server of a test's own, which the test may kill, stop in its tracks and start again. It syncs to
// disk. It needs /proc.
type Cluster struct {
	Port int

	bin, dir, data string
	attr           *syscall.SysProcAttr
	shell          *exec.Cmd // nil: not started
	life           io.Closer
	pid            int // of the postmaster
}

// clusterScript prints the postmaster's number and waits for the end of the test process: it then kills the server, also
// the processes that stand still.
const clusterScript = `"$1" -D "$2" -k "$3" -h 127.0.0.1 -p "$4" -c max_connections=40 -c shared_buffers=16MB >>"$3/log" 2>&1 </dev/null &
pid=$!
echo $pid
read -r _
kill -KILL $(grep -lsx "PPid:	$pid" /proc/[0-9]*/status | cut -d/ -f3) $pid`

// NewCluster makes and starts a server with the database sipd. Its data lie in the folder data, "" for one of its own. Without
// Postgres the test is skipped (see package testneed). The test's end kills it.
func NewCluster(t testing.TB, data string) *Cluster {
	t.Helper()
	bin, err := postgresBin()
	if errors.Is(err, errNoPostgres) {
		testneed.Missing(t, "Postgres")
	}
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/tmp", "sipdpg") // Short: a socket's path has at most 107 bytes.
	if err != nil {
		t.Fatal(err)
	}
	c := &Cluster{bin: bin, dir: dir, data: data}
	t.Cleanup(func() {
		c.Kill(t)
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if c.data == "" {
		c.data = filepath.Join(dir, "data")
		if err := os.Mkdir(c.data, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if c.attr, err = unprivileged(dir); err != nil {
		t.Fatal(err)
	}
	if _, err = unprivileged(c.data); err != nil {
		t.Fatal(err)
	}
	// Small segments of the log, so that a small disk holds the server.
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", c.data, "-U", "postgres", "-A", "trust", "--no-sync", "--encoding=UTF8", "--locale=C", "--wal-segsize=1")
	initdb.SysProcAttr, initdb.Dir = c.attr, dir
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v: %s", err, out)
	}
	if c.Port, err = freePort(); err != nil {
		t.Fatal(err)
	}
	c.Start(t)
	if out, err := exec.Command(filepath.Join(bin, "createdb"), "-h", "127.0.0.1", "-p", strconv.Itoa(c.Port), "-U", "postgres", "sipd").CombinedOutput(); err != nil {
		t.Fatalf("createdb: %v: %s", err, out)
	}
	return c
}

// URL names the database sipd as reached at a port of this machine: the server's own, or that of something in between.
func (c *Cluster) URL(port int) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/sipd?sslmode=disable", port)
}

// Start starts the server and waits until it takes connections.
func (c *Cluster) Start(t testing.TB) {
	t.Helper()
	end := time.Now().Add(startTimeout)
	for {
		err := c.start()
		for err == nil && c.running() {
			if exec.Command(filepath.Join(c.bin, "pg_isready"), "-q", "-h", "127.0.0.1", "-p", strconv.Itoa(c.Port)).Run() == nil {
				return
			}
			if time.Now().After(end) {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		// After a kill the shared memory lives until the last process has gone: it is tried again.
		c.Kill(t)
		if err != nil || time.Now().After(end) {
			log, _ := os.ReadFile(filepath.Join(c.dir, "log")) // It may not be there yet.
			t.Fatalf("Postgres does not start: %v\n%s", err, log)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (c *Cluster) start() error {
	shell := exec.Command("/bin/sh", "-c", clusterScript, "sh", filepath.Join(c.bin, "postgres"), c.data, c.dir, strconv.Itoa(c.Port))
	shell.SysProcAttr, shell.Dir = c.attr, c.dir
	life, err := shell.StdinPipe()
	if err != nil {
		return err
	}
	out, err := shell.StdoutPipe()
	if err != nil {
		return err
	}
	if err := shell.Start(); err != nil {
		return err
	}
	c.shell, c.life = shell, life
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return fmt.Errorf("the shell that starts postgres: %w", err)
	}
	c.pid, err = strconv.Atoi(strings.TrimSpace(line))
	return err
}

// Kill kills every process of the server at once, as if the machine had died.
func (c *Cluster) Kill(t testing.TB) {
	t.Helper()
	if c.shell == nil {
		return
	}
	for _, p := range c.freeze() {
		syscall.Kill(p, syscall.SIGKILL) // It may have ended by itself.
	}
	c.life.Close()
	c.shell.Wait() // Its kill finds nobody left, which is no success.
	c.shell, c.pid = nil, 0
}

// Hang stops every process of the server: it accepts connections, and nothing else.
func (c *Cluster) Hang() { c.freeze() }

// Deafen stops the postmaster alone: sessions go on, but there are no new ones, and nobody hears that a statement is to be
// cancelled.
func (c *Cluster) Deafen() { syscall.Kill(c.pid, syscall.SIGSTOP) }

// Continue ends Hang and Deafen.
func (c *Cluster) Continue() {
	for _, p := range c.processes() {
		syscall.Kill(p, syscall.SIGCONT)
	}
}

// Running tells whether the server has not ended.
func (c *Cluster) Running() bool { return c.shell != nil && c.running() }

func (c *Cluster) running() bool {
	state, _ := status(c.pid)
	return state != "" && state != "Z"
}

// freeze stops the postmaster first: it starts no other then.
func (c *Cluster) freeze() []int {
	syscall.Kill(c.pid, syscall.SIGSTOP)
	list := c.processes()
	for _, p := range list {
		syscall.Kill(p, syscall.SIGSTOP)
	}
	return list
}

// processes lists the server's processes, the postmaster last.
func (c *Cluster) processes() (list []int) {
	if c.pid == 0 {
		return nil
	}
	dirs, _ := filepath.Glob("/proc/[0-9]*") // The pattern is good.
	for _, d := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(d))
		if _, parent := status(pid); parent == c.pid {
			list = append(list, pid)
		}
	}
	return append(list, c.pid)
}

// status returns the state letter and the parent of a process, "" when there is none.
func status(pid int) (state string, parent int) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0
	}
	// 4711 (name, with any byte) S 1 ...
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 2 {
		return "", 0
	}
	parent, _ = strconv.Atoi(fields[1])
	return fields[0], parent
}
