package auth

import (
	"sync"
	"time"
)

// Size of the table of nonce counts. An entry has 24 bytes; it is made by good credentials only, never by strangers.
const (
	windowShards = 16      // so that workers seldom wait for each other
	windowMax    = 1 << 15 // entries of one generation of a shard: half a million nonces in use, 60 MB at worst
	windowBits   = 64      // how far behind the highest nc one may come: requests overtake each other on UDP
	// After this long every nonce first used before is too old.
	windowTurn = nonceLife + clockSlack
)

// windows is which nonce counts were used, by nonce. Each shard has two generations of entries: the older one is dropped when it has only nonces that are too
// old, or when the younger one is full.
type windows struct {
	shard [windowShards]windowShard
}

type windowShard struct {
	mu     sync.Mutex
	young  map[nonceID]window
	old    map[nonceID]window
	turned time.Time // when young became old last
	// forgot is a bound for what a full table dropped: no forgotten nonce was issued later. A nonce not in the table that
	// was issued no later than this may have been used.
	forgot uint32
}

// window is the use of one nonce: bit i of used says that nc top-i came.
type window struct {
	top  uint32
	used uint64
}

// use notes that credentials with this nonce and count came. False: the count was used, may have been used, or is too far
// behind.
func (t *windows) use(id nonceID, count uint32, now time.Time) bool {
	sh := &t.shard[id.serial%windowShards]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.age(now)
	if w, ok := sh.young[id]; ok {
		ok = w.take(count)
		sh.young[id] = w
		return ok
	}
	if w, ok := sh.old[id]; ok {
		ok = w.take(count)
		sh.old[id] = w
		return ok
	}
	if id.seconds <= sh.forgot {
		return false
	}
	if len(sh.young) >= windowMax {
		// What is dropped was first used, hence issued, before the last turn, give or take the order in which workers read the clock.
		sh.forgot = uint32(min(seconds(sh.turned), seconds(now)) + int64(clockSlack/time.Second))
		sh.turn(now)
		if id.seconds <= sh.forgot {
			return false
		}
	}
	if sh.young == nil {
		sh.young = make(map[nonceID]window)
	}
	sh.young[id] = window{top: count, used: 1}
	return true
}

// age drops what has only nonces that are too old.
func (sh *windowShard) age(now time.Time) {
	if age := now.Sub(sh.turned); age >= windowTurn {
		if age >= 2*windowTurn {
			sh.young = nil // Nobody came for a whole generation: both are too old.
		}
		sh.turn(now)
	}
}

// entryBytes is about what an entry weighs: the map has room to spare.
const entryBytes = 48

// trim drops what is too old in all shards, and returns about how many bytes that was: where nobody authenticates any more, nobody else does.
func (t *windows) trim(now time.Time) (bytes uint64) {
	for i := range t.shard {
		sh := &t.shard[i]
		sh.mu.Lock()
		before := len(sh.young) + len(sh.old)
		sh.age(now)
		bytes += entryBytes * uint64(before-len(sh.young)-len(sh.old))
		sh.mu.Unlock()
	}
	return bytes
}

// turn drops the old generation and begins a new one.
func (sh *windowShard) turn(now time.Time) {
	sh.old, sh.young, sh.turned = sh.young, nil, now
}

// take marks count as used.
func (w *window) take(count uint32) bool {
	if count > w.top {
		if ahead := count - w.top; ahead < windowBits {
			w.used = w.used<<ahead | 1
		} else {
			w.used = 1
		}
		w.top = count
		return true
	}
	behind := w.top - count
	if behind >= windowBits || w.used&(1<<behind) != 0 {
		return false
	}
	w.used |= 1 << behind
	return true
}
