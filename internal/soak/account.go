package soak

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Key names a request: a row of the request log has the same three.
type Key struct {
	Method, CallID string
	CSeq           int
}

// callIDPrefix begins the Call-IDs of requests that are accounted for; sixteen hexadecimal digits follow.
const callIDPrefix = "soak-"

func newCallID() string { return fmt.Sprintf("%s%016x", callIDPrefix, rand.Uint64()) }

// methods are those that the crowd sends.
var methods = []string{"INVITE", "BYE", "CANCEL", "REGISTER", "MESSAGE", "OPTIONS", "INFO", "UPDATE"}

// short is a Key in few bytes: a long run has millions of them.
type short struct {
	id     uint64
	cseq   uint32
	method uint8
}

func (k Key) short() (s short, ok bool) {
	text, ok := strings.CutPrefix(k.CallID, callIDPrefix)
	id, err := strconv.ParseUint(text, 16, 64)
	method := slices.Index(methods, k.Method)
	return short{id, uint32(k.CSeq), uint8(method)}, ok && err == nil && method >= 0
}

func (s short) String() string {
	return fmt.Sprintf("%s %d of %s%016x", methods[s.method], s.cseq, callIDPrefix, s.id)
}

// entry is what became of a request.
type entry struct {
	kind   string
	status int  // the final one that its sender saw, 0: none
	logged bool // the request log must have it, once
	blind  bool // the sender was gone and need not have seen anything
}

// kept is an entry in few bytes.
type kept struct {
	status, row   int16 // seen by the sender, and of the row of the request log
	kind, rows    uint8
	logged, blind bool
}

// Account is what became of every request. It is safe for concurrent use.
type Account struct {
	mu      sync.Mutex
	entries map[short]kept
	kinds   []string
	ends    []map[int]int // for each kind: status -> how often
	faults  []string
	faulty  int
	foreign int // rows of requests that are not in the account: mutated ones
	waits   []time.Duration
	recent  []time.Duration
	seen    int
}

// maxFaults of them are kept in words.
const maxFaults = 20

func newAccount() *Account { return &Account{entries: map[short]kept{}} }

func (a *Account) fault(format string, args ...any) {
	a.faulty++
	if len(a.faults) < maxFaults {
		a.faults = append(a.faults, fmt.Sprintf(format, args...))
	}
}

// kind returns the number of a kind; a.mu is held.
func (a *Account) kind(name string) int {
	n := slices.Index(a.kinds, name)
	if n < 0 {
		n = len(a.kinds)
		a.kinds = append(a.kinds, name)
		a.ends = append(a.ends, map[int]int{})
	}
	return n
}

// note enters a request with the final status that its sender saw; allowed are those that it may have.
func (a *Account) note(k Key, e entry, allowed ...int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.kind(e.kind)
	a.ends[n][e.status]++
	key, ok := k.short()
	if !ok {
		a.fault("%s: %v cannot be accounted for", e.kind, k)
		return
	}
	if len(allowed) > 0 && !slices.Contains(allowed, e.status) && !(e.blind && e.status == 0) {
		a.fault("%s: %v ended with %d, want one of %v", e.kind, key, e.status, allowed)
	}
	if _, twice := a.entries[key]; twice {
		a.fault("%s: %v was sent twice", e.kind, key)
	}
	a.entries[key] = kept{status: int16(e.status), kind: uint8(n), logged: e.logged, blind: e.blind}
}

// A reservoir of set-up times is enough for percentiles.
const maxWaits = 50_000

// wait enters the time from an INVITE to its 180.
func (a *Account) wait(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen++
	if len(a.recent) < maxWaits {
		a.recent = append(a.recent, d)
	}
	if len(a.waits) < maxWaits {
		a.waits = append(a.waits, d)
	} else {
		a.waits[a.seen%maxWaits] = d
	}
}

// Waits returns percentiles of the time from an INVITE to its 180.
func (a *Account) Waits(percents ...float64) []time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return percentiles(a.waits, percents)
}

// Recent is Waits since the last call of Recent.
func (a *Account) Recent(percents ...float64) []time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer func() { a.recent = a.recent[:0] }()
	return percentiles(a.recent, percents)
}

func percentiles(all []time.Duration, percents []float64) (list []time.Duration) {
	slices.Sort(all)
	for _, p := range percents {
		var d time.Duration
		if n := len(all); n > 0 {
			d = all[min(n-1, int(float64(n)*p/100))]
		}
		list = append(list, d)
	}
	return list
}

// Row enters a row of the request log.
func (a *Account) Row(k Key, status int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key, ok := k.short()
	e, sent := a.entries[key]
	switch {
	case !ok:
		a.foreign++
	case !sent:
		a.fault("the request log has %v with %d, which nobody has sent", key, status)
	default:
		e.rows++
		e.row = int16(status)
		a.entries[key] = e
	}
}

// Settle compares the rows with what was seen, and returns how many requests had to have one, and what is wrong.
func (a *Account) Settle() (logged, foreign int, faults []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for k, e := range a.entries {
		kind := a.kinds[e.kind]
		switch {
		case e.logged && e.rows != 1:
			a.fault("%s: %v ended with %d and has %d rows in the request log, want 1", kind, k, e.status, e.rows)
		case !e.logged && e.rows != 0:
			a.fault("%s: %v ended with %d and has %d rows in the request log, want none", kind, k, e.status, e.rows)
		case e.rows == 1 && e.row != e.status && !(e.blind && e.status == 0):
			a.fault("%s: %v ended with %d, the request log has %d", kind, k, e.status, e.row)
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
	for n, kind := range a.kinds {
		line := fmt.Sprintf("%-34s", kind)
		for _, status := range slices.Sorted(maps.Keys(a.ends[n])) {
			line += fmt.Sprintf(" %8d x %03d", a.ends[n][status], status)
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return lines
}

// Requests returns how many have ended.
func (a *Account) Requests() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.entries)
}
