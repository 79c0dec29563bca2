package daemon

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"

	"sipd/config"
	"sipd/location"
	"sipd/requestlog"
	"sipd/resolve"
	"sipd/server"
	"sipd/server/answers"
	"sipd/server/calltrace"
	"sipd/server/certs"
	"sipd/server/transport"
	"sipd/sipaddr"
	"sipd/store"
	"sipd/store/cache"
	"sipd/store/sqlstore"
)

// Config is what a server is started with.
type Config struct {
	Database  string           // URL in the form of config.Database
	Server    string           // the server record (-S); "" is the only one
	Overrides [][]config.Value // sources of settings stronger than server_settings, weakest first: file, command line
	Root      string           // ServerRoot: relative file names hang below it; "" is the working directory
	StateEnv  string           // the variable STATE_DIRECTORY, which systemd sets
	Log       *slog.Logger
	Levels    *Levels          // categories of debug output, kept in step with the setting Debug; may be nil
	Signals   <-chan os.Signal // HUP reloads, USR2 dumps the state to the log; may be nil
	Ready     func([]string)   // told the bound listeners ("udp:127.0.0.1:5060") once every one answers; may be nil
}

// Errors about the configuration: the command ends with status 2 for these.
var ErrConfig = errors.New("configuration")

// configError makes err one of ErrConfig without another prefix.
type configError struct{ error }

func (e configError) Is(target error) bool { return target == ErrConfig }
func (e configError) Unwrap() error        { return e.error }

// A database notices a moment late that the server which held the lock was killed; one that is alive keeps it.
const (
	lockWait = 2 * time.Second
	lockPoll = 50 * time.Millisecond
)

// Run serves until ctx ends, drains and returns nil, or returns why it cannot go on.
func Run(ctx context.Context, cfg Config) (err error) {
	d := &daemon{cfg: cfg, log: cfg.Log, locked: make(chan error, 1), db: newDatabase(), stopConnecting: func() {}, names: machineNames{log: cfg.Log}}
	if d.cfg.Levels == nil {
		d.cfg.Levels = &Levels{}
	}
	defer func() { err = errors.Join(err, d.close()) }()
	if err := d.prepare(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // stopped while starting
		}
		return err
	}
	return d.serve(ctx)
}

// daemon is the parts of a running server.
type daemon struct {
	cfg    Config
	log    *slog.Logger
	db     *database
	store  *sqlstore.DB // nil until it has been reached
	unlock func()
	locked chan error // another sipd has taken the database, after a connection was lost
	// An attempt to reach the database that has not ended, and what ends it.
	pending        <-chan connection
	stopConnecting func()
	state          *folder   // nil: nothing is kept on disk
	copy           *diskCopy // nil likewise
	queue          *folder   // LogQueueDir, when it is another than state
	cache          *cache.Cache
	location       *location.Service
	requests       *requestlog.Log // nil: RequestLog none
	domains        *transport.Domains
	certificate    *certs.Pair    // nil: no TLS
	roots          *x509.CertPool // of next hops over TLS
	resolver       *resolve.Resolver
	answers        *answers.Sources // of EnumRoot and Locator
	sockets        *transport.Sockets
	server         *server.Server
	health         *health         // nil: AdminListen off
	calls          *calltrace.Ring // nil likewise
	started        bool            // serve has begun: the parts close what they own
	first          *config.Settings
	names          machineNames
	seen           *config.Settings // the last that changed looked at; its own
	phase          atomic.Int32
}

// The states that readiness tells apart.
const (
	starting = iota
	serving
	draining
)

// prepare opens everything and starts nothing.
func (d *daemon) prepare(ctx context.Context) (err error) {
	begin := time.Now()
	if limit := limitMemory(); limit > 0 {
		d.log.InfoContext(ctx, "memory is limited as the control group is", "go_bytes", limit)
	}
	if err := d.openState(ctx); err != nil {
		return err
	}
	d.cache, err = cache.New(cache.Config{Store: d.db, ServerName: d.cfg.Server, Overrides: d.cfg.Overrides, Log: d.log, Changed: d.changed})
	if err != nil {
		return err
	}
	d.location, err = location.New(location.Config{Store: d.db, Flush: func() { d.server.Flush() }, Owner: d.owner, Keep: d.keep, Log: d.log.With("pkg", "location")})
	if err != nil {
		return err
	}
	if err := d.load(ctx); err != nil {
		return err
	}
	d.first = d.cache.Snapshot().Settings
	d.names.look(d.first.Canonicalize)
	for _, note := range d.first.Notes {
		d.log.WarnContext(ctx, note)
	}
	var log func(store.LogRow)
	if d.first.RequestLog == "sql" {
		dir, err := d.openQueue(ctx)
		if err != nil {
			return err
		}
		d.requests, err = requestlog.New(requestlog.Config{Append: d.db.AppendLog, Dir: dir, Database: identity(d.cfg.Database), Log: d.log.With("pkg", "requestlog")})
		if err != nil {
			return err
		}
		log = d.requests.Record
	}
	if err := d.listen(ctx); err != nil {
		return err
	}
	d.server, err = server.New(server.Config{
		Net: d.sockets, Tables: d.cache.Snapshot, Location: d.location, RequestLog: log,
		Resolver: d.resolver, Domains: d.domains, Asker: d.answers, Machine: d.names.names, Calls: d.calls, Log: d.log,
	})
	if err != nil {
		return err
	}
	d.log.InfoContext(ctx, "loaded", "users", d.cache.Status().Users, "domains", d.cache.Status().Domains, "dur", time.Since(begin).Round(time.Millisecond))
	return nil
}

// openState takes the folder for what is kept on disk. Without one the server works, but not without its database.
func (d *daemon) openState(ctx context.Context) error {
	early, err := config.Build(d.cfg.Overrides...)
	if err != nil {
		return configError{err}
	}
	path, why := stateFolder(&d.cfg, early)
	if path != "" {
		d.state, err = takeFolder(ctx, path)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errFolderTaken):
			return configError{fmt.Errorf("%s: %w: stop it first, or write another StateDir", path, err)}
		case err != nil:
			why = err.Error()
		}
	}
	if d.state == nil {
		d.log.WarnContext(ctx, "nothing is kept on disk: this server cannot start without its database, and rows of the request log wait in memory only", "reason", why)
		return nil
	}
	d.copy = newDiskCopy(d.state, identity(d.cfg.Database), d.cfg.Server, d.log)
	return nil
}

// openQueue returns the folder where rows of the request log wait, "" for none.
func (d *daemon) openQueue(ctx context.Context) (dir string, err error) {
	if d.state != nil {
		dir = d.state.path
	}
	if d.first.LogQueueDir == "" {
		return dir, nil
	}
	other := below(d.cfg.Root, d.first.LogQueueDir)
	if sameFolder(other, dir) {
		return dir, nil
	}
	d.queue, err = takeFolder(ctx, other)
	switch {
	case err == nil:
		return other, nil
	case ctx.Err() != nil:
		return "", ctx.Err()
	case errors.Is(err, errFolderTaken):
		return "", configError{fmt.Errorf("%s: %w: write another LogQueueDir", other, err)}
	}
	d.log.WarnContext(ctx, "LogQueueDir cannot be used", "instead", cmp.Or(dir, "memory only"), "err", err)
	return dir, nil
}

// sameFolder tells whether two names lead to one folder, also by a link or from the working directory.
func sameFolder(a, b string) bool {
	x, errA := os.Stat(a)
	y, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(x, y)
}

// owner returns the user whose key aor is, 0 for none.
func (d *daemon) owner(aor sipaddr.AOR) int64 {
	return d.cache.Snapshot().User([]byte(aor)).ID
}

// keep protects a connection that bindings are reached over from being closed for idleness.
func (d *daemon) keep(conn uint64, keep bool) { d.sockets.Keep(transport.ConnID(conn), keep) }

// asConfig marks the errors that an operator mends in the settings.
func asConfig(err error) error {
	var setting *config.Error
	if errors.As(err, &setting) || errors.Is(err, store.ErrInvalid) || errors.Is(err, store.ErrNotFound) {
		return configError{err}
	}
	return err
}

// listen binds the sockets of SIP and of the health page.
func (d *daemon) listen(ctx context.Context) error {
	var listeners []transport.Listener
	for _, l := range d.first.Listen {
		if d.first.ListenDefault && l.Addr.Addr().Is6() && !hasIPv6() {
			d.log.InfoContext(ctx, "no IPv6 here, listener left out", "listener", l.String())
			continue
		}
		proto, ok := transport.ParseProto([]byte(l.Transport))
		if !ok {
			return configError{fmt.Errorf("listener %s: unknown transport", l)}
		}
		listeners = append(listeners, transport.Listener{Proto: proto, Addr: l.Addr})
	}
	d.domains = new(transport.Domains)
	secure, err := d.openTLS(d.first)
	if err != nil {
		return err
	}
	sockets, err := transport.Listen(transport.Config{Listen: listeners, TLS: secure, Log: d.log.With("pkg", "transport")})
	if err != nil {
		return err
	}
	d.sockets = sockets
	d.openResolver(ctx, d.first, sockets.Addrs())
	d.answers = answers.New(d.resolver, d.log.With("pkg", "locator"))
	d.answers.Follow(d.first)
	network, addr, err := config.ParseAdmin(d.first.AdminListen)
	if err != nil {
		return configError{err}
	}
	if network == "" {
		return nil
	}
	if network == "unix" {
		addr = below(d.cfg.Root, addr)
	}
	d.calls = calltrace.New() // Without the page nobody could ask.
	d.health, err = listenHealth(network, addr, d.readiness, d.status, d.calls.Find, d.log)
	return err
}

// hasIPv6 tells whether the machine speaks IPv6 at all.
func hasIPv6() bool {
	c, err := net.ListenUDP("udp6", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.IPv6Loopback(), 0)))
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// serve runs the parts until ctx ends or one of them fails.
func (d *daemon) serve(ctx context.Context) error {
	d.started = true
	if os.Getenv("GOGC") == "" {
		tuneGC()
	}
	g := newGroup()
	g.start(ctx, "server", d.server.Run)
	g.start(ctx, "resolver", d.runResolver)
	g.start(ctx, "locator", d.runAnswers)
	if d.certificate != nil {
		g.start(ctx, "certificate", d.certificate.Watch)
	}
	g.start(ctx, "location", d.location.Run)
	if d.requests != nil {
		g.start(ctx, "request log", d.requests.Run)
	}
	if d.copy != nil {
		g.start(ctx, "copy on disk", d.keepCopy)
	}
	g.start(ctx, "cache", d.cache.Run)
	g.start(ctx, "database", d.followDatabase)
	g.start(ctx, "signals", d.signals)
	g.start(ctx, "lock", d.keepLock)
	g.start(ctx, "load", func(ctx context.Context) error { return followLoad(ctx, d.server.Trim) })
	if d.health != nil {
		g.start(ctx, "admin listener", d.health.run)
	}

	d.phase.Store(serving)
	addrs := make([]string, 0, len(d.sockets.Addrs()))
	for _, l := range d.sockets.Addrs() {
		addrs = append(addrs, l.String())
	}
	d.log.InfoContext(ctx, "listening", "listeners", strings.Join(addrs, " "))
	if d.cfg.Ready != nil {
		d.cfg.Ready(addrs)
	}
	d.notify(systemd.SdNotifyReady)

	failure := g.wait(ctx)
	d.phase.Store(draining)
	d.notify(systemd.SdNotifyStopping)
	if failure != nil {
		d.log.ErrorContext(ctx, "stopping", "err", failure)
	} else {
		d.log.InfoContext(ctx, "stopping")
	}
	begin := time.Now()
	err := errors.Join(failure, g.stop())
	d.log.InfoContext(ctx, "stopped", "dur", time.Since(begin).Round(time.Millisecond))
	return err
}

// keepLock ends with an error when the database belongs to another sipd: two would overwrite each other's bindings.
func (d *daemon) keepLock(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-d.locked:
		return err
	}
}

// notify tells systemd; without systemd it does nothing.
func (d *daemon) notify(state string) {
	if _, err := systemd.SdNotify(false, state); err != nil {
		d.log.Warn("systemd not told", "state", state, "err", err)
	}
}

// close releases what prepare opened and no part has closed.
func (d *daemon) close() error {
	var errs []error
	if !d.started {
		if d.resolver != nil {
			d.resolver.Close()
			d.answers.Close()
		}
		if d.sockets != nil {
			d.sockets.Close()
		}
		if d.health != nil {
			errs = append(errs, d.health.listener.Close())
		}
	}
	d.stopConnecting()
	if d.pending != nil {
		if c := <-d.pending; c.err == nil {
			d.store, d.unlock = c.db, c.unlock
		}
	}
	if d.unlock != nil {
		d.unlock()
	}
	if d.store != nil {
		errs = append(errs, d.store.Close())
	}
	for _, f := range []*folder{d.state, d.queue} {
		if f != nil {
			errs = append(errs, f.close())
		}
	}
	return errors.Join(errs...)
}

// changed hears of each new snapshot.
func (d *daemon) changed(s *cache.Snapshot) {
	d.cfg.Levels.Set(s.Settings.Debug)
	if d.first != nil {
		d.names.look(s.Settings.Canonicalize)
	}
	if d.server != nil { // Else it takes them itself when it is made.
		d.server.Follow(s)
	}
	if d.first == nil || s.Settings == d.seen {
		return
	}
	if d.answers != nil { // Likewise.
		d.answers.Follow(s.Settings)
	}
	d.seen = s.Settings
	for _, name := range restartSettings {
		if was, is := strings.Join(d.first.Values[name], " "), strings.Join(s.Settings.Values[name], " "); was != is {
			d.log.Warn("setting changed; it takes effect at the next start", "name", name, "value", is)
		}
	}
}

// restartSettings are read once, when the sockets and queues are made.
var restartSettings = []string{"Listen", "Port", "AdminListen", "RequestLog", "ProxyName", "LogQueueDir", "Resolver", "TLSCertificate", "TLSKey", "TLSClientCA", "TryStateless", "NumericVia"}
