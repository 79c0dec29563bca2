package soak

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// Key names a request: a row of the request log has the same three.
type Key struct {
	Method, CallID string
	CSeq           int
}

// entry is what became of a request.
type entry struct {
	kind   string
	status int  // the final one that its sender saw, 0: none
	logged bool // the request log must have it, once
	blind  bool // the sender was gone and need not have seen anything
	rows   int
	row    int // the status of the row
}

// Account is what became of every request. It is safe for concurrent use.
type Account struct {
	mu      sync.Mutex
	entries map[Key]*entry
	kinds   map[string]map[int]int // kind -> status -> how often
	faults  []string
	faulty  int
	foreign int // rows of requests that are not in the account: mutated ones
	waits   []time.Duration
	seen    int
}

// maxFaults of them are kept in words.
const maxFaults = 20

func newAccount() *Account {
	return &Account{entries: map[Key]*entry{}, kinds: map[string]map[int]int{}}
}

func (a *Account) fault(format string, args ...any) {
	a.faulty++
	if len(a.faults) < maxFaults {
		a.faults = append(a.faults, fmt.Sprintf(format, args...))
	}
}

// note enters a request with the final status that its sender saw; allowed are those that it may have.
func (a *Account) note(k Key, e entry, allowed ...int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.kinds[e.kind] == nil {
		a.kinds[e.kind] = map[int]int{}
	}
	a.kinds[e.kind][e.status]++
	if len(allowed) > 0 && !slices.Contains(allowed, e.status) && !(e.blind && e.status == 0) {
		a.fault("%s: %v ended with %d, want one of %v", e.kind, k, e.status, allowed)
	}
	if old := a.entries[k]; old != nil {
		a.fault("%s: %v was sent twice", e.kind, k)
	}
	a.entries[k] = &e
}

// A reservoir of set-up times is enough for percentiles.
const maxWaits = 50_000

// wait enters the time from an INVITE to its 180.
func (a *Account) wait(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen++
	if len(a.waits) < maxWaits {
		a.waits = append(a.waits, d)
	} else {
		a.waits[a.seen%maxWaits] = d
	}
}

// Waits returns percentiles of the time from an INVITE to its 180.
func (a *Account) Waits(percents ...float64) (waits []time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	slices.Sort(a.waits)
	for _, p := range percents {
		var d time.Duration
		if n := len(a.waits); n > 0 {
			d = a.waits[min(n-1, int(float64(n)*p/100))]
		}
		waits = append(waits, d)
	}
	return waits
}

// Row enters a row of the request log.
func (a *Account) Row(k Key, status int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.entries[k]
	if e == nil {
		a.foreign++
		if len(k.CallID) > len(callIDPrefix) && k.CallID[:len(callIDPrefix)] == callIDPrefix {
			a.fault("the request log has %v %d, which nobody has sent", k, status)
		}
		return
	}
	e.rows++
	e.row = status
}

// Settle compares the rows with what was seen, and returns how many requests had to have one, and what is wrong.
func (a *Account) Settle() (logged, foreign int, faults []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for k, e := range a.entries {
		switch {
		case e.logged && e.rows != 1:
			a.fault("%s: %v ended with %d and has %d rows in the request log, want 1", e.kind, k, e.status, e.rows)
		case !e.logged && e.rows != 0:
			a.fault("%s: %v ended with %d and has %d rows in the request log, want none", e.kind, k, e.status, e.rows)
		case e.rows == 1 && e.row != e.status && !(e.blind && e.status == 0):
			a.fault("%s: %v ended with %d, the request log has %d", e.kind, k, e.status, e.row)
		}
		if e.logged {
			logged++
		}
	}
	faults = a.faults
	if n := a.faulty - len(faults); n > 0 {
		faults = append(faults, fmt.Sprintf("and %d more", n))
	}
	return logged, a.foreign, faults
}

// Table returns a line for each kind of request: how often it ended with which status.
func (a *Account) Table() (lines []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, kind := range slices.Sorted(maps.Keys(a.kinds)) {
		line := fmt.Sprintf("%-34s", kind)
		for _, status := range slices.Sorted(maps.Keys(a.kinds[kind])) {
			line += fmt.Sprintf(" %7d x %03d", a.kinds[kind][status], status)
		}
		lines = append(lines, line)
	}
	return lines
}

// Requests returns how many have ended.
func (a *Account) Requests() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.entries)
}
