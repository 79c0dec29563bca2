package location

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"sipd/sipaddr"
)

// Version counts what has been published: a caller who finds it unchanged has the bindings already.
func (s *Service) Version() uint64 { return s.version.Load() }

// All returns each address-of-record with its bindings, for a copy to disk. Each list is of one moment, the whole is not. A shard's
// lock is held while the names of its lists are taken down, not while the caller looks at them.
func (s *Service) All() iter.Seq2[sipaddr.AOR, []*Binding] {
	type entry struct {
		aor  sipaddr.AOR
		list []*Binding
	}
	return func(yield func(sipaddr.AOR, []*Binding) bool) {
		var entries []entry
		for i := range s.shard {
			sh := &s.shard[i]
			entries = entries[:0]
			sh.mu.RLock()
			entries = slices.Grow(entries, len(sh.aors))
			for aor, list := range sh.aors {
				entries = append(entries, entry{aor, list})
			}
			sh.mu.RUnlock()
			for _, e := range entries {
				if !yield(e.aor, e.list) {
					return
				}
			}
		}
	}
}

// Restore fills an empty service with what was saved, because the store does not answer. Readers get these bindings; changes are
// refused with ErrAway until the store has been read as a whole. Before Run and before anybody reads, instead of Load.
func (s *Service) Restore(read func(each func(sipaddr.AOR, *Binding) error) error) error {
	fresh, err := collect(time.Now(), read, s.shardIndex)
	s.away.Store(true)
	s.c.loaded, s.c.stale = true, true
	if err != nil {
		return fmt.Errorf("restore bindings: %w", err)
	}
	s.replace(fresh)
	return nil
}

// Distrust makes the committer read the whole store before it takes another change: others may have changed the rows of bindings
// meanwhile. Until then changes are refused with ErrAway.
func (s *Service) Distrust() {
	s.distrust.Store(true)
	s.away.Store(true)
}

// reload reads all rows and makes them what is published. What memory has in the same version keeps its connection.
func (s *Service) reload(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, reloadTimeout)
	defer cancel()
	fresh, err := collect(time.Time{}, func(each func(sipaddr.AOR, *Binding) error) error {
		return s.goodRows(s.store.LoadBindings(limited, each))
	}, s.shardIndex)
	if err != nil {
		return fmt.Errorf("read all bindings: %w", err)
	}
	for i := range s.shard {
		for aor, list := range fresh[i] {
			keepKnown(s.shard[i].aors[aor], list) // Only the committer writes the maps: reading them takes no lock here.
		}
	}
	s.replace(fresh)
	s.c.conns = nil
	for i := range fresh {
		for aor, list := range fresh[i] {
			s.index(aor, nil, list)
		}
	}
	clear(s.c.doubt)
	s.c.expired = nil
	return nil
}

// reloadTimeout bounds reading all rows: a million take some seconds.
const reloadTimeout = time.Minute

// collect reads bindings into maps by shard, without those that have expired at now, if it is given.
func collect(now time.Time, read func(each func(sipaddr.AOR, *Binding) error) error, shardOf func(sipaddr.AOR) uint64) (*[shards]map[sipaddr.AOR][]*Binding, error) {
	var fresh [shards]map[sipaddr.AOR][]*Binding
	for i := range fresh {
		fresh[i] = make(map[sipaddr.AOR][]*Binding)
	}
	err := read(func(aor sipaddr.AOR, b *Binding) error {
		if !now.IsZero() && !b.Live(now) {
			return nil
		}
		b.Conn = 0 // Connections do not survive a restart.
		b.pack()
		b.prepare()
		m := fresh[shardOf(aor)]
		m[aor] = append(m[aor], b)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i := range fresh {
		for aor, list := range fresh[i] {
			order(list)
			fresh[i][aor] = slices.Clip(list)
		}
	}
	return &fresh, nil
}

// replace publishes all lists at once, shard by shard.
func (s *Service) replace(fresh *[shards]map[sipaddr.AOR][]*Binding) {
	for i := range s.shard {
		s.shard[i].mu.Lock()
		s.shard[i].aors = fresh[i]
		s.shard[i].mu.Unlock()
	}
	s.version.Add(1)
}
