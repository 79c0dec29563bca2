package lastgood

import (
	"context"
	"iter"
	"net/netip"
	"time"

	"sipd/location"
	"sipd/sipaddr"
)

// WriteBindings writes the bindings of all address-of-records to the file at path. hurry is for a server that is stopping.
func WriteBindings(ctx context.Context, path string, hurry bool, h Header, all iter.Seq2[sipaddr.AOR, []*location.Binding]) error {
	return write(ctx, path, bindingsVersion, hurry, h, func(w *writer) {
		for aor, list := range all {
			for _, b := range list {
				w.binding(aor, b)
			}
			if w.err != nil {
				return
			}
		}
	})
}

func (w *writer) binding(aor sipaddr.AOR, b *location.Binding) {
	now := time.Now() // The file is read by another process: wall time.
	w.begin(kindBinding)
	w.text(string(aor))
	w.int(b.ID)
	w.int(b.UserID)
	for _, s := range [...]string{b.URI, b.DisplayName, b.CallID, b.InstanceID, b.UserAgent, b.Methods} {
		w.text(s)
	}
	w.uint(uint64(len(b.Path)))
	for _, p := range b.Path {
		w.text(p)
	}
	w.moment(b.Expires, now)
	w.moment(b.Updated, now)
	w.int(int64(b.Q))
	w.int(int64(b.RegID))
	w.addr(b.Source)
	w.addr(b.Local)
	w.uint(uint64(b.CSeq))
	w.byte(b.Action)
	w.byte(b.Proto)
	w.flags(b.ByFlow)
	w.end()
}

func (w *writer) moment(t location.Time, now time.Time) {
	if t.IsZero() {
		w.int(0)
		return
	}
	w.int(t.Wall(now).UnixNano())
}

func (w *writer) addr(a netip.AddrPort) {
	at := len(w.buf)
	w.buf = append(w.buf, 0)
	w.buf, _ = a.AppendBinary(w.buf) // It never fails.
	w.buf[at] = byte(len(w.buf) - at - 1)
}

// ReadBindings calls each for every binding of the file at path; an error of each ends it. Those of one AOR come together. What came must not
// be used when there is an error. The file must be of that database and server record ("" is any).
func ReadBindings(path, database, server string, each func(sipaddr.AOR, *location.Binding) error) (Header, error) {
	r, h, err := open(path)
	if err != nil {
		return Header{}, err
	}
	r.err = h.of(database, server)
	now := time.Now()
	err = r.read(func(kind byte) {
		if kind != kindBinding {
			r.fail()
			return
		}
		aor, b := r.binding(now)
		if r.err == nil {
			r.err = each(aor, b)
		}
	})
	if err != nil {
		return Header{}, err
	}
	return current(path, h)
}

func (r *reader) binding(now time.Time) (sipaddr.AOR, *location.Binding) {
	aor := sipaddr.AOR(r.text())
	b := &location.Binding{ID: r.int(), UserID: r.int()}
	for _, s := range [...]*string{&b.URI, &b.DisplayName, &b.CallID, &b.InstanceID, &b.UserAgent, &b.Methods} {
		*s = r.text()
	}
	n := r.uint()
	if n > uint64(len(r.block)) { // Each has a byte at least.
		r.fail()
		return "", nil
	}
	for range n {
		b.Path = append(b.Path, r.text())
	}
	b.Expires, b.Updated = r.moment(now), r.moment(now)
	b.Q, b.RegID = int(r.int()), int(r.int())
	b.Source, b.Local = r.addr(), r.addr()
	b.CSeq = uint32(r.uint())
	b.Action, b.Proto = r.byte(), r.byte()
	b.ByFlow = r.byte()&1 != 0
	return aor, b
}

func (r *reader) moment(now time.Time) location.Time {
	ns := r.int()
	if ns == 0 {
		return 0
	}
	return location.FromWall(time.Unix(0, ns), now)
}

func (r *reader) addr() netip.AddrPort {
	n := int(r.byte())
	if n > len(r.block) {
		r.fail()
		return netip.AddrPort{}
	}
	var a netip.AddrPort
	if err := a.UnmarshalBinary(r.block[:n]); err != nil {
		r.fail()
	}
	r.block = r.block[n:]
	return a
}
