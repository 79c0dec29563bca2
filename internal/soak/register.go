package soak

import (
	"fmt"
	"math/rand/v2"

	"sipd/digest"
)

// authorized sends a request with credentials: those of the last challenge while they are good, else as the answer to a new
// one (22.1). It returns the final response and the CSeq it belongs to.
func (r *registrant) authorized(l *line, d *draft, secret string) (response string, cseq int) {
	name := "Authorization: "
	more := d.more
	for try := 0; ; try++ {
		r.cseq++
		d.cseq = r.cseq
		d.more = more
		if r.challenge != nil {
			r.count++
			d.more += name + r.challenge.Answer(r.name, secret, d.method, d.uri, fmt.Sprintf("%08x", rand.Uint32()), r.count) + "\r\n"
		}
		response = l.ask(d)
		if Status(response) != 401 || try == 1 {
			return response, d.cseq
		}
		challenge, err := digest.ParseChallenge(Field(response, "WWW-Authenticate"))
		if err != nil {
			return response, d.cseq
		}
		r.challenge, r.count = &challenge, 0
	}
}

// register sends a REGISTER (10.2) and enters it into the account.
func (c *Crowd) register(l *line, r *registrant, contact, kind string) int {
	aor := "sip:" + r.name + "@" + c.cfg.Domain
	d := &draft{method: "REGISTER", uri: "sip:" + c.cfg.Domain, from: "<" + aor + ">;tag=r", to: "<" + aor + ">", callID: r.callID, more: contact}
	response, cseq := r.authorized(l, d, password(r.name))
	c.account.note(Key{"REGISTER", r.callID, cseq}, entry{kind: kind, status: Status(response), logged: true}, 200)
	return Status(response)
}

// registration is the next REGISTER of some user: he comes, stays, or leaves.
func (c *Crowd) registration() {
	c.mu.Lock()
	r := c.users[rand.IntN(len(c.users))]
	if r.busy {
		c.mu.Unlock()
		return
	}
	r.busy = true
	c.mu.Unlock()
	kind, with := "registration", expires
	switch {
	case r.bound && rand.IntN(3) == 0:
		kind, with = "removal of a binding", "Expires: 0\r\n"
	case r.bound:
		kind = "refresh"
	}
	status := c.register(c.registrar, r, fmt.Sprintf("Contact: <sip:busy-%s@%s>\r\n", r.name, c.registrar.addr)+with, kind)
	c.mu.Lock()
	defer c.mu.Unlock()
	r.busy = false
	if status == 200 {
		r.bound = kind != "removal of a binding"
	}
}

// wrongPassword is somebody who guesses. Nothing is kept of him, and nothing logged.
func (c *Crowd) wrongPassword() {
	r := &registrant{name: fmt.Sprintf("u%d", rand.IntN(registrants)), callID: newCallID()}
	aor := "sip:" + r.name + "@" + c.cfg.Domain
	d := &draft{method: "REGISTER", uri: "sip:" + c.cfg.Domain, from: "<" + aor + ">;tag=r", to: "<" + aor + ">", callID: r.callID}
	response, cseq := r.authorized(c.registrar, d, "guess")
	c.account.note(Key{"REGISTER", r.callID, cseq}, entry{kind: "REGISTER with a wrong password", status: Status(response)}, 401, 403)
}

// message is a MESSAGE to a telephone (RFC 3428).
func (c *Crowd) message() { c.single("MESSAGE", fmt.Sprintf("a%d", rand.IntN(100)), true) }

// options is an OPTIONS to a telephone or to the server (11).
func (c *Crowd) options() {
	if rand.IntN(2) == 0 {
		c.single("OPTIONS", "", false)
	} else {
		c.single("OPTIONS", fmt.Sprintf("t%d", rand.IntN(40)), true)
	}
}

// single is a request outside of any dialog to a user, or to the server itself.
func (c *Crowd) single(method, user string, logged bool) {
	l := c.callers[rand.IntN(len(c.callers))]
	uri, kind := "sip:"+user+"@"+c.cfg.Domain, method
	if user == "" {
		uri, kind = "sip:"+c.cfg.Domain, method+" to the server"
	}
	d := &draft{method: method, uri: uri, from: "<sip:stranger@elsewhere.example>;tag=s", to: "<" + uri + ">", callID: newCallID(), cseq: 1}
	if method == "MESSAGE" {
		d.more, d.body = "Content-Type: text/plain\r\n", "Watson, come here."
	}
	status := Status(l.ask(d))
	c.account.note(Key{method, d.callID, d.cseq}, entry{kind: kind, status: status, logged: logged}, 200)
}
