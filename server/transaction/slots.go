package transaction

// maxSpare bounds the structs of a kind that a shard keeps for reuse: what ended transactions beyond it leave behind goes
// to the garbage collector, so that a peak does not stay in memory.
const maxSpare = 4096

// chunk is how many structs are made at once: a peak makes thousands.
const chunk = 16

// slots hands out structs at small indices, with a generation that changes whenever an index is given back: an index with
// an old generation finds nothing.
type slots[T any] struct {
	all   []slot[T]
	free  int32 // first free index + 1, 0 when there is none
	live  int
	spare int // structs kept in free slots
	fresh []T // of the last chunk, not used yet
	limit int
}

type slot[T any] struct {
	p    *T
	gen  uint32
	free int32 // next free index + 1
	used bool
}

// take returns a struct (a used one as it was left, or a zero one), its index and generation; nil at the limit.
func (x *slots[T]) take() (p *T, index, gen uint32) {
	if x.live >= x.limit {
		return nil, 0, 0
	}
	if x.free == 0 {
		x.all = append(x.all, slot[T]{gen: 1})
		index = uint32(len(x.all) - 1)
	} else {
		index = uint32(x.free - 1)
		x.free = x.all[index].free
	}
	e := &x.all[index]
	if e.p == nil {
		if len(x.fresh) == 0 {
			x.fresh = make([]T, chunk)
		}
		e.p = &x.fresh[0]
		x.fresh = x.fresh[1:]
	} else {
		x.spare--
	}
	e.used = true
	x.live++
	return e.p, index, e.gen
}

// give takes index back.
func (x *slots[T]) give(index uint32) {
	e := &x.all[index]
	e.used = false
	e.gen++
	if e.gen == 0 {
		e.gen = 1
	}
	e.free = x.free
	x.free = int32(index) + 1
	x.live--
	if x.spare >= maxSpare {
		e.p = nil
	} else {
		x.spare++
	}
}

// trim lets go of the structs in free slots.
func (x *slots[T]) trim() {
	for i := range x.all {
		if e := &x.all[i]; !e.used {
			e.p = nil
		}
	}
	x.spare, x.fresh = 0, nil
}

// get returns the struct at index while it is of this generation, else nil.
func (x *slots[T]) get(index, gen uint32) *T {
	if int(index) >= len(x.all) {
		return nil
	}
	if e := &x.all[index]; e.used && e.gen == gen {
		return e.p
	}
	return nil
}
