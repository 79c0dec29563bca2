package resolve

import (
	"errors"
	"time"
)

// Limits of the cache.
const (
	// maxEntries and maxBytes bound what is kept: a federation of thousands of domains fits, a stranger who invents names
	// pushes out others at the worst.
	maxEntries = 20_000
	maxBytes   = 16 << 20
	// staleTime is how long an answer that has expired may still serve when no server answers (RFC 8767), retryTime for how
	// long it then does before they are asked again.
	staleTime = 24 * time.Hour
	retryTime = 30 * time.Second
)

// errNotCached: the servers must be asked.
var errNotCached = errors.New("resolve: not in the cache")

type question struct {
	name string
	kind Kind
}

type entry struct {
	answer Answer
	err    error
	until  time.Time // it holds until then
	drop   time.Time // it is of no use any more
}

// entrySize is what an entry without records weighs: its struct, its question and its place in the map.
const entrySize = 400

func (q question) size(e *entry) int {
	n := entrySize + len(q.name) + e.answer.size()
	if e.err != nil {
		n += 2 * len(e.err.Error()) // the text, and those that it wraps
	}
	return n
}

// cache keeps answers. Its owner's mutex guards it.
type cache struct {
	entries map[question]*entry
	bytes   int
}

// get returns an answer that holds.
func (c *cache) get(q question, now time.Time) (Answer, error) {
	if e := c.entries[q]; e != nil && now.Before(e.until) {
		a := e.answer
		a.ttl, a.cached = e.until.Sub(now), true
		return a, e.err
	}
	return Answer{}, errNotCached
}

// stale returns an answer that held once and may still serve.
func (c *cache) stale(q question, now time.Time) (a Answer, ok bool) {
	e := c.entries[q]
	if e == nil || e.err != nil || !now.Before(e.drop) {
		return a, false
	}
	a = e.answer
	a.cached = true
	return a, true
}

// put keeps what the servers said. When they said nothing, an answer from before serves on, and is what put returns.
func (c *cache) put(q question, a Answer, err error, ttl time.Duration, now time.Time) (Answer, error) {
	e := &entry{answer: a, err: err, until: now.Add(ttl), drop: now.Add(ttl + staleTime)}
	if err != nil {
		e.drop = e.until
		if old := c.entries[q]; old != nil && old.err == nil && now.Before(old.drop) && errors.Is(err, ErrUnavailable) {
			e = &entry{answer: old.answer, until: now.Add(retryTime), drop: old.drop}
		}
	}
	c.remove(q)
	for other := range c.entries { // In no order: whoever it hits is asked for again.
		if len(c.entries) < maxEntries && c.bytes+q.size(e) <= maxBytes {
			break
		}
		c.remove(other)
	}
	c.entries[q] = e
	c.bytes += q.size(e)
	return e.answer, e.err
}

func (c *cache) remove(q question) {
	if e := c.entries[q]; e != nil {
		c.bytes -= q.size(e)
		delete(c.entries, q)
	}
}
