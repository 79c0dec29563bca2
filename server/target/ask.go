package target

import (
	"bytes"
	"strings"
	"time"

	"sipd/location"
	"sipd/sipaddr"
	"sipd/store"
	"sipd/store/cache"
	"sipd/trace"
)

// QuestionKind is who knows the answer.
type QuestionKind uint8

// The kinds.
const (
	NoQuestion QuestionKind = iota
	Enum                    // DNS knows the URIs of a number (RFC 6116)
	Locate                  // Locator knows where somebody is who is unknown or has no contact
)

// Question is what a decision has to know that no table says. Decide ends with it, and is called again with the Answer.
type Question struct {
	Kind    QuestionKind
	Subject string // the number, or the address-of-record
	Caller  string // who has proven to be calling, "" for nobody
	Method  string
}

// Found is a URI of an answer.
type Found struct {
	URI   string
	Q     int // thousandths; Locate
	Place int // Enum: those of a lower one are tried before it, those of the same together
}

// Answer is what a Question was answered; none Found: nobody knows.
type Answer struct {
	Question
	Found []Found // in the order of their places
	Err   error   // why nobody knows, nil: there is nothing to know
}

const (
	// maxAnswers bounds the URIs of an answer that become targets.
	maxAnswers = 16
	// maxQuestions bounds the questions of one call: a number that DNS does not know and Locator may know has two. Tables that change in
	// between may raise others.
	maxQuestions = 4
	// placeStep is how much less the contacts of the next place of an answer are wanted, in thousandths, where a redirect lists them.
	placeStep = 1000 / (maxAnswers + 4)
)

// answers returns the answer to a question about subject. asks: there is none yet, and the decision is to wait for it.
func (d *Decision) answers(f *Facts, kind QuestionKind, subject []byte) (found []Found, asks bool) {
	name := [...]string{Enum: "enum", Locate: "locator"}[kind]
	for i := range f.Answers {
		a := &f.Answers[i]
		switch {
		case a.Kind != kind || a.Subject != string(subject):
			continue
		case a.Err != nil:
			d.step(name, a.Subject, trace.NoMatch, "no answer: "+a.Err.Error())
		case len(a.Found) == 0:
			d.step(name, a.Subject, trace.NoMatch, "it knows of nothing")
		}
		return a.Found[:min(len(a.Found), maxAnswers)], false
	}
	if len(f.Answers) >= maxQuestions {
		d.step(name, string(subject), trace.Skip, "too many questions were asked")
		return nil, false
	}
	d.Kind, d.Question = Ask, Question{Kind: kind, Subject: string(subject), Caller: string(f.User.Key), Method: string(f.Method)}
	d.step(name, d.Question.Subject, trace.Match, "it is asked")
	return nil, true
}

// enum asks where a number of the world is reached (BEHAVIOUR B9): when nobody here has it, ahead of the gateway map. Callers must be known, as
// for gateways.
func (d *Decision) enum(t Tables, f *Facts, now time.Time) (found, asks bool) {
	if !t.Enum || !sipaddr.Global(d.number) || !known(t, f) {
		return false, false
	}
	uris, asks := d.answers(f, Enum, d.number)
	if asks || len(uris) == 0 { // What no expression of RFC 6116 turns into a SIP address may have a gateway.
		return false, asks
	}
	number := string(d.number) // What is looked up on the way is another one.
	d.several = len(uris) > 1
	groups, turns := 0, 0 // A place is one of these groups, or several, whatever the q of its contacts.
	for i := 0; i < len(uris); turns++ {
		first, place := len(d.Targets), uris[i].Place
		for ; i < len(uris) && uris[i].Place == place; i++ {
			d.leadByNumber(t, f, uris[i].URI, now)
		}
		if place != uris[0].Place || i < len(uris) {
			groups = d.inTurn(first, groups)
			d.weigh(first, maxQ-turns*placeStep)
		}
	}
	d.rings = d.rings || turns > 1
	d.number = append(d.number[:0], number...)
	return len(d.Targets) > 0, false
}

// inTurn makes groups of the targets from first on, which are tried after those before them: the next group is returned.
func (d *Decision) inTurn(first, group int) int {
	if d.rings { // A ring group that has ordered them: it was the first to be asked.
		d.rings = false
		for i := range d.Targets[first:] {
			group = max(group, d.Targets[first+i].Group+1)
		}
		return group
	}
	all := d.Targets
	d.Targets = all[first:]
	d.order()
	best := 0
	for i := range d.Targets {
		x := &d.Targets[i]
		if q := int(x.Binding.Q); i == 0 {
			best = q
		} else if best-q > groupSpan {
			group, best = group+1, q
		}
		x.Group = group
	}
	if len(d.Targets) > 0 {
		group++
	}
	d.Targets = all
	return group
}

// leadByNumber collects where a URI leads that DNS has for a number. Who writes it is a stranger: it names users of ours, and leads out of our
// domains where the caller could go by himself, but to no gateway, which somebody pays for.
func (d *Decision) leadByNumber(t Tables, f *Facts, text string, now time.Time) {
	skip := func(note string) { d.step("enum", text, trace.Skip, note) }
	u, err := sipaddr.Parse([]byte(text))
	if err != nil || u.Scheme != sipaddr.SIP && u.Scheme != sipaddr.SIPS {
		skip("neither sip nor sips")
		return
	}
	if dom := domainFor(t, &u, t.ownURI(&u)); dom != nil {
		is := d.find(t, &u, dom)
		if d.AORs = d.AORs[:0]; is != people {
			skip("it names nobody here, or several")
			return
		}
		d.step("enum", text, trace.Match, "a user of ours")
		d.callAll(t, now, 1)
		return
	}
	mode, why := t.outward(f)
	switch {
	case mode == "reject":
		skip("another domain: " + why)
	case d.toGateway(t, &u, "enum", text):
	case mode == "redirect" && len(d.Targets) < maxTargets && !d.inSet(text):
		d.step("enum", text, trace.Match, "another domain, where the caller is sent")
		d.add(Target{Binding: &location.Binding{URI: text, Q: maxQ}, Owner: f.User, Only: store.Redirect})
	default:
		d.lead(t, &u, text, f.User, now, 1)
	}
}

// locate asks where somebody is whom no table knows, or who has no contact (BEHAVIOUR A5, A6). u is the user, if it is one.
func (d *Decision) locate(t Tables, f *Facts, is finding, u cache.User, now time.Time) (found, asks bool) {
	if !t.Locator || d.free {
		return false, false
	}
	d.key = d.key[:0]
	switch {
	case u.Exists():
		d.key = append(d.key, u.Key...)
	case is == number:
		d.key = append(append(append(d.key, d.number...), '@'), f.Canonical.Canonical...)
	case f.URI.Scheme == sipaddr.TEL:
		d.key = append(append(appendNumber(d.key, f.URI), '@'), f.Canonical.Canonical...)
	default:
		d.key = appendCanonical(d.key, f.URI, f.Canonical.Canonical)
	}
	if bytes.IndexByte(d.key, '@') != bytes.LastIndexByte(d.key, '@') || bytes.ContainsAny(d.key, " <>\"") {
		d.step("locator", string(d.key), trace.Skip, "a name that no URI could have as it stands")
		return false, false
	}
	uris, asks := d.answers(f, Locate, d.key)
	if asks || len(uris) == 0 {
		return false, asks
	}
	d.rings, d.Waiting = false, Waiting{}
	for _, x := range uris {
		first := len(d.Targets)
		d.leadByLocator(t, f, x.URI, u, now)
		d.weigh(first, x.Q)
	}
	if found = len(d.Targets) > 0; found && u.Exists() && !d.several {
		d.await(t, u) // They are his contacts.
	}
	return found, false
}

// leadByLocator collects where a contact leads that Locator has named. It is the administrator's: it goes wherever a static contact may.
// One that is a local address-of-record is looked up here.
func (d *Decision) leadByLocator(t Tables, f *Facts, text string, u cache.User, now time.Time) {
	skip := func(note string) { d.step("locator", text, trace.Skip, note) }
	uri, err := sipaddr.Parse([]byte(text))
	if err != nil || uri.Scheme != sipaddr.SIP && uri.Scheme != sipaddr.SIPS {
		skip("neither sip nor sips")
		return
	}
	own := t.ownURI(&uri)
	dom := domainFor(t, &uri, own)
	switch {
	case dom != nil:
		d.step("locator", text, trace.Match, "a local address-of-record")
		payer := u
		if !u.Exists() {
			payer = f.User
		}
		d.leadOn(t, d.find(t, &uri, dom), text, payer, now, 1)
	case own:
		skip("it leads to this server")
	case d.toGateway(t, &uri, "locator", text):
	case d.sips && uri.Scheme != sipaddr.SIPS:
		d.insecure = true
		skip("a sips request goes by TLS alone")
	case !t.Names && !numericHost(&uri):
		skip("its host is a name, only numeric next hops can be reached")
	case len(d.Targets) >= maxTargets || d.inSet(text):
		skip("in the target set already, or there are too many")
	default:
		d.step("locator", text, trace.Match, "")
		d.add(Target{Binding: &location.Binding{URI: text, Q: maxQ}, Owner: u, By: byAdministrator})
	}
}

// appendNumber appends a tel URI's number as it is written, without separators.
func appendNumber(dst []byte, u *sipaddr.URI) []byte {
	return append(dst, strings.Map(func(c rune) rune {
		if strings.ContainsRune("-.()", c) {
			return -1
		}
		return c
	}, string(u.User))...)
}
