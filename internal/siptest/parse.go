package siptest

import (
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"sipd/server/transport"
)

// ParseFile reads a flow file.
func ParseFile(name string) (*Flow, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return Parse(name, string(text))
}

// parser reads one flow.
type parser struct {
	f     *Flow
	n     int // current line
	last  *step
	peers map[string]*Peer
	now   time.Duration
	ended bool
}

// Parse reads a flow; name stands in its errors, which are "file:line: what".
func Parse(name, text string) (*Flow, error) {
	p := &parser{f: &Flow{File: name}, peers: map[string]*Peer{}}
	for i, l := range strings.Split(text, "\n") {
		p.n = i + 1
		if err := p.line(strings.TrimRight(l, " \t\r")); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, p.n, err)
		}
	}
	switch {
	case len(p.f.steps) == 0:
		return nil, fmt.Errorf("%s:%d: nothing happens in this flow", name, p.n)
	case p.f.steps[len(p.f.steps)-1].kind != quiet:
		return nil, fmt.Errorf("%s:%d: the flow does not end with a quiet line", name, p.n)
	}
	return p.f, nil
}

// clauseNames are what a flow's first line may point to.
var clauseNames = regexp.MustCompile(`RFC [0-9]{4}|BEHAVIOUR|ARCHITECTURE|SCHEMA`)

// comment is where a comment begins within a line.
var comment = regexp.MustCompile(`(^|\s)#(\s.*)?$`)

// line reads one line.
func (p *parser) line(l string) error {
	if p.f.Title == "" {
		if !strings.HasPrefix(l, "# ") || !clauseNames.MatchString(l) {
			return fmt.Errorf("the first line is a comment that names the clauses, as in \"# RFC 3261 16.7: what is shown\"")
		}
		p.f.Title = strings.TrimPrefix(l, "# ")
		return nil
	}
	if t := strings.TrimLeft(l, " \t"); t != l && strings.HasPrefix(t, "|") {
		if p.last == nil {
			return fmt.Errorf("a body line belongs below a message")
		}
		p.last.body = append(p.last.body, strings.TrimPrefix(strings.TrimPrefix(t, "|"), " "))
		return nil
	}
	if at := comment.FindStringIndex(l); at != nil {
		l = strings.TrimRight(l[:at[0]], " \t")
	}
	if l == "" {
		return nil
	}
	if l[0] == ' ' || l[0] == '\t' {
		if p.last == nil {
			return fmt.Errorf("a line that begins with white space goes on with the message above it, and there is none")
		}
		return p.segment(p.last, strings.TrimSpace(l))
	}
	p.last = nil
	words := strings.Fields(l)
	switch words[0] {
	case "domain":
		if len(words) != 2 {
			return fmt.Errorf("want: domain NAME")
		}
		p.f.Domains = append(p.f.Domains, words[1])
	case "user":
		return p.user(words[1:])
	case "alias":
		return p.alias(words[1:])
	case "set":
		if len(words) < 3 {
			return fmt.Errorf("want: set Name value")
		}
		p.f.Settings = append(p.f.Settings, Setting{words[1], strings.Join(words[2:], " ")})
	case "peer":
		return p.peer(words[1:])
	case "at":
		return p.at(l)
	case "ignore":
		return p.ignore(l)
	case "quiet":
		d, err := time.ParseDuration(strings.Join(words[1:], ""))
		if err != nil || d <= 0 {
			return fmt.Errorf("want: quiet 40s")
		}
		p.f.steps = append(p.f.steps, &step{line: p.n, text: l, kind: quiet, at: d})
		p.ended = true
	case "log":
		return p.log(l, words[1:])
	default:
		return fmt.Errorf("%q is none of domain, user, alias, set, peer, at, ignore, quiet, log", words[0])
	}
	return nil
}

// user reads: user NAME[@DOMAIN] [never|requested|required] [redirect] [disabled] [password=P].
func (p *parser) user(words []string) error {
	if len(words) == 0 {
		return fmt.Errorf("want: user bob@example.org never")
	}
	u := User{AOR: aor(words[0]), Policy: "never", Password: DefaultPassword}
	for _, w := range words[1:] {
		switch name, value, _ := strings.Cut(w, "="); name {
		case "never", "requested", "required":
			u.Policy = name
		case "redirect":
			u.Redirect = true
		case "disabled":
			u.Disabled = true
		case "password":
			u.Password = value
		default:
			return fmt.Errorf("%q is none of never, requested, required, redirect, disabled, password=", w)
		}
	}
	p.f.Users = append(p.f.Users, u)
	return nil
}

// aor adds the domain of flows to a bare name.
func aor(s string) string {
	if strings.Contains(s, "@") {
		return s
	}
	return s + "@" + Domain
}

// alias reads: alias NAME USER [group].
func (p *parser) alias(words []string) error {
	if len(words) < 2 || len(words) > 3 || len(words) == 3 && words[2] != "group" {
		return fmt.Errorf("want: alias sales@example.org bob@example.org [group]")
	}
	p.f.Aliases = append(p.f.Aliases, Alias{Alias: aor(words[0]), AOR: aor(words[1]), Group: len(words) == 3})
	return nil
}

// peer reads: peer NAME ADDRESS[:PORT] [AOR] [tcp] [refuses] [bound [q=] [action=] [static] [expires=] [uri=] [instance=]].
func (p *parser) peer(words []string) error {
	if len(words) < 2 {
		return fmt.Errorf("want: peer alice 10.0.0.1")
	}
	name := words[0]
	if name == "proxy" || p.peers[name] != nil {
		return fmt.Errorf("the name %q is taken", name)
	}
	addr, err := netip.ParseAddrPort(words[1])
	if err != nil {
		a, err := netip.ParseAddr(strings.Trim(words[1], "[]"))
		if err != nil {
			return fmt.Errorf("%q is not an address: want 10.0.0.1, 10.0.0.1:5070 or [2001:db8::1]", words[1])
		}
		addr = netip.AddrPortFrom(a, 5060)
	}
	q := &Peer{Name: name, Addr: addr, AOR: name + "@elsewhere.example"}
	for _, w := range words[2:] {
		key, value, valued := strings.Cut(w, "=")
		switch {
		case w == "tcp":
			q.Proto = transport.TCP
		case w == "refuses":
			q.Refuses = true
		case w == "bound":
			q.Bound = &Binding{AOR: q.AOR, Milli: 1000, Expires: time.Hour}
		case valued && q.Bound == nil:
			return fmt.Errorf("%q belongs behind the word bound", w)
		case key == "q":
			v, err := strconv.ParseFloat(value, 64)
			if err != nil || v < 0 || v > 1 {
				return fmt.Errorf("%q: q is 0 to 1", w)
			}
			q.Bound.Milli = int(v*1000 + 0.5)
		case key == "action" && (value == "proxy" || value == "redirect"):
			q.Bound.Action = value
		case key == "expires":
			if q.Bound.Expires, err = time.ParseDuration(value); err != nil {
				return fmt.Errorf("%q: %w", w, err)
			}
		case key == "uri":
			q.Bound.URI = value
		case key == "instance":
			q.Bound.Instance = value
		case w == "static" && q.Bound != nil:
			q.Bound.Static = true
		case q.Bound == nil && !valued:
			q.AOR = aor(w)
		default:
			return fmt.Errorf("%q is not understood in a peer line", w)
		}
	}
	if q.Bound != nil && q.Bound.URI == "" {
		q.Bound.URI = q.contact()
	}
	p.peers[name] = q
	p.f.Peers = append(p.f.Peers, q)
	return nil
}

// sentBy is the peer's address as in Via and Contact.
func (q *Peer) sentBy() string {
	if q.Addr.Port() == 5060 {
		if q.Addr.Addr().Is6() {
			return "[" + q.Addr.Addr().String() + "]"
		}
		return q.Addr.Addr().String()
	}
	return q.Addr.String()
}

// contact is the peer's Contact URI.
func (q *Peer) contact() string {
	user, _, _ := strings.Cut(q.AOR, "@")
	uri := "sip:" + user + "@" + q.sentBy()
	if q.Proto == transport.TCP {
		uri += ";transport=tcp"
	}
	return uri
}

// step starts a step at the time of the line.
func (p *parser) step(l string, k kind) *step {
	return &step{line: p.n, text: l, kind: k, at: p.now, words: map[string]string{}}
}

// at reads: at TIME FROM -> TO MESSAGE, at TIME NAME closes.
func (p *parser) at(l string) error {
	if p.ended {
		return fmt.Errorf("nothing follows a quiet line but log lines")
	}
	words := strings.Fields(l)
	if len(words) < 4 {
		return fmt.Errorf("want: at 0.5s alice -> proxy INVITE sip:bob@example.org")
	}
	t, err := time.ParseDuration(words[1])
	if err != nil || t < 0 {
		return fmt.Errorf("%q is not a time: want 0s, 0.5s, 3m", words[1])
	}
	if t < p.now {
		return fmt.Errorf("%v is before %v of the line above", t, p.now)
	}
	p.now = t
	if words[3] == "closes" && len(words) == 4 {
		s := p.step(l, closeConn)
		if s.peer = p.peers[words[2]]; s.peer == nil {
			return fmt.Errorf("no peer line declares %q", words[2])
		}
		p.f.steps = append(p.f.steps, s)
		return nil
	}
	_, rest, _ := strings.Cut(l, words[1])
	s := p.step(l, send)
	if err := p.message(s, rest); err != nil {
		return err
	}
	p.f.steps = append(p.f.steps, s)
	p.last = s
	return nil
}

// ignore reads: ignore proxy -> NAME MESSAGE.
func (p *parser) ignore(l string) error {
	s := p.step(l, expect)
	if err := p.message(s, strings.TrimPrefix(l, "ignore")); err != nil {
		return err
	}
	if s.kind != expect {
		return fmt.Errorf("want: ignore proxy -> alice 100")
	}
	p.f.ignores = append(p.f.ignores, s)
	p.last = s
	return nil
}

// message reads: FROM -> TO MESSAGE.
func (p *parser) message(s *step, l string) error {
	from, rest, ok := strings.Cut(strings.TrimSpace(l), "->")
	rest = strings.TrimSpace(rest)
	to, rest, _ := strings.Cut(rest, " ")
	from = strings.TrimSpace(from)
	if !ok || to == "" {
		return fmt.Errorf("want: alice -> proxy, or proxy -> alice, and a message")
	}
	name := from
	switch {
	case to == "proxy" && from != "proxy":
		s.kind = send
	case from == "proxy" && to != "proxy":
		s.kind, name = expect, to
	default:
		return fmt.Errorf("one of %q and %q is to be proxy", from, to)
	}
	if s.peer = p.peers[name]; s.peer == nil {
		return fmt.Errorf("no peer line declares %q", name)
	}
	for _, part := range regexp.MustCompile(`\s{2,}|\t`).Split(strings.TrimSpace(rest), -1) {
		if part == "" {
			continue
		}
		if err := p.segment(s, part); err != nil {
			return err
		}
	}
	if s.method == "" && s.status == 0 && !s.raw {
		return fmt.Errorf("a message is missing: a method and its Request-URI, or a status")
	}
	return nil
}

// headSegment is a header in a flow: "Name: value", "Name:~ regexp", "!Name".
var headSegment = regexp.MustCompile(`^(?:!([A-Za-z][A-Za-z-]*)|([A-Za-z][A-Za-z-]*):([~*^#+]?)(?:\s+(.*))?)$`)

// flowWords are the words that may stand behind a message.
var flowWords = map[string]bool{"call": true, "as": true, "of": true, "again": true, "dialog": true, "auth": true, "nc": true,
	"nonce": true, "alg": true, "cseq": true, "branch": true, "from": true, "conn": true, "rport": true, "forwarded": true, "tag": true,
	"source": true, "retry": true, "realm": true}

// segment reads what stands between two gaps: a header, or words.
func (p *parser) segment(s *step, part string) error {
	if m := headSegment.FindStringSubmatch(part); m != nil {
		return s.header(m[1], m[2], m[3], m[4])
	}
	for _, w := range strings.Fields(part) {
		name, value, _ := strings.Cut(w, "=")
		switch n, err := strconv.Atoi(w); {
		case s.method == "" && s.status == 0 && !s.raw && w == "raw":
			s.raw = true
		case s.method == "" && s.status == 0 && !s.raw && err == nil:
			if n < 100 || n > 699 {
				return fmt.Errorf("%d is not a status", n)
			}
			s.status = n
		case s.method == "" && s.status == 0 && !s.raw:
			s.method = w
		case flowWords[name]:
			s.words[name] = value
		case s.status != 0 && s.method == "" && strings.ToUpper(w) == w:
			s.method = w
		case s.status == 0 && s.target == "" && (strings.Contains(w, ":") || p.peers[w] != nil || strings.HasPrefix(w, "{")):
			s.target = w
		default:
			return fmt.Errorf("%q is neither a header (Name: value), nor a word of flows, nor a Request-URI or peer", w)
		}
	}
	return nil
}

// header adds a header to a step.
func (s *step) header(gone, name, mark, value string) error {
	h := head{name: headerName(name), shown: name, value: value}
	switch mark {
	case "":
		h.op = equal
	case "~":
		h.op = matches
		var err error
		if h.match, err = regexp.Compile(value); err != nil {
			return err
		}
	case "*":
		h.op = contains
	case "^":
		h.op = prefix
	case "#":
		h.op = count
		if _, err := strconv.Atoi(value); err != nil {
			return fmt.Errorf("%s:# wants a number, not %q", name, value)
		}
	case "+":
		h.op = add
	}
	if gone != "" {
		h = head{name: headerName(gone), shown: gone, op: absent}
	}
	if s.kind == send && h.op != equal && h.op != add && h.op != absent {
		return fmt.Errorf("a header that is sent has a value: %s: ..., or %s:+ ... for one line more", h.shown, h.shown)
	}
	if s.kind == expect && h.op == add {
		return fmt.Errorf("%s:+ is for messages that are sent", h.shown)
	}
	s.heads = append(s.heads, h)
	return nil
}

// log reads: log METHOD STATUS [key=value]..., log none.
func (p *parser) log(l string, words []string) error {
	p.f.checked = true
	if len(words) == 1 && words[0] == "none" {
		return nil
	}
	if len(words) < 2 {
		return fmt.Errorf("want: log INVITE 200, or log none")
	}
	status, err := strconv.Atoi(words[1])
	if err != nil {
		return fmt.Errorf("%q is not a status", words[1])
	}
	row := &logLine{line: p.n, text: l, method: words[0], status: status, words: map[string]string{}}
	for _, w := range words[2:] {
		key, value, ok := strings.Cut(w, "=")
		switch key {
		case "url", "from", "to", "user", "source", "next":
		default:
			ok = false
		}
		if !ok {
			return fmt.Errorf("%q is none of url= from= to= user= source= next=", w)
		}
		row.words[key] = value
	}
	p.f.logs = append(p.f.logs, row)
	return nil
}
