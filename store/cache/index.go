package cache

// entry is a slot of an index: part of the hash, so that a probe seldom looks at a row, and where the row is.
type entry struct {
	hash uint32
	at   uint32 // location + 1; 0: empty
}

// index finds locations by hash: open addressing with linear probing, no pointers, at most three quarters full.
type index struct {
	slots []entry
	n     int
}

const minSlots = 8

func newIndex(n int) index {
	size := minSlots
	for size*3/4 < n {
		size *= 2
	}
	return index{slots: make([]entry, size)}
}

// first and next walk the locations filed under h:
//
//	for i, at := x.first(h); at >= 0; i, at = x.next(h, i) { ... }
func (x *index) first(h uint32) (slot, at int) {
	if len(x.slots) == 0 {
		return 0, -1
	}
	return x.next(h, int(h)-1)
}

func (x *index) next(h uint32, slot int) (int, int) {
	mask := len(x.slots) - 1
	for i := (slot + 1) & mask; ; i = (i + 1) & mask {
		switch e := x.slots[i]; {
		case e.at == 0:
			return i, -1
		case e.hash == h:
			return i, int(e.at - 1)
		}
	}
}

// add files a location; the index must not be shared yet.
func (x *index) add(h uint32, at int) {
	if (x.n+1)*4 > len(x.slots)*3 {
		bigger := newIndex(max(x.n+1, x.n*3/2))
		for _, e := range x.slots {
			if e.at != 0 {
				bigger.put(e)
			}
		}
		*x = bigger
	}
	x.put(entry{h, uint32(at + 1)})
}

func (x *index) put(e entry) {
	mask := len(x.slots) - 1
	i := int(e.hash) & mask
	for x.slots[i].at != 0 {
		i = (i + 1) & mask
	}
	x.slots[i] = e
	x.n++
}

// remove forgets the location filed under h. Entries behind it move up, so that no probe ends early.
func (x *index) remove(h uint32, at int) {
	mask := len(x.slots) - 1
	i, found := x.first(h)
	for found >= 0 && found != at {
		i, found = x.next(h, i)
	}
	if found < 0 {
		return
	}
	x.n--
	for j := (i + 1) & mask; x.slots[j].at != 0; j = (j + 1) & mask {
		// The entry at j may fill the hole unless its home lies behind the hole.
		if home := int(x.slots[j].hash) & mask; (j-home)&mask >= (j-i)&mask {
			x.slots[i] = x.slots[j]
			i = j
		}
	}
	x.slots[i] = entry{}
}

// clone returns a copy that may be changed.
func (x *index) clone() index {
	return index{append([]entry(nil), x.slots...), x.n}
}
