package transaction

import (
	"encoding/binary"
	"time"

	"sipd/server/message"
	"sipd/server/transport"
)

// ServerUser is what a server transaction reports to: the transaction user (RFC 3261 5).
type ServerUser interface {
	// Cancelled: a CANCEL for this INVITE came and has been answered 200; cancel is valid during the call. Called at most
	// once, and only while no final response has been sent.
	Cancelled(s *Shard, tx *Server, cancel *message.Message)
	// Ended: the transaction is over and is recycled after the call: never touch it again. It is called once, by Leave. A
	// non-INVITE transaction that got no final response ends by itself after 64*T1 (RFC 4320), with tx.Status() still
	// below 200.
	Ended(s *Shard, tx *Server)
}

const (
	tagLen     = 16  // letters of 5 bits: 80 bits nobody can guess (RFC 3261 19.3 asks for 32)
	maxKeptKey = 512 // a longer match key goes to the garbage collector with its transaction
)

// Server is a server transaction (17.2). Its fields belong to the shard.
type Server struct {
	Request *message.Message // own copy, nil after ReleaseRequest
	Flow    transport.Flow   // where responses go (18.2.2 already applied)

	user  ServerUser
	shard *Shard
	ref   transport.Ref
	came  time.Duration // since the table's epoch

	key   []byte      // see setKey
	links [links]link // places in the match tables
	old   *oldMatch   // when the request is one of RFC 2543

	method    message.Method
	state     state
	cancelled bool  // Cancelled has been called
	noAck     bool  // Timer H has fired
	status    int16 // last status sent
	tag       [tagLen]byte

	timers timers
	resp   []byte // what answers a retransmission
}

// NewServer makes the server transaction of m. user is nil when the caller answers as a UAS. The request is copied. It returns nil when the shard is
// full (Config.Max), and for an ACK, which never has a transaction (17).
func (s *Shard) NewServer(m *message.Message, from transport.Flow, user ServerUser) *Server {
	if m.Method() == message.ACK {
		return nil
	}
	tx := s.newServer(m, from, user)
	if tx == nil {
		return nil
	}
	tx.Request = s.messages.copyOf(m)
	s.stepServer(tx, evStart, 0, nil)
	return tx
}

// NewAnswered is NewServer for a request that the caller answers with a final response at once: nothing of it is kept,
// and nobody is told of its end.
func (s *Shard) NewAnswered(m *message.Message, from transport.Flow) *Server {
	if m.Method() == message.ACK {
		return nil
	}
	tx := s.newServer(m, from, nil)
	if tx != nil {
		s.stepServer(tx, evStart, 0, nil)
	}
	return tx
}

func (s *Shard) newServer(m *message.Message, from transport.Flow, user ServerUser) *Server {
	tx, slot, gen := s.servers.take()
	if tx == nil {
		return nil
	}
	tx.Flow = s.table.ResponseFlow(m, from)
	tx.user = user
	tx.shard = s
	tx.came = s.elapsed
	tx.ref = makeRef(kindServer, s.index, slot, gen)
	tx.links[byKey].hash = s.setKey(m)
	tx.key = append(tx.key[:0], s.key...)
	tx.method = m.Method()
	if isOld(m) {
		tx.old = &oldMatch{}
	}
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], s.random.Uint64())
	binary.BigEndian.PutUint64(raw[8:], s.random.Uint64())
	appendBase32(tx.tag[:0], raw[:10])
	tx.timers.node.owner = tx
	s.match.add(tx)
	if user == nil {
		s.answering(tx, m)
	}
	return tx
}

// Server returns the live transaction of a Ref, nil when it has ended.
func (s *Shard) Server(ref transport.Ref) *Server {
	if refKind(ref) != kindServer || refShard(ref) != int(s.index) {
		return nil
	}
	tx := s.servers.get(refSlot(ref), refGen(ref))
	if tx == nil || tx.state == terminated {
		return nil
	}
	return tx
}

// EachServer calls f for every live server transaction but those of CANCELs, shard by shard: each is entered with out and
// now, and left before the next.
func (t *Table) EachServer(out *transport.Out, now time.Time, f func(s *Shard, tx *Server)) {
	for i := range t.shards {
		t.shards[i].eachServer(out, now, f)
	}
}

func (s *Shard) eachServer(out *transport.Out, now time.Time, f func(s *Shard, tx *Server)) {
	s.Enter(out, now)
	defer s.Leave()
	for i := 0; i < len(s.servers.all); i++ { // f may make more.
		e := &s.servers.all[i]
		if e.used && e.p.state != terminated && e.p.method != message.CANCEL {
			f(s, e.p)
		}
	}
}

// SetUser gives the transaction another user; with nil no call comes any more, not even Ended.
func (tx *Server) SetUser(user ServerUser) { tx.user = user }

// User returns the user that NewServer was given.
func (tx *Server) User() ServerUser { return tx.user }

// Ref names the transaction across goroutines.
func (tx *Server) Ref() transport.Ref { return tx.ref }

// Status returns the last status sent, 0 before the first.
func (tx *Server) Status() int { return int(tx.status) }

// Invite tells INVITE transactions from others.
func (tx *Server) Invite() bool { return tx.method == message.INVITE }

// Unacknowledged tells Ended that no ACK came for the non-2xx final response to an INVITE (Timer H, 17.2.1).
func (tx *Server) Unacknowledged() bool { return tx.noAck }

// Tag returns the To tag of responses made here to this request: constant for the transaction, unguessable.
func (tx *Server) Tag() []byte { return tx.tag[:] }

// ReleaseRequest frees the request's copy when nobody will build from it again. Call it early: it is most of what a
// transaction weighs while it waits for its end.
func (tx *Server) ReleaseRequest() {
	if tx.Request != nil {
		tx.shard.messages.give(tx.Request)
		tx.Request = nil
	}
}

// Request offers a received request. handled is true when a transaction took it: a retransmission was answered from the
// stored response or absorbed, an ACK to a non-2xx was absorbed, a CANCEL whose transaction is here was answered 200 (in its
// own server transaction) and, for an INVITE, handed to its user. False: it is the caller's: a new request, an ACK to a 2xx
// (also when the INVITE is in Accepted), a CANCEL of nothing known. RFC 3261 17.2.3 and 9.2, RFC 6026 7.1; RFC 2543
// matching when the branch has no magic cookie.
func (s *Shard) Request(m *message.Message, from transport.Flow) (handled bool) {
	if m.Top() == nil || !m.IsRequest() {
		return false
	}
	tx := s.find(m)
	switch {
	case tx == nil:
		return m.Method() == message.CANCEL && s.cancelRequest(m, from)
	case m.Method() == message.ACK:
		return s.stepServer(tx, evAck, 0, nil)&toUser == 0
	}
	s.stepServer(tx, evRequest, 0, nil)
	return true
}

// cancelRequest takes a CANCEL that is no retransmission (9.2).
func (s *Shard) cancelRequest(m *message.Message, from transport.Flow) bool {
	tx := s.findCancelled(m)
	if tx == nil {
		return false
	}
	// RFC 3261 9.2: 200 whatever the method and state of the transaction, with the To tag of its responses.
	s.text = message.AppendResponse(s.text[:0], m, 200, "", tx.Tag(), nil, nil)
	c := s.newServer(m, from, nil)
	if c != nil {
		s.stepServer(c, evStart, 0, nil)
		s.stepServer(c, ev2xx, 200, s.text)
	} else {
		s.Send(s.table.ResponseFlow(m, from), s.text)
	}
	if tx.Invite() && tx.status < 200 && tx.state == proceeding && !tx.cancelled {
		tx.cancelled = true
		if tx.user != nil {
			tx.user.Cancelled(s, tx, m)
		}
	}
	if c != nil && s.table.told != nil {
		s.table.told(m, tx.Tag())
	}
	return true
}

// Respond sends resp (a whole response, copied) with status in tx. A second final after the first is absorbed, except that
// further 2xx to an INVITE in Accepted are sent (RFC 6026). A 1xx other than 100 to a non-INVITE, a 100 to a non-INVITE over UDP
// before Timer E would have reached T2, and a 408 to a non-INVITE are not sent (RFC 4320 4).
//
// The transaction answers 100 itself when the user has not responded to an INVITE for 200 ms (17.2.1), or to another request
// when Timer E would have reached T2, 3.5 s (RFC 4320 4.1); for that it needs its Request.
func (s *Shard) Respond(tx *Server, status int, resp []byte) {
	if status < 100 || status > 699 {
		return
	}
	if !tx.Invite() {
		switch {
		case status == 408, status > 100 && status < 200:
			return
		case status == 100 && tx.state == trying && !tx.Flow.Proto.Reliable():
			return
		}
	}
	s.stepServer(tx, eventOf(status), status, resp)
}

// stepServer runs tx's machine for ev. status and resp are those of a response event. It returns what was done.
func (s *Shard) stepServer(tx *Server, ev event, status int, resp []byte) action {
	if tx.state == terminated {
		return 0
	}
	machine := server
	if tx.Invite() {
		machine = inviteServer
	}
	reliable := tx.Flow.Proto.Reliable()
	next, act := machine(tx.state, ev)
	tx.state = next

	switch {
	case act&sendResponse != 0:
		if act&startJ == 0 || !reliable { // Else Timer J is 0, and nobody will ask again.
			s.buffers.give(tx.resp)
			tx.resp = s.buffers.copyOf(resp)
		}
		s.sendResponse(tx, status, resp)
	case act&passResponse != 0:
		s.sendResponse(tx, status, resp)
	case act&resend != 0 && tx.resp != nil:
		s.out.Send(tx.Flow, tx.resp, tx.ref)
	case act&send100 != 0 && tx.Request != nil:
		s.text = message.AppendTrying(s.text[:0], tx.Request, s.elapsed-tx.came)
		tx.resp = s.buffers.copyOf(s.text)
		s.sendResponse(tx, 100, s.text)
	}

	switch {
	case next == terminated:
		tx.noAck = act&tellNoAck != 0
		s.endServer(tx)
		return act
	case act&startTrying != 0:
		wait := tryingOther
		if tx.Invite() {
			wait = tryingINVITE
		}
		tx.timers.again = s.tickAfter(wait)
	}
	if s.setTimers(&tx.timers, act, reliable) {
		s.endServer(tx)
		return act
	}
	if next == accepted || next == confirmed {
		s.buffers.give(tx.resp)
		tx.resp = nil
	}
	return act
}

func (s *Shard) sendResponse(tx *Server, status int, resp []byte) {
	tx.status = int16(status)
	s.out.Send(tx.Flow, resp, tx.ref)
	if tx.old != nil && status >= 300 {
		if err := s.parse.Index(resp); err == nil {
			tx.old.response = append(tx.old.response[:0], s.parse.ToTag()...)
		}
	}
}

// responseFailed hears that a response could not be sent. The state stays (RFC 6026 8.8). A connection that is gone is
// replaced by one to the sent-by address (18.2.2), once.
func (s *Shard) responseFailed(tx *Server) {
	if tx.Flow.Conn != 0 && tx.Flow.Proto.Reliable() {
		tx.Flow.Conn = 0
		if tx.resp != nil {
			s.out.Send(tx.Flow, tx.resp, tx.ref)
		}
	}
	s.stepServer(tx, evTransport, 0, nil)
}

// expire runs Timers G, H, I, J, L and those for 100 and for the end of a request without answer.
func (tx *Server) expire(s *Shard, now int64) {
	ev := s.due(&tx.timers, now)
	if ev == evRetransmit && (tx.state == trying || tx.state == proceeding) {
		ev = evTrying
	}
	if ev != evNone {
		s.stepServer(tx, ev, 0, nil)
	}
}

// endServer takes tx out of everything; Leave tells its user and uses it again.
func (s *Shard) endServer(tx *Server) {
	tx.state = terminated
	s.match.remove(tx)
	s.answered(tx)
	s.wheel.clear(&tx.timers.node)
	s.buffers.give(tx.resp)
	tx.resp = nil
	s.ended = append(s.ended, ended{server: tx})
}

func (s *Shard) recycleServer(tx *Server) {
	tx.ReleaseRequest()
	slot := refSlot(tx.ref)
	key := tx.key[:0]
	if cap(key) > maxKeptKey {
		key = nil
	}
	*tx = Server{key: key}
	s.servers.give(slot)
}
