package location

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"sync"

	"sipd/sipaddr"
)

const (
	shards = 256 // of a table: readers of different AORs seldom meet, and the sweep takes one at a time
	// bucketAORs is how many AORs share a bucket on average. A change writes a bucket anew, some 2 KB; the collector sees one
	// object for it.
	bucketAORs = 8
	// slotSize is what an AOR takes in the directory of its bucket: 16 bits of its hash and where its entry ends.
	slotSize = 6
)

// table is the bindings of all AORs, packed. One writer at a time; any number of readers.
type table struct {
	seed  maphash.Seed
	shard [shards]shard
}

// shard is a table of buckets that grows by one bucket at a time (linear hashing), so that nobody waits while it does. A
// bucket is a text and never changes: a count, a directory, the entries.
type shard struct {
	mu      sync.RWMutex
	aors    int
	buckets []string
}

func (t *table) hash(aor string) uint64 { return maphash.String(t.seed, aor) }

func (t *table) of(h uint64) *shard { return &t.shard[h%shards] }

// which returns the bucket of a hash among n.
func which(h uint64, n int) int {
	h /= shards
	low := uint64(1) << (bits.Len(uint(n)) - 1)
	if i := h & (2*low - 1); i < uint64(n) {
		return int(i)
	}
	return int(h & (low - 1))
}

func tag(h uint64) uint16 { return uint16(h >> 48) }

// bucket returns the bucket of a hash now.
func (s *shard) bucket(h uint64) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(s.buckets) == 0 {
		return ""
	}
	return s.buckets[which(h, len(s.buckets))]
}

// slots is how many AORs a bucket has.
func slots(bucket string) int {
	if bucket == "" {
		return 0
	}
	return int(bucket[0]) | int(bucket[1])<<8
}

// slot returns the tag and the entry of a slot.
func slot(bucket string, i int) (uint16, string) {
	n := slots(bucket)
	end := func(i int) int {
		at := 2 + i*slotSize + 2
		return 2 + n*slotSize + int(uint32(bucket[at])|uint32(bucket[at+1])<<8|uint32(bucket[at+2])<<16|uint32(bucket[at+3])<<24)
	}
	from := 2 + n*slotSize
	if i > 0 {
		from = end(i - 1)
	}
	at := 2 + i*slotSize
	return uint16(bucket[at]) | uint16(bucket[at+1])<<8, bucket[from:end(i)]
}

// find returns the slot of an AOR and its bindings still packed, -1 if it is not there.
func find[T sipaddr.AOR | []byte](bucket string, h uint64, aor T) (int, unpacker) {
	for i := range slots(bucket) {
		at := 2 + i*slotSize
		if uint16(bucket[at])|uint16(bucket[at+1])<<8 != tag(h) {
			continue
		}
		_, entry := slot(bucket, i)
		u := unpacker(entry)
		if u.text() == string(aor) {
			return i, u
		}
	}
	return -1, ""
}

// list returns the bindings of an AOR.
func (t *table) list(aor sipaddr.AOR) []*Binding { return list(t, t.hash(string(aor)), aor) }

func list[T sipaddr.AOR | []byte](t *table, h uint64, aor T) []*Binding {
	if i, u := find(t.of(h).bucket(h), h, aor); i >= 0 {
		return u.bindings()
	}
	return nil
}

// put makes list the bindings of an AOR; none removes it.
func (t *table) put(aor sipaddr.AOR, list []*Binding) {
	h := t.hash(string(aor))
	s := t.of(h)
	if len(s.buckets) == 0 { // Only the writer changes it, so reading needs no lock here.
		s.set(func() { s.buckets = make([]string, 1) })
	}
	n := which(h, len(s.buckets))
	old := s.buckets[n]
	at, _ := find(old, h, aor)
	var b builder
	for i := range slots(old) {
		if i != at {
			b.copy(slot(old, i))
		}
	}
	aors := s.aors
	if at >= 0 {
		aors--
	}
	if len(list) > 0 {
		aors++
		b.entries = appendEntry(b.entries, aor, list)
		b.close(tag(h))
	}
	text := b.text()
	s.set(func() { s.buckets[n], s.aors = text, aors })
	if aors > bucketAORs*len(s.buckets) {
		s.split(t)
	}
}

func (s *shard) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// split adds a bucket and gives it those of an old one that belong there.
func (s *shard) split(t *table) {
	n := len(s.buckets)
	from := n - 1<<(bits.Len(uint(n))-1)
	var stay, move builder
	old := s.buckets[from]
	for i := range slots(old) {
		tag, entry := slot(old, i)
		u := unpacker(entry)
		if which(t.hash(u.text()), n+1) == n {
			move.copy(tag, entry)
		} else {
			stay.copy(tag, entry)
		}
	}
	a, b := stay.text(), move.text()
	s.set(func() {
		s.buckets = append(s.buckets, b)
		s.buckets[from] = a
	})
}

// each calls do for the AORs of a shard, their bindings still packed, until it returns false. No lock is held meanwhile.
func (s *shard) each(do func(aor sipaddr.AOR, u unpacker) bool) {
	s.mu.RLock()
	buckets := append([]string(nil), s.buckets...)
	s.mu.RUnlock()
	for _, b := range buckets {
		for i := range slots(b) {
			_, entry := slot(b, i)
			u := unpacker(entry)
			if aor := u.text(); !do(sipaddr.AOR(aor), u) {
				return
			}
		}
	}
}

// take makes the rows of another table with the same seed those of this one, shard by shard.
func (t *table) take(other *table) {
	for i := range t.shard {
		t.shard[i].set(func() { t.shard[i].buckets, t.shard[i].aors = other.shard[i].buckets, other.shard[i].aors })
	}
}

// builder makes the text of a bucket.
type builder struct {
	n         int
	directory []byte
	entries   []byte
}

func (b *builder) copy(tag uint16, entry string) {
	b.entries = append(b.entries, entry...)
	b.close(tag)
}

// close ends an entry.
func (b *builder) close(tag uint16) {
	b.n++
	b.directory = binary.LittleEndian.AppendUint16(b.directory, tag)
	b.directory = binary.LittleEndian.AppendUint32(b.directory, uint32(len(b.entries)))
}

func (b *builder) text() string {
	if b.n == 0 {
		return ""
	}
	count := [2]byte{byte(b.n), byte(b.n >> 8)}
	return string(count[:]) + string(b.directory) + string(b.entries)
}
