package transaction

import (
	"bytes"

	"sipd/server/message"
	"sipd/server/transport"
)

// Failure says why a client transaction will bring no response.
type Failure uint8

// The failures.
const (
	Timeout       Failure = iota // Timer B or F
	TransportFail                // the message could not be sent
	CancelTimeout                // silent for 64*T1 after CANCEL (9.1)
)

// String returns a short name for logs.
func (f Failure) String() string {
	switch f {
	case Timeout:
		return "timeout"
	case TransportFail:
		return "transport failure"
	case CancelTimeout:
		return "cancel timeout"
	}
	return "unknown failure"
}

// ClientUser is what a client transaction reports to.
type ClientUser interface {
	// Response: a provisional (every one but retransmissions cannot be told, so every one) or a final response, m valid
	// during the call. Final: once, except that each further 2xx to an INVITE is reported too (RFC 6026 Accepted); a
	// retransmitted non-2xx final is absorbed (ACK sent again).
	Response(s *Shard, c *Client, m *message.Message)
	// Failed: no final response will come. Ended follows. err is what the transport said, nil for the timeouts.
	Failed(s *Shard, c *Client, why Failure, err error)
	// Ended: the transaction is over and recycled after the call. It is called once for each transaction that was started,
	// by Leave.
	Ended(s *Shard, c *Client)
}

// Client is a client transaction (17.1). Its fields belong to the shard.
type Client struct {
	Index int            // the user's own: which branch this is
	Flow  transport.Flow // where requests go

	user   ClientUser
	shard  *Shard
	ref    transport.Ref
	cookie uint64
	loop   uint64

	state       state
	invite      bool
	provisional bool
	cancelled   bool // Cancel has been called
	acked       bool // buf holds the ACK

	timers timers
	buf    []byte      // the request; in Completed the ACK
	cancel *cancelling // its CANCEL, while that one lives
}

// NewClient reserves a client transaction, so that its branch is known before the request is written. It must be started
// or discarded. It returns nil when the shard is full (Config.Max).
func (s *Shard) NewClient(user ClientUser) *Client {
	c, slot, gen := s.clients.take()
	if c == nil {
		return nil
	}
	c.user = user
	c.shard = s
	c.ref = makeRef(kindClient, s.index, slot, gen)
	c.cookie = s.random.Uint64()
	c.timers.node.owner = c
	return c
}

// Start sends req (copied) to flow in c and starts its timers.
func (s *Shard) Start(c *Client, flow transport.Flow, req []byte) {
	if c.state != idle {
		return
	}
	c.Flow = flow
	c.invite = bytes.HasPrefix(req, []byte("INVITE "))
	c.buf = s.buffers.copyOf(req)
	s.stepClient(c, evStart, nil, nil)
}

// SetUser gives the transaction another user; with nil no call comes any more, not even Ended.
func (c *Client) SetUser(user ClientUser) { c.user = user }

// Discard gives back a Client that was never started. Ended is not called for it.
func (s *Shard) Discard(c *Client) {
	if c.state != idle {
		return
	}
	c.user = nil
	s.endClient(c)
}

// Ref names the transaction across goroutines.
func (c *Client) Ref() transport.Ref { return c.ref }

// Sent returns the request as sent. It is gone (nil) after the callback that reported the first final response or a
// failure: what a transaction keeps for half a minute after that is its ACK at most.
func (c *Client) Sent() []byte {
	if c.acked {
		return nil
	}
	return c.buf
}

// Provisional tells whether a provisional response has come.
func (c *Client) Provisional() bool { return c.provisional }

// Client returns the live client transaction of a Ref, nil when it has ended.
func (s *Shard) Client(ref transport.Ref) *Client {
	if refKind(ref) != kindClient || refShard(ref) != int(s.index) {
		return nil
	}
	return s.client(ref)
}

func (s *Shard) client(ref transport.Ref) *Client {
	c := s.clients.get(refSlot(ref), refGen(ref))
	if c == nil || c.state == terminated {
		return nil
	}
	return c
}

// Response offers a received response. handled is true when a client transaction took it; a response that matches none
// is the caller's to drop (RFC 6026 8.9; stateless ones differ).
func (s *Shard) Response(m *message.Message, from transport.Flow) (handled bool) {
	top := m.Top()
	if top == nil || m.IsRequest() {
		return false
	}
	c := s.clientOf(top.Branch)
	if c == nil {
		return false
	}
	// RFC 3261 17.1.3: the method tells the CANCEL's responses from those of the request, which have the same branch.
	if m.Method() == message.CANCEL {
		if c.cancel == nil || c.cancel.state == idle {
			return false
		}
		s.stepCancel(c.cancel, eventOf(m.Status()))
		return true
	}
	if !c.sentMethod(m) {
		return false
	}
	s.from = from
	s.stepClient(c, eventOf(m.Status()), m, nil)
	return true
}

// From is where the response at hand came from, during ClientUser.Response.
func (s *Shard) From() transport.Flow { return s.from }

// sentMethod tells whether m answers the method of c's request.
func (c *Client) sentMethod(m *message.Message) bool {
	if c.invite {
		return m.Method() == message.INVITE
	}
	if c.buf == nil { // In Completed, where everything is absorbed.
		return m.Method() != message.INVITE
	}
	method := m.MethodText()
	return len(c.buf) > len(method) && c.buf[len(method)] == ' ' && bytes.Equal(c.buf[:len(method)], method)
}

// stepClient runs c's machine for ev. m is the response of a response event, err what the transport said.
func (s *Shard) stepClient(c *Client, ev event, m *message.Message, err error) {
	if c.state == terminated {
		return
	}
	machine := client
	if c.invite {
		machine = inviteClient
	}
	reliable := c.Flow.Proto.Reliable()
	next, act := machine(c.state, ev)
	c.state = next
	if ev == ev1xx {
		c.provisional = true
	}

	var ack []byte
	switch {
	case act&sendRequest != 0:
		s.out.Send(c.Flow, c.buf, c.ref)
	case act&sendAck != 0:
		ack = s.sendAck(c, m, reliable)
	case act&resendAck != 0 && c.buf != nil:
		s.out.Send(c.Flow, c.buf, c.ref)
	}

	over := false
	if next != terminated {
		over = s.setTimers(&c.timers, act, reliable)
	}

	defer s.keep(c, ev, act, ack, over) // Also when the user panics.
	if c.user != nil {
		switch {
		case act&toUser != 0:
			c.user.Response(s, c, m)
		case act&tellTimeout != 0:
			c.user.Failed(s, c, Timeout, nil)
		case act&tellTransport != 0:
			c.user.Failed(s, c, TransportFail, err)
		case act&tellCancel != 0:
			c.user.Failed(s, c, CancelTimeout, nil)
		}
	}
}

// keep sees what c keeps after its user has been told of ev: the ACK in Completed, nothing in the other final states.
func (s *Shard) keep(c *Client, ev event, act action, ack []byte, over bool) {
	switch {
	case over, c.state == terminated:
		s.buffers.give(ack)
		s.endClient(c)
	case act&sendAck != 0:
		s.buffers.give(c.buf)
		c.buf, c.acked = ack, true
		s.dropUnsentCancel(c)
	case ev == ev2xx || ev == ev3xx:
		if act&toUser != 0 {
			s.buffers.give(c.buf)
			c.buf = nil
			s.dropUnsentCancel(c)
		}
	case ev == ev1xx:
		s.startCancel(c)
	}
}

// sendAck sends the ACK of a non-2xx final response m (17.1.1.3), and returns a copy when retransmissions of m may come.
func (s *Shard) sendAck(c *Client, m *message.Message, reliable bool) []byte {
	if err := s.parse.Index(c.buf); err != nil {
		s.table.log.Error("no ACK: the INVITE as sent cannot be read", "err", err)
		return nil
	}
	s.text = message.AppendAck(s.text[:0], &s.parse, m)
	s.out.Send(c.Flow, s.text, c.ref)
	if reliable {
		return nil // Timer D is 0.
	}
	return s.buffers.copyOf(s.text)
}

// expire runs Timers A, B, D, E, F, K, M and the one after CANCEL.
func (c *Client) expire(s *Shard, now int64) {
	if ev := s.due(&c.timers, now); ev != evNone {
		s.stepClient(c, ev, nil, nil)
	}
}

// endClient takes c out of everything; Leave tells its user and uses it again.
func (s *Shard) endClient(c *Client) {
	c.state = terminated
	s.wheel.clear(&c.timers.node)
	s.buffers.give(c.buf)
	c.buf = nil
	if c.cancel != nil {
		s.endCancel(c.cancel)
	}
	s.ended = append(s.ended, ended{client: c})
}

func (s *Shard) recycleClient(c *Client) {
	slot := refSlot(c.ref)
	*c = Client{}
	s.clients.give(slot)
}
