package test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sipd/digest"
	"sipd/internal/soak"
)

// The timers of RFC 3261 17.1.
const (
	timerT1 = 500 * time.Millisecond
	timerT2 = 4 * time.Second
	timerF  = 64 * timerT1
)

// line is a socket with many phones behind it: their requests and responses are told apart by branch and Call-ID.
type line struct {
	conn   *net.UDPConn
	server netip.AddrPort

	mu      sync.Mutex
	waiting map[string]chan string // branch -> who awaits responses
	acks    map[string]string      // branch of an INVITE -> the ACK of its 200, sent again with each
	answers map[string]*answer     // Call-ID -> the 200 of an INVITE
	heard   []string               // requests, when keep is set

	// What follows is set before start.
	keep   bool
	silent bool   // answers nothing
	sdp    string // body of the 200 to an INVITE
}

// answer is a 200 that is sent again until its ACK comes (RFC 3261 13.3.1.4).
type answer struct {
	text  string
	timer *time.Timer
}

// openLine opens a socket; the test's end closes it.
func openLine(t testing.TB, server netip.AddrPort) *line {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadBuffer(4 << 20); err != nil {
		t.Fatal(err)
	}
	l := newLine(conn, server)
	l.start(t)
	return l
}

// newLine is a line that does not read yet.
func newLine(conn *net.UDPConn, server netip.AddrPort) *line {
	return &line{conn: conn, server: server, waiting: map[string]chan string{}, acks: map[string]string{}, answers: map[string]*answer{}}
}

// start reads until the test's end, which closes the socket.
func (l *line) start(t testing.TB) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.read()
	}()
	t.Cleanup(func() {
		l.conn.Close()
		<-done
	})
}

func (l *line) send(text string) {
	l.conn.WriteToUDPAddrPort([]byte(text), l.server) // A server that is down refuses; the timers go on.
}

// read hands out what arrives until the socket is closed.
func (l *line) read() {
	buf := make([]byte, 65536)
	for {
		n, _, err := l.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			if strings.Contains(err.Error(), "closed") {
				return
			}
			continue
		}
		text := string(buf[:n])
		if strings.HasPrefix(text, "SIP/2.0 ") {
			l.response(text)
		} else {
			l.request(text)
		}
	}
}

func (l *line) response(text string) {
	branch := branchOf(text)
	l.mu.Lock()
	to, ack := l.waiting[branch], l.acks[branch]
	l.mu.Unlock()
	switch {
	case to != nil:
		select {
		case to <- text:
		default: // So many copies say nothing new.
		}
	case ack != "":
		l.send(ack)
	}
}

// request answers as a phone that rings and is picked up at once.
func (l *line) request(text string) {
	method, _, _ := strings.Cut(text, " ")
	id := soak.Field(text, "Call-ID")
	if l.keep {
		l.mu.Lock()
		l.heard = append(l.heard, text)
		l.mu.Unlock()
	}
	if l.silent {
		return
	}
	switch method {
	case "ACK":
		l.mu.Lock()
		defer l.mu.Unlock()
		if a := l.answers[id]; a != nil {
			a.timer.Stop()
		}
	case "INVITE":
		l.mu.Lock()
		a := l.answers[id]
		if a == nil {
			uri := strings.TrimPrefix(strings.SplitN(text, " ", 3)[1], "sip:")
			user, _, _ := strings.Cut(uri, "@")
			more := fmt.Sprintf("Contact: <sip:%s@%v>\r\n", user, l.conn.LocalAddr())
			if l.sdp != "" {
				more += "Content-Type: application/sdp\r\n"
			}
			a = &answer{text: replyWith(text, 200, more, l.sdp)}
			l.answers[id] = a
			wait := timerT1
			a.timer = time.AfterFunc(wait, func() {
				l.send(a.text)
				if wait = min(2*wait, timerT2); wait < timerT2 {
					l.mu.Lock()
					defer l.mu.Unlock()
					a.timer.Reset(wait)
				}
			})
		}
		l.mu.Unlock()
		l.send(reply(text, 180, ""))
		l.send(a.text)
	case "BYE", "OPTIONS":
		l.send(reply(text, 200, ""))
	}
}

// ask sends a request and returns the final response, "" when none came within limit (RFC 3261 17.1).
func (l *line) ask(text string, limit time.Duration) string {
	branch := branchOf(text)
	invite := strings.HasPrefix(text, "INVITE ")
	from := make(chan string, 8)
	l.mu.Lock()
	l.waiting[branch] = from
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.waiting, branch)
		l.mu.Unlock()
	}()
	end := time.NewTimer(limit)
	defer end.Stop()
	wait := timerT1
	again := time.NewTimer(wait)
	defer again.Stop()
	l.send(text)
	for {
		select {
		case <-end.C:
			return ""
		case <-again.C:
			l.send(text)
			if wait *= 2; !invite {
				wait = min(wait, timerT2)
			}
			again.Reset(wait)
		case r := <-from:
			switch status := soak.Status(r); {
			case status >= 200:
				return r
			case invite:
				again.Stop() // 17.1.1.2: Proceeding.
			default:
				wait = timerT2 // 17.1.2.2: Proceeding.
			}
		}
	}
}

// user is who asks.
type user struct{ name, domain, password string }

func (u user) aor() string { return "sip:" + u.name + "@" + u.domain }

// dialled is a request with its parts.
type dialled struct {
	method, uri, to string // to is the value of the To header field
	callID          string
	cseq            int
	more            string // header lines, each with its CRLF
	body            string
}

// text writes the request with a fresh branch.
func (l *line) text(from user, q dialled) string {
	return fmt.Sprintf("%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %v;branch=z9hG4bK%016x;rport\r\nMax-Forwards: 70\r\nFrom: <%s>;tag=%s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\n%sContent-Length: %d\r\n\r\n%s",
		q.method, q.uri, l.conn.LocalAddr(), rand.Uint64(), from.aor(), from.name, q.to, q.callID, q.cseq, q.method, q.more, len(q.body), q.body)
}

// authorized asks, answers the challenge, and returns the final response and the request it belongs to.
func (l *line) authorized(from user, q dialled) (sent dialled, request, response string) {
	end := time.Now().Add(timerF)
	request = l.text(from, q)
	response = l.ask(request, timerF)
	status := soak.Status(response)
	if status != 401 && status != 407 {
		return q, request, response
	}
	if q.method == "INVITE" {
		l.ackFailure(request, response)
	}
	name, challenge := "Authorization", soak.Field(response, "WWW-Authenticate")
	if status == 407 {
		name, challenge = "Proxy-Authorization", soak.Field(response, "Proxy-Authenticate")
	}
	credentials, err := digest.Authorize(challenge, from.name, from.password, q.method, q.uri)
	if err != nil {
		return q, request, response
	}
	q.cseq++
	q.more += name + ": " + credentials + "\r\n"
	request = l.text(from, q)
	return q, request, l.ask(request, time.Until(end))
}

// ackFailure acknowledges a final response that is not 2xx (RFC 3261 17.1.1.3).
func (l *line) ackFailure(invite, response string) {
	start, _, _ := strings.Cut(invite, "\r\n")
	uri := strings.Fields(start)[1]
	cseq, _, _ := strings.Cut(soak.Field(invite, "CSeq"), " ")
	l.send(fmt.Sprintf("ACK %s SIP/2.0\r\nVia: %s\r\nMax-Forwards: 70\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %s ACK\r\nContent-Length: 0\r\n\r\n",
		uri, soak.Field(invite, "Via"), soak.Field(invite, "From"), soak.Field(response, "To"), soak.Field(invite, "Call-ID"), cseq))
}

// acknowledge sends the ACK of a 200, and again with each copy of it (RFC 3261 13.2.2.4).
func (l *line) acknowledge(invite, ack string) {
	l.mu.Lock()
	l.acks[branchOf(invite)] = ack
	l.mu.Unlock()
	l.send(ack)
}

// dialog acknowledges the 200 of an INVITE and returns a request in the dialog; its method and CSeq are still to be set.
func (l *line) dialog(from user, sent dialled, invite, response string) dialled {
	var route strings.Builder
	records := soak.Fields(response, "Record-Route")
	slices.Reverse(records) // RFC 3261 12.1.2
	for _, r := range records {
		fmt.Fprintf(&route, "Route: %s\r\n", r)
	}
	in := dialled{method: "ACK", uri: inBrackets(soak.Field(response, "Contact")), to: soak.Field(response, "To"), callID: sent.callID, cseq: sent.cseq, more: route.String()}
	l.acknowledge(invite, l.text(from, in))
	return in
}

// reply is a response to a request (RFC 3261 8.2.6).
func reply(request string, status int, more string) string {
	return replyWith(request, status, more, "")
}

// replyWith is reply with a body.
func replyWith(request string, status int, more, body string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "SIP/2.0 %d x\r\n", status)
	for _, name := range []string{"Via", "Record-Route", "From", "To", "Call-ID", "CSeq"} {
		for _, value := range soak.Fields(request, name) {
			if name == "To" && !strings.Contains(value, ";tag=") {
				value += ";tag=callee"
			}
			fmt.Fprintf(&b, "%s: %s\r\n", name, value)
		}
	}
	return fmt.Sprintf("%s%sContent-Length: %d\r\n\r\n%s", b.String(), more, len(body), body)
}

// branchOf returns the branch of the topmost Via.
func branchOf(text string) string {
	_, rest, _ := strings.Cut(soak.Field(text, "Via"), ";branch=")
	branch, _, _ := strings.Cut(rest, ";")
	return branch
}

// inBrackets returns what stands between < and >.
func inBrackets(s string) string {
	_, rest, _ := strings.Cut(s, "<")
	uri, _, _ := strings.Cut(rest, ">")
	return uri
}
