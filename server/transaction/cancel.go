package transaction

import (
	"sipd/server/message"
	"sipd/server/transport"
)

// cancelling is the client transaction of a CANCEL. It hangs off the INVITE's: it has the same branch and destination, and
// nobody but the INVITE cares for it. Its responses are absorbed.
type cancelling struct {
	client *Client
	state  state // idle until a provisional response has come
	timers timers
	buf    []byte
}

// cancels are the shard's spare ones.
type cancels struct {
	free []*cancelling
	out  int
}

func (p *cancels) take() *cancelling {
	p.out++
	if l := len(p.free); l > 0 {
		x := p.free[l-1]
		p.free[l-1] = nil
		p.free = p.free[:l-1]
		return x
	}
	return new(cancelling)
}

func (p *cancels) give(x *cancelling) {
	p.out--
	*x = cancelling{}
	if len(p.free) < maxSpare {
		p.free = append(p.free, x)
	}
}

// Cancel cancels the INVITE of c (9.1): a CANCEL with fields goes out in a transaction of its own once a provisional
// response has come. After 64*T1 without a final response the user is told CancelTimeout. A second call does nothing, nor
// does one after a final response or for another method. fields are copied.
func (s *Shard) Cancel(c *Client, fields []message.Field) {
	if !c.invite || c.cancelled || c.state != calling && c.state != proceeding {
		return
	}
	c.cancelled = true
	if err := s.parse.Index(c.buf); err == nil {
		s.text = message.AppendCancel(s.text[:0], &s.parse, fields)
		x := s.cancels.take()
		x.client = c
		x.timers.node.owner = x
		x.buf = s.buffers.copyOf(s.text)
		c.cancel = x
	} else {
		s.table.log.Error("no CANCEL: the INVITE as sent cannot be read", "err", err)
	}
	s.startCancel(c)
}

// startCancel sends the CANCEL that Cancel has prepared, if a provisional response allows it, and starts the 64*T1 after
// which an INVITE without final response is taken for cancelled (9.1). Before a provisional response Timer B runs anyway.
func (s *Shard) startCancel(c *Client) {
	if !c.cancelled || c.state != proceeding || c.timers.life != 0 {
		return
	}
	c.timers.life = s.tickAfter(timerB)
	s.link(&c.timers)
	if c.cancel != nil {
		s.stepCancel(c.cancel, evStart)
	}
}

// dropUnsentCancel drops a CANCEL that a final response has made pointless.
func (s *Shard) dropUnsentCancel(c *Client) {
	if c.cancel != nil && c.cancel.state == idle {
		s.endCancel(c.cancel)
	}
}

// stepCancel runs the machine of a CANCEL. Nobody is told anything.
func (s *Shard) stepCancel(x *cancelling, ev event) {
	c := x.client
	reliable := c.Flow.Proto.Reliable()
	next, act := client(x.state, ev)
	x.state = next
	if act&sendRequest != 0 {
		s.out.Send(c.Flow, x.buf, c.cancelRef())
	}
	if next == terminated || s.setTimers(&x.timers, act, reliable) {
		s.endCancel(x)
		return
	}
	if next == completed {
		s.buffers.give(x.buf)
		x.buf = nil
	}
}

// expire runs Timers E, F and K of a CANCEL.
func (x *cancelling) expire(s *Shard, now int64) {
	if ev := s.due(&x.timers, now); ev != evNone {
		s.stepCancel(x, ev)
	}
}

func (s *Shard) endCancel(x *cancelling) {
	s.wheel.clear(&x.timers.node)
	s.buffers.give(x.buf)
	x.client.cancel = nil
	s.cancels.give(x)
}

// cancelRef is the Ref under which the CANCEL is sent: its failure is not the INVITE's.
func (c *Client) cancelRef() transport.Ref {
	return makeRef(kindCancel, c.shard.index, refSlot(c.ref), refGen(c.ref))
}
