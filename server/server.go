package server

import (
	"context"
	"errors"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"sipd/location"
	"sipd/server/auth"
	"sipd/server/calltrace"
	"sipd/server/gateway"
	"sipd/server/message"
	"sipd/server/proxy"
	"sipd/server/target"
	"sipd/server/transaction"
	"sipd/server/transport"
	"sipd/store"
	"sipd/store/cache"
)

// Config is what a Server is made of.
type Config struct {
	Net        transport.Network
	Tables     func() *cache.Snapshot // the routing tables now; never nil
	Location   *location.Service
	RequestLog func(store.LogRow)  // one final response; must not block; nil: no request log
	MaxOpen    int                 // as in proxy.Config
	Resolver   proxy.Resolver      // of next hops that are names; nil: there are none
	Domains    *transport.Domains  // as in proxy.Config
	Draw       func(n int) int     // a random number below n, for the order of gateways; nil: math/rand's
	Asker      Asker               // of what no table says (EnumRoot, Locator); nil: nobody is asked
	Machine    func() target.Names // mail aliases and full names, now; nil: there are none
	Calls      *calltrace.Ring     // keeps why calls went where they did; nil: nobody asks
	Log        *slog.Logger
}

// Server is the SIP core: the transport.Receiver that everything else hangs off.
type Server struct {
	net      transport.Network
	tables   func() *cache.Snapshot
	location *location.Service
	record   func(store.LogRow)
	log      *slog.Logger
	name     string // in Via and Record-Route, "" for addresses (Settings.ViaName)
	domains  *transport.Domains
	resolver proxy.Resolver

	tryStateless bool // TryStateless, and there is no request log that every final response would have to go through

	transactions *transaction.Table
	proxy        *proxy.Proxy
	gateways     *gateway.Table
	verifier     *auth.Verifier
	seed         maphash.Seed
	scratch      sync.Pool      // *scratch
	commits      *transport.Out // of location's completions; its committer is the only writer
	draining     atomic.Bool
	registering  atomic.Int64  // REGISTERs that wait for their commit
	redirecting  atomic.Int64  // redirects that wait for addresses, calls that wait for an answer
	recursion    proxy.Recurse // s.recurse, made once
	further      proxy.Next    // s.forwards, likewise
	asker        Asker
	machine      func() target.Names
	calls        *calltrace.Ring
	fence        fence
	panics       atomic.Int64
	dropped      atomic.Int64
}

// scratch is what handling one message needs, so that it allocates nothing.
type scratch struct {
	msg      message.Message
	out      *transport.Out
	from     transport.Flow
	now      time.Time
	tables   target.Tables
	route    proxy.Route
	decision target.Decision
	facts    target.Facts
	buf      []byte
	tag      []byte
	server   *Server
	tx       *transaction.Server // of msg, when it has waited for an answer; else nil
	shard    *transaction.Shard  // of tx
	call     calltrace.Ref
}

// New makes a server. It starts nothing.
func New(cfg Config) (*Server, error) {
	if cfg.Net == nil || cfg.Tables == nil || cfg.Location == nil || cfg.Log == nil {
		return nil, errors.New("server: Net, Tables, Location and Log are needed")
	}
	s := &Server{
		net: cfg.Net, tables: cfg.Tables, location: cfg.Location, record: cfg.RequestLog, log: cfg.Log,
		name:     cfg.Tables().Settings.ViaName,
		domains:  cfg.Domains,
		resolver: cfg.Resolver,
		calls:    cfg.Calls,
		gateways: gateway.New(),
		verifier: auth.NewVerifier(),
		seed:     maphash.MakeSeed(),
		commits:  cfg.Net.NewOut(),
	}
	if cfg.Draw != nil {
		s.gateways.DrawBy(cfg.Draw)
	}
	s.Follow(cfg.Tables())
	s.recursion, s.further, s.asker, s.machine = s.recurse, s.forwards, cfg.Asker, cfg.Machine
	s.scratch.New = func() any {
		x := &scratch{server: s}
		x.tables = target.Tables{Location: s.location, Own: x.own, Names: s.resolver != nil, Order: s.gateways.Order}
		return x
	}
	s.tryStateless = s.record == nil && cfg.Tables().Settings.TryStateless
	var err error
	s.transactions, err = transaction.New(transaction.Config{Net: cfg.Net, Log: cfg.Log, Cancelled: s.cancelled, Maddr: s.answersTo})
	if err != nil {
		return nil, err
	}
	s.proxy = proxy.New(proxy.Config{
		Net: cfg.Net, Name: s.name, Finished: s.finished, MaxOpen: cfg.MaxOpen, Stateless: s.tryStateless, Log: cfg.Log, Opens: s.opens,
		Resolver: cfg.Resolver, InShard: s.inShard, Domains: cfg.Domains, Trust: s.trust, Calls: cfg.Calls,
		Gateway: s.fenced, Gateways: s.gateways,
	})
	return s, nil
}

// inShard runs f in the shard of a Call-ID, outside of the handling of a message: an answer has come that a call waited for.
func (s *Server) inShard(callID []byte, f func(sh *transaction.Shard)) {
	defer func() {
		if fault := recover(); fault != nil {
			s.panicked("an answer", fault)
		}
	}()
	out := s.net.NewOut()
	defer out.Flush() // After a panic, too: what has been answered goes out.
	sh := s.transactions.Shard(callID)
	sh.Enter(out, time.Now())
	defer sh.Leave()
	f(sh)
}

// drainLimit is how long open transactions may take to finish after a stop was asked for (sipd(8), SIGNALS).
const drainLimit = 5 * time.Second

// Run serves the network until ctx ends; then it drains: new requests outside a dialog get 503, open ones finish, and after
// 5 s pending INVITEs are cancelled and answered. It returns when all its goroutines have ended. location.Run and
// cache.Run are the caller's and must go on until Run has returned.
func (s *Server) Run(ctx context.Context) error {
	serve, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var group sync.WaitGroup
	failed := make(chan error, 2)
	group.Go(func() { failed <- s.net.Run(serve, s) })
	group.Go(func() { failed <- s.transactions.Run(serve) })
	group.Go(func() { s.proxy.Report(serve) })
	group.Go(func() { s.gateways.Run(serve, s, s.log.With("pkg", "gateway")) })
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
		s.drain()
	}
	stop()
	group.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// drain waits until nothing is open.
func (s *Server) drain() {
	s.draining.Store(true)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(drainLimit); time.Now().Before(end) && s.open() > 0; {
		<-tick.C
	}
	if s.proxy.Open()+int(s.redirecting.Load()) == 0 {
		return
	}
	out := s.net.NewOut()
	s.transactions.EachServer(out, time.Now(), func(sh *transaction.Shard, tx *transaction.Server) {
		switch u := tx.User().(type) {
		case *proxy.Context:
			u.Abort(sh)
		case *inquiry:
			u.abort(sh, tx)
		}
	})
	out.Flush()
}

// open counts what has no final response yet.
func (s *Server) open() int { return s.proxy.Open() + int(s.registering.Load()+s.redirecting.Load()) }

// Flush sends what location's completions queued: location.Service calls it after each batch of Done.
func (s *Server) Flush() { s.commits.Flush() }

// Trim gives back what is kept for reuse and not in use, about so many bytes; for times with little to do.
func (s *Server) Trim() (bytes uint64) { return s.transactions.Trim() + s.verifier.Trim(time.Now()) }

// Down returns the next hops that have failed lately and are passed over.
func (s *Server) Down() []proxy.Down { return s.proxy.Down(time.Now()) }

// Oldest returns the age of the oldest server transaction, 0 when there is none.
func (s *Server) Oldest() time.Duration { return s.transactions.Oldest() }

// Status is the server's gauges and counters, for the state dump and tests.
type Status struct {
	ServerTransactions, ClientTransactions int
	OpenRequests                           int   // proxied requests, REGISTERs and redirects without a final response
	Contexts, Afterlives                   int   // response contexts in use, and what is left of those that were answered 2xx
	Panics                                 int64 // messages and timers whose handling panicked: a fault of ours
	Dropped                                int64 // messages dropped as malformed or stray
}

// Status returns the gauges now.
func (s *Server) Status() Status {
	servers, clients := s.transactions.Counts()
	contexts, afterlives := s.proxy.Held()
	return Status{servers, clients, s.open(), contexts, afterlives, s.panics.Load() + s.transactions.Panics(), s.dropped.Load()}
}
