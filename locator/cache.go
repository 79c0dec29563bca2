package locator

import "time"

// Limits of the cache.
const (
	// foundTTL and emptyTTL are how long an answer holds that does not say so, with contacts and without; maxTTL is the most it can
	// say. failedTTL is how long it is remembered that a question failed.
	foundTTL  = 30 * time.Second
	emptyTTL  = 5 * time.Second
	failedTTL = 5 * time.Second
	maxTTL    = time.Hour
	// maxEntries and maxBytes bound what is kept; a caller who invents names pushes out others at the worst.
	maxEntries = 10_000
	maxBytes   = 8 << 20
	// entrySize is what an entry weighs beside its texts: its struct, its query and its place in the map.
	entrySize = 300
)

type entry struct {
	contacts []Contact
	err      error
	until    time.Time
}

func (q Query) size(e *entry) int {
	n := entrySize + len(q.AOR) + len(q.Caller) + len(q.Method)
	for i := range e.contacts {
		n += 24 + len(e.contacts[i].URI)
	}
	if e.err != nil {
		n += 2 * len(e.err.Error()) // the text, and those that it wraps
	}
	return n
}

// cache keeps answers. Its owner's mutex guards it.
type cache struct {
	entries map[Query]*entry
	bytes   int
}

// get returns an answer that holds, nil for none.
func (c *cache) get(q Query, now time.Time) *entry {
	if e := c.entries[q]; e != nil && now.Before(e.until) {
		return e
	}
	return nil
}

// put keeps an answer for as long as it holds.
func (c *cache) put(q Query, e *entry, now time.Time) {
	c.remove(q)
	if !now.Before(e.until) {
		return
	}
	for other := range c.entries { // In no order: whoever it hits is asked for again.
		if len(c.entries) < maxEntries && c.bytes+q.size(e) <= maxBytes {
			break
		}
		c.remove(other)
	}
	c.entries[q] = e
	c.bytes += q.size(e)
}

func (c *cache) remove(q Query) {
	if e := c.entries[q]; e != nil {
		c.bytes -= q.size(e)
		delete(c.entries, q)
	}
}
