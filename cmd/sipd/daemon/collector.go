package daemon

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// A call leaves a few kilobytes of garbage beside tables that hardly change, and its transactions live for half a minute
// after it. Collecting when the heap has doubled, as Go does by itself, means to scan all of them for that; so much garbage may
// pile up instead (docs/adr/0006).
const (
	gcTimes   = 4         // times what lives,
	gcAtLeast = 128 << 20 // but not less than this,
	gcAtMost  = 512 << 20 // nor more than this, unless what lives is more
)

// gcPercent is the pace for live bytes, as debug.SetGCPercent takes it.
func gcPercent(live uint64) int {
	live = max(live, 1<<20)
	garbage := max(live, min(gcAtMost, max(gcAtLeast, gcTimes*live)))
	return int(garbage * 100 / live)
}

// tuneGC collects what loading left, and sets the first pace.
func tuneGC() {
	runtime.GC()
	var c collection
	c.pace()
}

// collection is the last collection that the pace was set after.
type collection struct{ cycle uint64 }

// pace sets the collector's pace when there was a collection since. GOMEMLIMIT stays in force: near it the runtime collects more often
// whatever the pace.
func (c *collection) pace() {
	read := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(read)
	if cycle := read[0].Value.Uint64(); cycle != c.cycle {
		c.cycle = cycle
		debug.SetGCPercent(gcPercent(read[1].Value.Uint64()))
	}
}
