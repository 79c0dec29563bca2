package transport

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if spec := os.Getenv(loadVariable); spec != "" {
		if err := generateLoad(spec); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if err := goleak.Find(); err != nil {
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// waitLimit ends a test that waits for what never comes.
const waitLimit = 10 * time.Second

type received struct {
	from Flow
	raw  string
}

type failure struct {
	ref Ref
	err error
}

// recorder is a Receiver that keeps what it is told.
type recorder struct {
	handle func(out *Out, from Flow, raw []byte) // may be nil

	got    chan received
	failed chan failure
	closed chan Flow
}

func newRecorder() *recorder {
	return &recorder{got: make(chan received, 4096), failed: make(chan failure, 4096), closed: make(chan Flow, 64)}
}

func (r *recorder) Receive(out *Out, from Flow, raw []byte) {
	if r.handle != nil {
		r.handle(out, from, raw)
	}
	r.got <- received{from, string(raw)}
}

func (r *recorder) SendFailed(_ *Out, ref Ref, err error) { r.failed <- failure{ref, err} }
func (r *recorder) FlowClosed(_ *Out, flow Flow)          { r.closed <- flow }

// next returns what comes first on ch.
func next[T any](t *testing.T, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(waitLimit):
		t.Fatalf("got no %T", *new(T))
		panic("unreachable")
	}
}

// echo answers each message with itself.
func echo(out *Out, from Flow, raw []byte) { out.Send(from, raw, 0) }

// start serves cfg with r until the test ends.
func start(t testing.TB, cfg Config, r Receiver) *Sockets {
	t.Helper()
	s, err := Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Run(ctx, r); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		if n := s.waiting.Load(); n != 0 {
			t.Errorf("got %d bytes counted as waiting at the end, want none", n)
		}
	})
	for !s.table.running() { // until the goroutine above has come to it
		time.Sleep(time.Millisecond)
	}
	return s
}

func listeners(specs ...string) []Listener {
	var all []Listener
	for _, spec := range specs {
		proto, addr, _ := strings.Cut(spec, ":")
		p, ok := ParseProto([]byte(proto))
		if !ok {
			panic(spec)
		}
		all = append(all, Listener{p, netip.MustParseAddrPort(addr)})
	}
	return all
}

// variants runs a test with the UDP code of this system and with that of the others.
func variants(t *testing.T, f func(t *testing.T, portable bool)) {
	if rawUDP {
		t.Run("raw", func(t *testing.T) { f(t, false) })
	}
	t.Run("portable", func(t *testing.T) { f(t, true) })
}

// relay sends each datagram back.
type relay struct{ n atomic.Int64 }

func (r *relay) Receive(out *Out, from Flow, raw []byte) { r.n.Add(1); out.Send(from, raw, 1) }
func (r *relay) SendFailed(*Out, Ref, error)             {}
func (r *relay) FlowClosed(*Out, Flow)                   {}
