package daemon

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// A call leaves a few kilobytes of garbage beside tables that hardly change, and its transactions live for half a minute
// after it. What a collection costs is what it scans: what may hold pointers, which the tables do not. So much garbage may pile up
// before the next (docs/adr/0006).
const (
	gcTimes   = 4         // times what is scanned,
	gcAtLeast = 128 << 20 // but not less than this,
	gcAtMost  = 512 << 20 // nor more than this, unless more is scanned

	// goLeast is what the runtime takes a heap for at least: its smallest goal is this times the pace.
	goLeast = 4 << 20
)

const (
	liveMetric     = "/gc/heap/live:bytes"
	scanMetric     = "/gc/scan/heap:bytes"
	cycleMetric    = "/gc/cycles/total:gc-cycles"
	totalMetric    = "/memory/classes/total:bytes"
	releasedMetric = "/memory/classes/heap/released:bytes"
)

// gcPercent is the pace for live bytes of which some are scanned, as debug.SetGCPercent takes it.
func gcPercent(live, scanned uint64) int {
	live = max(live, goLeast)
	garbage := max(scanned, min(gcAtMost, max(gcAtLeast, gcTimes*scanned)))
	return int(garbage * 100 / live)
}

// What a control group may use is for the whole process. Go does not see the program itself (16 MiB), SQLite's pages (up to 64), and the
// kernel's socket buffers: they have a fifth of it, and no less than outsideLeast.
const (
	outsideLeast = 96 << 20
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
	read := []metrics.Sample{{Name: cycleMetric}, {Name: liveMetric}, {Name: scanMetric}}
	metrics.Read(read)
	if cycle := read[0].Value.Uint64(); cycle != c.cycle {
		c.cycle = cycle
		debug.SetGCPercent(gcPercent(read[1].Value.Uint64(), read[2].Value.Uint64()))
	}
}

// A server that has little to do collects at leisure and gives back what a burst has left: at this pace Go would keep it.
const (
	idlePeriod = time.Second
	idleCores  = 0.02        // less than this, some hundred calls in a second, over a period is little to do
	idleAgain  = time.Minute // between two times: what is given back has to be fetched again
	idleSpare  = 24 << 20    // bytes beyond what lives that are worth a collection
)

// idler notices periods with little to do.
type idler struct {
	since  time.Time
	used   time.Duration // processor time until then
	before time.Time     // when it said so last
}

// idle tells, at the end of each period, whether there was little to do in it, once in idleAgain.
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
	if !little || now.Sub(i.before) < idleAgain {
		return false
	}
	i.before = now
	return true
}

// giveBack returns memory to the system when there is something to return; trim lets go of what is kept for reuse.
func giveBack(trim func() (bytes uint64)) {
	read := []metrics.Sample{{Name: totalMetric}, {Name: releasedMetric}, {Name: liveMetric}}
	metrics.Read(read)
	held, live := read[0].Value.Uint64()-read[1].Value.Uint64(), read[2].Value.Uint64()
	if spare(held, live-min(live, trim())) {
		runtime.GC() // A sync.Pool gives up what it keeps at the second collection.
		debug.FreeOSMemory()
	}
}

// spare tells whether held bytes are much more than live ones need. A quarter of them is the collector's own and the gaps between
// objects.
func spare(held, live uint64) bool { return held > live+live/4+idleSpare }
