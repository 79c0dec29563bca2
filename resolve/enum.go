package resolve

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Limits of one look-up of a number: whoever owns a zone writes what he likes into it.
const (
	// maxDigits is how long a number of E.164 is.
	maxDigits = 15
	// maxEnumTargets is how many targets a look-up gives: they are tried one after the other.
	maxEnumTargets = 8
	// maxEnumChain is how many records that lead to another name are followed in a row (RFC 6116 5.2.1), maxEnumQuestions how many
	// questions one look-up may ask.
	maxEnumChain     = 5
	maxEnumQuestions = 8
	// maxEnumWork bounds the expressions of one look-up, in instructions of the machines that run them: 64 records with a whole
	// number each have 1,600. It keeps a look-up from the cache below a millisecond.
	maxEnumWork = 4000
)

// ErrNoTarget: the number is not in the tree, or has no SIP address there.
var ErrNoTarget = errors.New("resolve: no SIP address of this number")

// EnumTarget is a SIP address that a number stands for. Targets are tried in order.
type EnumTarget struct {
	URI               string // sip or sips, without headers
	Name              string // the domain name whose record it is
	Order, Preference uint16 // of the record
}

// enumQuery is a number and the tree that it is looked up in.
type enumQuery struct{ number, root string }

// name is where the records of the number are (RFC 6116 3.2): its digits backwards, with dots, below root.
func (q enumQuery) name() string {
	var b strings.Builder
	for i := len(q.number) - 1; i > 0; i-- {
		b.WriteByte(q.number[i])
		b.WriteByte('.')
	}
	return b.String() + q.root
}

func (q enumQuery) check() error {
	digits, plus := strings.CutPrefix(q.number, "+")
	if !plus || digits == "" || len(digits) > maxDigits || strings.Trim(digits, "0123456789") != "" {
		return fmt.Errorf("%w: %q is not + and 1 to %d digits", ErrNoTarget, clip(q.number), maxDigits)
	}
	if !validName(q.name()) {
		return fmt.Errorf("%w: %q is not a domain name that numbers can be below", ErrNoTarget, clip(q.root))
	}
	return nil
}

// Enum finds the SIP addresses of a number of E.164, "+" and digits, in the tree below root, such as "e164.arpa" (RFC 6116). When nobody
// must be asked it returns the targets, or an error, and ready; else ready is false, and done is called later, once, by another
// goroutine. The targets are the caller's.
func (r *Resolver) Enum(number, root string, done func([]EnumTarget, error)) (targets []EnumTarget, err error, ready bool) {
	q := enumQuery{number, plain(root)}
	targets, err = newEnumLook(q, r.cached).find()
	if !errors.Is(err, errNotCached) {
		return targets, err, true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	l, err := r.join(wanted{number: q}, time.Now())
	if err != nil {
		return nil, err, true
	}
	l.targets = append(l.targets, done)
	return nil, nil, false
}

// ExplainEnum looks a number up and tells each step; the sections are those of RFC 6116.
func (r *Resolver) ExplainEnum(ctx context.Context, number, root string, steps func(Step)) ([]EnumTarget, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	l := newEnumLook(enumQuery{number, plain(root)}, r.asking(ctx))
	l.steps = steps
	return l.find()
}

// answerNumber looks a number up and tells everybody who waits for it.
func (r *Resolver) answerNumber(l *lookup, late bool) {
	var targets []EnumTarget
	err := ErrBusy
	if !late {
		targets, err = r.findNumber(l.number)
	}
	r.leave(l, err)
	for _, done := range l.targets {
		r.guarded(func() { done(slices.Clone(targets), err) })
	}
}

func (r *Resolver) findNumber(q enumQuery) (targets []EnumTarget, err error) {
	ctx, cancel := context.WithTimeout(r.ctx, lookupTime)
	defer cancel()
	defer r.recovered(&err)
	return newEnumLook(q, r.asking(ctx)).find()
}

// enumLook is the look-up of a number on its way.
type enumLook struct {
	query   enumQuery
	ask     records
	steps   func(Step) // told each step; nil
	asked   int
	work    int      // what is left of maxEnumWork
	way     []string // the names that led here
	targets []EnumTarget
	failed  error // a question that got no answer
}

func newEnumLook(q enumQuery, ask records) *enumLook {
	return &enumLook{query: q, ask: ask, work: maxEnumWork}
}

// find does RFC 6116 3.
func (l *enumLook) find() ([]EnumTarget, error) {
	if err := l.query.check(); err != nil {
		return nil, err
	}
	name := l.query.name()
	l.say("3.2", "%s is looked for at %s", l.query.number, name)
	_, err := l.enter(name)
	switch {
	case errors.Is(err, errNotCached):
		return nil, err
	case len(l.targets) > 0:
		return l.targets, nil
	case err != nil:
		return nil, err
	case l.failed != nil:
		return nil, l.failed
	}
	return nil, fmt.Errorf("%w: %s in %s", ErrNoTarget, l.query.number, l.query.root)
}

// enter takes the records of a name in their order. found tells whether they gave a target; then those of a higher order do not count
// any more (RFC 3403 4.1).
func (l *enumLook) enter(name string) (found bool, err error) {
	a, err := l.question(name)
	if err != nil {
		return false, err
	}
	l.way = append(l.way, name)
	defer func() { l.way = l.way[:len(l.way)-1] }()
	rows := slices.Clone(a.NAPTR)
	// 5.2: those that are alike stay in the order of the answer.
	slices.SortStableFunc(rows, func(a, b NAPTRRecord) int {
		if a.Order != b.Order {
			return int(a.Order) - int(b.Order)
		}
		return int(a.Preference) - int(b.Preference)
	})
	order := uint16(0)
	for i := range rows {
		r := &rows[i]
		if found && r.Order != order {
			l.record("3.5", r, "passed over: one of a lower order was taken")
			continue
		}
		if len(l.targets) >= maxEnumTargets {
			l.record("3.5", r, fmt.Sprintf("passed over: there are %d targets", maxEnumTargets))
			continue
		}
		ok, err := l.rule(name, r)
		if errors.Is(err, errNotCached) {
			return false, err
		}
		if err != nil { // 5.2.1: what fails behind a record does not end the look-up.
			l.failed = err
		}
		if ok {
			found, order = true, r.Order
		}
	}
	return found, nil
}

// rule takes one record. ok tells whether it gave a target.
func (l *enumLook) rule(name string, r *NAPTRRecord) (ok bool, err error) {
	switch {
	case r.Flags == "":
		return l.follow(r)
	case !strings.EqualFold(r.Flags, "u"): // 3.4.2: an unknown flag may change what the other fields mean.
		l.record("3.4.2", r, "passed over: the flag is not u")
		return false, nil
	}
	if why := isSIP(unescape(r.Service)); why != "" {
		l.record("3.4.3", r, "passed over: "+why)
		return false, nil
	}
	if r.Replacement != "" { // RFC 3403 4.1: either of the two.
		l.record("3.4", r, "passed over: it has a replacement beside or instead of an expression")
		return false, nil
	}
	uri, err := rewrite(l.query.number, unescape(r.Regexp), &l.work)
	if err != nil {
		l.record("3.4", r, "passed over: "+err.Error())
		return false, nil
	}
	l.record("3.4", r, uri)
	if !slices.ContainsFunc(l.targets, func(t EnumTarget) bool { return t.URI == uri }) {
		l.targets = append(l.targets, EnumTarget{URI: uri, Name: name, Order: r.Order, Preference: r.Preference})
	}
	return true, nil
}

// follow takes a record that leads to another name (5.2.1). Its service and expression do not count.
func (l *enumLook) follow(r *NAPTRRecord) (ok bool, err error) {
	switch {
	case !validName(r.Replacement):
		l.record("5.2.1", r, "passed over: it leads to no domain name")
		return false, nil
	case slices.Contains(l.way, r.Replacement):
		l.record("5.2.1", r, "passed over: a loop")
		return false, nil
	case len(l.way) > maxEnumChain:
		l.record("5.2.1", r, fmt.Sprintf("passed over: %d in a row lead to other names", maxEnumChain))
		return false, nil
	case l.asked >= maxEnumQuestions:
		l.record("5.2.1", r, fmt.Sprintf("passed over: %d names have been asked for", maxEnumQuestions))
		return false, nil
	}
	l.record("5.2.1", r, "followed")
	return l.enter(r.Replacement)
}

// question asks for the records of a name.
func (l *enumLook) question(name string) (Answer, error) {
	l.asked++
	a, err := l.ask(name, NAPTR)
	if l.steps != nil {
		s := Step{Section: "3.2", Question: name + " NAPTR", Records: a.count(), TTL: a.ttl, From: a.source(), Err: err}
		if a.cached {
			s.TTL = 0
		}
		l.steps(s)
	}
	return a, err
}

func (l *enumLook) say(section, format string, args ...any) {
	if l.steps != nil {
		l.steps(Step{Section: section, Text: fmt.Sprintf(format, args...)})
	}
}

// record says what became of a record.
func (l *enumLook) record(section string, r *NAPTRRecord, what string) {
	if l.steps == nil {
		return
	}
	is := fmt.Sprintf("%q", clip(unescape(r.Regexp)))
	if r.Flags == "" || r.Replacement != "" {
		is = "to " + clip(r.Replacement)
	}
	l.say(section, "order %d, preference %d, %q %q %s: %s", r.Order, r.Preference, clip(unescape(r.Flags)), clip(unescape(r.Service)), is, what)
}
