package proxy

import (
	"bytes"

	"sipd/server/message"
	"sipd/server/transaction"
	"sipd/server/transport"
)

// best is the best final response so far that is not a 2xx (RFC 3261 16.7 step 6), ready to go upstream.
type best struct {
	status     int    // 0: none yet
	local      bool   // none was received: it stands for a timeout, a transport error, a cancelled branch
	msg        []byte // the response without our Via
	tag        []byte // its To tag
	hop        transport.Flow
	class      string // the gateway class of its target
	branch     *branch
	own        int  // the best status since the call was forwarded last: of those that it was forwarded to; 0: none yet
	ownLocal   bool // as local, of own
	challenges []challenge

	challengeText int // bytes of challenges
}

// challenge is a WWW-Authenticate or Proxy-Authenticate of some branch's 401 or 407 (step 7).
type challenge struct {
	branch *branch
	name   string
	value  []byte
}

func (x *best) reset() {
	clear(x.challenges)
	*x = best{msg: x.msg[:0], tag: x.tag[:0], challenges: x.challenges[:0]}
}

// rank orders final responses (step 6): a 6xx MUST come first, then the lowest class; within the 4xx those that tell how to ask
// again.
func rank(status int, local bool) int {
	r := status / 100 * 10
	switch {
	case status >= 600:
		return 0
	case status == 401, status == 407:
	case status == 415, status == 420, status == 484:
		r++
	case status == 487, status == 503:
		r += 3
	default:
		r += 2
	}
	if local {
		r += 4 // What somebody said tells more than silence; the class still comes first.
	}
	return r
}

// add enters a final response into the context; m is nil when none was received.
func (x *best) add(p *Proxy, status int, m *message.Message, b *branch) {
	if status == 401 || status == 407 {
		x.collect(m, b)
	}
	if !b.late && (x.own == 0 || rank(status, m == nil) < rank(x.own, x.ownLocal)) { // Late ones say nothing of who is tried in their place.
		x.own, x.ownLocal = status, m == nil
	}
	if x.status != 0 && rank(x.status, x.local) <= rank(status, m == nil) {
		return
	}
	x.status, x.local, x.branch, x.hop, x.class = status, m == nil, b, b.flow(), b.target.Class
	x.msg, x.tag = x.msg[:0], x.tag[:0]
	if m != nil {
		x.tag = append(x.tag, m.ToTag()...)
		sc := p.scratch.Get().(*scratch)
		x.msg = appendUp(sc, x.msg, b.c.tx, m, b.tells)
		p.scratch.Put(sc)
	}
}

// ownStatus is how those ended that the call was forwarded to last: 408 when all of them have been given up.
func (x *best) ownStatus() int {
	if x.own == 0 {
		return 408
	}
	return x.own
}

// What a merged 401 or 407 carries: each branch has one or two challenges of some hundred bytes. Its whole must fit a datagram
// whatever the branches say, or the caller would hear nothing.
const (
	maxChallenges    = 32
	maxChallengeText = 16 << 10 // bytes of them
	maxMerged        = 60 << 10 // bytes
)

func (x *best) collect(m *message.Message, b *branch) {
	if m == nil {
		return
	}
	for _, h := range m.Headers() {
		if h.ID != message.WWWAuthenticate && h.ID != message.ProxyAuthenticate {
			continue
		}
		value := m.HeaderValue(h)
		if len(x.challenges) == maxChallenges || x.challengeText+len(value) > maxChallengeText {
			return
		}
		x.challengeText += len(value)
		x.challenges = append(x.challenges, challenge{b, h.ID.String(), bytes.Clone(value)})
	}
}

// respondBest sends the final response when no branch is left, and none has been sent (16.7 steps 6 to 9).
func (c *Context) respondBest(s *transaction.Shard) {
	if c.answered || c.tx == nil {
		return
	}
	x := &c.best
	switch {
	case c.cancelled && (x.local || x.status == 0):
		c.respondLocal(s, 487) // 9.1: nobody confirmed, but the caller gave up.
	case x.status == 0:
		c.respondLocal(s, 408) // Step 6: no final response in the context.
	case x.status < 600 && len(c.redirect) > 0 && !c.cancelled:
		c.respondRedirect(s)
	case x.status == 503:
		// Step 6: a 503 speaks of one next hop only, the sender would turn away from us. For the same reason it is 500 when too many
		// wait for name servers (21.5.1), of which other calls know nothing.
		c.respondWith(s, 500, "", c.retryAfter())
	case x.local:
		c.respondRefused(s, x.status, x.branch.refused)
	default:
		msg := c.withChallenges()
		s.Respond(c.tx, x.status, msg)
		c.finish(s, x.status, x.hop, x.tag)
	}
}

// withChallenges is the best response with the challenges of all other 401 and 407 (step 7).
func (c *Context) withChallenges() []byte {
	x := &c.best
	if x.status != 401 && x.status != 407 {
		return x.msg
	}
	sc := c.p.scratch.Get().(*scratch)
	defer c.p.scratch.Put(sc)
	if sc.index.Index(x.msg) != nil {
		return x.msg
	}
	sc.splice.Reset(&sc.index)
	added := false
	for _, ch := range x.challenges {
		if ch.branch != x.branch {
			sc.splice.AddHeader(ch.name, ch.value)
			added = true
		}
	}
	if !added {
		return x.msg
	}
	if merged := sc.splice.Append(nil); len(merged) <= maxMerged {
		return merged
	}
	return x.msg
}

// respondLocal answers with a response of our own.
func (c *Context) respondLocal(s *transaction.Shard, status int) {
	c.respondWith(s, status, "", nil)
}

// respondRedirect answers 302 with the contacts that wanted to be redirected to (BEHAVIOUR I, mixed actions).
func (c *Context) respondRedirect(s *transaction.Shard) {
	c.numeric(c.redirect)
	var fields []message.Field
	for _, t := range c.redirect {
		fields = append(fields, message.Field{Name: "Contact", Value: t.AppendContact(nil)})
	}
	c.respondWith(s, 302, "", fields)
}

func (c *Context) respondWith(s *transaction.Shard, status int, reason string, fields []message.Field) {
	sc := c.p.scratch.Get().(*scratch)
	sc.buf = message.AppendResponse(sc.buf[:0], c.tx.Request, status, reason, c.tx.Tag(), fields, nil)
	s.Respond(c.tx, status, sc.buf)
	c.p.scratch.Put(sc)
	c.finish(s, status, c.best.hop, c.tx.Tag())
}
