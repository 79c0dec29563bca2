package cache

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"sipd/config"
	"sipd/store"
)

// Config is what a Cache is made of.
type Config struct {
	Store      store.Reader
	ServerName string // the server record (-S); "" is the only one
	// Overrides are sources of settings stronger than the database's, weakest first: file, command line.
	Overrides [][]config.Value
	Log       *slog.Logger // nil: nothing is logged
	// Changed, if set, is called with each new snapshot after it is in force, one call at a time. It must not block.
	Changed func(*Snapshot)
}

// Limits of time. A database that answers more slowly than this is away: the last good tables go on.
const (
	loadTimeout  = 60 * time.Second // a million users take 10 s
	deltaTimeout = 10 * time.Second
	trimTimeout  = 10 * time.Second
	// A refresh that failed is tried again after retryMin, then ever less often until retryMax.
	retryMin = time.Second
	retryMax = 30 * time.Second
	// keepChanges is how long rows of changes are kept: long enough for a reader that was stopped over a holiday week.
	keepChanges = 7 * 24 * time.Hour
	// defaultRefresh is Settings.Refresh before there are any.
	defaultRefresh = 900 * time.Second
)

// Cache keeps a Snapshot current. New makes one, Refresh fills it, Run keeps it.
type Cache struct {
	cfg    Config
	log    *slog.Logger
	snap   atomic.Pointer[Snapshot]
	writer chan struct{} // one token: who has it may make the next snapshot
	wake   chan struct{} // something changed
	bad    error         // settings that cannot be used, a settingsError; whoever has the token may change it
	saved  bool          // the tables in force are saved ones: changes are not counted from them; guarded likewise

	mu     sync.Mutex
	status Status // guarded by mu
}

// Status is what people may know of the cache.
type Status struct {
	Server   store.Server
	Seq      int64
	Users    int
	Domains  int
	Aliases  int
	Current  time.Time // when the tables in force last were the database's
	Err      error     // why the last refresh failed; nil when it did not
	Failing  time.Time // since when refreshes fail; zero when they do not
	Watching bool      // changes are noticed at once, not only by the next full refresh
	Blind    time.Time // since when they are not, because watching failed; zero when it did not
	Problems []Problem // rows that cannot be used; the last good ones stay in force
}

// New returns a Cache without tables. It reads nothing.
func New(cfg Config) (*Cache, error) {
	if cfg.Store == nil {
		return nil, errors.New("cache: no store")
	}
	c := &Cache{cfg: cfg, log: cfg.Log, writer: make(chan struct{}, 1), wake: make(chan struct{}, 1)}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.log = c.log.With("pkg", "cache")
	c.writer <- struct{}{}
	return c, nil
}

// Snapshot returns the tables in force, nil before the first Refresh that went well.
func (c *Cache) Snapshot() *Snapshot { return c.snap.Load() }

// Status returns what is known now.
func (c *Cache) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status
}

// Refresh reads all tables. When it fails the last good tables stay in force and Status says why. Settings that cannot
// be used fail the first Refresh; later the last good settings stay in force while the other tables are renewed.
func (c *Cache) Refresh(ctx context.Context) error {
	if err := c.acquire(ctx); err != nil {
		return err
	}
	defer c.release()
	return c.refresh(ctx)
}

func (c *Cache) acquire(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-c.writer:
		return nil
	}
}

func (c *Cache) release() { c.writer <- struct{}{} }

// refresh is Refresh for who has the writer's token.
func (c *Cache) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	now := time.Now()
	prev := c.snap.Load()
	b := newBuilder(prev)
	server, seq, err := c.cfg.Store.Load(ctx, c.cfg.ServerName, b)
	if err != nil {
		c.failed(ctx, err, now)
		return err
	}
	settings, err := c.settings(b.values)
	switch {
	case err == nil:
	case prev == nil:
		c.failed(ctx, err, now)
		return err
	default:
		settings, b.values = prev.Settings, prev.values
	}
	c.bad, c.saved = err, false
	c.publish(ctx, b.snapshot(settings, server, seq, now), b.problems, now)
	return err
}

// settingsError is about settings, which the next attempt to read them will not mend.
type settingsError struct{ error }

// Unwrap returns what config says.
func (e settingsError) Unwrap() error { return e.error }

func (c *Cache) settings(db map[string]string) (*config.Settings, error) {
	sources := append([][]config.Value{config.Map("server_settings", db)}, c.cfg.Overrides...)
	s, err := config.Build(sources...)
	if err != nil {
		return nil, settingsError{err}
	}
	return s, nil
}

// update applies what changed since the last snapshot, or reads everything when that is too much.
func (c *Cache) update(ctx context.Context) error {
	if err := c.acquire(ctx); err != nil {
		return err
	}
	defer c.release()
	prev := c.snap.Load()
	if prev == nil || c.saved {
		return c.refresh(ctx)
	}
	now := time.Now()
	short, cancel := context.WithTimeout(ctx, deltaTimeout)
	defer cancel()
	d, err := c.cfg.Store.Delta(short, prev.Server.ID, prev.Seq)
	if err != nil {
		c.failed(ctx, err, now)
		return err
	}
	if d.Full || prev.aliases.crowded() || prev.thirds.crowded() || prev.forwards.crowded() {
		return c.refresh(ctx)
	}
	if d.Empty() {
		c.reached(ctx, now)
		return c.bad
	}
	next, problems, err := apply(prev, d, c.settings)
	if d.SettingsChanged {
		c.bad = err
	}
	c.publish(ctx, next, append(c.stillBad(d), problems...), now)
	return c.bad
}

// stillBad returns the known bad rows that the delta does not speak of.
func (c *Cache) stillBad(d *store.Delta) []Problem {
	type row struct{ table, key string }
	said := map[row]bool{}
	for i := range d.Users {
		said[row{"users", string(d.Users[i].Key)}] = true
	}
	for i := range d.Credentials {
		said[row{"credentials", d.Credentials[i].Username}] = true
	}
	for _, name := range d.AliasNames {
		said[row{"aliases", name}] = true
	}
	for _, id := range d.ThirdPartyIDs {
		said[row{"third_parties", strconv.FormatInt(id, 10)}] = true
	}
	for _, id := range d.ForwardIDs {
		said[row{"forwards", strconv.FormatInt(id, 10)}] = true
	}
	whole := map[string]bool{"domains": d.DomainsChanged || d.SettingsChanged, "trusted_peers": d.PeersChanged}
	for _, table := range [...]string{"dialplan", "gatewaymap", "gateways", "gateway_classes"} {
		whole[table] = d.Plan != nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var ps []Problem
	for _, p := range c.status.Problems {
		if whole[p.Table] || said[row{p.Table, p.Row}] || len(ps) == maxProblems {
			continue
		}
		ps = append(ps, p)
	}
	return ps
}

func (c *Cache) publish(ctx context.Context, next *Snapshot, problems []Problem, now time.Time) {
	c.snap.Store(next)
	c.mu.Lock()
	known := make(map[string]bool, len(c.status.Problems))
	for _, p := range c.status.Problems {
		known[p.Error()] = true
	}
	c.status.Server, c.status.Seq = next.Server, next.Seq
	c.status.Users, c.status.Domains, c.status.Aliases = next.users.n, next.domains.n, next.aliases.n
	c.status.Problems = problems
	c.mu.Unlock()
	for _, p := range problems {
		if !known[p.Error()] {
			known[p.Error()] = true
			c.log.WarnContext(ctx, "row cannot be used, the last good one stays in force", "table", p.Table, "row", p.Row, "err", p.Err)
		}
	}
	c.reached(ctx, now)
	if c.cfg.Changed != nil {
		c.cfg.Changed(next)
	}
}

// reached notes that the tables in force are the database's, perhaps but for the settings.
func (c *Cache) reached(ctx context.Context, now time.Time) {
	if c.bad != nil {
		c.failed(ctx, c.bad, now)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status.Current, c.status.Err, c.status.Failing = now, nil, time.Time{}
}

// failed notes that they may not be.
func (c *Cache) failed(ctx context.Context, err error, now time.Time) {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return // We are stopping.
	}
	c.mu.Lock()
	same := c.status.Err != nil && c.status.Err.Error() == err.Error()
	c.status.Err = err
	if c.status.Failing.IsZero() {
		c.status.Failing = now
	}
	since := c.status.Failing
	c.mu.Unlock()
	if c.snap.Load() != nil && !same {
		c.log.WarnContext(ctx, "refresh failed, the last good tables stay in force", "err", err, "since", since)
	}
}

// Run keeps the snapshot current until ctx ends: at once when rows change, and in full every Settings.Refresh as the
// guarantee. A refresh that fails keeps the last good tables and is tried again soon. It returns ctx's error.
func (c *Cache) Run(ctx context.Context) error {
	var watcher sync.WaitGroup
	watcher.Go(func() { c.watch(ctx) })
	defer watcher.Wait()

	var retry time.Duration // 0: the last attempt went well
	failed := func(err error) {
		retry = min(max(2*retry, retryMin), retryMax)
		if err == nil || c.snap.Load() != nil && errors.As(err, new(settingsError)) {
			retry = 0
		}
	}
	if c.snap.Load() == nil {
		failed(c.Refresh(ctx))
	}
	full := time.NewTimer(c.period())
	defer full.Stop()
	again := time.NewTimer(time.Hour)
	defer again.Stop()
	for {
		again.Stop()
		if retry > 0 {
			again.Reset(retry)
		}
		before := c.period()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.wake:
			failed(c.update(ctx))
		case <-again.C:
			failed(c.Refresh(ctx))
		case <-full.C:
			failed(c.Refresh(ctx))
			if retry == 0 {
				c.trim(ctx)
			}
			full.Reset(c.period())
			continue
		}
		if p := c.period(); p != before {
			full.Reset(p)
		}
	}
}

// Wake makes Run look for changes now: an operator asked.
func (c *Cache) Wake() {
	select {
	case c.wake <- struct{}{}:
	default: // It will look already.
	}
}

func (c *Cache) period() time.Duration {
	if s := c.snap.Load(); s != nil && s.Settings != nil {
		return cmp.Or(s.Settings.Refresh, defaultRefresh)
	}
	return defaultRefresh
}

func (c *Cache) trim(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, trimTimeout)
	defer cancel()
	if err := c.cfg.Store.TrimChanges(ctx, time.Now().Add(-keepChanges)); err != nil && ctx.Err() == nil {
		c.log.WarnContext(ctx, "old rows of changes are still there", "err", err)
	}
}

// watch listens for changes; when it cannot, full refreshes remain.
func (c *Cache) watch(ctx context.Context) {
	pause := retryMin
	for ctx.Err() == nil {
		started := time.Now()
		err := c.cfg.Store.Watch(ctx, func() {
			c.watching(true)
			c.Wake()
		})
		c.watching(false)
		if ctx.Err() != nil {
			return
		}
		if time.Since(started) > retryMax {
			pause = retryMin
		}
		c.blind(time.Now())
		c.log.WarnContext(ctx, "changes are not noticed at once", "err", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, retryMax)
	}
}

func (c *Cache) watching(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.status.Watching = on; on {
		c.status.Blind = time.Time{}
	}
}

// blind notes since when changes are not noticed at once.
func (c *Cache) blind(since time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.status.Blind.IsZero() {
		c.status.Blind = since
	}
}
