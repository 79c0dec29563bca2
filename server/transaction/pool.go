package transaction

import "sipd/server/message"

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

// Trim lets the garbage collector have what idle shards keep for reuse: some 30 MB after a burst. It is for a server that has
// little to do.
func (t *Table) Trim() {
	for i := range t.shards {
		t.shards[i].trim()
	}
}

func (s *Shard) trim() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.servers.live+s.clients.live > 0 || len(s.ended) > 0 {
		return
	}
	s.servers.trim()
	s.clients.trim()
	s.match.init(byKey)
	s.merges.init(byMerge)
	s.cancels.free = nil
	s.messages.free = nil
	s.buffers.free = [len(classSizes)][][]byte{}
	s.ended, s.key, s.text = nil, nil, nil
}

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
