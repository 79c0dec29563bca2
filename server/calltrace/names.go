package calltrace

import (
	"maps"
	"strings"
	"sync"
	"sync/atomic"
)

// maxNames bounds the names of rules, tables and notes that have a number. They are constants of the code, but for a few
// that have a setting in them; what comes beyond is written out.
const maxNames = 1024

// names gives numbers to names. Who reads never waits.
type names struct {
	mu   sync.Mutex // of who adds one
	ids  atomic.Pointer[map[string]uint16]
	list atomic.Pointer[[]string] // by number; 0 is none

	// near are the numbers of names by what is cheap to see of them: each step of a call has three names, and the strings are most often
	// the same ones, which are compared at once.
	near [256]atomic.Uint32
}

// place is where in near a name is.
func place(name string) uint8 {
	n := len(name)
	return uint8(n)*31 ^ name[0]*7 ^ name[n/2]*3 ^ name[n-1]
}

func (n *names) init() {
	n.ids.Store(&map[string]uint16{"": 1})
	n.list.Store(&[]string{"", ""})
}

// id returns the number of a name, 0 when it has none and gets none.
func (n *names) id(name string) uint16 {
	if name == "" {
		return 1
	}
	near := &n.near[place(name)]
	first := near.Load()
	if first != 0 && n.name(uint64(first)) == name {
		return uint16(first)
	}
	id, ok := (*n.ids.Load())[name]
	if !ok {
		id = n.learn(name)
	}
	if first == 0 { // Else it stays with whoever came first: two names must not take turns.
		near.Store(uint32(id))
	}
	return id
}

func (n *names) learn(name string) uint16 {
	n.mu.Lock()
	defer n.mu.Unlock()
	ids, list := *n.ids.Load(), *n.list.Load()
	if id, ok := ids[name]; ok {
		return id
	}
	if len(list) >= maxNames || len(name) > maxText {
		return 0
	}
	name = strings.Clone(name) // It may be part of something large.
	id := uint16(len(list))
	ids = maps.Clone(ids)
	ids[name] = id
	list = append(list[:len(list):len(list)], name)
	n.list.Store(&list) // First: who has the number finds the name.
	n.ids.Store(&ids)
	return id
}

// name returns the name of a number.
func (n *names) name(id uint64) string {
	if list := *n.list.Load(); id < uint64(len(list)) {
		return list[id]
	}
	return ""
}
