// Package server assembles the SIP core: it takes what the network brings, asks transactions, auth, target and location,
// and lets registrar, proxy and redirect act.
package server

import (
	"context"
	"log/slog"

	"sipd/location"
	"sipd/server/transport"
	"sipd/store"
	"sipd/store/cache"
)

// Config is what a Server is made of.
type Config struct {
	Net        transport.Network
	Tables     func() *cache.Snapshot // the routing tables now; never nil
	Location   *location.Service
	RequestLog func(store.LogRow) // one final response; must not block; nil: no request log
	Log        *slog.Logger
}

// Server is the SIP core.
type Server struct {
	// ...
}

// New makes a server. It starts nothing.
func New(cfg Config) (*Server, error) { return nil, nil }

// Run serves the network until ctx ends; then it drains (BEHAVIOUR, Drain) for at most 5 s and returns when all its
// goroutines have ended. location.Run and cache.Run are the caller's.
func (s *Server) Run(ctx context.Context) error { return nil }

// Flush sends what location's completions queued: location.Service calls it after each batch of Done.
func (s *Server) Flush() {}
