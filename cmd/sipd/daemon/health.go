package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"sipd/server/calltrace"
)

// health answers /healthz, /readyz, /status, /metrics and /calls.
type health struct {
	listener net.Listener
	ready    func() readiness
	status   func() status
	calls    func(callID string) []calltrace.Call
	log      *slog.Logger
}

// readiness is the answer of /readyz.
type readiness struct {
	Ready   bool     `json:"ready"`
	Reasons []string `json:"reasons"` // why not, or what works with old data only
}

// socketMode lets the owner's programs ask, nobody else.
const socketMode = 0o600

// listenHealth opens the socket. A unix socket that a killed server left behind is replaced.
func listenHealth(network, addr string, ready func() readiness, status func() status, calls func(string) []calltrace.Call, log *slog.Logger) (*health, error) {
	l, err := net.Listen(network, addr)
	if errors.Is(err, syscall.EADDRINUSE) && network == "unix" && abandoned(addr) {
		if err := os.Remove(addr); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		l, err = net.Listen(network, addr)
	}
	if err != nil {
		return nil, fmt.Errorf("admin listener: %w; write another address with --admin, or --admin off", err)
	}
	if network == "unix" {
		if err := os.Chmod(addr, socketMode); err != nil {
			return nil, errors.Join(err, l.Close())
		}
	}
	return &health{listener: l, ready: ready, status: status, calls: calls, log: log}, nil
}

// abandoned tells whether path is a socket that nobody answers.
func abandoned(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&fs.ModeSocket == 0 {
		return false
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// The pages are a line each: whoever needs longer than this is not a monitor.
const (
	healthTimeout   = 5 * time.Second
	healthIdle      = time.Minute
	healthMaxHeader = 8 << 10
)

// run serves until ctx ends.
func (h *health) run(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		r := h.ready()
		if r.Reasons == nil {
			r.Reasons = []string{}
		}
		w.Header().Set("Content-Type", "application/json")
		if !r.Ready {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		json.NewEncoder(w).Encode(r)
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(h.status())
	})
	mux.HandleFunc("GET /calls/{id}", h.serveCalls)
	mux.Handle("GET /metrics", metricsPage(h.status, h.log))
	srv := &http.Server{
		Handler: mux, ErrorLog: slog.NewLogLogger(h.log.Handler(), slog.LevelDebug),
		ReadTimeout: healthTimeout, WriteTimeout: healthTimeout, IdleTimeout: healthIdle, MaxHeaderBytes: healthMaxHeader,
	}
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	if err := srv.Serve(h.listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return ctx.Err()
}
