package test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sipd/internal/testneed"
)

// proxy stands between a server and its database, and can be cut in two ways.
type proxy struct {
	addr, target string

	mu       sync.Mutex
	listener *net.TCPListener
	conns    map[net.Conn]struct{}
	flows    chan struct{} // closed while bytes go through
	plugs    []net.Conn    // what fills the queue of connections nobody accepts
	group    sync.WaitGroup
}

// newProxy listens on a free port of loopback; the test's end closes it.
func newProxy(t testing.TB, target string) *proxy {
	t.Helper()
	p := &proxy{target: target, conns: map[net.Conn]struct{}{}, flows: make(chan struct{})}
	close(p.flows)
	p.addr = "127.0.0.1:0"
	p.open(t)
	p.addr = p.listener.Addr().String()
	t.Cleanup(func() {
		p.mu.Lock()
		select {
		case <-p.flows:
		default:
			close(p.flows)
		}
		p.mu.Unlock()
		p.refuse()
		p.group.Wait()
	})
	return p
}

func (p *proxy) port() int { return p.listener.Addr().(*net.TCPAddr).Port }

// open accepts connections.
func (p *proxy) open(t testing.TB) {
	t.Helper()
	l, err := net.Listen("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	p.listener = l.(*net.TCPListener)
	p.mu.Unlock()
	p.group.Go(func() { p.accept(l) })
}

func (p *proxy) accept(l net.Listener) {
	for {
		p.wait()
		in, err := l.Accept()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", p.target)
		if err != nil {
			in.Close()
			continue
		}
		p.mu.Lock()
		p.conns[in], p.conns[out] = struct{}{}, struct{}{}
		p.mu.Unlock()
		p.group.Go(func() { p.copy(out, in) })
		p.group.Go(func() { p.copy(in, out) })
	}
}

// wait returns when bytes may go through.
func (p *proxy) wait() {
	p.mu.Lock()
	flows := p.flows
	p.mu.Unlock()
	<-flows
}

func (p *proxy) copy(to, from net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		p.wait() // Nor does the end of a stream get through.
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	p.mu.Lock()
	delete(p.conns, to)
	delete(p.conns, from)
	p.mu.Unlock()
	to.Close()
	from.Close()
}

// listen sets how many connections the kernel keeps for Accept.
func (p *proxy) listen(backlog int) error {
	raw, err := p.listener.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = syscall.Listen(int(fd), backlog) })
	return errors.Join(err, failed)
}

// blackHole lets nothing through any more and tells nobody: packets of new connections are dropped, too.
func (p *proxy) blackHole(t testing.TB) {
	t.Helper()
	p.mu.Lock()
	p.flows = make(chan struct{})
	p.mu.Unlock()
	if err := errors.Join(p.listen(0), p.listener.SetDeadline(time.Now())); err != nil {
		t.Fatal(err)
	}
	for range 20 { // A full queue makes the kernel drop what wants to connect.
		c, err := net.DialTimeout("tcp", p.addr, 300*time.Millisecond)
		if err != nil {
			return
		}
		p.plugs = append(p.plugs, c)
	}
	t.Fatal("the queue of connections does not fill")
}

// restore ends blackHole.
func (p *proxy) restore(t testing.TB) {
	t.Helper()
	for _, c := range p.plugs {
		c.Close()
	}
	p.plugs = nil
	if err := errors.Join(p.listen(128), p.listener.SetDeadline(time.Time{})); err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.flows)
}

// refuse resets every connection and takes no new one.
func (p *proxy) refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listener.Close()
	for c := range p.conns {
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
}

// exec runs statements on a database.
func (d *database) exec(t testing.TB, statements ...string) {
	t.Helper()
	db, err := sql.Open(d.driver, d.source)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1) // SET is the session's.
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// lockAway takes the write lock of an SQLite database, as another program might, until release.
func (d *database) lockAway(t testing.TB) (release func()) {
	t.Helper()
	db, err := sql.Open(d.driver, d.source)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); ; {
		_, err := conn.ExecContext(context.Background(), "BEGIN EXCLUSIVE")
		if err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("lock the database: %v", err)
		}
	}
	return func() {
		_, err := conn.ExecContext(context.Background(), "ROLLBACK")
		if err := errors.Join(err, conn.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	}
}

// mountTmpfs mounts a small disk in memory.
func mountTmpfs(t testing.TB, megabytes int) string {
	t.Helper()
	return mounted(t, "-t", "tmpfs", "-o", fmt.Sprintf("size=%dm", megabytes), "tmpfs")
}

// mountImage mounts the file system in a file.
func mountImage(t testing.TB, image string) string {
	t.Helper()
	return mounted(t, "-o", "loop", image)
}

func mounted(t testing.TB, args ...string) string {
	t.Helper()
	need(t, "mount", "umount")
	if os.Geteuid() != 0 {
		testneed.Missing(t, "root (to mount a small disk)")
	}
	dir, err := os.MkdirTemp("/tmp", "sipdmnt")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := tryRun(append(append([]string{"mount"}, args...), dir)...); err != nil {
		os.Remove(dir)
		testneed.Missing(t, "the right to mount a small disk ("+strings.TrimSpace(out)+")")
	}
	t.Cleanup(func() {
		unmount(t, dir)
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// unmount waits until nobody holds a file there; done already is fine.
func unmount(t testing.TB, dir string) {
	t.Helper()
	var out string
	var err error
	for range 100 {
		if out, err = tryRun("umount", dir); err == nil || strings.Contains(out, "not mounted") {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("umount: %v %s", err, out)
}

// makeImage makes a file with an empty ext4 file system.
func makeImage(t testing.TB, megabytes int64) string {
	t.Helper()
	need(t, "mkfs.ext4")
	file := filepath.Join(t.TempDir(), "image")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(megabytes<<20), f.Close()); err != nil {
		t.Fatal(err)
	}
	run(t, "mkfs.ext4", "-q", file)
	return file
}

// fillDisk writes a file until no byte is left, and keeps it so until release.
func fillDisk(t testing.TB, dir string) (release func()) {
	t.Helper()
	file := filepath.Join(dir, "filler")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	fill := func() error {
		for size := 1 << 20; size > 0; {
			if _, err := f.Write(make([]byte, size)); err != nil {
				if !errors.Is(err, syscall.ENOSPC) {
					return err
				}
				size /= 2
			}
		}
		return nil
	}
	if err := fill(); err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() { // What others give back is taken, too.
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
				if err := fill(); err != nil {
					t.Error(err)
					return
				}
			}
		}
	}()
	return func() {
		close(stop)
		<-done
		if err := errors.Join(f.Close(), os.Remove(file)); err != nil {
			t.Error(err)
		}
	}
}
