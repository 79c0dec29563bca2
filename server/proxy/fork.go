package proxy

import (
	"sipd/server/message"
	"sipd/server/transaction"
)

// defaultBreadth is Max-Breadth when the request has none (RFC 5393 5.3.3.1).
const defaultBreadth = 60

func breadthOf(m *message.Message) int {
	if n, ok := m.Seconds(message.MaxBreadth); ok {
		return min(n, defaultBreadth)
	}
	return defaultBreadth
}

// startGroup starts the next group of targets (BEHAVIOUR E2 and I). A group wider than the breadth left goes out in parts
// (RFC 5393 5.3.3.2: the sum of what is handed out never exceeds what came in). It reports whether any branch was started.
func (c *Context) startGroup(s *transaction.Shard) bool {
	started := false
	c.starting = true // A target that fails at once must not end the search before its group is out.
	for c.next < len(c.targets) && !c.stopped {
		group := c.targets[c.next].Group
		width := 0
		for i := c.next; i < len(c.targets) && c.targets[i].Group == group; i++ {
			width++
		}
		width = min(width, c.breadth)
		if width == 0 {
			break // Every unit is in use: the next branch to end makes room.
		}
		share := max(1, c.breadth/(len(c.targets)-c.next)) // Later groups need some too.
		for range width {
			b := c.newBranch()
			b.target, b.share = c.targets[c.next], share
			c.next++
			c.breadth -= share
			if c.start(s, b) {
				started = true
			}
		}
		if started {
			break
		}
	}
	c.starting = false
	if started && c.invite() && c.next < len(c.targets) {
		s.Arm(&c.group, c.set.TimeOut)
	}
	return started
}

// groupTimeout: the last group rang for TimeOut. The next one is added; with CancelOnTimeout the earlier ones are cancelled.
func (c *Context) groupTimeout(s *transaction.Shard) {
	if c.stopped || c.tx == nil || c.next >= len(c.targets) {
		return
	}
	if c.set.CancelOnTimeout {
		for _, b := range c.branches[:c.n] {
			b.giveUp(s)
		}
	}
	c.startGroup(s)
	c.settle(s)
}

// settle goes on when no branch is left that may answer: to the next group at once, else with the best response upstream.
func (c *Context) settle(s *transaction.Shard) {
	if c.starting {
		return
	}
	for c.trying == 0 && !c.stopped && c.next < len(c.targets) {
		s.Disarm(&c.group)
		if c.startGroup(s) {
			return
		}
	}
	if c.trying == 0 {
		s.Disarm(&c.group)
		c.respondBest(s)
		c.release()
	}
}

// stop ends the search: no new branches, and the pending ones are cancelled with reason.
func (c *Context) stop(s *transaction.Shard, reason []byte) {
	c.stopped = true
	s.Disarm(&c.group)
	for _, b := range c.branches[:c.n] {
		b.cancel(s, reason)
	}
}
