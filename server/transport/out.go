package transport

// Limits of an Out.
const (
	// maxFlushRounds bounds the failures that cause messages that fail and cause messages: an answer to a failed branch is
	// one round, its own failure another; more than a few are a fault.
	maxFlushRounds = 8
	// maxArenaKept and maxPacketsKept are what an Out keeps between flushes. A batch of 32 ordinary messages forked to a few
	// branches fits; what a burst of 64 KiB messages took is given back.
	maxArenaKept   = 1 << 20
	maxPacketsKept = 4096
)

// Out is a queue of messages that one goroutine has decided to send: the worker that received a batch, the timers, the
// committer. Nothing leaves before Flush. It is not safe for concurrent use.
type Out struct {
	packets  []Packet
	spare    []Packet // packets of the round before, used again
	arena    []byte
	deliver  func(o *Out, packets []Packet)
	moved    bool // arena was reallocated: packets of earlier rounds hold on to the old one
	flushing bool
	dropped  uint64
}

// NewOut returns a queue whose Flush hands the packets to deliver. deliver reports failures by Receiver.SendFailed,
// which may queue more packets on o.
func NewOut(deliver func(o *Out, packets []Packet)) *Out { return &Out{deliver: deliver} }

// Send queues a copy of data for to.
func (o *Out) Send(to Flow, data []byte, ref Ref) {
	n := len(o.arena)
	if n+len(data) > cap(o.arena) {
		o.moved = true // append leaves the old array to the packets that point into it
	}
	o.arena = append(o.arena, data...)
	o.packets = append(o.packets, Packet{To: to, Ref: ref, Data: o.arena[n:len(o.arena):len(o.arena)]})
}

// Len returns the number of messages queued.
func (o *Out) Len() int { return len(o.packets) }

// Flush sends what is queued, in order for each destination, until nothing is left. A Flush inside a Flush (from
// SendFailed) does nothing: the outer one sends what it would have sent.
func (o *Out) Flush() {
	if len(o.packets) == 0 || o.flushing {
		return
	}
	o.flushing = true
	defer o.reset()
	for round := 0; len(o.packets) > 0; round++ {
		if round == maxFlushRounds {
			o.dropped += uint64(len(o.packets))
			break
		}
		batch := o.packets
		o.packets = o.spare[:0]
		o.spare = batch
		o.deliver(o, batch)
	}
}

// Dropped returns how many messages were given up because each failure caused another.
func (o *Out) Dropped() uint64 { return o.dropped }

// reset makes o empty and gives back what a burst took.
func (o *Out) reset() {
	o.flushing = false
	if cap(o.arena) > maxArenaKept {
		o.arena, o.moved = nil, true
	}
	if o.moved {
		clear(o.packets[:cap(o.packets)])
		clear(o.spare[:cap(o.spare)])
		o.moved = false
	}
	if cap(o.packets)+cap(o.spare) > maxPacketsKept {
		o.packets, o.spare = nil, nil
	}
	o.arena = o.arena[:0]
	o.packets = o.packets[:0]
	o.spare = o.spare[:0]
}
