package transaction

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"sipd/server/message"
	"sipd/server/transport"
)

// Shard is a part of the table under one lock. Enter takes the lock, Leave releases it; everything else here, and every
// call to a ServerUser, ClientUser or Timer, happens between the two.
//
// A transaction that ends in between is told to its user (Ended) by Leave, before it releases the lock: no call of Respond,
// Start or Cancel calls back. Its struct is used again after that, so a pointer got in between stays what it is until Leave.
type Shard struct {
	mu    sync.Mutex
	table *Table
	index uint8

	// Set by Enter.
	out     *transport.Out
	now     time.Time
	elapsed time.Duration // now since the table's epoch

	servers  slots[Server]
	clients  slots[Client]
	match    matchTable
	merges   matchTable // of the transactions whose requests are answered here
	merge    uint64     // mergeHash of the request at hand, 0 when nobody has asked for it
	cancels  cancels
	buffers  buffers
	messages messages
	wheel    wheel
	random   rand.ChaCha8

	ended []ended // transactions to tell their user of, then to use again
	told  int     // how many of them have been told

	key   []byte          // the match key of the request at hand
	text  []byte          // a message being built
	parse message.Message // own bytes being read again
	from  transport.Flow  // where the response at hand came from

	next  atomic.Int64 // a tick not after the wheel's first timer; read by Run without the lock
	armed bool         // next has come nearer since Enter
}

// ended is a transaction that is over: one of the two.
type ended struct {
	server *Server
	client *Client
}

// Enter locks the shard; messages go to out and time is now until Leave.
func (s *Shard) Enter(out *transport.Out, now time.Time) {
	s.mu.Lock()
	s.out = out
	s.now = now
	s.merge = 0
	s.elapsed = now.Sub(s.table.epoch)
}

// Leave tells users which transactions have ended, and unlocks the shard.
func (s *Shard) Leave() {
	defer s.unlock()
	if len(s.ended) == 0 {
		return
	}
	for s.told < len(s.ended) { // Ended may end more.
		e := s.ended[s.told]
		s.told++
		switch {
		case e.server != nil && e.server.user != nil:
			e.server.user.Ended(s, e.server)
		case e.client != nil && e.client.user != nil:
			e.client.user.Ended(s, e.client)
		}
	}
	for i, e := range s.ended {
		if e.server != nil {
			s.recycleServer(e.server)
		} else {
			s.recycleClient(e.client)
		}
		s.ended[i] = ended{}
	}
	s.ended = s.ended[:0]
	s.told = 0
}

func (s *Shard) unlock() {
	s.out = nil
	armed := s.armed
	s.armed = false
	next := s.next.Load()
	s.mu.Unlock()
	if armed {
		s.table.wakeFor(next)
	}
}

// Now returns the time given to Enter.
func (s *Shard) Now() time.Time { return s.now }

// Send sends data outside any transaction.
func (s *Shard) Send(to transport.Flow, data []byte) { s.out.Send(to, data, 0) }

// tickAfter returns the first tick that is not before d from now.
func (s *Shard) tickAfter(d time.Duration) int64 {
	return int64((s.elapsed + d + tickLength - 1) / tickLength)
}

// tidyTicks is the grain of timers that only let go of what is finished (D, I to M): Run gets up once for many.
const tidyTicks = 8

// tidyAfter is tickAfter for such a timer: up to 80 ms late.
func (s *Shard) tidyAfter(d time.Duration) int64 {
	return (s.tickAfter(d) + tidyTicks - 1) &^ (tidyTicks - 1)
}

// set links n into the wheel for tick, and remembers that Run may have to get up earlier.
func (s *Shard) set(n *node, tick int64) {
	tick = s.wheel.set(n, tick)
	if tick < s.next.Load() {
		s.next.Store(tick)
		s.armed = true
	}
}

// SendFailed tells the transaction of ref that its message could not be sent (17.1.4, 17.2.4).
func (s *Shard) SendFailed(ref transport.Ref, err error) {
	if refShard(ref) != int(s.index) {
		return
	}
	switch refKind(ref) {
	case kindServer:
		if tx := s.Server(ref); tx != nil {
			s.responseFailed(tx)
		}
	case kindClient:
		if c := s.client(ref); c != nil {
			s.stepClient(c, evTransport, nil, err)
		}
	case kindCancel:
		// The INVITE goes on; when no final response comes, its user hears CancelTimeout.
		if c := s.client(ref); c != nil && c.cancel != nil {
			s.stepCancel(c.cancel, evTransport)
		}
	}
}

// timers are the two that a transaction runs at once, on one node of the wheel.
type timers struct {
	node     node
	again    int64 // tick of Timer A, E or G, or of the 100; 0 when stopped
	life     int64 // tick of the timer that ends the state; 0 when stopped
	interval time.Duration
}

// setTimers does the timer part of act. over tells that the state ends at once: its timer is 0 on reliable transports.
func (s *Shard) setTimers(t *timers, act action, reliable bool) (over bool) {
	switch {
	case act&stopA != 0, act&startA != 0 && reliable:
		t.again = 0
	case act&startA != 0:
		t.interval = T1
		t.again = s.tickAfter(t.interval)
	case act&doubleA != 0:
		t.interval *= 2
		t.again = s.tickAfter(t.interval)
	case act&doubleE != 0:
		t.interval = min(2*t.interval, T2)
		t.again = s.tickAfter(t.interval)
	case act&slowE != 0:
		t.interval = T2
		t.again = s.tickAfter(t.interval)
	}
	switch {
	case act&stopB != 0:
		t.life = 0
	case act&startB != 0:
		t.life = s.tickAfter(timerB)
	case act&(startD|startJ|startK) != 0 && reliable:
		return true
	case act&startL != 0:
		t.life = s.tidyAfter(timerB)
	case act&startD != 0:
		t.life = s.tidyAfter(timerD)
	case act&startJ != 0:
		t.life = s.tidyAfter(timerB)
	case act&startK != 0:
		t.life = s.tidyAfter(T4)
	}
	s.link(t)
	return false
}

// link sees that the wheel looks at t when its first timer is due. A stopped timer leaves the node where it is: it costs
// less to find nothing due there than to unlink it.
func (s *Shard) link(t *timers) {
	tick := t.life
	if t.again != 0 && (tick == 0 || t.again < tick) {
		tick = t.again
	}
	if tick != 0 {
		s.set(&t.node, tick)
	}
}

// due takes the timer that is due off t: evLife, evRetransmit, or evNone after linking t again.
func (s *Shard) due(t *timers, now int64) event {
	switch {
	case t.life != 0 && t.life <= now:
		t.life = 0
		return evLife
	case t.again != 0 && t.again <= now:
		t.again = 0
		return evRetransmit
	}
	s.link(t)
	return evNone
}
