package proxy

import (
	"time"

	"sipd/server/transaction"
)

// timerC is how long an INVITE branch may ring: longer than 3 minutes (RFC 3261 16.6 step 11).
const timerC = 3*time.Minute + time.Second

// resetTimerC restarts it at every provisional response but 100 (16.7 step 2).
func (b *branch) resetTimerC(s *transaction.Shard) { s.Arm(&b.timerC, timerC) }

// timerCFired does 16.8: a branch that rang is cancelled, one that never answered counts as 408.
func (b *branch) timerCFired(s *transaction.Shard) {
	if b.final || b.client == nil {
		return
	}
	if b.client.Provisional() {
		b.giveUp(s)
		return
	}
	b.ended(s, 408, nil)
}
