package target

import (
	"time"

	"sipd/sipaddr"
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
	URI string
	Q   int // thousandths
}

// Answer is what a Question was answered; none Found: nobody knows.
type Answer struct {
	Question
	Found []Found
}

// maxAnswers bounds the URIs of an answer that become targets.
const maxAnswers = 16

// answers returns the answer to a question about subject. asks: there is none yet, and the decision is to wait for it.
func (d *Decision) answers(f *Facts, kind QuestionKind, subject []byte) (found []Found, asks bool) {
	for i := range f.Answers {
		if a := &f.Answers[i]; a.Kind == kind && a.Subject == string(subject) {
			return a.Found, false
		}
	}
	d.Kind, d.Question = Ask, Question{Kind: kind, Subject: string(subject), Caller: string(f.User.Key), Method: string(f.Method)}
	d.step("question", d.Question.Subject, trace.Match, "somebody else knows, or nobody")
	return nil, true
}

// followAnswer collects where the URIs of an answer lead, for the caller.
func (d *Decision) followAnswer(t Tables, f *Facts, rule string, found []Found, now time.Time) bool {
	begin := len(d.Targets)
	for _, x := range found[:min(len(found), maxAnswers)] {
		u, err := sipaddr.Parse([]byte(x.URI))
		if err != nil {
			d.step(rule, x.URI, trace.Skip, "no URI")
			continue
		}
		d.step(rule, x.URI, trace.Match, "")
		first := len(d.Targets)
		d.lead(t, &u, x.URI, f.User, now, 1)
		d.weigh(first, x.Q)
	}
	return len(d.Targets) > begin
}

// enum asks where a number of the world is reached (BEHAVIOUR B9): when nobody here has it, ahead of the gateway map. The answer may lead out
// of our domains, so it is for those who may call there.
func (d *Decision) enum(t Tables, f *Facts, now time.Time) (found, asks bool) {
	if !t.Enum || !sipaddr.Global(d.number) || !known(t, f) {
		return false, false
	}
	uris, asks := d.answers(f, Enum, d.number)
	if asks || len(uris) == 0 { // What no expression of RFC 6116 turns into a SIP address may have a gateway.
		return false, asks
	}
	// What is looked up on the way is another number.
	asked := string(d.number)
	found = d.followAnswer(t, f, "enum", uris, now)
	d.number = append(d.number[:0], asked...)
	return found, false
}

// locate asks where somebody is whom no table knows, or who has no contact (BEHAVIOUR A5, A6).
func (d *Decision) locate(t Tables, f *Facts, now time.Time) bool {
	if d.Kind == Ask || !t.Locator || d.free {
		return false
	}
	d.key = d.key[:0]
	if f.URI.Scheme == sipaddr.TEL {
		d.key = append(append(append(d.key, d.number...), '@'), f.Canonical.Canonical...)
	} else {
		d.key = appendCanonical(d.key, f.URI, f.Canonical.Canonical)
	}
	uris, asks := d.answers(f, Locate, d.key)
	return !asks && len(uris) > 0 && d.followAnswer(t, f, "locator", uris, now)
}
