package soak

import (
	"fmt"
	"math/rand/v2"
	"time"

	"sipd/digest"
)

// scene is a way that a call may go.
type scene struct {
	kind   string
	weight int
	callee string // kind of user called; "" nobody we have
	play   func(k *call)
	takes  time.Duration // beyond an ordinary call
	status []int         // final statuses that the INVITE may get
}

// How long things take that wait for a timer of the RFC: Timers B and H, Timer C with the CANCEL after it, a telephone whose 200 nobody
// acknowledges and the BYE after that.
const (
	takesTimerH = 45 * time.Second
	takesTimerC = 4 * time.Minute
)

var scenes = []scene{
	{"call", 30, "a", (*call).talk, 0, []int{200}},
	{"call to a phone on TCP", 10, "t", (*call).talk, 0, []int{200}},
	{"call, the callee hangs up", 6, "h", (*call).listen, 0, []int{200}},
	{"call with requests in the dialog", 8, "a", (*call).talkMuch, 0, []int{200}},
	{"busy", 10, "b", (*call).fail, 0, []int{486}},
	{"cancelled while it rings", 8, "r", (*call).giveUp, 0, []int{487}},
	{"cancelled before it rings", 5, "l", (*call).giveUpEarly, 0, []int{487}},
	{"cancelled when it is answered", 4, "z", (*call).giveUpLate, 0, []int{200, 487}},
	{"forked, one answers", 8, "f", (*call).talk, 0, []int{200}},
	{"forked, one declines", 4, "g", (*call).fail, 0, []int{603}},
	{"the phone refuses the connection", 3, "k", (*call).fail, 0, []int{500}},
	{"nobody at home", 3, "n", (*call).fail, 0, []int{480}},
	{"unknown user", 3, "", (*call).fail, 0, []int{404}},
	{"no answer to the INVITE", 1, "d", (*call).fail, takesTimerH, []int{408}},
	{"abandoned, answered", 1, "a", (*call).vanish, takesTimerH, []int{200}},
	{"abandoned, busy", 1, "b", (*call).vanish, takesTimerH, []int{486}},
	{"abandoned with its connection", 1, "a", (*call).hangConnection, takesTimerH, []int{200}},
	{"rings until Timer C", 1, "r", (*call).fail, takesTimerC, []int{408}},
}

// counts says how many users of a kind there are.
func counts(name string) int {
	for _, c := range callees {
		if c.name == name {
			return c.count
		}
	}
	return 1
}

// scene picks one by its weight, of those that end in time.
func (c *Crowd) scene() func() {
	sum := 0
	for i := range scenes {
		if scenes[i].takes <= c.cfg.For/3 {
			sum += scenes[i].weight
		}
	}
	at := rand.IntN(sum)
	for i := range scenes {
		s := &scenes[i]
		if s.takes > c.cfg.For/3 {
			continue
		}
		if at -= s.weight; at < 0 {
			return func() { c.call(s) }
		}
	}
	return func() {}
}

// call is a call under way, seen by the caller.
type call struct {
	c      *Crowd
	s      *scene
	l      *line
	from   string
	known  *registrant // the caller, when he has an account here
	invite draft
	x      *exchange
	began  time.Time
	rang   bool
	status int // of the final response
	final  string
	target string // of the dialog
	routes string
	to     string
	cseq   int
}

// call makes one call.
func (c *Crowd) call(s *scene) {
	k := &call{c: c, s: s, l: c.callers[rand.IntN(len(c.callers))]}
	user := fmt.Sprintf("nobody%d", rand.Uint32())
	if s.callee != "" {
		user = fmt.Sprintf("%s%d", s.callee, rand.IntN(counts(s.callee)))
	}
	k.from = "<sip:stranger@elsewhere.example>;tag=" + fmt.Sprintf("%x", rand.Uint32())
	if s.callee == "" || rand.IntN(2) == 0 { // He proves who he is.
		k.known = &registrant{name: fmt.Sprintf("c%d", rand.IntN(callersKnown))}
		k.from = fmt.Sprintf("<sip:%s@%s>;tag=%x", k.known.name, c.cfg.Domain, rand.Uint32())
	}
	uri := "sip:" + user + "@" + c.cfg.Domain
	k.invite = draft{method: "INVITE", uri: uri, from: k.from, to: "<" + uri + ">", callID: newCallID(), body: offer}
	s.play(k)
}

const offer = "v=0\r\no=a 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"

// contact is where the caller is in the dialog.
func (k *call) contact() string {
	if k.l.proto == "TCP" {
		return "Contact: <sip:soak@" + k.l.addr + ";transport=tcp>\r\nContent-Type: application/sdp\r\n"
	}
	return "Contact: <sip:soak@" + k.l.addr + ">\r\nContent-Type: application/sdp\r\n"
}

// begin sends the INVITE, and again with credentials when he is challenged.
func (k *call) begin() {
	k.invite.cseq, k.cseq = 1, 1
	k.invite.more = k.contact()
	k.began = time.Now()
	k.x = k.l.begin(&k.invite)
	if k.known == nil {
		return
	}
	response := k.x.final(timerB)
	k.x.over()
	if Status(response) != 407 {
		k.done(response) // It is not as it should be: the account says so.
		return
	}
	k.l.acknowledge(k.x.branch, ackFailure(k.x.text, response))
	challenge, err := digest.ParseChallenge(Field(response, "Proxy-Authenticate"))
	if err != nil {
		k.done(response)
		return
	}
	k.invite.cseq, k.cseq = 2, 2
	k.invite.more += "Proxy-Authorization: " + challenge.Answer(k.known.name, password(k.known.name), "INVITE", k.invite.uri, fmt.Sprintf("%08x", rand.Uint32()), 1) + "\r\n"
	k.began = time.Now()
	k.x = k.l.begin(&k.invite)
}

// setUpLimit is beyond Timer C, which ends every call.
const setUpLimit = 5 * time.Minute

// until reads responses to the INVITE until enough says so or it is over. It tells whether the call goes on.
func (k *call) until(limit time.Duration, enough func(status int) bool) bool {
	end := time.Now().Add(limit)
	for k.status == 0 {
		text := k.x.next(end)
		status := Status(text)
		if status == 180 && !k.rang && k.s.callee != "l" {
			k.rang = true
			k.c.account.wait(time.Since(k.began))
		}
		switch {
		case status >= 200:
			k.answered(text)
			return false
		case text == "":
			return true
		case enough(status):
			return true
		}
	}
	return false
}

func never(int) bool           { return false }
func ringing(status int) bool  { return status == 180 }
func anything(status int) bool { return status >= 100 }
func answered(k *call) bool    { return k.status >= 200 && k.status < 300 }

// answered takes the final response: it is acknowledged, and a dialog begins with a 2xx (12.1.2, 13.2.2.4).
func (k *call) answered(text string) {
	k.status, k.final = Status(text), text
	if k.status >= 300 {
		k.l.acknowledge(k.x.branch, ackFailure(k.x.text, text))
		return
	}
	k.dialog(text)
	k.l.acknowledge(k.x.branch, k.ack(k.cseq).text(k.l, newBranch()))
}

func (k *call) dialog(text string) {
	k.target, k.routes, k.to = inBrackets(Field(text, "Contact")), routes(Fields(text, "Record-Route"), true), Field(text, "To")
}

func (k *call) ack(cseq int) *draft {
	return &draft{method: "ACK", uri: k.target, from: k.from, to: k.to, callID: k.invite.callID, cseq: cseq, more: k.routes}
}

// done enters the INVITE into the account.
func (k *call) done(final string) {
	if k.x != nil {
		k.x.over()
	}
	k.status = Status(final)
	k.c.account.note(Key{"INVITE", k.invite.callID, k.cseq}, entry{kind: k.s.kind, status: k.status, logged: k.status != 407}, k.s.status...)
	k.x = nil
}

// run is begin, and waiting for the end of the set-up.
func (k *call) run() (ok bool) {
	k.begin()
	if k.x == nil {
		return false
	}
	k.until(setUpLimit, never)
	k.done(k.final)
	return answered(k)
}

// in sends a request in the dialog and enters it into the account.
func (k *call) in(method, kind string, allowed ...int) {
	k.cseq++
	d := &draft{method: method, uri: k.target, from: k.from, to: k.to, callID: k.invite.callID, cseq: k.cseq, more: k.routes}
	status := Status(k.l.ask(d))
	k.c.account.note(Key{method, d.callID, d.cseq}, entry{kind: kind, status: status, logged: true}, allowed...)
}

func (k *call) pause(atMost time.Duration) { time.Sleep(rand.N(atMost)) }

// talk is a call that the caller ends.
func (k *call) talk() {
	if k.run() {
		k.pause(2 * time.Second)
		k.in("BYE", "BYE", 200)
	}
}

// listen is a call that the callee ends.
func (k *call) listen() { k.run() }

// talkMuch has requests in the dialog: INFO, a re-INVITE, UPDATE.
func (k *call) talkMuch() {
	if !k.run() {
		return
	}
	k.pause(200 * time.Millisecond)
	k.in("INFO", "INFO in the dialog", 200)
	k.cseq++
	d := &draft{method: "INVITE", uri: k.target, from: k.from, to: k.to, callID: k.invite.callID, cseq: k.cseq, more: k.routes + k.contact(), body: offer}
	x := k.l.begin(d)
	final := x.final(timerB)
	x.over()
	k.c.account.note(Key{"INVITE", d.callID, d.cseq}, entry{kind: "INVITE in the dialog", status: Status(final), logged: true}, 200)
	if Status(final) == 200 {
		k.l.acknowledge(x.branch, k.ack(k.cseq).text(k.l, newBranch()))
	}
	k.in("UPDATE", "UPDATE in the dialog", 200)
	k.pause(time.Second)
	k.in("BYE", "BYE", 200)
}

// fail is a call that comes to nothing by itself.
func (k *call) fail() { k.run() }

// cancel gives the call up (9.1), and hangs up when somebody has answered all the same.
func (k *call) cancel() {
	d := k.invite
	d.method, d.more, d.body = "CANCEL", "", ""
	x := k.l.beginWith(&d, k.x.branch)
	status := Status(x.final(timerB))
	x.over()
	k.c.account.note(Key{"CANCEL", d.callID, d.cseq}, entry{kind: "CANCEL", status: status, logged: status == 200}, 200)
	k.until(setUpLimit, never)
	k.done(k.final)
	if answered(k) {
		k.in("BYE", "BYE", 200)
	}
}

// giveUp cancels after the 180.
func (k *call) giveUp() {
	if k.begin(); k.x == nil {
		return
	}
	if k.until(setUpLimit, ringing) {
		k.pause(time.Second)
		k.cancel()
	} else {
		k.done(k.final)
	}
}

// giveUpEarly cancels after the 100, before the phone has said anything.
func (k *call) giveUpEarly() {
	if k.begin(); k.x == nil {
		return
	}
	if k.until(setUpLimit, anything) {
		k.cancel()
	} else {
		k.done(k.final)
	}
}

// giveUpLate cancels about when the phone answers.
func (k *call) giveUpLate() {
	if k.begin(); k.x == nil {
		return
	}
	if k.until(setUpLimit, ringing) && k.until(answerAfter-10*time.Millisecond+rand.N(20*time.Millisecond), never) {
		k.cancel()
		return
	}
	k.done(k.final)
	if answered(k) {
		k.in("BYE", "BYE", 200)
	}
}

// vanish is a caller who hears what comes, but has no more to say.
func (k *call) vanish() {
	if k.begin(); k.x == nil {
		return
	}
	final := k.x.final(setUpLimit)
	k.done(final)
}

// hangConnection is a caller whose connection goes while it rings.
func (k *call) hangConnection() {
	l, err := openTCP(k.c.cfg.Server, called)
	if err != nil {
		return // The server is at its bound of connections: the account shows it by what is missing.
	}
	k.l = l
	k.known, k.from = nil, "<sip:stranger@elsewhere.example>;tag=gone"
	k.invite.from = k.from
	k.begin()
	k.until(setUpLimit, ringing)
	l.end()
	k.x.over()
	k.c.account.note(Key{"INVITE", k.invite.callID, k.cseq}, entry{kind: k.s.kind, status: k.status, logged: true, blind: true}, k.s.status...)
}
