package daemon

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// A call leaves a few kilobytes of garbage beside tables that hardly change, and its transactions live for half a minute
// after it. Collecting when the heap has doubled, as Go does by itself, means to scan all of them for that; so much garbage may
// pile up instead (docs/adr/0006).
const (
	gcTimes   = 4         // times what lives,
	gcAtLeast = 128 << 20 // but not less than this,
	gcAtMost  = 512 << 20 // nor more than this, unless what lives is more
)

const (
	liveMetric     = "/gc/heap/live:bytes"
	cycleMetric    = "/gc/cycles/total:gc-cycles"
	totalMetric    = "/memory/classes/total:bytes"
	releasedMetric = "/memory/classes/heap/released:bytes"
)

// gcPercent is the pace for live bytes, as debug.SetGCPercent takes it.
func gcPercent(live uint64) int {
	live = max(live, 1<<20)
	garbage := max(live, min(gcAtMost, max(gcAtLeast, gcTimes*live)))
	return int(garbage * 100 / live)
}

// What a control group may use is for the whole process. Go does not see the program itself (16 MiB), SQLite's pages (some 20), and the
// kernel's socket buffers: they have a fifth of it, and no less than outsideLeast.
const (
	outsideLeast = 64 << 20
	limitLeast   = 32 << 20 // a smaller limit would be collecting all the time; the group's own stands behind it
)

// goLimit is what of a control group's limit Go may use.
func goLimit(group int64) int64 { return max(limitLeast, group-max(group/5, outsideLeast)) }

// limitMemory makes the collector respect the limit of the control group that the process is in, unless GOMEMLIMIT is set. It returns
// the limit for Go, 0 for none.
func limitMemory() int64 {
	if os.Getenv("GOMEMLIMIT") != "" {
		return 0
	}
	group := groupLimit(os.DirFS("/"))
	if group == 0 {
		return 0
	}
	limit := goLimit(group)
	debug.SetMemoryLimit(limit)
	return limit
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
	read := []metrics.Sample{{Name: cycleMetric}, {Name: liveMetric}}
	metrics.Read(read)
	if cycle := read[0].Value.Uint64(); cycle != c.cycle {
		c.cycle = cycle
		debug.SetGCPercent(gcPercent(read[1].Value.Uint64()))
	}
}

// A server that has little to do collects at leisure and gives back what a burst has left: at this pace Go would keep it.
const (
	idlePeriod = time.Minute
	idleCores  = 0.05     // less than this over a period is little to do
	idleSpare  = 24 << 20 // bytes beyond what lives that are worth a collection
)

// idler notices periods with little to do.
type idler struct {
	since time.Time
	used  time.Duration // processor time until then
}

// idle tells, at the end of each period, whether there was little to do in it.
func (i *idler) idle(now time.Time, cpu time.Duration) bool {
	if i.since.IsZero() {
		i.since, i.used = now, cpu
		return false
	}
	wall := now.Sub(i.since)
	if wall < idlePeriod {
		return false
	}
	little := float64(cpu-i.used) < idleCores*float64(wall)
	i.since, i.used = now, cpu
	return little
}

// giveBack returns memory to the system when there is something to return; trim lets go of what is kept for reuse.
func giveBack(trim func() (bytes uint64)) {
	read := []metrics.Sample{{Name: totalMetric}, {Name: releasedMetric}, {Name: liveMetric}}
	metrics.Read(read)
	held, live := read[0].Value.Uint64()-read[1].Value.Uint64(), read[2].Value.Uint64()
	if spare(held, live-min(live, trim())) {
		debug.FreeOSMemory()
	}
}

// spare tells whether held bytes are much more than live ones need. A quarter of them is the collector's own and the gaps between
// objects.
func spare(held, live uint64) bool { return held > live+live/4+idleSpare }
