package daemon

import (
	"context"
	"os"
	"runtime"
	"time"
)

// A server that uses less than one core is cheapest on one scheduler thread: with a second one idle, each datagram that
// arrives wakes it to look for work that is not there, which costs more than handling the message (docs/adr/0011, figures
// in docs/performance.md). So GOMAXPROCS follows the load: one thread while it is low, all cores as soon as it is not.
const (
	procsSample = 100 * time.Millisecond
	procsRaise  = 0.7         // cores in use from which all are taken
	procsLower  = 0.5         // cores in use below which one is enough,
	procsCalm   = time.Second // after this long
)

// followLoad adjusts GOMAXPROCS and the collector's pace until ctx ends, and gives memory back in quiet times; trim lets go of what is
// kept for reuse. What the operator set in the environment (GOMAXPROCS, GOGC) is left alone.
func followLoad(ctx context.Context, trim func() uint64) error {
	all := runtime.GOMAXPROCS(0)
	threads := os.Getenv("GOMAXPROCS") == "" && all > 1
	if threads {
		defer runtime.GOMAXPROCS(all)
	}
	collector := os.Getenv("GOGC") == ""
	g := governor{all: all, procs: all}
	var c collection
	var i idler
	tick := time.NewTicker(procsSample)
	defer tick.Stop()
	last, used := time.Now(), cpuTime()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		now, cpu := time.Now(), cpuTime()
		if procs := g.next(float64(cpu-used)/float64(now.Sub(last)), now); threads && procs != runtime.GOMAXPROCS(0) {
			runtime.GOMAXPROCS(procs)
		}
		if collector {
			c.pace()
			if i.idle(now, cpu) {
				giveBack(trim)
			}
		}
		last, used = now, cpu
	}
}

// governor decides how many threads to use.
type governor struct {
	all, procs int
	busy       time.Time // when it was not calm last
}

// next returns the number of threads for a load of that many cores since the last call.
func (g *governor) next(cores float64, now time.Time) int {
	if g.busy.IsZero() || cores >= procsLower {
		g.busy = now
	}
	switch {
	case cores >= procsRaise:
		g.procs = g.all
	case now.Sub(g.busy) >= procsCalm:
		g.procs = 1
	}
	return g.procs
}
