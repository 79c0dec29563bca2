package calltrace

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"sipd/server/target"
)

const (
	// Size is how many calls are kept.
	Size = 10_000
	// indexSize is how many Call-IDs lead straight to their call: enough that two of those kept rarely share a place.
	indexSize = 1 << 14
	// firstBuffer is what an ordinary call needs. Nothing is kept of a buffer larger than largeBuffer when its call goes.
	firstBuffer = 384
	largeBuffer = 2 * firstBuffer
	// maxDecision and maxCall bound the bytes of a decision, and of a call with all that has become of it.
	maxDecision = 3 << 10
	maxCall     = 4 << 10
	// maxText bounds each text that comes from outside.
	maxText = 256
)

// Ref names a call that was added. 0 is none.
type Ref uint64

// Ring is the last calls. A nil Ring keeps nothing.
type Ring struct {
	seed  maphash.Seed
	last  atomic.Uint64 // Ref
	slots []slot
	index []atomic.Uint64 // Ref of the last call, by the hash of its Call-ID
	names names
}

// slot is one call.
type slot struct {
	mu        sync.Mutex
	ref       Ref
	call      uint64 // hash of the Call-ID
	request   uint64 // hash of what a retransmission repeats
	caller    uint64 // hash of the From tag
	begun     int64  // ns since 1970
	buf       []byte // see pack.go
	again     uint32 // retransmissions that were decided about anew
	before    uint32 // challenges that this call has answered
	challenge bool   // its decision was a challenge
	cut       bool   // there was not room for all
	ended     bool   // the final response is known
}

// New makes a ring.
func New() *Ring {
	r := &Ring{seed: maphash.MakeSeed(), slots: make([]slot, Size), index: make([]atomic.Uint64, indexSize)}
	r.names.init()
	return r
}

// Request is what is kept of a request besides the decision. Its slices may be receive buffers.
type Request struct {
	At      time.Time
	CallID  []byte
	URI     []byte // the Request-URI
	From    []byte // the URI of From
	Tag     []byte // of From
	Branch  []byte
	CSeq    uint32
	Source  netip.AddrPort
	Proto   string
	User    string // who has proven to be calling
	Answers int    // questions that were asked on the way
}

// Add keeps a decision about a request. A retransmission is counted, and the request that answers a challenge takes the place of the one
// that was challenged.
func (r *Ring) Add(q *Request, d *target.Decision) Ref {
	if r == nil {
		return 0
	}
	call := maphash.Bytes(r.seed, q.CallID)
	caller := maphash.Bytes(r.seed, q.Tag)
	request := maphash.Bytes(r.seed, q.Branch) ^ caller*3 ^ uint64(q.CSeq)
	at := &r.index[call%indexSize]
	if ref := Ref(at.Load()); ref != 0 && r.again(ref, call, request, caller, q, d) {
		return ref
	}
	ref := Ref(r.last.Add(1))
	s := r.slot(ref)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ref > ref { // So many others have come while this one waited for the lock.
		return 0
	}
	s.ref, s.call, s.caller, s.again, s.before = ref, call, caller, 0, 0
	s.write(r, request, q, d)
	at.Store(uint64(ref))
	return ref
}

// again adds a request to the call ref, if it belongs there.
func (r *Ring) again(ref Ref, call, request, caller uint64, q *Request, d *target.Decision) bool {
	s := r.slot(ref)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ref != ref || s.call != call:
		return false
	case s.request == request:
		s.again++
		return true
	case s.challenge && s.caller == caller:
		s.before++
		s.write(r, request, q, d)
		return true
	}
	return false
}

func (r *Ring) slot(ref Ref) *slot { return &r.slots[uint64(ref)%Size] }

// write packs a decision. The lock is held.
func (s *slot) write(r *Ring, request uint64, q *Request, d *target.Decision) {
	if cap(s.buf) == 0 || cap(s.buf) > largeBuffer {
		s.buf = make([]byte, 0, firstBuffer)
	}
	s.request, s.begun = request, q.At.UnixNano()
	s.challenge, s.cut, s.ended = d.Kind == target.Challenge, false, false
	s.buf = s.buf[:0]
	s.header(q, d)
	s.steps(&r.names, d, maxDecision)
	for i := range d.Targets {
		s.target(entryTarget, &d.Targets[i], maxDecision)
		for j := range d.Targets[i].Else {
			s.target(entryElse, &d.Targets[i].Else[j], maxDecision)
		}
	}
	for i := range d.Redirect {
		s.target(entryFallback, &d.Redirect[i], maxDecision)
	}
}

// open returns the locked slot of a call, nil when it is not kept any more.
func (r *Ring) open(ref Ref) *slot {
	if r == nil || ref == 0 {
		return nil
	}
	s := r.slot(ref)
	s.mu.Lock()
	if s.ref != ref {
		s.mu.Unlock()
		return nil
	}
	return s
}

// Outcome is how a copy of a request has ended.
type Outcome struct {
	Target   *target.Target
	To       netip.AddrPort // where it was sent last, not valid: nowhere
	Proto    string
	Status   int
	Received bool // the response was; else it stands for silence, a failure of the transport, or our giving up
}

// Branch notes how a copy of the request has ended.
func (r *Ring) Branch(ref Ref, at time.Time, o *Outcome) {
	if s := r.open(ref); s != nil {
		s.branch(at, o)
		s.mu.Unlock()
	}
}

// Forwarded notes what was decided after all had failed: by the forwards of the callee.
func (r *Ring) Forwarded(ref Ref, at time.Time, d *target.Decision) {
	r.further(ref, entryForward, at, d)
}

// Recursed notes what was decided about a 3xx.
func (r *Ring) Recursed(ref Ref, at time.Time, d *target.Decision) {
	r.further(ref, entryRecursion, at, d)
}

func (r *Ring) further(ref Ref, kind byte, at time.Time, d *target.Decision) {
	if s := r.open(ref); s != nil {
		if s.event(kind, at, maxCall) {
			s.steps(&r.names, d, maxCall)
		}
		s.mu.Unlock()
	}
}

// Cancelled notes that the caller has given up.
func (r *Ring) Cancelled(ref Ref, at time.Time) {
	if s := r.open(ref); s != nil {
		s.event(entryCancel, at, maxCall)
		s.mu.Unlock()
	}
}

// Final notes the final response to the caller, once.
func (r *Ring) Final(ref Ref, at time.Time, status int) {
	if s := r.open(ref); s != nil {
		if !s.ended {
			s.ended = true
			s.final(at, status)
		}
		s.mu.Unlock()
	}
}
