package location

import (
	"slices"
	"time"

	"sipd/sipaddr"
)

// plan is what a Change does to an AOR: its bindings afterwards, and the rows that say so.
type plan struct {
	after []*Binding
	rows  RowSet
}

// apply works out what c does to the bindings before (RFC 3261 10.3 steps 6 and 7). It changes neither before nor the
// bindings in it. nextID hands out ids for new rows. The error is ErrOutOfOrder or ErrTooMany, and then nothing is done.
func apply(before []*Binding, c *Change, nextID func() int64) (plan, error) {
	p := plan{rows: RowSet{AOR: c.AOR, UserID: c.UserID}}
	if err := tooMany(c); err != nil {
		return plan{}, err
	}
	// What has expired is no binding any more: it neither orders requests nor counts, but its row can be used again.
	var dead []*Binding
	live := make([]*Binding, 0, len(before)+len(c.Set))
	for _, b := range before {
		switch {
		case b.UserID != c.UserID: // Of a former user with this key, who was removed; nor can his row be another's.
			p.rows.Delete = append(p.rows.Delete, b.ID)
		case b.Live(c.Now):
			live = append(live, b)
		default:
			dead = append(dead, b)
		}
	}
	var err error
	if c.Star {
		live, err = p.removeAll(live, c)
	} else {
		live, dead, err = p.setAll(live, dead, c, nextID)
	}
	if err != nil {
		return plan{}, err
	}
	live = p.evict(live, c)
	for _, b := range dead {
		p.rows.Delete = append(p.rows.Delete, b.ID)
	}
	order(live)
	p.after = live
	return p, nil
}

// tooMany refuses a request that alone asks for more bindings than the user may have (BEHAVIOUR J).
func tooMany(c *Change) error {
	if c.Max <= 0 {
		return nil
	}
	n := 0
	for _, b := range c.Set {
		if b.Live(c.Now) {
			n++
		}
	}
	if n > c.Max {
		return ErrTooMany
	}
	return nil
}

// removeAll is step 6: Contact: * removes each binding, unless one of the same Call-ID is newer: then none.
func (p *plan) removeAll(live []*Binding, c *Change) ([]*Binding, error) {
	kept := live[:0]
	for _, b := range live {
		if b.Static() {
			kept = append(kept, b)
			continue
		}
		if b.CallID == c.CallID && b.CSeq >= c.CSeq {
			return nil, ErrOutOfOrder
		}
		p.rows.Delete = append(p.rows.Delete, b.ID)
	}
	return kept, nil
}

// setAll is step 7: each contact in turn is added, updated or removed; one that comes out of order fails all.
func (p *plan) setAll(live, dead []*Binding, c *Change, nextID func() int64) (nowLive, nowDead []*Binding, err error) {
	for _, b := range c.Set {
		i := match(live, b)
		if i < 0 {
			if !b.Live(c.Now) {
				continue // Removal of what is not there.
			}
			if j := match(dead, b); j >= 0 {
				b.ID = dead[j].ID
				dead = slices.Delete(dead, j, j+1)
			} else {
				b.ID = nextID()
			}
			live = append(live, b)
			p.upsert(b)
			continue
		}
		old := live[i]
		if old.Static() {
			continue // A REGISTER never touches what an administrator wrote.
		}
		// A contact listed twice in one request is not out of order: the last one counts.
		if old.CallID == c.CallID && old.CSeq >= c.CSeq && !slices.Contains(p.rows.Upsert, old) {
			return nil, nil, ErrOutOfOrder
		}
		if !b.Live(c.Now) {
			live = slices.Delete(live, i, i+1)
			p.remove(old)
			continue
		}
		b.ID = old.ID
		live[i] = b
		p.upsert(b)
	}
	return live, dead, nil
}

// match finds the binding that b would update. An instance is its own key, together with the reg-id (RFC 5626 6); where one
// side has none the URIs are compared (RFC 3261 19.1.4), and a binding without an instance is preferred.
func match(list []*Binding, b *Binding) int {
	if b.InstanceID != "" {
		if i := slices.IndexFunc(list, func(o *Binding) bool {
			return o.InstanceID == b.InstanceID && o.RegID == b.RegID
		}); i >= 0 {
			return i
		}
	}
	if i := slices.IndexFunc(list, func(o *Binding) bool {
		return o.InstanceID == "" && sameURI(o.URI, b.URI)
	}); i >= 0 || b.InstanceID != "" {
		return i
	}
	return slices.IndexFunc(list, func(o *Binding) bool { return sameURI(o.URI, b.URI) })
}

// evict drops the oldest dynamic bindings beyond the user's number, never one of this request (BEHAVIOUR J).
func (p *plan) evict(live []*Binding, c *Change) []*Binding {
	if c.Max <= 0 {
		return live
	}
	dynamic := 0
	for _, b := range live {
		if !b.Static() {
			dynamic++
		}
	}
	for ; dynamic > c.Max; dynamic-- {
		oldest := -1
		for i, b := range live {
			if !b.Static() && !slices.Contains(p.rows.Upsert, b) && (oldest < 0 || older(b, live[oldest])) {
				oldest = i
			}
		}
		if oldest < 0 {
			break
		}
		p.remove(live[oldest])
		live = slices.Delete(live, oldest, oldest+1)
	}
	return live
}

func older(a, b *Binding) bool {
	if a.Updated != b.Updated {
		return a.Updated < b.Updated
	}
	return a.ID < b.ID
}

// upsert puts b among the rows to write; a second version of the row replaces the first.
func (p *plan) upsert(b *Binding) {
	if i := slices.IndexFunc(p.rows.Upsert, func(o *Binding) bool { return o.ID == b.ID }); i >= 0 {
		p.rows.Upsert[i] = b
		return
	}
	p.rows.Upsert = append(p.rows.Upsert, b)
}

// remove deletes b's row. One of this request is in the store only if it was an update, deleting a row that is not there is harmless.
func (p *plan) remove(b *Binding) {
	p.rows.Upsert = slices.DeleteFunc(p.rows.Upsert, func(o *Binding) bool { return o.ID == b.ID })
	p.rows.Delete = append(p.rows.Delete, b.ID)
}

// expired returns the rows and what is left of list when the bindings that are over go; ok is false when none is.
func expired(aor sipaddr.AOR, list []*Binding, owner int64, now time.Time) (p plan, ok bool) {
	p.rows.AOR = aor
	for _, b := range list {
		if !b.over(owner, now) {
			p.after = append(p.after, b)
			continue
		}
		p.rows.UserID = b.UserID
		p.rows.Delete = append(p.rows.Delete, b.ID)
	}
	return p, len(p.rows.Delete) > 0
}
