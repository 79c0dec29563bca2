package transaction

import (
	"math"
	"math/bits"
	"time"
)

const (
	// tickLength is how exact timers are: never early, at most this late.
	tickLength = 10 * time.Millisecond
	// wheelSlots ticks make 41 s, a little more than the 32 s of the long timers, so that these are looked at once.
	wheelSlots = 4096
	// dueList is the list behind the slots: timers whose tick has come and that have not fired yet.
	dueList = wheelSlots

	never = math.MaxInt64
)

// expirer owns a node: a server or client transaction, its CANCEL, or a user's Timer.
type expirer interface {
	// expire is called when the node's tick has come; the node is off the wheel then.
	expire(s *Shard, now int64)
}

// node is a place in the wheel. It lies inside the struct it belongs to, so setting a timer allocates nothing.
type node struct {
	next, prev *node
	owner      expirer
	tick       int64 // when it is linked: the tick it is linked for
	list       int32 // index of its list + 1, 0 when it is not linked
}

// wheel is a hashed timer wheel. A node stays in the slot of its tick until the wheel's hand comes by; one that is more
// than a turn away is passed over.
type wheel struct {
	hand  int64                   // the last tick that was handled
	lists [wheelSlots + 1]*node   // heads
	used  [wheelSlots / 64]uint64 // a bit for each slot with a head
}

// set links n for tick, wherever it was linked before. Timers are mostly put off soon after they were set: their
// neighbours are in the cache now, and would not be any more when the earlier tick came.
func (w *wheel) set(n *node, tick int64) int64 {
	tick = max(tick, w.hand+1)
	if n.list != 0 {
		if n.tick == tick {
			return tick
		}
		w.clear(n)
	}
	n.tick = tick
	w.link(n, int32(tick&(wheelSlots-1)))
	return tick
}

func (w *wheel) link(n *node, list int32) {
	n.list = list + 1
	n.prev = nil
	n.next = w.lists[list]
	if n.next != nil {
		n.next.prev = n
	}
	w.lists[list] = n
	if list != dueList {
		w.used[list>>6] |= 1 << (list & 63)
	}
}

// clear unlinks n.
func (w *wheel) clear(n *node) {
	if n.list == 0 {
		return
	}
	list := n.list - 1
	if n.prev != nil {
		n.prev.next = n.next
	} else {
		w.lists[list] = n.next
		if n.next == nil && list != dueList {
			w.used[list>>6] &^= 1 << (list & 63)
		}
	}
	if n.next != nil {
		n.next.prev = n.prev
	}
	n.next, n.prev, n.list = nil, nil, 0
}

// next returns the tick of the first used slot after the hand, never when the wheel is empty.
func (w *wheel) next() int64 {
	if w.lists[dueList] != nil {
		return w.hand
	}
	first := int((w.hand + 1) & (wheelSlots - 1))
	word := first >> 6
	b := w.used[word] &^ (1<<(first&63) - 1)
	for i := 0; ; i++ {
		if b != 0 {
			slot := word<<6 | bits.TrailingZeros64(b)
			return w.hand + 1 + int64((slot-first)&(wheelSlots-1))
		}
		if i == len(w.used) {
			return never
		}
		word = (word + 1) & (len(w.used) - 1)
		b = w.used[word]
	}
}

// pop moves the hand up to now and returns the next node that is due, unlinked; nil when there is none.
func (w *wheel) pop(now int64) *node {
	// After a long rest one turn is enough: it comes by every slot.
	w.hand = max(w.hand, now-wheelSlots)
	for w.lists[dueList] == nil {
		tick := w.next()
		if tick > now {
			w.hand = max(w.hand, now)
			return nil
		}
		w.hand = tick
		for n := w.lists[tick&(wheelSlots-1)]; n != nil; {
			next := n.next
			if n.tick <= tick {
				w.clear(n)
				w.link(n, dueList)
			}
			n = next
		}
	}
	n := w.lists[dueList]
	w.clear(n)
	return n
}

// Timer is a timer of a transaction user (Timer C, the q-group timer), in its shard's wheel. Embed it; the zero value is
// stopped. A struct that holds a running Timer must not be copied, cleared or used for something else: Disarm it first.
type Timer struct {
	Fire func(s *Shard) // set once, called under the lock

	node node
	due  int64 // tick, 0 when stopped
}

// Arm starts or restarts t to fire after d. Never early, at most one tick (10 ms) late.
func (s *Shard) Arm(t *Timer, d time.Duration) {
	t.node.owner = t
	t.due = s.tickAfter(d)
	s.set(&t.node, t.due)
}

// Disarm stops t.
func (s *Shard) Disarm(t *Timer) {
	t.due = 0
	s.wheel.clear(&t.node)
}

// Armed tells whether t runs.
func (t *Timer) Armed() bool { return t.due != 0 }

func (t *Timer) expire(s *Shard, now int64) {
	switch {
	case t.due > now:
		s.set(&t.node, t.due)
	case t.due != 0:
		t.due = 0
		if t.Fire != nil {
			t.Fire(s)
		}
	}
}
