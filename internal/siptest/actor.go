package siptest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sipd/internal/siptest/flow"
	"sipd/server/transport"
)

// actor is a peer at work.
type actor struct {
	*flow.Peer
	run       *runner
	hosts     []*Host
	conns     map[string]*Conn // by the name that the flow gives them, "" is the usual one
	legs      map[string]*leg  // by Call-ID
	branches  int
	challenge *sipMessage // the last 401 or 407
	nonces    map[string]int

	sent     []*sentMessage
	received []*receivedMessage
	waiting  []*flow.Step // what must arrive, in order
}

// sentMessage is a message of a peer.
type sentMessage struct {
	*sipMessage
	by   *actor
	name string // as=
	conn *Conn
	tag  string // To tag of the server's own responses to it
}

// receivedMessage is a message of the server.
type receivedMessage struct {
	*sipMessage
	name     string // as=
	conn     *Conn
	answered int // last status that the peer answered with
}

// leg is what a peer knows of a call (RFC 3261 12).
type leg struct {
	callID  string
	tag     string
	local   string // address of From when it sends, without tag
	remote  string
	cseq    int
	dialogs map[string]*dialog // by remote tag
}

// dialog is one of a leg's dialogs.
type dialog struct {
	target string
	routes []string
}

// leg returns the peer's part in a call, made as the caller's when it is new.
func (a *actor) leg(callID string) *leg {
	l := a.legs[callID]
	if l == nil {
		l = &leg{callID: callID, tag: a.Name, local: "<sip:" + a.AOR + ">", dialogs: map[string]*dialog{}}
		a.legs[callID] = l
	}
	return l
}

// message builds what a send step sends.
func (a *actor) message(s *flow.Step) (data []byte, conn *Conn, err error) {
	switch {
	case s.Raw:
		return []byte(a.run.fill(a, strings.Join(s.Body, "\r\n")) + "\r\n"), a.conns[s.Words["conn"]], nil
	case s.Has("again"):
		m := a.lastSent(s)
		if m == nil {
			return nil, nil, fmt.Errorf("%s has sent nothing like this that could be sent again", a.Name)
		}
		return m.raw, m.conn, nil
	case s.Status != 0:
		return a.response(s)
	default:
		data, err := a.request(s)
		return data, a.conns[s.Words["conn"]], err
	}
}

// is tells whether m is a message of the step's kind.
func is(s *flow.Step, m *sipMessage) bool {
	if s.Method != "" && s.Method != m.method || s.Status != m.status {
		return false
	}
	return s.CallID() == "" || s.CallID() == m.get("call-id")
}

// lastSent finds the message that "again" repeats.
func (a *actor) lastSent(s *flow.Step) *sentMessage {
	for _, m := range slices.Backward(a.sent) {
		if name, ok := s.Words["of"]; ok && m.name != name {
			continue
		}
		if is(s, m.sipMessage) {
			return m
		}
	}
	return nil
}

// sentInvite finds the INVITE that an ACK or CANCEL belongs to.
func (a *actor) sentInvite(s *flow.Step) *sentMessage {
	for _, m := range slices.Backward(a.sent) {
		if !m.request || m.method != "INVITE" {
			continue
		}
		if name, ok := s.Words["of"]; ok && m.name != name {
			continue
		}
		if s.CallID() == "" || s.CallID() == m.get("call-id") {
			return m
		}
	}
	return nil
}

// draft is a message being written.
type draft struct {
	start string
	lines []line
	body  string
}

func (d *draft) add(name, value string) { d.lines = append(d.lines, line{name, value}) }

// apply takes the headers that the step names.
func (d *draft) apply(a *actor, s *flow.Step) {
	for _, h := range s.Heads {
		value := a.run.fill(a, h.Value)
		at := slices.IndexFunc(d.lines, func(l line) bool { return flow.HeaderName(l.name) == h.Name })
		switch {
		case h.Op == flow.Absent:
			d.remove(h.Name)
		case h.Op == flow.Equal && at >= 0:
			d.lines[at] = line{h.Shown, value}
			kept := d.lines[:at+1]
			for _, l := range d.lines[at+1:] {
				if flow.HeaderName(l.name) != h.Name {
					kept = append(kept, l)
				}
			}
			d.lines = kept
		default:
			d.add(h.Shown, value)
		}
	}
	if len(s.Body) > 0 {
		d.body = strings.Join(s.Body, "\r\n") + "\r\n"
		if !slices.ContainsFunc(d.lines, func(l line) bool { return flow.HeaderName(l.name) == "content-type" }) {
			d.add("Content-Type", "application/sdp")
		}
	}
	for _, h := range s.Heads {
		if h.Name == "content-length" {
			return
		}
	}
	d.remove("content-length")
	d.add("Content-Length", strconv.Itoa(len(d.body)))
}

func (d *draft) remove(name string) {
	d.lines = slices.DeleteFunc(d.lines, func(l line) bool { return flow.HeaderName(l.name) == name })
}

func (d *draft) bytes() []byte {
	var b strings.Builder
	b.WriteString(d.start + "\r\n")
	for _, l := range d.lines {
		b.WriteString(l.name + ": " + l.value + "\r\n")
	}
	b.WriteString("\r\n" + d.body)
	return []byte(b.String())
}

// via returns a fresh Via of the peer.
func (a *actor) via(s *flow.Step) string {
	a.branches++
	branch := fmt.Sprintf("z9hG4bK-%s-%d", a.Name, a.branches)
	if b, ok := s.Words["branch"]; ok {
		branch = b
	}
	v := "SIP/2.0/" + a.Proto.String() + " " + a.SentBy() + ";branch=" + branch
	if s.Has("rport") {
		v += ";rport"
	}
	return v
}

// request builds a request.
func (a *actor) request(s *flow.Step) ([]byte, error) {
	if s.Target == "" && (s.Method == "ACK" || s.Method == "CANCEL") {
		return a.hopRequest(s)
	}
	if s.Has("forwarded") {
		return a.forward(s)
	}
	callID := s.CallID()
	if callID == "" {
		callID = "call-1"
		if s.Method == "REGISTER" {
			callID = "call-reg-" + a.Name
		}
	}
	l := a.leg(callID)
	d := &draft{}
	uri := a.run.fill(a, s.Target)
	to, known := "<"+uri+">", (*dialog)(nil)
	remoteTag := s.Words["dialog"]
	if p := a.run.actors[s.Target]; p != nil {
		uri = p.Contact()
		to = "<" + uri + ">"
		if remoteTag == "" {
			remoteTag = p.Name
		}
	}
	if remoteTag != "" {
		known = l.dialogs[remoteTag]
		if known == nil && s.Has("dialog") {
			return nil, fmt.Errorf("%s has no dialog with %s in %s", a.Name, remoteTag, callID)
		}
	}
	if known != nil {
		to = l.remote + ";tag=" + remoteTag
		if a.run.actors[s.Target] != nil {
			uri = known.target
		}
	} else {
		l.remote = to
	}
	if s.Method == "REGISTER" {
		to = l.local
	}
	switch {
	case s.Words["cseq"] != "":
		n, err := strconv.Atoi(s.Words["cseq"])
		if err != nil {
			return nil, fmt.Errorf("cseq=%s is not a number", s.Words["cseq"])
		}
		l.cseq = n
	case s.Method == "ACK":
		if invite := a.sentInvite(s); invite != nil {
			l.cseq, _ = strconv.Atoi(strings.Fields(invite.get("cseq"))[0])
		}
	default:
		l.cseq++
	}
	d.start = s.Method + " " + uri + " SIP/2.0"
	d.add("Via", a.via(s))
	d.add("Max-Forwards", "70")
	if known != nil {
		for _, r := range known.routes {
			d.add("Route", r)
		}
	}
	fromTag := l.tag
	if t, ok := s.Words["tag"]; ok {
		fromTag = t
	}
	d.add("From", l.local+";tag="+fromTag)
	d.add("To", to)
	d.add("Call-ID", callID)
	d.add("CSeq", strconv.Itoa(l.cseq)+" "+s.Method)
	switch s.Method {
	case "INVITE", "REGISTER", "SUBSCRIBE", "NOTIFY", "REFER", "UPDATE":
		d.add("Contact", "<"+a.Contact()+">")
	}
	if who, ok := s.Words["auth"]; ok {
		name, value, err := a.credentials(s, who, s.Method, uri)
		if err != nil {
			return nil, err
		}
		d.add(name, value)
	}
	d.apply(a, s)
	return d.bytes(), nil
}

// hopRequest builds a CANCEL (RFC 3261 9.1) or the ACK to a non-2xx response (17.1.1.3).
func (a *actor) hopRequest(s *flow.Step) ([]byte, error) {
	invite := a.sentInvite(s)
	if invite == nil {
		return nil, fmt.Errorf("%s has sent no INVITE that this %s could belong to", a.Name, s.Method)
	}
	to := invite.get("to")
	if s.Method == "ACK" {
		for _, m := range slices.Backward(a.received) {
			if m.status >= 200 && m.method == "INVITE" && m.topVia().branch == invite.topVia().branch {
				to = m.get("to")
				break
			}
		}
	}
	d := &draft{start: s.Method + " " + invite.uri + " SIP/2.0"}
	d.add("Via", invite.values("via")[0])
	d.add("Max-Forwards", "70")
	for _, r := range invite.all("route") {
		d.add("Route", r)
	}
	d.add("From", invite.get("from"))
	d.add("To", to)
	d.add("Call-ID", invite.get("call-id"))
	d.add("CSeq", strings.Fields(invite.get("cseq"))[0]+" "+s.Method)
	d.apply(a, s)
	return d.bytes(), nil
}

// forward builds what a peer that is a proxy makes of the last request it got (RFC 3261 16.6).
func (a *actor) forward(s *flow.Step) ([]byte, error) {
	req := a.lastRequest(s)
	if req == nil {
		return nil, fmt.Errorf("%s has received no %s to forward", a.Name, s.Method)
	}
	d := &draft{start: req.method + " " + a.run.fill(a, s.Target) + " SIP/2.0", body: string(req.body)}
	d.add("Via", a.via(s))
	for _, l := range req.lines {
		value := l.value
		if l.name == "max-forwards" {
			n, _ := strconv.Atoi(value)
			value = strconv.Itoa(n - 1)
		}
		d.add(l.name, value)
	}
	d.apply(a, s)
	return d.bytes(), nil
}

// lastRequest finds the request that a response answers: the last one without a final answer, else the last one.
func (a *actor) lastRequest(s *flow.Step) *receivedMessage {
	var last *receivedMessage
	for _, m := range slices.Backward(a.received) {
		if !m.request || m.method == "ACK" || s.Method != "" && m.method != s.Method {
			continue
		}
		if c := s.CallID(); c != "" && m.get("call-id") != c {
			continue
		}
		if name, ok := s.Words["of"]; ok && m.name != name {
			continue
		}
		if m.answered < 200 {
			return m
		}
		if last == nil {
			last = m
		}
	}
	return last
}

// response builds a response (RFC 3261 8.2.6).
func (a *actor) response(s *flow.Step) ([]byte, *Conn, error) {
	req := a.lastRequest(s)
	if req == nil {
		return nil, nil, fmt.Errorf("%s has received no request that %d could answer", a.Name, s.Status)
	}
	req.answered = max(req.answered, s.Status)
	d := &draft{start: fmt.Sprintf("SIP/2.0 %d %s", s.Status, "Reason of "+a.Name)}
	for _, v := range req.all("via") {
		d.add("Via", v)
	}
	d.add("From", req.get("from"))
	to := req.get("to")
	if tag(to) == "" && s.Status != 100 {
		t := a.Name
		if named, ok := s.Words["tag"]; ok {
			t = named
		}
		to += ";tag=" + t
	}
	d.add("To", to)
	d.add("Call-ID", req.get("call-id"))
	d.add("CSeq", req.get("cseq"))
	if s.Status > 100 && s.Status < 300 && (req.method == "INVITE" || req.method == "SUBSCRIBE") {
		for _, r := range req.all("record-route") {
			d.add("Record-Route", r)
		}
		d.add("Contact", "<"+a.Contact()+">")
	}
	d.apply(a, s)
	conn := req.conn
	if c, ok := s.Words["conn"]; ok {
		conn = a.conns[c]
	}
	return d.bytes(), conn, nil
}

// learn keeps what a dialog needs from a message that arrived (RFC 3261 12.1, 12.2).
func (a *actor) learn(m *sipMessage) {
	callID := m.get("call-id")
	if m.request {
		l := a.legs[callID]
		if l == nil {
			l = &leg{callID: callID, tag: a.Name, dialogs: map[string]*dialog{}}
			l.local, l.remote = withoutTag(m.get("to")), withoutTag(m.get("from"))
			a.legs[callID] = l
		}
		if t := tag(m.get("from")); m.has("contact") && t != "" {
			d := l.dialogs[t]
			if d == nil {
				d = &dialog{routes: m.values("record-route")}
				l.dialogs[t] = d
			}
			d.target = addressURI(m.get("contact"))
		}
		return
	}
	if m.status == 401 || m.status == 407 {
		a.challenge = m
	}
	t := tag(m.get("to"))
	l := a.legs[callID]
	if l == nil || t == "" || m.status <= 100 || m.status >= 300 || !m.has("contact") || m.method == "REGISTER" {
		return
	}
	d := l.dialogs[t]
	if d == nil {
		d = &dialog{routes: m.values("record-route")}
		slices.Reverse(d.routes)
		l.dialogs[t] = d
	}
	d.target = addressURI(m.get("contact"))
}

// withoutTag drops the tag parameter of a From or To value.
func withoutTag(s string) string {
	i := strings.Index(s, ";tag=")
	if i < 0 {
		return s
	}
	rest := s[i+len(";tag="):]
	if j := strings.IndexByte(rest, ';'); j >= 0 {
		return s[:i] + rest[j:]
	}
	return s[:i]
}

// transmit sends data the way the peer does.
func (a *actor) transmit(s *flow.Step, data []byte, conn *Conn) (*Conn, error) {
	if a.Proto == transport.UDP {
		h := a.hosts[0]
		if src, ok := s.Words["source"]; ok {
			var err error
			if h, err = a.run.source(a, src); err != nil {
				return nil, err
			}
		}
		return nil, h.Send(data)
	}
	if conn == nil || !conn.Open() {
		var err error
		if conn, err = a.hosts[0].Dial(a.Proto); err != nil {
			return nil, err
		}
		a.conns[s.Words["conn"]] = conn
	}
	return conn, conn.Send(data)
}
