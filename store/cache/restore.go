package cache

import (
	"context"
	"fmt"
	"time"

	"sipd/store"
)

// Feed hands the tables of the snapshot to a sink, for a copy to disk. Each user's credentials follow him. What Restore makes of
// the copy answers as the snapshot does.
func (s *Snapshot) Feed(into store.Sink) {
	for name, value := range s.values {
		into.Setting(name, value)
	}
	for i := range s.domains.rows {
		into.Domain(&s.domains.rows[i])
	}
	s.EachUser(into)
	for _, shard := range s.aliases.shards {
		for _, rows := range shard {
			for _, a := range rows {
				into.Alias(a)
			}
		}
	}
	for _, shard := range s.thirds.users.shards {
		for _, p := range shard {
			into.ThirdParty(&store.ThirdParty{UserID: p.first, RegistrantID: p.second})
		}
	}
	for i := range s.peers.rows {
		into.TrustedPeer(&s.peers.rows[i])
	}
	for _, shard := range s.forwards.shards {
		for _, rows := range shard {
			for i := range rows {
				into.Forward(&rows[i])
			}
		}
	}
	into.PlanRows(s.plan.Rows())
}

// Saved is tables that were saved when the database could be read.
type Saved struct {
	Server store.Server
	Of     time.Time              // when they were the database's
	Read   func(store.Sink) error // hands them over; what came is not used when it fails
	Why    error                  // why the database cannot be read: Status says so until a Refresh goes well
}

// Restore puts saved tables in force. It is for a start without a database; Refresh later replaces them.
func (c *Cache) Restore(ctx context.Context, saved *Saved) error {
	if err := c.acquire(ctx); err != nil {
		return err
	}
	defer c.release()
	b := newBuilder(nil)
	if err := saved.Read(b); err != nil {
		return err
	}
	settings, err := c.settings(b.values)
	if err != nil {
		return fmt.Errorf("saved settings: %w", err)
	}
	c.saved = true
	c.publish(ctx, b.snapshot(settings, saved.Server, 0, saved.Of), b.problems, saved.Of)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status.Err, c.status.Failing = saved.Why, time.Now()
	return nil
}
