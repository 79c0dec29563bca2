package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// lines is a writer that a test may read while a server writes.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// running is a server in this process.
type running struct {
	addrs   []string // "udp:127.0.0.1:40000"
	log     *lines
	signals chan os.Signal
	stop    func() int // asks it to stop and returns the exit status
}

// patience bounds every wait for the server: a loaded machine is slow, a broken server never answers.
const patience = 20 * time.Second

// start runs a server until the test ends.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{log: &lines{}, signals: make(chan os.Signal, 1)}
	ready := make(chan []string, 1)
	a := &app{stdin: strings.NewReader(""), stdout: io.Discard, stderr: r.log, env: func(string) string { return "" },
		signals: r.signals, ready: func(addrs []string) { ready <- addrs }}
	done := make(chan int, 1)
	go func() { done <- a.execute(ctx, append([]string{"run"}, args...)) }()
	r.stop = sync.OnceValue(func() int { cancel(); return <-done })
	t.Cleanup(func() { r.stop() })
	select {
	case r.addrs = <-ready:
	case code := <-done:
		done <- code
		t.Fatalf("the server ended with %d: %s", code, r.log)
	case <-time.After(patience):
		t.Fatalf("the server is not ready: %s", r.log)
	}
	return r
}

// waitFor waits until the log holds text.
func (r *running) waitFor(t *testing.T, text string) {
	t.Helper()
	for end := time.Now().Add(patience); !strings.Contains(r.log.String(), text); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("got the log %s, want %q in it", r.log, text)
		}
	}
}

// options sends an OPTIONS to the server and returns its answer.
func options(t *testing.T, network, addr string) string {
	t.Helper()
	c, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	_, err = io.WriteString(c, "OPTIONS sip:"+addr+" SIP/2.0\r\nVia: SIP/2.0/"+strings.ToUpper(network)+" "+c.LocalAddr().String()+";branch=z9hG4bK1;rport\r\n"+
		"From: <sip:probe@invalid.invalid>;tag=1\r\nTo: <sip:"+addr+">\r\nCall-ID: "+network+c.LocalAddr().String()+"\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	n, err := c.Read(buf)
	if err != nil {
		t.Fatalf("OPTIONS over %s: %v", network, err)
	}
	return string(buf[:n])
}

func TestRun(t *testing.T) {
	d := database(t)
	socket := filepath.Join(t.TempDir(), "admin.sock")
	r := start(t, d, "--listen", "udp:127.0.0.1:0", "--listen", "tcp:127.0.0.1:0", "--admin", "unix:"+socket, "-d", "sql", "-l", "old.license", "--set", "MediaRelay=auto")
	for i, network := range []string{"udp", "tcp"} {
		addr, ok := strings.CutPrefix(r.addrs[i], network+":")
		if !ok {
			t.Fatalf("got listeners %v, want udp and tcp", r.addrs)
		}
		if got := options(t, network, addr); !strings.HasPrefix(got, "SIP/2.0 200 ") {
			t.Errorf("OPTIONS over %s: got %q, want 200", network, got)
		}
	}
	for _, want := range []string{"sipd ready\n", "-l is accepted and ignored", "MediaRelay is accepted; this version does not act on it"} {
		if !strings.Contains(r.log.String(), want) {
			t.Errorf("got the log %s, want %q in it", r.log, want)
		}
	}

	client := http.Client{Timeout: patience, Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	defer client.CloseIdleConnections()
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/status": 200, "/metrics": 200, "/": 404} {
		resp, err := client.Get("http://sipd" + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != want {
			t.Errorf("%s: got %d, %v, want %d", path, resp.StatusCode, err, want)
		}
		if path == "/status" {
			var state struct{ Goroutines, Panics, Descriptors *int }
			if err := json.Unmarshal(body, &state); err != nil || state.Goroutines == nil || *state.Goroutines < 5 || state.Panics == nil || *state.Panics != 0 || state.Descriptors == nil {
				t.Errorf("/status: got %q, %v, want the numbers of goroutines, descriptors and panics", body, err)
			}
		}
		if path == "/metrics" && (!strings.Contains(string(body), "\nsipd_open_requests 0\n") || !strings.Contains(string(body), "\nprocess_cpu_seconds_total ")) {
			t.Errorf("/metrics: got %q, want the numbers of the server and of the process", body)
		}
		if path == "/readyz" {
			var state struct {
				Ready   bool
				Reasons []string
			}
			if err := json.Unmarshal(body, &state); err != nil || !state.Ready || len(state.Reasons) != 0 {
				t.Errorf("/readyz: got %q, %v, want ready without reasons", body, err)
			}
		}
	}

	// A second server on the same database is refused; the commands work beside the first.
	second := call(t, "", "run", d, "--listen", "udp:127.0.0.1:0", "--admin", "off")
	if second.code != exitUsage || !strings.Contains(second.err, "another sipd") {
		t.Errorf("a second server: got %d, %q, want 2 and that another sipd is there", second.code, second.err)
	}
	must(t, "user", "add", "alice@example.com", d)
	if r := call(t, "", "reg", "rm", "alice@example.com", d); r.code != exitFailed || !strings.Contains(r.err, "a server works on this database") {
		t.Errorf("reg rm beside a server: got %d, %q, want 1 and that a server is there", r.code, r.err)
	}
	r.signals <- syscall.SIGHUP
	r.waitFor(t, "msg=reloaded users=1")
	r.signals <- syscall.SIGUSR2
	r.waitFor(t, "msg=state")
	if code := r.stop(); code != exitDone {
		t.Errorf("got exit status %d, %s, want 0", code, r.log)
	}
	if _, err := os.Stat(socket); err == nil {
		t.Error("the admin socket is still there after the stop")
	}

	// What the first held is free: a server can start again at once.
	start(t, d, "--listen", r.addrs[0], "--admin", "off").stop()
}

func TestRunFailures(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	d := database(t)
	expect(t, []expectation{
		{"port taken", []string{"run", d, "--admin", "off", "--listen", "tcp:" + busy.Addr().String()}, 1, "another program has this port"},
		{"admin port taken", []string{"run", d, "--admin", busy.Addr().String(), "--listen", "udp:127.0.0.1:0"}, 1, "--admin off"},
		{"an address that is not here", []string{"run", d, "--admin", "off", "--listen", "udp:192.0.2.1:0"}, 1, "192.0.2.1"},
		{"no such directory", []string{"run", "-Dsqlite:" + filepath.Join(t.TempDir(), "no", "x.db")}, 1, "x.db"},
	})
	must(t, "user", "list", d) // the database is not left locked
}

// A socket that a killed server left is replaced; one that answers is not.
func TestAdminSocketOfADeadServer(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "a.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	d := database(t)
	r := call(t, "", "run", d, "--listen", "udp:127.0.0.1:0", "--admin", "unix:"+socket)
	if r.code != exitFailed || !strings.Contains(r.err, "address already in use") {
		t.Errorf("a socket in use: got %d, %q, want 1", r.code, r.err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	if code := start(t, d, "--listen", "udp:127.0.0.1:0", "--admin", "unix:"+socket).stop(); code != exitDone {
		t.Errorf("a socket left behind: got %d, want 0", code)
	}
}
