package transport

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
)

func TestListenErrors(t *testing.T) {
	taken := start(t, Config{Listen: listeners("udp:127.0.0.1:0", "tcp:127.0.0.1:0")}, newRecorder()).Addrs()
	tests := []struct {
		name   string
		listen []Listener
		err    error  // may be nil
		want   string // in the text
	}{
		{"none", nil, nil, "udp:0.0.0.0:5060"},
		{"no address", []Listener{{Proto: UDP}}, nil, "ADDR:PORT"},
		{"udp port taken", taken[:1], syscall.EADDRINUSE, taken[0].String()},
		{"tcp port taken", taken[1:], syscall.EADDRINUSE, "stop it, or listen on another port"},
		{"not our address", listeners("udp:192.0.2.77:0"), syscall.EADDRNOTAVAIL, "no interface has this address"},
		{"the same twice", append(listeners("udp:127.0.0.1:0"), taken[0], taken[0]), syscall.EADDRINUSE, taken[0].String()},
		{"not built", listeners("wss:127.0.0.1:0"), nil, "use udp, tcp or tls"},
		{"too many", make([]Listener, maxListeners+1), nil, "at most 64"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Listen(Config{Listen: tt.listen})
			if err == nil {
				s.Close()
				t.Fatal("got no error")
			}
			if tt.err != nil && !errors.Is(err, tt.err) {
				t.Errorf("got %v, want it to be %v", err, tt.err)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %q, want %q in it", err, tt.want)
			}
		})
	}
}

func TestRunTwice(t *testing.T) {
	s := start(t, Config{Listen: listeners("udp:127.0.0.1:0")}, newRecorder())
	if err := s.Run(context.Background(), newRecorder()); !errors.Is(err, ErrStopped) {
		t.Errorf("got %v, want %v", err, ErrStopped)
	}
}

// After Run nothing is sent and nothing reported.
func TestAfterRun(t *testing.T) {
	s, err := Listen(Config{Listen: listeners("udp:127.0.0.1:0", "tcp:127.0.0.1:0")})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r := newRecorder()
	if err := s.Run(ctx, r); err != nil {
		t.Fatal(err)
	}
	out := s.NewOut()
	for _, l := range s.Addrs() {
		out.Send(Flow{Proto: l.Proto, Remote: l.Addr}, []byte("x"), 1)
	}
	out.Flush()
	if len(r.failed)+len(r.got) > 0 {
		t.Error("got a report after Run, want none")
	}
}
