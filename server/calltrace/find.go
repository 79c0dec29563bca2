package calltrace

import (
	"cmp"
	"encoding/binary"
	"hash/maphash"
	"slices"
	"time"

	"sipd/server/target"
	"sipd/trace"
)

// maxFound bounds the calls of one Call-ID that are returned: the last ones.
const maxFound = 32

// Find returns the calls with a Call-ID, the oldest first.
func (r *Ring) Find(callID string) []Call {
	if r == nil {
		return nil
	}
	var list []Call
	hash := maphash.String(r.seed, callID)
	for i := range r.slots {
		s := &r.slots[i]
		s.mu.Lock()
		if s.ref == 0 || s.call != hash {
			s.mu.Unlock()
			continue
		}
		c := Call{ref: s.ref, Time: time.Unix(0, s.begun).UTC(), Challenges: s.before, Repeated: s.again, Cut: s.cut, Trace: []Step{}, Events: []Event{}}
		buf := slices.Clone(s.buf)
		s.mu.Unlock()
		c.read(&reader{names: &r.names, buf: buf})
		if c.CallID == callID[:min(len(callID), maxText)] {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b Call) int { return cmp.Compare(a.ref, b.ref) })
	return list[max(0, len(list)-maxFound):]
}

// reader takes a packed call apart. What is missing is zero.
type reader struct {
	names *names
	buf   []byte
}

func (r *reader) number() uint64 {
	n, size := binary.Uvarint(r.buf)
	if size <= 0 {
		r.buf = nil
		return 0
	}
	r.buf = r.buf[size:]
	return n
}

func (r *reader) octet() (b byte) {
	if len(r.buf) > 0 {
		b, r.buf = r.buf[0], r.buf[1:]
	}
	return b
}

func (r *reader) text() string {
	n := min(r.number(), uint64(len(r.buf)))
	t := string(r.buf[:n])
	r.buf = r.buf[n:]
	return t
}

func (r *reader) name() string {
	if id := r.number(); id != 0 {
		return r.names.name(id)
	}
	return r.text()
}

func (c *Call) read(r *reader) {
	c.CallID, c.URI, c.From, c.User, c.Source, c.Transport = r.text(), r.text(), r.text(), r.text(), r.text(), r.text()
	c.CSeq, c.Questions = uint32(r.number()), uint32(r.number())
	c.Decision, c.Status = KindName(target.Kind(r.number())), int(r.number())
	for len(r.buf) > 0 {
		switch kind := r.octet(); kind {
		case entryStep:
			steps := &c.Trace
			if n := len(c.Events); n > 0 {
				steps = &c.Events[n-1].Trace
			}
			*steps = append(*steps, r.step())
		case entryTarget:
			c.Targets = append(c.Targets, r.target())
		case entryElse:
			if n := len(c.Targets); n > 0 {
				c.Targets[n-1].Else = append(c.Targets[n-1].Else, r.target())
			} else {
				r.target()
			}
		case entryFallback:
			c.Fallback = append(c.Fallback, r.target())
		default:
			e := Event{What: what(kind), After: float64(r.number()) / 1000}
			switch kind {
			case entryBranch:
				e.URI, e.Address, e.Proto = r.text(), r.text(), r.text()
				e.Status, e.Received, e.Gateway = int(r.number()), r.number() == 1, int64(r.number())
			case entryFinal:
				e.Status = int(r.number())
				c.Final = e.Status
			}
			c.Events = append(c.Events, e)
		}
	}
}

func what(kind byte) string {
	switch kind {
	case entryBranch:
		return "branch"
	case entryForward:
		return "forward"
	case entryRecursion:
		return "recursion"
	case entryCancel:
		return "cancel"
	case entryFinal:
		return "final"
	}
	return "unknown"
}

func (r *reader) step() Step {
	st := Step{Rule: r.name(), Table: r.name(), Row: int64(r.number())}
	st.Verdict = trace.Verdict(r.octet()).String()
	st.Note, st.Subject = r.name(), r.text()
	return st
}

func (r *reader) target() Target {
	return Target{URI: r.text(), User: r.text(), Q: float64(r.number()) / 1000, Group: int(r.number()), After: float64(r.number()) / 1000,
		Gateway: int64(r.number()), Rule: int64(r.number())}
}
