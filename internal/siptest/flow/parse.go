package flow

import (
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
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
	last  *Step
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
	if len(p.f.Listens) == 0 {
		p.f.Listens = []string{"udp", "tcp", "ipv4", "ipv6"}
		if slices.ContainsFunc(p.f.Peers, func(q *Peer) bool { return q.Proto == transport.TLS }) {
			p.f.Listens = append(p.f.Listens, "tls")
		}
	}
	switch {
	case len(p.f.Steps) == 0:
		return nil, fmt.Errorf("%s:%d: nothing happens in this flow", name, p.n)
	case p.f.Steps[len(p.f.Steps)-1].Kind != Quiet:
		return nil, fmt.Errorf("%s:%d: the flow does not end with a quiet line", name, p.n)
	}
	return p.f, nil
}

// clause is what a flow's first line names at least once: a section of an RFC, or a part of docs/behaviour.md.
var clause = regexp.MustCompile(`RFC [0-9]{4} [0-9]|BEHAVIOUR [A-J]|BEHAVIOUR, decided`)

// comment is where a comment begins within a line.
var comment = regexp.MustCompile(`(^|\s)#(\s.*)?$`)

// line reads one line.
func (p *parser) line(l string) error {
	if p.f.Title == "" {
		if !strings.HasPrefix(l, "# ") || !clause.MatchString(l) {
			return fmt.Errorf("the first line is a comment that names the clauses, as in \"# RFC 3261 16.7: what is shown\"")
		}
		p.f.Title = strings.TrimPrefix(l, "# ")
		return nil
	}
	if t := strings.TrimLeft(l, " \t"); t != l && strings.HasPrefix(t, "|") {
		if p.last == nil {
			return fmt.Errorf("a body line belongs below a message")
		}
		p.last.Body = append(p.last.Body, strings.TrimPrefix(strings.TrimPrefix(t, "|"), " "))
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
	case "class", "dialplan", "gateway", "or", "trunk", "forward":
		return p.numbers(words)
	case "locator":
		return p.locator(words[1:])
	case "thirdparty":
		if len(words) != 3 {
			return fmt.Errorf("want: thirdparty USER REGISTRANT")
		}
		p.f.ThirdParties = append(p.f.ThirdParties, ThirdParty{aor(words[1]), aor(words[2])})
	case "trusts":
		return p.trusts(words[1:])
	case "set":
		if len(words) < 3 {
			return fmt.Errorf("want: set Name value")
		}
		p.f.Settings = append(p.f.Settings, Setting{words[1], strings.Join(words[2:], " ")})
	case "peer":
		return p.peer(words[1:])
	case "dns":
		d, err := p.dns(l, words[1:])
		p.f.DNS = append(p.f.DNS, d)
		return err
	case "listens":
		for _, w := range words[1:] {
			if !slices.Contains([]string{"udp", "tcp", "tls", "ipv4", "ipv6"}, w) {
				return fmt.Errorf("%q is none of udp, tcp, tls, ipv4, ipv6", w)
			}
		}
		p.f.Listens = words[1:]
	case "at":
		return p.at(l)
	case "ignore":
		return p.ignore(l)
	case "quiet":
		d, err := time.ParseDuration(strings.Join(words[1:], ""))
		if err != nil || d <= 0 {
			return fmt.Errorf("want: quiet 40s")
		}
		p.f.Steps = append(p.f.Steps, &Step{Line: p.n, Text: l, Kind: Quiet, At: d})
		p.ended = true
	case "log":
		return p.log(l, words[1:])
	default:
		return fmt.Errorf("%q is none of domain, user, alias, class, dialplan, gateway, or, trunk, forward, locator, thirdparty, trusts, set, peer, dns, listens, at, ignore, quiet, log", words[0])
	}
	return nil
}

// user reads: user NAME[@DOMAIN] [never|requested|required] [redirect] [disabled] [password=P] [class=C].
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
		case "class":
			u.Class = p.class(value)
		default:
			return fmt.Errorf("%q is none of never, requested, required, redirect, disabled, password=, class=", w)
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

func (p *parser) trusts(words []string) error {
	var t Trusted
	for _, w := range words {
		if name, ok := strings.CutPrefix(w, "name="); ok {
			t.Name = name
		} else if w == "asserts" {
			t.Asserts = true
		} else {
			t.Nets += " " + w
		}
	}
	if t.Nets == "" && t.Name == "" {
		return fmt.Errorf("want: trusts [10.0.0.51] [10.1.0.0/16] [name=other.example] [asserts]")
	}
	p.f.Trusted = append(p.f.Trusted, t)
	return nil
}

// peer reads: peer NAME ADDRESS[:PORT] [AOR] [tcp|tls [certificate=]] [refuses] [notcp] [dead] [bound [q=] [action=] [static] [expires=] [uri=] [instance=]].
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
		if slices.Contains(words[2:], "tls") {
			addr = netip.AddrPortFrom(a, 5061)
		}
	}
	q := &Peer{Name: name, Addr: addr, AOR: name + "@elsewhere.example"}
	for _, w := range words[2:] {
		key, value, valued := strings.Cut(w, "=")
		switch {
		case w == "tcp":
			q.Proto = transport.TCP
		case w == "tls":
			q.Proto = transport.TLS
		case key == "certificate" && valued:
			q.certificate(value)
		case w == "dead":
			q.Dead = true
		case w == "refuses":
			q.Refuses = true
		case w == "notcp":
			q.NoTCP = true
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
		q.Bound.URI = q.Contact()
	}
	p.peers[name] = q
	p.f.Peers = append(p.f.Peers, q)
	return nil
}

// certificate reads the value of certificate=: names and addresses, wrong, expired and self.
func (q *Peer) certificate(value string) {
	for name := range strings.SplitSeq(value, ",") {
		switch name {
		case "wrong":
			q.Certificate = append(q.Certificate, "somebody-else.example")
		case "expired":
			q.Expired = true
		case "self":
			q.SelfSigned = true
		default:
			q.Certificate = append(q.Certificate, strings.Trim(name, "[]"))
		}
	}
}

// dns reads: dns NAME TYPE DATA [ttl=SECONDS], dns [NAME] silent|servfail|refused|slow=0.5s|answers, dns NAME gone.
func (p *parser) dns(l string, words []string) (*DNS, error) {
	d := &DNS{Line: p.n, Text: l, TTL: 300}
	if n := len(words) - 1; n > 0 && strings.HasPrefix(words[n], "ttl=") {
		var err error
		if d.TTL, err = strconv.Atoi(strings.TrimPrefix(words[n], "ttl=")); err != nil || d.TTL < 0 {
			return nil, fmt.Errorf("%q: want seconds", words[n])
		}
		words = words[:n]
	}
	if len(words) == 0 {
		return nil, fmt.Errorf("want: dns sip1.other.example A 10.0.0.51, or dns silent")
	}
	last := words[len(words)-1]
	does, value, _ := strings.Cut(last, "=")
	switch {
	case len(words) > 2:
		d.Name, d.Type, d.Data = strings.ToLower(words[0]), words[1], strings.Join(words[2:], " ")
		if !slices.Contains([]string{"A", "AAAA", "SRV", "NAPTR", "CNAME"}, d.Type) {
			return nil, fmt.Errorf("%q is none of A, AAAA, SRV, NAPTR, CNAME", d.Type)
		}
		return d, nil
	case len(words) == 2:
		d.Name = strings.ToLower(words[0])
	}
	switch d.Does = does; does {
	case "silent", "servfail", "refused", "answers":
	case "gone":
		if d.Name == "" {
			return nil, fmt.Errorf("want: dns NAME gone")
		}
	case "slow":
		var err error
		if d.Delay, err = time.ParseDuration(value); err != nil || d.Delay <= 0 {
			return nil, fmt.Errorf("%q: want slow=0.5s", last)
		}
	default:
		return nil, fmt.Errorf("%q is none of silent, servfail, refused, slow=, answers, gone", last)
	}
	return d, nil
}

// SentBy is the peer's address as in Via and Contact.
func (q *Peer) SentBy() string {
	if port := q.Addr.Port(); port == 5060 && q.Proto != transport.TLS || port == 5061 && q.Proto == transport.TLS {
		if q.Addr.Addr().Is6() {
			return "[" + q.Addr.Addr().String() + "]"
		}
		return q.Addr.Addr().String()
	}
	return q.Addr.String()
}

// Contact is the peer's Contact URI.
func (q *Peer) Contact() string {
	user, _, _ := strings.Cut(q.AOR, "@")
	uri := "sip:" + user + "@" + q.SentBy()
	if q.Proto != transport.UDP {
		uri += ";transport=" + q.Proto.Param()
	}
	return uri
}

// step starts a step at the time of the line.
func (p *parser) step(l string, k Kind) *Step {
	return &Step{Line: p.n, Text: l, Kind: k, At: p.now, Words: map[string]string{}}
}

// at reads: at TIME FROM -> TO MESSAGE, at TIME NAME closes, at TIME proxy restarts, at TIME dns ....
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
	if words[2] == "proxy" && words[3] == "restarts" && len(words) == 4 {
		p.f.Steps = append(p.f.Steps, p.step(l, Restart))
		return nil
	}
	if words[2] == "dns" {
		s := p.step(l, Change)
		s.DNS, err = p.dns(l, words[3:])
		p.f.Steps = append(p.f.Steps, s)
		return err
	}
	if words[3] == "closes" && len(words) == 4 {
		s := p.step(l, Close)
		if s.Peer = p.peers[words[2]]; s.Peer == nil {
			return fmt.Errorf("no peer line declares %q", words[2])
		}
		p.f.Steps = append(p.f.Steps, s)
		return nil
	}
	_, rest, _ := strings.Cut(l, words[1])
	s := p.step(l, Send)
	if err := p.message(s, rest); err != nil {
		return err
	}
	p.f.Steps = append(p.f.Steps, s)
	p.last = s
	return nil
}

// ignore reads: ignore proxy -> NAME MESSAGE.
func (p *parser) ignore(l string) error {
	s := p.step(l, Expect)
	if err := p.message(s, strings.TrimPrefix(l, "ignore")); err != nil {
		return err
	}
	if s.Kind != Expect {
		return fmt.Errorf("want: ignore proxy -> alice 100")
	}
	p.f.Ignores = append(p.f.Ignores, s)
	p.last = s
	return nil
}

// message reads: FROM -> TO MESSAGE.
func (p *parser) message(s *Step, l string) error {
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
		s.Kind = Send
	case from == "proxy" && to != "proxy":
		s.Kind, name = Expect, to
	default:
		return fmt.Errorf("one of %q and %q is to be proxy", from, to)
	}
	if s.Peer = p.peers[name]; s.Peer == nil {
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
	if s.Method == "" && s.Status == 0 && !s.Raw {
		return fmt.Errorf("a message is missing: a method and its Request-URI, or a status")
	}
	return nil
}

// headSegment is a header in a flow: "Name: value", "Name:~ regexp", "!Name".
var headSegment = regexp.MustCompile(`^(?:!([A-Za-z][A-Za-z-]*)|([A-Za-z][A-Za-z-]*):([~*^#+]?)(?:\s+(.*))?)$`)

// flowWords are the words that may stand behind a message.
var flowWords = map[string]bool{"call": true, "as": true, "of": true, "again": true, "dialog": true, "auth": true, "nc": true,
	"nonce": true, "alg": true, "cseq": true, "branch": true, "from": true, "conn": true, "rport": true, "forwarded": true, "tag": true,
	"source": true, "realm": true, "uri": true}

// segment reads what stands between two gaps: a header, or words.
func (p *parser) segment(s *Step, part string) error {
	if m := headSegment.FindStringSubmatch(part); m != nil {
		return s.header(m[1], m[2], m[3], m[4])
	}
	for _, w := range strings.Fields(part) {
		name, value, _ := strings.Cut(w, "=")
		switch n, err := strconv.Atoi(w); {
		case s.Method == "" && s.Status == 0 && !s.Raw && w == "raw":
			s.Raw = true
		case s.Method == "" && s.Status == 0 && !s.Raw && err == nil:
			if n < 100 || n > 699 {
				return fmt.Errorf("%d is not a status", n)
			}
			s.Status = n
		case s.Method == "" && s.Status == 0 && !s.Raw:
			s.Method = w
		case flowWords[name]:
			s.Words[name] = value
		case s.Status != 0 && s.Method == "" && strings.ToUpper(w) == w:
			s.Method = w
		case s.Status == 0 && s.Target == "" && (strings.Contains(w, ":") || p.peers[w] != nil || strings.HasPrefix(w, "{")):
			s.Target = w
		default:
			return fmt.Errorf("%q is neither a header (Name: value), nor a word of flows, nor a Request-URI or peer", w)
		}
	}
	return nil
}

// header adds a header to a step.
func (s *Step) header(gone, name, mark, value string) error {
	h := Head{Name: HeaderName(name), Shown: name, Value: value}
	switch mark {
	case "":
		h.Op = Equal
	case "~":
		h.Op = Matches
		var err error
		if h.Match, err = regexp.Compile(value); err != nil {
			return err
		}
	case "*":
		h.Op = Contains
	case "^":
		h.Op = Prefix
	case "#":
		h.Op = Count
		if _, err := strconv.Atoi(value); err != nil {
			return fmt.Errorf("%s:# wants a number, not %q", name, value)
		}
	case "+":
		h.Op = Add
	}
	if gone != "" {
		h = Head{Name: HeaderName(gone), Shown: gone, Op: Absent}
	}
	if s.Kind == Send && h.Op != Equal && h.Op != Add && h.Op != Absent {
		return fmt.Errorf("a header that is sent has a value: %s: ..., or %s:+ ... for one line more", h.Shown, h.Shown)
	}
	if s.Kind == Expect && h.Op == Add {
		return fmt.Errorf("%s:+ is for messages that are sent", h.Shown)
	}
	s.Heads = append(s.Heads, h)
	return nil
}

// log reads: log METHOD STATUS [key=value]..., log none.
func (p *parser) log(l string, words []string) error {
	p.f.Checked = true
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
	row := &LogLine{Line: p.n, Text: l, Method: words[0], Status: status, Words: map[string]string{}}
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
		row.Words[key] = value
	}
	p.f.Logs = append(p.f.Logs, row)
	return nil
}
