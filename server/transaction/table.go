package transaction

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"sipd/server/message"
	"sipd/server/transport"
)

const (
	// maxShards is what a branch and a Ref have room for.
	maxShards = 64
	// shardsPerCore keeps workers from meeting, while each shard stays warm in a core's cache: with many shards and little
	// load every message touches tables that nobody has touched for long.
	shardsPerCore = 4

	// defaultMax transactions are more than a minute of 8000 calls a second.
	defaultMax = 1 << 20
	// maxPerShard is what a slot number in a branch and a Ref can name.
	maxPerShard = 1 << slotBits

	// fireLimit timers fire while a shard's lock is held once, and before what they sent is flushed.
	fireLimit = 1024
)

// Config is what a Table needs.
type Config struct {
	Net transport.Network // timers send through an Out of it
	Log *slog.Logger      // nil: nothing is logged

	// Cancelled is told each CANCEL that was answered 200 in a transaction of its own, once, under the shard's lock; tag is the To tag of the
	// answer. Both are valid during the call. Nil: nobody asks.
	Cancelled func(cancel *message.Message, tag []byte)

	// Maddr tells whether responses to a request from source may go to the maddr of its Via, to. Nil: none may.
	Maddr func(to netip.AddrPort, source netip.Addr) bool

	// Max bounds the server transactions alive at once, and likewise the client transactions; 0 takes 1,048,576. Each
	// shard takes its share. At the bound NewServer and NewClient return nil; the caller answers 503 statelessly.
	Max int
}

// Table holds all transactions in shards. A message belongs to the shard of its Call-ID.
type Table struct {
	shards  []Shard // a power of two of them
	net     transport.Network
	log     *slog.Logger
	told    func(cancel *message.Message, tag []byte)
	follows func(to netip.AddrPort, source netip.Addr) bool // Config.Maddr
	seed    maphash.Seed
	boot    uint32    // random for each process: a restart repeats no branch
	epoch   time.Time // tick 0

	planned atomic.Int64 // the tick Run sleeps until; below every tick while it is awake
	wake    chan struct{}
	panics  atomic.Int64
}

// New returns an empty table. It starts nothing.
func New(cfg Config) (*Table, error) {
	if cfg.Net == nil {
		return nil, errors.New("transaction: Config.Net is missing")
	}
	n := shardsFor(runtime.NumCPU())
	switch {
	case cfg.Max == 0:
		cfg.Max = defaultMax
	case cfg.Max < 0 || cfg.Max > n*maxPerShard:
		return nil, fmt.Errorf("transaction: Config.Max is %d, want 1 to %d, or 0 for %d", cfg.Max, n*maxPerShard, defaultMax)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	t := &Table{
		shards:  make([]Shard, n),
		net:     cfg.Net,
		told:    cfg.Cancelled,
		follows: cfg.Maddr,
		log:     cfg.Log.With("pkg", "transaction"),
		seed:    maphash.MakeSeed(),
		epoch:   time.Now(),
		wake:    make(chan struct{}, 1),
	}
	t.planned.Store(math.MinInt64)
	var key [32]byte
	crand.Read(key[:]) // Never fails (crypto/rand).
	t.boot = binary.BigEndian.Uint32(key[:])
	limit := max(1, (cfg.Max+n-1)/n)
	for i := range t.shards {
		crand.Read(key[:])
		s := &t.shards[i]
		s.table = t
		s.index = uint8(i)
		s.random = *rand.NewChaCha8(key)
		s.servers.limit = limit
		s.clients.limit = limit
		s.match.init(byKey)
		s.merges.init(byMerge)
		s.next.Store(never)
	}
	return t, nil
}

// shardsFor returns the number of shards for that many cores.
func shardsFor(cores int) int {
	n := 1
	for n < shardsPerCore*cores && n < maxShards {
		n *= 2
	}
	return n
}

// Shard returns the shard of a Call-ID.
func (t *Table) Shard(callID []byte) *Shard {
	return &t.shards[maphash.Bytes(t.seed, callID)&uint64(len(t.shards)-1)]
}

// ShardOf returns the shard that a Ref was made in (Client.Ref, Server.Ref), nil for a foreign value.
func (t *Table) ShardOf(ref transport.Ref) *Shard {
	if refKind(ref) == 0 || refShard(ref) >= len(t.shards) {
		return nil
	}
	return &t.shards[refShard(ref)]
}

// Counts returns the transactions alive, for metrics and tests. CANCELs count as servers, but not as clients.
func (t *Table) Counts() (servers, clients int) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		servers += s.servers.live
		clients += s.clients.live
		s.mu.Unlock()
	}
	return servers, clients
}

// Oldest returns the age of the oldest server transaction, 0 when there is none: one that never ends is a fault.
func (t *Table) Oldest() (age time.Duration) {
	now := time.Since(t.epoch)
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		for j := range s.servers.all {
			if e := &s.servers.all[j]; e.used {
				age = max(age, now-e.p.came)
			}
		}
		s.mu.Unlock()
	}
	return age
}

// Panics counts the panics of users' callbacks that Run has caught; 0 unless there is a fault.
func (t *Table) Panics() int64 { return t.panics.Load() }

// Run runs the timers until ctx ends.
func (t *Table) Run(ctx context.Context) error {
	out := t.net.NewOut()
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	for {
		// While it is awake nobody needs to wake it: what workers set meanwhile is seen below.
		t.planned.Store(math.MinInt64)
		t.fireAll(out)
		next := t.next()
		t.planned.Store(next)
		// A worker stores its shard's next tick and then reads planned; here it is the other way round. So either the
		// worker sees what is planned and wakes us, or its tick is seen now.
		if t.next() < next {
			continue
		}
		if next != never {
			wait := time.Until(t.epoch.Add(time.Duration(next) * tickLength))
			if wait <= 0 {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				continue
			}
			timer.Reset(wait)
		}
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		case <-t.wake:
			timer.Stop()
		}
	}
}

// next returns the first tick at which a shard may have something to do.
func (t *Table) next() int64 {
	next := int64(never)
	for i := range t.shards {
		next = min(next, t.shards[i].next.Load())
	}
	return next
}

// fireAll fires what is due in all shards.
func (t *Table) fireAll(out *transport.Out) {
	now := time.Now()
	tick := int64(now.Sub(t.epoch) / tickLength)
	fired := 0
	for i := range t.shards {
		s := &t.shards[i]
		if s.next.Load() > tick {
			continue
		}
		fired += t.fire(s, out, now, tick)
		if fired >= fireLimit {
			out.Flush()
			fired = 0
		}
	}
	out.Flush()
}

// fire fires what is due in one shard, at most fireLimit timers. A panic of a user costs its own event only.
func (t *Table) fire(s *Shard, out *transport.Out, now time.Time, tick int64) (fired int) {
	defer func() {
		if r := recover(); r != nil {
			t.panics.Add(1)
			t.log.Error("panic in a timer", "err", r, "stack", string(debug.Stack()))
		}
	}()
	s.Enter(out, now)
	defer s.Leave()
	for fired < fireLimit {
		n := s.wheel.pop(tick)
		if n == nil {
			break
		}
		fired++
		n.owner.expire(s, tick)
	}
	s.next.Store(s.wheel.next())
	return fired
}

// wakeFor wakes Run when it would sleep beyond tick.
func (t *Table) wakeFor(tick int64) {
	if tick < t.planned.Load() {
		select {
		case t.wake <- struct{}{}:
		default: // It has been woken already.
		}
	}
}
