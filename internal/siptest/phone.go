package siptest

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The timers of RFC 3261 17 that a phone has.
const (
	timerT1 = 500 * time.Millisecond
	timerT2 = 4 * time.Second
	timerB  = 64 * timerT1
)

// Phone is a user agent that acts by itself: it retransmits, acknowledges, answers CANCEL and BYE as RFC 3261 says. Flows
// have scripted phones; this one is for tests that leave the course of a call to chance. It needs a Net whose Shape
// delays every message.
type Phone struct {
	Host *Host
	User string // of From and Contact

	// What it does with a call that comes in: ring after Ring, answer after Answer with Status. Status 0 never answers.
	Ring, Answer time.Duration
	Status       int

	mu       sync.Mutex
	incoming map[string]*incoming // by Via branch of the INVITE
	outgoing map[string]*outgoing // by Call-ID
	faults   []string
}

// NewPhone puts a phone on the network.
func NewPhone(h *Host, user string) *Phone {
	p := &Phone{Host: h, User: user, incoming: map[string]*incoming{}, outgoing: map[string]*outgoing{}}
	h.Handle = p.arrived
	return p
}

// incoming is a call that came in.
type incoming struct {
	phone    *Phone
	invite   *sipMessage
	final    int
	last     []byte // the last response, repeated when the INVITE is, or no ACK comes
	acked    bool
	canceled bool
}

// Incoming is the state of a call at a phone that was called.
type Incoming struct {
	Final           int
	Acked, Canceled bool
}

// outgoing is a call that the phone makes.
type outgoing struct {
	phone     *Phone
	callID    string
	uri       string
	invite    []byte
	heard     bool // any response came
	canceling bool
	cancel    time.Duration // after this, 0 never
	talk      time.Duration // BYE this long after the answer
	finals    map[int]bool
	answers   map[string]bool // To tags of 2xx
	provision bool
	stopped   map[string]bool // transactions of CANCEL and BYE that have their answer, by branch
}

// Outgoing is what the caller of a call has seen.
type Outgoing struct {
	Finals  []int // different final statuses
	Answers int   // different 2xx, by tag
}

// Call calls uri. After cancel (unless 0) it gives up, when nobody has answered by then; talk after an answer it hangs up.
func (p *Phone) Call(callID, uri string, cancel, talk time.Duration) {
	o := &outgoing{phone: p, callID: callID, uri: uri, cancel: cancel, talk: talk, finals: map[int]bool{}, answers: map[string]bool{}, stopped: map[string]bool{}}
	o.invite = p.build("INVITE", uri, "z9hG4bK-"+callID, o.from(), "<"+uri+">", callID, 1, nil)
	p.mu.Lock()
	p.outgoing[callID] = o
	p.mu.Unlock()
	o.repeat(o.invite, timerT1, 64*timerT1, 0, func() bool { return o.heard })
	if cancel > 0 {
		time.AfterFunc(cancel, o.giveUp)
	}
}

// Outgoing tells how a call went.
func (p *Phone) Outgoing(callID string) (r Outgoing) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if o := p.outgoing[callID]; o != nil {
		for status := range o.finals {
			r.Finals = append(r.Finals, status)
		}
		r.Answers = len(o.answers)
	}
	return r
}

// Incoming tells how the calls that came in went.
func (p *Phone) Incoming() (list []Incoming) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.incoming {
		list = append(list, Incoming{c.final, c.acked, c.canceled})
	}
	return list
}

// Faults lists messages that a phone cannot make sense of.
func (p *Phone) Faults() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.faults
}

// contact is the phone's address.
func (p *Phone) contact() string { return "sip:" + p.User + "@" + p.Host.Addr.String() }

// build writes a request.
func (p *Phone) build(method, uri, branch, from, to, callID string, cseq int, routes []string) []byte {
	d := draft{start: method + " " + uri + " SIP/2.0"}
	d.add("Via", fmt.Sprintf("SIP/2.0/UDP %v;branch=%s", p.Host.Addr, branch))
	d.add("Max-Forwards", "70")
	for _, r := range routes {
		d.add("Route", r)
	}
	d.add("From", from)
	d.add("To", to)
	d.add("Call-ID", callID)
	d.add("CSeq", strconv.Itoa(cseq)+" "+method)
	d.add("Contact", "<"+p.contact()+">")
	d.add("Content-Length", "0")
	return d.bytes()
}

// respond writes a response.
func (p *Phone) respond(req *sipMessage, status int) []byte {
	d := draft{start: fmt.Sprintf("SIP/2.0 %d Phone", status)}
	for _, v := range req.all("via") {
		d.add("Via", v)
	}
	d.add("From", req.get("from"))
	to := req.get("to")
	if tag(to) == "" && status != 100 {
		to += ";tag=" + p.User
	}
	d.add("To", to)
	d.add("Call-ID", req.get("call-id"))
	d.add("CSeq", req.get("cseq"))
	for _, r := range req.all("record-route") {
		d.add("Record-Route", r)
	}
	d.add("Contact", "<"+p.contact()+">")
	d.add("Content-Length", "0")
	return d.bytes()
}

// repeat sends data now, and again after wait, twice wait and so on (at most cap, 0 none), until done, asked under the lock,
// says yes or limit is over.
func (p *Phone) repeat(data []byte, wait, limit, most time.Duration, done func() bool) {
	p.Host.Send(data)
	if limit <= wait {
		return
	}
	time.AfterFunc(wait, func() {
		p.mu.Lock()
		stop := done()
		p.mu.Unlock()
		if stop {
			return
		}
		next := 2 * wait
		if most > 0 {
			next = min(next, most)
		}
		p.repeat(data, next, limit-wait, most, done)
	})
}

func (o *outgoing) repeat(data []byte, wait, limit, most time.Duration, done func() bool) {
	o.phone.repeat(data, wait, limit, most, done)
}

func (o *outgoing) from() string {
	return "<sip:" + o.phone.User + "@elsewhere.example>;tag=" + o.phone.User
}

// giveUp cancels the call if it may (RFC 3261 9.1): after a provisional and before a final response.
func (o *outgoing) giveUp() {
	o.phone.mu.Lock()
	if len(o.finals) > 0 || o.canceling {
		o.phone.mu.Unlock()
		return
	}
	if !o.provision {
		o.phone.mu.Unlock()
		time.AfterFunc(timerT1/5, o.giveUp)
		return
	}
	o.canceling = true
	o.phone.mu.Unlock()
	branch := "z9hG4bK-" + o.callID
	cancel := o.phone.build("CANCEL", o.uri, branch, o.from(), "<"+o.uri+">", o.callID, 1, nil)
	o.repeat(cancel, timerT1, timerB, timerT2, func() bool { return o.stopped["CANCEL"+branch] })
}

// arrived deals with a message.
func (p *Phone) arrived(a Arrival) {
	m, err := parseMessage(a.Data)
	if err != nil {
		p.mu.Lock()
		p.faults = append(p.faults, err.Error())
		p.mu.Unlock()
		return
	}
	if m.request {
		p.request(m)
	} else {
		p.response(m)
	}
}

// request plays the user agent server.
func (p *Phone) request(m *sipMessage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	branch := m.topVia().branch
	c := p.incoming[branch]
	switch m.method {
	case "INVITE":
		if c != nil {
			if c.last != nil && !c.acked {
				p.Host.Send(c.last)
			}
			return
		}
		c = &incoming{phone: p, invite: m}
		p.incoming[branch] = c
		time.AfterFunc(p.Ring, func() { c.provisional(180) })
		if p.Status != 0 {
			time.AfterFunc(p.Answer, func() { c.answer(p.Status) })
		}
	case "ACK":
		for _, c := range p.incoming {
			if c.invite.get("call-id") == m.get("call-id") && c.final != 0 && (c.final < 300 || c == p.incoming[branch]) {
				c.acked = true
			}
		}
	case "CANCEL":
		if c == nil {
			p.Host.Send(p.respond(m, 481))
			return
		}
		c.canceled = true
		p.Host.Send(p.respond(m, 200))
		time.AfterFunc(0, func() { c.answer(487) })
	case "BYE":
		p.Host.Send(p.respond(m, 200))
	default:
		p.Host.Send(p.respond(m, 501))
	}
}

// provisional sends a provisional response, unless it is too late.
func (c *incoming) provisional(status int) {
	c.phone.mu.Lock()
	defer c.phone.mu.Unlock()
	if c.final == 0 {
		c.last = c.phone.respond(c.invite, status)
		c.phone.Host.Send(c.last)
	}
}

// answer sends a final response until it is acknowledged, unless there was one (13.3.1.4, 17.2.1).
func (c *incoming) answer(status int) {
	c.phone.mu.Lock()
	if c.final != 0 {
		c.phone.mu.Unlock()
		return
	}
	c.final = status
	c.last = c.phone.respond(c.invite, status)
	c.phone.mu.Unlock()
	c.phone.repeat(c.last, timerT1, timerB, timerT2, func() bool { return c.acked })
}

// response plays the user agent client.
func (p *Phone) response(m *sipMessage) {
	p.mu.Lock()
	o := p.outgoing[m.get("call-id")]
	if o == nil {
		p.faults = append(p.faults, "a response to nothing: "+m.String())
		p.mu.Unlock()
		return
	}
	if m.method != "INVITE" {
		if m.status >= 200 {
			o.stopped[m.method+m.topVia().branch] = true
		}
		p.mu.Unlock()
		return
	}
	o.heard = true
	o.provision = o.provision || m.status < 200
	if m.status < 200 {
		p.mu.Unlock()
		return
	}
	o.finals[m.status] = true
	t := tag(m.get("to"))
	first := m.status < 300 && !o.answers[t]
	if m.status < 300 {
		o.answers[t] = true
	}
	p.mu.Unlock()
	if m.status >= 300 {
		p.Host.Send(p.build("ACK", o.uri, "z9hG4bK-"+o.callID, o.from(), m.get("to"), o.callID, 1, nil))
		return
	}
	routes := m.values("record-route")
	for i, j := 0, len(routes)-1; i < j; i, j = i+1, j-1 {
		routes[i], routes[j] = routes[j], routes[i]
	}
	target := addressURI(m.get("contact"))
	p.Host.Send(p.build("ACK", target, "z9hG4bK-ack-"+o.callID+t, o.from(), m.get("to"), o.callID, 1, routes))
	if first {
		branch := "z9hG4bK-bye-" + o.callID + t
		bye := p.build("BYE", target, branch, o.from(), m.get("to"), o.callID, 2, routes)
		time.AfterFunc(o.talk, func() {
			o.repeat(bye, timerT1, timerB, timerT2, func() bool { return o.stopped["BYE"+branch] })
		})
	}
}

// String names the phone.
func (p *Phone) String() string { return strings.TrimSpace(p.User + " " + p.Host.Addr.String()) }
