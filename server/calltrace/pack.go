package calltrace

import (
	"encoding/binary"
	"net/netip"
	"time"

	"sipd/server/target"
)

// A call is a header and entries. Numbers are varints, texts have their length before them, names are numbers of names or 0 and a text;
// events begin with the milliseconds since the request.
const (
	entryStep      = iota + 1 // rule, table, row, verdict, note, subject
	entryTarget               // URI, owner, q, group, milliseconds to wait, gateway, rule
	entryElse                 // the same: in the place of the target before, when it fails
	entryFallback             // the same: redirected to, when all fail
	entryBranch               // event: URI, address, transport, status, received, gateway
	entryForward              // event: steps follow
	entryRecursion            // event: steps follow
	entryCancel               // event
	entryFinal                // event: status
)

// Onward stands for the URI of a target that is where the Request-URI leads.
const Onward = "the domain of the Request-URI"

func (s *slot) number(n uint64) { s.buf = binary.AppendUvarint(s.buf, n) }

func text[T []byte | string](s *slot, t T) {
	t = t[:min(len(t), maxText)]
	s.number(uint64(len(t)))
	s.buf = append(s.buf, t...)
}

func (s *slot) addr(a netip.AddrPort) {
	var room [64]byte
	if !a.IsValid() {
		text(s, "")
		return
	}
	text(s, a.AppendTo(room[:0]))
}

func (s *slot) name(n *names, name string) {
	id := n.id(name)
	s.number(uint64(id))
	if id == 0 {
		text(s, name)
	}
}

// fit takes back what was written since begin when it does not fit.
func (s *slot) fit(begin, limit int) bool {
	if len(s.buf) <= limit {
		return true
	}
	s.buf, s.cut = s.buf[:begin], true
	return false
}

func (s *slot) header(q *Request, d *target.Decision) {
	text(s, q.CallID)
	text(s, q.URI)
	text(s, q.From)
	text(s, q.User)
	s.addr(q.Source)
	text(s, q.Proto)
	s.number(uint64(q.CSeq))
	s.number(uint64(q.Answers))
	s.number(uint64(d.Kind))
	s.number(uint64(d.Status))
}

// steps packs the trace of a decision, as far as there is room.
func (s *slot) steps(n *names, d *target.Decision, limit int) {
	steps := d.Trace.Steps()
	for i := range steps {
		st := &steps[i]
		begin := len(s.buf)
		s.buf = append(s.buf, entryStep)
		s.name(n, st.Rule)
		s.name(n, st.Table)
		s.number(uint64(st.Row))
		s.buf = append(s.buf, byte(st.Verdict))
		if st.Table == "gateways" { // It says since when, and is no constant.
			s.number(0)
			text(s, st.Note)
		} else {
			s.name(n, st.Note)
		}
		if st.Subject != "" {
			text(s, st.Subject)
		} else {
			var room [maxText]byte
			text(s, d.Trace.AppendSubject(room[:0], st))
		}
		if !s.fit(begin, limit) {
			return
		}
	}
}

func uriOf(x *target.Target) string {
	if x.Binding == nil {
		return Onward
	}
	return x.Binding.URI
}

func (s *slot) target(kind byte, x *target.Target, limit int) {
	begin := len(s.buf)
	s.buf = append(s.buf, kind)
	q := uint64(1000)
	if x.Binding != nil {
		q = uint64(x.Binding.Q)
	}
	text(s, uriOf(x))
	text(s, string(x.Owner.Key))
	s.number(q)
	s.number(uint64(x.Group))
	s.number(uint64(x.Wait / time.Millisecond))
	s.number(uint64(x.Gateway))
	s.number(uint64(x.Rule))
	s.fit(begin, limit)
}

// event begins an event. It reports whether there was room.
func (s *slot) event(kind byte, at time.Time, limit int) bool {
	begin := len(s.buf)
	s.buf = append(s.buf, kind)
	s.number(uint64(max(0, at.UnixNano()-s.begun) / int64(time.Millisecond)))
	return s.fit(begin, limit)
}

func (s *slot) branch(at time.Time, o *Outcome) {
	begin := len(s.buf)
	if !s.event(entryBranch, at, maxCall) {
		return
	}
	text(s, uriOf(o.Target))
	s.addr(o.To)
	text(s, o.Proto)
	s.number(uint64(o.Status))
	received := uint64(0)
	if o.Received {
		received = 1
	}
	s.number(received)
	s.number(uint64(o.Target.Gateway))
	s.fit(begin, maxCall)
}

// final has room always.
func (s *slot) final(at time.Time, status int) {
	s.event(entryFinal, at, maxCall+64)
	s.number(uint64(status))
}
