package proxy

import (
	"time"

	"sipd/server/transaction"
)

// timerC is how long an INVITE branch may ring: longer than 3 minutes (RFC 3261 16.6 step 11).
const timerC = 3*time.Minute + time.Second

// resetTimerC restarts it at every provisional response but 100 (16.7 step 2).
func (b *branch) resetTimerC(s *transaction.Shard) { s.Arm(&b.timerC, timerC) }

// timerCFired does 16.8: a branch that had a provisional response MUST be cancelled; the 487 it brings counts as 408, or that it
// brings none. One that had none counts as 408 too: Timer B sees to that long before (17.1.1.2).
func (b *branch) timerCFired(s *transaction.Shard) {
	if b.client != nil {
		b.giveUp(s)
	}
}
