package proxy

import (
	"time"

	"sipd/server/message"
	"sipd/server/proxy/health"
	"sipd/server/target"
	"sipd/server/transaction"
	"sipd/server/transport"
	"sipd/server/trust"
)

// response does RFC 3261 16.7 for a response of branch b. Step 1, finding the response context, was the branch itself. A response
// without a transaction does not get here: it MUST NOT be forwarded (RFC 6026 8.2).
func (c *Context) response(s *transaction.Shard, b *branch, m *message.Message) {
	status := m.Status()
	// Step 2: Timer C.
	if status > 100 && status < 200 && c.invite() && !b.final {
		b.resetTimerC(s)
	}
	b.alive(s, m)
	b.heard(s, m)
	b.tells = c.tx == nil || c.p.tells(m, s.From(), c.tx.Flow)
	switch {
	case vias(m) < 2:
		// Step 3: without our Via nothing remains that leads upstream. The phone has lost the caller's, and will say no more.
		if status >= 200 {
			b.ended(s, 502, nil) // 21.5.3: an invalid response from the downstream server.
		}
	case status == 100: // Step 5: never forwarded.
	case status < 200:
		if !c.answered && !b.final { // Step 5: at once, until a final response has been sent.
			c.p.forwardUp(s, c.tx, m, b.tells)
		}
	case status < 300:
		c.success(s, b, m)
	case status == 503 && b.another(s, 503, "503", retryAfter(m)): // RFC 3263 4.3
	case status < 400 && c.recurse(s, b, m): // Step 4
	default:
		b.ended(s, status, m) // Step 4: waits in the response context, steps 6 and on in settle.
	}
}

// retryAfter is how long a 503 wants to be left alone (21.5.4).
func retryAfter(m *message.Message) time.Duration {
	if n, ok := m.Seconds(message.RetryAfter); ok {
		return time.Duration(n) * time.Second
	}
	return health.Time
}

// success forwards a 2xx at once, the first and, for INVITE, every further one (step 5), and cancels the rest (step 10).
func (c *Context) success(s *transaction.Shard, b *branch, m *message.Message) {
	if !b.final {
		b.final = true
		c.trying--
		s.Disarm(&b.timerC)
	}
	if !b.succeeded {
		b.note(s, m.Status(), true)
		b.established(s, m)
	}
	b.succeeded = true
	c.p.forwardUp(s, c.tx, m, b.tells) // Of those to a non-INVITE the server transaction lets only the first pass.
	if c.set.Disposition&target.NoCancel != 0 {
		c.stopStarting(s) // RFC 3841 9.1: the others ring on, until nothing of theirs could be forwarded any more.
	} else {
		c.stop(s, completedElsewhere)
	}
	c.best.class = b.target.Class
	c.finish(s, m.Status(), b.flow(), m.ToTag())
	c.retire(s)
}

// forwardUp sends m upstream in tx without our Via (steps 3 and 9), and without its asserted identity unless tells. Nothing else of
// it is touched, neither Record-Route (step 8 is optional: each side has got a value of its own, RFC 5658 5) nor body nor To tag.
// Without a transaction it is discarded (RFC 6026 8.3).
func (p *Proxy) forwardUp(s *transaction.Shard, tx *transaction.Server, m *message.Message, tells bool) {
	if tx == nil {
		return
	}
	x := p.scratch.Get().(*scratch)
	x.buf = appendUp(x, x.buf[:0], tx, m, tells)
	s.Respond(tx, m.Status(), x.buf)
	p.scratch.Put(x)
}

// appendUp writes m as it goes upstream in tx.
func appendUp(x *scratch, dst []byte, tx *transaction.Server, m *message.Message, tells bool) []byte {
	x.splice.Reset(m)
	x.splice.PopVia()
	trust.ScreenResponse(&x.splice, m, tells)
	if tx != nil && tx.Flow.Proto.Reliable() && !m.Has(message.ContentLength) {
		x.splice.SetContentLength()
	}
	return x.splice.Append(dst)
}

// flow is where the branch's request went.
func (b *branch) flow() transport.Flow {
	if b.client == nil {
		return transport.Flow{}
	}
	return b.client.Flow
}

// vias counts the Via values of m, no further than two.
func vias(m *message.Message) int {
	h, ok := m.First(message.Via)
	if !ok {
		return 0
	}
	if _, more := m.After(h); more {
		return 2
	}
	n := 0
	for v := m.Values(message.Via); n < 2; n++ {
		if _, ok := v.Next(); !ok {
			break
		}
	}
	return n
}
