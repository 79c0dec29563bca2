//go:build linux && !race

package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What a registered telephone that says nothing may cost the server on a connection of its own: buffers, stack, tables, its
// binding; not what the kernel has for it.
const (
	tcpMost = 20_000
	tlsMost = 60_000
)

// TestSizeOfIdleTelephones keeps telephones registered over TCP and TLS; ten and two thousand in make scale.
func TestSizeOfIdleTelephones(t *testing.T) {
	counts := map[string]int{"tcp": 500, "tls": 200}
	if os.Getenv("SIPD_SCALE_USERS") != "" {
		counts = map[string]int{"tcp": 10_000, "tls": 2_000}
	}
	for _, tt := range []struct {
		proto string
		most  int
	}{{"tcp", tcpMost}, {"tls", tlsMost}} {
		t.Run(tt.proto, func(t *testing.T) {
			n := counts[tt.proto]
			var files syscall.Rlimit
			if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
				t.Fatal(err)
			}
			if most := int(files.Cur) - 200; n > most {
				t.Logf("%d telephones instead of %d: no more file descriptors (ulimit -n)", most, n)
				n = most
			}
			dir := t.TempDir()
			_, certFile, keyFile := selfSigned(t, dir, "sip.example.com", time.Now().Add(90*24*time.Hour))
			_, addrs := streamServer(t, n+20, "--admin", "off", "--listen", tt.proto+":127.0.0.1:0", "--listen", "udp:127.0.0.1:0", "--set", "TLSCertificate="+certFile, "--set", "TLSKey="+keyFile)
			startCrowd(t, tt.proto, addrs[tt.proto], 20).stop(t) // What the first ones cost is the server's own.
			before := held(t)
			c := startCrowd(t, tt.proto, addrs[tt.proto], n)
			weigh := func(when string) {
				t.Helper()
				f := held(t).less(before, n)
				t.Logf("%d over %s, %s: heap %d and stacks %d bytes each, of the process %d", n, tt.proto, when, f.heap, f.stacks, f.pss)
				if f.heap+f.stacks > tt.most || n >= 1000 && f.pss > tt.most { // A few pages more or less are nothing among many.
					t.Errorf("got more for a telephone, want at most %d bytes", tt.most)
				}
			}
			weigh("registered")
			fmt.Fprintln(c.in)
			expectLine(t, c.out, "asked") // All of them still speak.
			weigh("after it has spoken")
			c.stop(t)
		})
	}
}

// footprint is what this process holds.
type footprint struct{ pss, heap, stacks int }

// less returns what each of n has added to before.
func (f footprint) less(before footprint, n int) footprint {
	return footprint{(f.pss - before.pss) / n, (f.heap - before.heap) / n, (f.stacks - before.stacks) / n}
}

// held measures it without garbage.
func held(t *testing.T) (f footprint) {
	t.Helper()
	runtime.GC()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	f.heap, f.stacks = int(m.HeapAlloc), int(m.StackInuse)
	text, err := os.ReadFile("/proc/self/smaps_rollup")
	if err != nil {
		t.Fatal(err)
	}
	_, pss, _ := strings.Cut(string(text), "\nPss:")
	if _, err := fmt.Sscan(pss, &f.pss); err != nil {
		t.Fatal(err)
	}
	f.pss <<= 10
	return f
}

// phones is a crowd of telephones in another process.
type phones struct {
	cmd *exec.Cmd
	in  *os.File
	out *bufio.Reader
}

func startCrowd(t *testing.T, proto, server string, n int) *phones {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %d", idleVariable, proto, server, n))
	cmd.Stdin, cmd.Stderr = r, os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.Close()
	p := &phones{cmd, w, bufio.NewReader(out)}
	t.Cleanup(func() { w.Close() })
	expectLine(t, p.out, "registered")
	return p
}

func (p *phones) stop(t *testing.T) {
	t.Helper()
	p.in.Close()
	if err := p.cmd.Wait(); err != nil {
		t.Error(err)
	}
}
