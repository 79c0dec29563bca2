package soak

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// What a telephone does with a call is the first word of its contact's user: "answer-a12". A word is also what happens to other
// requests of the same user.
const (
	answers  = "answer"  // rings, and answers soon
	slowly   = "slow"    // rings, and answers after a moment, when others have been tried
	hangsUp  = "hangup"  // as answer, and ends the call itself
	busy     = "busy"    // 486
	notFound = "nowhere" // 404
	declines = "decline" // 603
	rings    = "ring"    // rings until it is cancelled
	late     = "late"    // says nothing for a second, then rings
	dead     = "dead"    // says nothing at all
	razor    = "razor"   // answers just when the caller gives up
	absent   = "absent"  // has left: nobody listens where it was
)

const (
	answerAfter = 100 * time.Millisecond
	slowAfter   = 300 * time.Millisecond
	lateAfter   = time.Second
	busyAfter   = 30 * time.Millisecond
	hangUpAfter = 500 * time.Millisecond
)

// phones are the user agent servers behind lines.
type phones struct {
	account *Account

	mu       sync.Mutex
	busy     int                  // final responses without an ACK, and hang-ups, under way
	incoming map[string]*incoming // by branch
	dialogs  map[string]*incoming // by Call-ID and To tag, answered ones
	serial   int
}

// incoming is an INVITE that came.
type incoming struct {
	p       *phones
	l       *line
	invite  string
	word    string
	contact string
	tag     string
	last    string // the last response, sent again with each copy of the INVITE
	final   int
	acked   bool
	over    bool
	timer   *time.Timer
	wait    time.Duration
	until   time.Time
}

func newPhones(a *Account) *phones {
	return &phones{account: a, incoming: map[string]*incoming{}, dialogs: map[string]*incoming{}}
}

// request is what a telephone does with a request.
func (p *phones) request(l *line, text string) {
	start, _, _ := strings.Cut(text, "\r\n")
	method, rest, _ := strings.Cut(start, " ")
	uri, _, _ := strings.Cut(rest, " ")
	user, _, _ := strings.Cut(strings.TrimPrefix(uri, "sip:"), "@")
	word, _, _ := strings.Cut(user, "-")
	if word == dead {
		return
	}
	switch method {
	case "INVITE":
		p.invited(l, text, word, user)
	case "ACK":
		p.acked(text)
	case "CANCEL":
		p.cancelled(l, text)
	default:
		l.write(reply(text, 200, "p", ""))
	}
}

// invited takes an INVITE.
func (p *phones) invited(l *line, text, word, user string) {
	branch := branchOf(text)
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.incoming[branch]; c != nil {
		if c.last != "" {
			l.write(c.last)
		}
		return
	}
	p.serial++
	c := &incoming{p: p, l: l, invite: text, word: word, tag: fmt.Sprintf("%s%d", word, p.serial)}
	c.contact = fmt.Sprintf("Contact: <sip:%s@%s", user, l.addr)
	if l.proto == "TCP" {
		c.contact += ";transport=tcp"
	}
	c.contact += ">\r\n"
	p.incoming[branch] = c
	if strings.Contains(Field(text, "To"), ";tag=") { // A re-INVITE.
		c.respond(200)
		return
	}
	if (word == rings || word == late) && !strings.HasPrefix(Field(text, "Call-ID"), callIDPrefix) {
		word = busy // A mutated call that has come here: nobody would cancel it, and it would ring until Timer C.
	}
	if word != late {
		c.respond(180)
	}
	after := func(d time.Duration, status int) {
		time.AfterFunc(d, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			c.respond(status)
		})
	}
	switch word {
	case answers, hangsUp, razor:
		after(answerAfter, 200)
	case slowly:
		after(slowAfter, 200)
	case notFound:
		after(busyAfter, 404)
	case declines:
		after(2*busyAfter, 603)
	case rings:
	case late:
		after(lateAfter, 180)
	default:
		after(busyAfter, 486)
	}
}

// respond sends a response, a final one once; p.mu is held. A final one is sent again until its ACK comes (13.3.1.4, 17.2.1).
func (c *incoming) respond(status int) {
	if c.final != 0 {
		return
	}
	more := ""
	if status < 300 {
		more = c.contact
	}
	c.last = reply(c.invite, status, c.tag, more)
	c.l.write(c.last)
	if status < 200 {
		return
	}
	c.final = status
	time.AfterFunc(afterlife, func() {
		c.p.mu.Lock()
		defer c.p.mu.Unlock()
		delete(c.p.incoming, branchOf(c.invite))
	})
	if status < 300 {
		c.p.dialogs[Field(c.invite, "Call-ID")+c.toTag()] = c
	}
	if status < 300 || c.l.proto == "UDP" {
		c.p.busy++
		c.wait, c.until = timerT1, time.Now().Add(timerB)
		c.timer = time.AfterFunc(c.wait, c.again)
	}
}

func (c *incoming) toTag() string {
	_, tag, _ := strings.Cut(Field(c.last, "To"), ";tag=")
	return tag
}

// again repeats a final response that no ACK has come for. At the end a caller who was answered has disappeared: BYE (13.3.1.4).
func (c *incoming) again() {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	if c.acked || c.over {
		return
	}
	if time.Now().After(c.until) {
		c.over = true
		c.p.busy--
		if c.final < 300 {
			c.hangUp("BYE of a phone without an ACK")
		}
		return
	}
	c.l.write(c.last)
	c.wait = min(2*c.wait, timerT2)
	c.timer.Reset(c.wait)
}

// acked takes an ACK.
func (p *phones) acked(text string) {
	_, tag, _ := strings.Cut(Field(text, "To"), ";tag=")
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.incoming[branchOf(text)]
	if c == nil || c.final < 300 {
		c = p.dialogs[Field(text, "Call-ID")+tag]
	}
	if c == nil || c.acked || c.final == 0 {
		return
	}
	c.acked = true
	if c.timer != nil && !c.over {
		c.timer.Stop()
		p.busy--
	}
	if c.final < 300 {
		delete(p.dialogs, Field(text, "Call-ID")+tag)
		if c.word == hangsUp && !c.over {
			p.busy++
			time.AfterFunc(hangUpAfter, func() {
				p.mu.Lock()
				defer p.mu.Unlock()
				p.busy--
				c.hangUp("BYE of the callee")
			})
		}
	}
}

// cancelled takes a CANCEL (9.2).
func (p *phones) cancelled(l *line, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.incoming[branchOf(text)]
	if c == nil {
		l.write(reply(text, 481, "p", ""))
		return
	}
	l.write(reply(text, 200, c.tag, ""))
	c.respond(487)
}

// firstCalleeCSeq tells the callee's requests from the caller's.
const firstCalleeCSeq = 1000

// hangUp ends an answered call from the callee's side; p.mu is held.
func (c *incoming) hangUp(kind string) {
	id := Field(c.invite, "Call-ID")
	delete(c.p.dialogs, id+c.toTag())
	if !strings.HasPrefix(id, callIDPrefix) {
		return // A mutated call that has been answered: its end is nobody's.
	}
	d := &draft{method: "BYE", uri: inBrackets(Field(c.invite, "Contact")), from: Field(c.last, "To"), to: Field(c.last, "From"), callID: id,
		cseq: firstCalleeCSeq, more: routes(Fields(c.invite, "Record-Route"), false)}
	c.p.busy++
	// The caller's connection may be gone, and somebody else have its port, who says nothing: blind.
	go func() { // Ends within Timer F; Crowd.Run waits for busy to be 0.
		status := Status(c.l.ask(d))
		c.p.account.note(Key{"BYE", id, d.cseq}, entry{kind: kind, status: status, logged: true, blind: true}, 200, 481, 500)
		c.p.mu.Lock()
		defer c.p.mu.Unlock()
		c.p.busy--
	}()
}

// pending tells how many telephones have something to do still.
func (p *phones) pending() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.busy
}
