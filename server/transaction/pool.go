package transaction

import (
	"unsafe"

	"sipd/server/message"
)

// classSizes are the sizes of pooled buffers. A stored response is mostly under 512 bytes, an INVITE with SDP under 2 KiB;
// the largest holds any message (message.MaxMessage).
var classSizes = [...]int{512, 1 << 10, 2 << 10, 4 << 10, 16 << 10, 64 << 10}

// Bounds of what a shard keeps for reuse; more goes to the garbage collector.
const (
	maxFreeBytes    = 256 << 10 // in buffers of one class
	maxFreeMessages = 128       // request copies, each with a buffer of at most maxKeptMessage
	maxKeptMessage  = 4 << 10
)

// buffers are the byte buffers of a shard, in which transactions keep what they may have to send again.
type buffers struct {
	free [len(classSizes)][][]byte
	out  int // buffers in use
	used int // their bytes
}

// copyOf returns a copy of data in a buffer.
func (b *buffers) copyOf(data []byte) []byte {
	buf := b.take(len(data))
	copy(buf, data)
	return buf
}

func (b *buffers) take(n int) []byte {
	b.out++
	for i, size := range classSizes {
		if n > size {
			continue
		}
		b.used += size
		if l := len(b.free[i]); l > 0 {
			buf := b.free[i][l-1]
			b.free[i][l-1] = nil
			b.free[i] = b.free[i][:l-1]
			return buf[:n]
		}
		return make([]byte, n, size)
	}
	b.used += n
	return make([]byte, n)
}

// give takes a buffer back; nil is fine.
func (b *buffers) give(buf []byte) {
	if buf == nil {
		return
	}
	b.out--
	b.used -= cap(buf)
	for i, size := range classSizes {
		if cap(buf) == size {
			if len(b.free[i])*size < maxFreeBytes {
				b.free[i] = append(b.free[i], buf)
			}
			return
		}
	}
}

// messages are the request copies of a shard. They are apart from the server transactions because a transaction outlives
// its need of the request by half a minute.
type messages struct {
	free []*message.Message
	out  int
}

func (p *messages) copyOf(m *message.Message) *message.Message {
	p.out++
	var c *message.Message
	if l := len(p.free); l > 0 {
		c = p.free[l-1]
		p.free[l-1] = nil
		p.free = p.free[:l-1]
	} else {
		c = new(message.Message)
	}
	c.Copy(m)
	return c
}

func (p *messages) give(c *message.Message) {
	p.out--
	if len(p.free) >= maxFreeMessages {
		return
	}
	if len(c.Raw()) > maxKeptMessage {
		c.Release()
	}
	p.free = append(p.free, c)
}

// Trim lets the garbage collector have what shards keep for reuse, and returns about how many bytes that is: some 30 MB after a
// burst. It is for a server that has little to do.
func (t *Table) Trim() (bytes uint64) {
	for i := range t.shards {
		bytes += t.shards[i].trim()
	}
	return bytes
}

func (s *Shard) trim() (bytes uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	bytes = uint64(s.servers.spare)*uint64(unsafe.Sizeof(Server{})) + uint64(s.clients.spare)*uint64(unsafe.Sizeof(Client{})) +
		uint64(len(s.cancels.free))*uint64(unsafe.Sizeof(cancelling{})) + uint64(len(s.messages.free))*keptMessage
	for i, free := range s.buffers.free {
		bytes += uint64(len(free) * classSizes[i])
	}
	s.servers.trim()
	s.clients.trim()
	s.cancels.free = nil
	s.messages.free = nil
	s.buffers.free = [len(classSizes)][][]byte{}
	for _, t := range []*matchTable{&s.match, &s.merges} {
		if t.count == 0 {
			t.init(t.by)
		}
	}
	return bytes
}

// keptMessage is about what a spare request copy weighs: its bytes and its index.
const keptMessage = 4 << 10

// Pools is what the shards keep in hand: gauges for metrics and for tests that look for leaks.
type Pools struct {
	Requests    int // request copies in use
	Buffers     int // buffers in use
	BufferBytes int // their size
	Cancels     int // CANCEL client transactions in use

	FreeServers, FreeClients, FreeCancels int // structs kept for reuse
	FreeRequests, FreeBuffers             int
}

// Pools adds up the gauges of all shards.
func (t *Table) Pools() Pools {
	var p Pools
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		p.Requests += s.messages.out
		p.Buffers += s.buffers.out
		p.BufferBytes += s.buffers.used
		p.Cancels += s.cancels.out
		p.FreeServers += s.servers.spare
		p.FreeClients += s.clients.spare
		p.FreeCancels += len(s.cancels.free)
		p.FreeRequests += len(s.messages.free)
		for _, f := range s.buffers.free {
			p.FreeBuffers += len(f)
		}
		s.mu.Unlock()
	}
	return p
}
