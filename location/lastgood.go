package location

import (
	"context"
	"fmt"
	"iter"
	"time"

	"sipd/sipaddr"
)

// Version counts what has been published: a caller who finds it unchanged has the bindings already.
func (s *Service) Version() uint64 { return s.version.Load() }

// All returns each address-of-record with its bindings, for a copy to disk. Each list is of one moment, the whole is not. No
// lock is held while the caller looks at them.
func (s *Service) All() iter.Seq2[sipaddr.AOR, []*Binding] {
	return func(yield func(sipaddr.AOR, []*Binding) bool) {
		for i := range s.table.shard {
			more := true
			s.table.shard[i].each(func(aor sipaddr.AOR, u unpacker) bool {
				more = yield(aor, u.bindings())
				return more
			})
			if !more {
				return
			}
		}
	}
}

// Restore fills an empty service with what was saved, because the store does not answer. Readers get these bindings; changes are
// refused with ErrAway until the store has been read as a whole. Before Run and before anybody reads, instead of Load.
func (s *Service) Restore(read func(each func(sipaddr.AOR, *Binding) error) error) error {
	fresh, err := s.collect(time.Now(), read)
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
	fresh, err := s.collect(time.Time{}, func(each func(sipaddr.AOR, *Binding) error) error {
		return s.goodRows(s.store.LoadBindings(limited, each))
	})
	if err != nil {
		return fmt.Errorf("read all bindings: %w", err)
	}
	conns := s.c.conns
	s.c.conns = nil
	for _, aors := range conns {
		for aor := range aors {
			list := fresh.list(aor)
			keepKnown(s.list(aor), list)
			fresh.put(aor, list)
			s.index(aor, nil, list)
		}
	}
	for conn := range conns {
		if s.c.conns[conn] == nil {
			s.keep(conn, false)
		}
	}
	s.replace(fresh)
	clear(s.c.doubt)
	s.c.expired = nil
	return nil
}

// reloadTimeout bounds reading all rows: a million take some seconds.
const reloadTimeout = time.Minute

// collect reads bindings into a table of their own, without those that have expired at now, if it is given.
func (s *Service) collect(now time.Time, read func(each func(sipaddr.AOR, *Binding) error) error) (*table, error) {
	fresh := &table{seed: s.table.seed}
	err := read(func(aor sipaddr.AOR, b *Binding) error {
		if !now.IsZero() && !b.Live(now) {
			return nil
		}
		b.Conn = 0 // Connections do not survive a restart.
		b.prepare()
		list := append(fresh.list(aor), b)
		order(list)
		fresh.put(aor, list)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return fresh, nil
}

// replace publishes all lists at once, shard by shard.
func (s *Service) replace(fresh *table) {
	s.table.take(fresh)
	s.version.Add(1)
}
