package siptest

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"sipd/internal/siptest/flow"
	"sipd/server/transport"
)

// check says what is wrong with a message that a step waited for.
func (r *runner) check(a *actor, s *flow.Step, in Arrival, m *sipMessage) error {
	if !s.Has("again") {
		var err error
		if m.request {
			err = r.checkRequest(a, s, m)
		} else {
			err = r.checkResponse(a, s, m)
		}
		if err != nil {
			return err
		}
	}
	if name, ok := s.Words["conn"]; ok {
		switch known := a.conns[name]; {
		case in.Conn == nil:
			return fmt.Errorf("it came by UDP, not on connection %s", name)
		case known == nil:
			for other, c := range a.conns {
				if c == in.Conn {
					return fmt.Errorf("it came on connection %s, not on another that is %s", other, name)
				}
			}
			a.conns[name] = in.Conn
		case known != in.Conn:
			return fmt.Errorf("it came on another connection than %s", name)
		}
	}
	if in.Proto != a.Proto {
		return fmt.Errorf("it came by %v, but %s speaks %v", in.Proto, a.Name, a.Proto)
	}
	if src, ok := s.Words["source"]; ok {
		h, err := r.source(a, src)
		if err != nil {
			return err
		}
		if n := len(r.net.Log()); n == 0 || !slices.ContainsFunc(r.net.Log(), func(e Event) bool {
			return e.To == h.Addr && string(e.Data) == string(m.raw)
		}) {
			return fmt.Errorf("it did not come to %s", src)
		}
	}
	for _, h := range s.Heads {
		if err := r.checkHead(a, h, m); err != nil {
			return err
		}
	}
	if len(s.Body) > 0 && string(m.body) != strings.Join(s.Body, "\r\n")+"\r\n" {
		return fmt.Errorf("the body is another one")
	}
	return nil
}

// checkHead compares one header.
func (r *runner) checkHead(a *actor, h flow.Head, m *sipMessage) error {
	got, want := m.get(h.Name), r.fill(a, h.Value)
	ok := false
	switch h.Op {
	case flow.Absent:
		if m.has(h.Name) {
			return fmt.Errorf("it has %s: %s", h.Shown, got)
		}
		return nil
	case flow.Equal:
		ok = m.has(h.Name) && got == want
	case flow.Matches:
		ok = m.has(h.Name) && h.Match.MatchString(got)
	case flow.Contains:
		ok = strings.Contains(got, want)
	case flow.Prefix:
		ok = strings.HasPrefix(got, want)
	case flow.Count:
		n, _ := strconv.Atoi(h.Value)
		if c := len(m.values(h.Name)); c != n {
			return fmt.Errorf("it has %d values of %s, want %d", c, h.Shown, n)
		}
		return nil
	}
	if !ok {
		return fmt.Errorf("got %s: %s, want %s", h.Shown, got, want)
	}
	return nil
}

// serverVia checks that v is a Via of the server towards a.
func (r *runner) serverVia(a *actor, v via) error {
	own, port := a.server(), ":5060"
	if a.Proto == transport.TLS {
		port = ":5061"
	}
	named := slices.ContainsFunc(r.flow.Settings, func(s flow.Setting) bool { return s.Name == "ProxyName" || s.Name == "NumericVia" })
	if !named && v.sentBy != own.String() && v.sentBy != strings.TrimSuffix(own.String(), port) {
		return fmt.Errorf("sent-by of the topmost Via is %s, want the server's address %v", v.sentBy, own)
	}
	if v.proto != a.Proto.String() {
		return fmt.Errorf("the topmost Via says %s, want %v", v.proto, a.Proto)
	}
	if !strings.HasPrefix(v.branch, "z9hG4bK") || len(v.branch) < 16 {
		return fmt.Errorf("branch %q does not begin with the magic cookie, or is too short to be unique (RFC 3261 8.1.1.7)", v.branch)
	}
	return nil
}

// checkRequest checks a request of the server.
func (r *runner) checkRequest(a *actor, s *flow.Step, m *sipMessage) error {
	top := m.topVia()
	if err := r.serverVia(a, top); err != nil {
		return err
	}
	if !s.Has("dialog") && s.Target != "" {
		want := r.fill(a, s.Target)
		if p := r.actors[s.Target]; p != nil {
			want = p.Contact()
			if l := a.legs[m.get("call-id")]; l == nil && p != a {
				return fmt.Errorf("the flow names %s as target, which is not the receiver", p.Name)
			}
		}
		if m.uri != want {
			return fmt.Errorf("the Request-URI is %s, want %s", m.uri, want)
		}
	}
	for _, o := range slices.Backward(a.received) {
		if o.request && o.method == "INVITE" && o.topVia().branch == top.branch && (m.method == "ACK" || m.method == "CANCEL") {
			if len(m.values("via")) > 1 {
				return r.checkStateless(s, o.sipMessage, m)
			}
			return r.checkHop(o.sipMessage, m)
		}
	}
	if m.method == "CANCEL" {
		return fmt.Errorf("it matches no INVITE that %s has got (RFC 3261 9.1)", a.Name)
	}
	for _, other := range r.order {
		for _, o := range other.received {
			if o.request && o.topVia().branch == top.branch {
				return fmt.Errorf("its branch was used for %s to %s already (RFC 3261 8.1.1.7)", o, other.Name)
			}
		}
	}
	origin := r.origin(m)
	if origin == nil {
		return fmt.Errorf("nobody has sent this request")
	}
	return r.checkForwarded(origin, s, m)
}

// origin finds the request of a peer that m is the forwarded copy of: the one whose Via lies below the server's.
func (r *runner) origin(m *sipMessage) *sentMessage {
	vias := m.values("via")
	if len(vias) < 2 {
		return nil
	}
	below, err := parseVia(vias[1])
	if err != nil {
		return nil
	}
	for _, o := range slices.Backward(r.sent) {
		if o.request && o.method == m.method && o.topVia().branch == below.branch && o.get("call-id") == m.get("call-id") {
			return o
		}
	}
	return nil
}

// checkHop checks a CANCEL (RFC 3261 9.1) or the ACK to a non-2xx response (17.1.1.3) against its INVITE.
func (r *runner) checkHop(invite, m *sipMessage) error {
	number := func(m *sipMessage) string { return strings.Fields(m.get("cseq"))[0] }
	wantTo := invite.get("to")
	if m.method == "ACK" {
		wantTo = m.get("to")
		found := false
		for _, o := range r.sent {
			if o.status >= 300 && o.topVia().branch == m.topVia().branch {
				found = found || o.get("to") == wantTo
			}
		}
		if !found {
			return fmt.Errorf("its To is of no failure response to the INVITE")
		}
	}
	for _, c := range []struct{ what, got, want string }{
		{"Request-URI", m.uri, invite.uri},
		{"number of Vias", strconv.Itoa(len(m.values("via"))), "1"},
		{"Via", m.values("via")[0], invite.values("via")[0]},
		{"From", m.get("from"), invite.get("from")},
		{"To", m.get("to"), wantTo},
		{"Call-ID", m.get("call-id"), invite.get("call-id")},
		{"CSeq number", number(m), number(invite)},
		{"Route", m.get("route"), invite.get("route")},
		{"Require", m.get("require"), ""},
		{"Proxy-Require", m.get("proxy-require"), ""},
		{"body", string(m.body), ""},
	} {
		if c.got != c.want {
			return fmt.Errorf("%s of this %s is %q, want %q as in its INVITE", c.what, m.method, c.got, c.want)
		}
	}
	if !m.has("max-forwards") {
		return fmt.Errorf("it has no Max-Forwards (RFC 3261 8.1.1)")
	}
	return nil
}

// checkStateless checks a CANCEL or an ACK that was forwarded without a transaction (RFC 3261 16.11) against its INVITE, which was, too:
// it is a forwarded request, and the server at the other end must find the INVITE by it.
func (r *runner) checkStateless(s *flow.Step, invite, m *sipMessage) error {
	for _, c := range []struct{ what, got, want string }{
		{"Request-URI", m.uri, invite.uri},
		{"Via", m.values("via")[0], invite.values("via")[0]},
		{"Route", m.get("route"), invite.get("route")},
		{"CSeq number", strings.Fields(m.get("cseq"))[0], strings.Fields(invite.get("cseq"))[0]},
	} {
		if c.got != c.want {
			return fmt.Errorf("%s of this %s is %q, want %q as in its INVITE", c.what, m.method, c.got, c.want)
		}
	}
	origin := r.origin(m)
	if origin == nil {
		return fmt.Errorf("nobody has sent this %s", m.method)
	}
	return r.checkForwarded(origin, s, m)
}

// checkForwarded compares a forwarded request with the one a peer sent (RFC 3261 16.6).
func (r *runner) checkForwarded(origin *sentMessage, s *flow.Step, m *sipMessage) error {
	sent, got := origin.values("via"), m.values("via")
	if len(got) != len(sent)+1 {
		return fmt.Errorf("it has %d Vias, want %d", len(got), len(sent)+1)
	}
	if err := r.checkVias(origin, sent, got[1:]); err != nil {
		return err
	}
	rr, had := m.values("record-route"), origin.values("record-route")
	if len(rr) < len(had) || !slices.Equal(rr[len(rr)-len(had):], had) {
		return fmt.Errorf("the Record-Route values of the elements before are not kept: %q", rr)
	}
	wantHops := 70
	if origin.has("max-forwards") {
		n, err := strconv.Atoi(origin.get("max-forwards"))
		if err != nil {
			return err
		}
		wantHops = n - 1
	}
	if hops := m.get("max-forwards"); hops != strconv.Itoa(wantHops) {
		return fmt.Errorf("Max-Forwards is %s, want %d", hops, wantHops)
	}
	if string(m.body) != string(origin.body) {
		return fmt.Errorf("the body was changed")
	}
	if l := origin.get("content-length"); l != "" && m.get("content-length") != l {
		return fmt.Errorf("Content-Length is %q, want %s", m.get("content-length"), l)
	}
	touched := func(l line) bool {
		switch l.name {
		case "via", "record-route", "route", "max-forwards", "max-breadth", "content-length", "proxy-authorization", "authorization":
			return true
		}
		return private(l, s)
	}
	return sameLines(origin.lines, m.lines, touched, nil)
}

// private tells whether a header line is one that trust and privacy may take away or put in (RFC 3325), or one that says how a call was
// forwarded (RFC 5806, 7044), and the flow says what is expected of it.
func private(l line, s *flow.Step) bool {
	switch l.name {
	case "p-asserted-identity", "p-preferred-identity", "proxy-require":
		return slices.ContainsFunc(s.Heads, func(h flow.Head) bool { return h.Name == l.name })
	case "diversion", "history-info": // They come together.
		return slices.ContainsFunc(s.Heads, func(h flow.Head) bool { return h.Name == "diversion" || h.Name == "history-info" })
	}
	return false
}

// checkVias compares the Vias below the server's with those sent: the topmost may have got received and rport.
func (r *runner) checkVias(origin *sentMessage, sent, got []string) error {
	source := origin.by.source(origin)
	for i := range sent {
		if i > 0 {
			if sent[i] != got[i] {
				return fmt.Errorf("a Via was changed: %s, want %s", got[i], sent[i])
			}
			continue
		}
		v, err := parseVia(got[0])
		if err != nil {
			return err
		}
		was, err := parseVia(sent[0])
		if err != nil {
			return err
		}
		if plain(got[0]) != plain(sent[0]) {
			return fmt.Errorf("the sender's Via was changed: %s, want %s", got[0], sent[0])
		}
		_, asked := param(was.params, "rport")
		received, hasReceived := param(v.params, "received")
		rport, _ := param(v.params, "rport")
		host, _, _ := strings.Cut(strings.Trim(was.sentBy, "[]"), "]")
		if !strings.Contains(was.sentBy, "[") {
			host, _, _ = strings.Cut(was.sentBy, ":")
		}
		differs := host != source.Addr().String()
		switch {
		case asked && rport != strconv.Itoa(int(source.Port())):
			return fmt.Errorf("rport is %q, want %d (RFC 3581 4): %s", rport, source.Port(), got[0])
		case (asked || differs) && received != source.Addr().String():
			return fmt.Errorf("received is %q, want %v (RFC 3261 18.2.1, 3581 4): %s", received, source.Addr(), got[0])
		case !asked && !differs && hasReceived && received != source.Addr().String():
			return fmt.Errorf("received is %q, want %v: %s", received, source.Addr(), got[0])
		}
	}
	return nil
}

// source is the address that a message of the peer came from.
func (a *actor) source(m *sentMessage) netip.AddrPort {
	if m.conn != nil {
		return m.conn.peer
	}
	for _, e := range slices.Backward(a.run.net.Log()) {
		if string(e.Data) == string(m.raw) && slices.ContainsFunc(a.hosts, func(h *Host) bool { return h.Addr == e.From }) {
			return e.From
		}
	}
	return a.Addr
}

// plain drops received and rport from a Via value.
func plain(v string) string {
	parts := strings.Split(v, ";")
	parts = slices.DeleteFunc(parts, func(p string) bool {
		name, _, _ := strings.Cut(p, "=")
		return name == "received" || name == "rport"
	})
	return strings.Join(parts, ";")
}

// sameLines compares header lines in order, without those that skip names. Lines that extra takes may be new.
func sameLines(sent, got []line, skip, extra func(line) bool) error {
	i := 0
	for _, l := range got {
		if skip(l) {
			continue
		}
		for i < len(sent) && skip(sent[i]) {
			i++
		}
		if i < len(sent) && sent[i] == l {
			i++
			continue
		}
		if extra != nil && extra(l) {
			continue
		}
		if i < len(sent) {
			return fmt.Errorf("the header line %q came where %q was sent", l.name+": "+l.value, sent[i].name+": "+sent[i].value)
		}
		return fmt.Errorf("the header line %q was not sent", l.name+": "+l.value)
	}
	for ; i < len(sent); i++ {
		if !skip(sent[i]) {
			return fmt.Errorf("the header line %q is lost", sent[i].name+": "+sent[i].value)
		}
	}
	return nil
}

// checkResponse checks a response of the server.
func (r *runner) checkResponse(a *actor, s *flow.Step, m *sipMessage) error {
	branch := m.topVia().branch
	var req *sentMessage // the first one with these bytes
	for _, o := range slices.Backward(a.sent) {
		if o.request && o.cseqMethod == m.method && o.topVia().branch == branch && o.get("cseq") == m.get("cseq") &&
			(req == nil || string(req.raw) == string(o.raw)) {
			req = o
		}
	}
	if req == nil {
		return fmt.Errorf("it answers no request of %s", a.Name)
	}
	got, sent := m.values("via"), req.values("via")
	if len(got) != len(sent) {
		return fmt.Errorf("it has %d Vias, want %d as in the request", len(got), len(sent))
	}
	if err := r.checkVias(req, sent, got); err != nil {
		return err
	}
	for _, name := range []string{"from", "call-id", "cseq"} {
		if m.get(name) != req.get(name) {
			return fmt.Errorf("its %s is %q, want %q as in the request (RFC 3261 8.2.6.2)", name, m.get(name), req.get(name))
		}
	}
	to, was := m.get("to"), req.get("to")
	switch {
	case tag(was) != "" && to != was:
		return fmt.Errorf("its To is %q, want %q as in the request", to, was)
	case withoutTag(to) != was && tag(was) == "":
		return fmt.Errorf("its To is %q, want %q and a tag", to, was)
	case tag(to) == "" && m.status != 100:
		return fmt.Errorf("its To has no tag (RFC 3261 8.2.6.2)")
	}
	from, named := s.Words["from"]
	if origin := r.answerer(m, from); origin != nil {
		named := func(l line) bool {
			return slices.ContainsFunc(s.Heads, func(h flow.Head) bool { return h.Name == l.name })
		}
		asserted := func(l line) bool { return l.name == "content-length" || named(l) }
		vias := func(l line) bool {
			recursed := m.status/100 == 3 && l.name == "contact" && named(l) // 16.7 step 4: what was tried is not in it.
			return l.name == "via" || m.status >= 300 && l.name == "to" || private(l, s) || recursed
		}
		if err := sameLines(origin.lines, m.lines, vias, asserted); err != nil {
			return err
		}
		if string(origin.body) != string(m.body) {
			return fmt.Errorf("the body was changed")
		}
		return nil
	}
	if named && from != "proxy" {
		return fmt.Errorf("%s has sent no such response", from)
	}
	if m.status > 100 {
		if req.tag != "" && req.tag != tag(to) {
			return fmt.Errorf("its To tag is %s, but the server used %s before (RFC 3261 8.2.6.2)", tag(to), req.tag)
		}
		if tag(was) == "" {
			req.tag = tag(to)
		}
	}
	return nil
}

// answerer finds the response of a peer that m is the forwarded copy of: the one of the peer named, or else of the peer
// whose tag it carries. Nil: it is the server's own.
func (r *runner) answerer(m *sipMessage, from string) *sentMessage {
	if from == "" {
		from = tag(m.get("to"))
	}
	a := r.actors[from]
	if a == nil {
		return nil
	}
	for _, o := range slices.Backward(a.sent) {
		if o.status == m.status && o.get("call-id") == m.get("call-id") && o.get("cseq") == m.get("cseq") {
			return o
		}
	}
	return nil
}
