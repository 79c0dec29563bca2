package proxy

import (
	"time"

	"sipd/server/target"
	"sipd/server/transaction"
)

// startGroup starts the next group of targets (BEHAVIOUR E2 and I). The sum of the breadth that is handed out never exceeds
// what came in (RFC 5393 5.3.3): a group wider than what is left goes out in parts, the next one when a branch ends
// (5.3.3.1). It reports whether any branch was started.
func (c *Context) startGroup(s *transaction.Shard) bool {
	started := false
	c.starting = true // A target that fails at once must not end the search before its group is out.
	for c.next < len(c.targets) && !c.stopped {
		group := c.targets[c.next].Group
		width := 0
		for i := c.next; i < len(c.targets) && c.targets[i].Group == group; i++ {
			width++
		}
		c.short = width > c.breadth
		width = min(width, c.breadth)
		if width == 0 {
			break
		}
		parts := width // A non-INVITE's groups follow each other: each has all there is (RFC 5393 5.2).
		if c.invite() {
			parts = len(c.targets) - c.next // Later groups ring beside this one, they need some too.
			if c.waiting.NoAnswer > 0 {
				parts++ // So does whoever the call is forwarded to, and these are cancelled no sooner than he is tried.
			}
		}
		for range width {
			// Nothing is held back but for later groups: a proxy SHOULD NOT use less than it got (5.3.3).
			share := max(1, c.breadth/parts)
			parts--
			b := c.newBranch()
			b.target, b.share = c.targets[c.next], share
			c.next++
			c.breadth -= share
			c.start(s, b)
			started = started || !b.final // Another gateway may have taken the place of one that failed.
		}
		if started {
			break
		}
	}
	c.starting = false
	if started && c.invite() && c.next < len(c.targets) {
		s.Arm(&c.group, c.wait())
	}
	return started
}

// wait is how long the group that has started rings before the next one begins.
func (c *Context) wait() time.Duration {
	if d := c.targets[c.next].Wait; d > 0 {
		return d
	}
	return c.set.TimeOut
}

// groupTimeout: the last group rang for TimeOut. The next one is added; with CancelOnTimeout the earlier ones are cancelled.
func (c *Context) groupTimeout(s *transaction.Shard) {
	if c.stopped || c.tx == nil || c.next >= len(c.targets) {
		return
	}
	sequential := c.set.Disposition&target.Sequential != 0
	if c.set.CancelOnTimeout || sequential {
		for _, b := range c.branches[:c.n] {
			b.giveUp(s)
		}
	}
	if !sequential { // RFC 3841 9.1: the next only after a final response of the one before.
		c.startGroup(s)
	}
	c.settle(s)
}

// settle goes on after a branch has ended: with what waits for its breadth, when no branch is left that may answer with the
// next group at once, else with the best response upstream.
func (c *Context) settle(s *transaction.Shard) {
	if c.starting {
		return
	}
	for (c.trying == 0 || c.short && c.breadth > 0) && !c.stopped && (c.next < len(c.targets) || c.forwarded(s, c.best.ownStatus())) {
		s.Disarm(&c.group)
		if c.startGroup(s) {
			return
		}
	}
	if c.trying == 0 {
		s.Disarm(&c.group)
		s.Disarm(&c.patience)
		c.respondBest(s)
		c.retire(s)
	}
}

// stop ends the search: no new branches, and the pending ones are cancelled with reason.
func (c *Context) stop(s *transaction.Shard, reason []byte) {
	c.stopStarting(s)
	for _, b := range c.branches[:c.n] {
		b.cancel(s, reason)
	}
}

// stopStarting ends the search: no new branches.
func (c *Context) stopStarting(s *transaction.Shard) {
	c.stopped = true
	s.Disarm(&c.group)
	s.Disarm(&c.patience)
	for _, b := range c.branches[:c.n] {
		b.forgo(s, 487)
	}
}
