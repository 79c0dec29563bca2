package target

import (
	"cmp"
	"slices"
	"time"

	"sipd/store"
	"sipd/store/cache"
	"sipd/trace"
)

// enter notes that a user is being called, and reports false when he is already.
func (d *Decision) enter(u cache.User) bool {
	if slices.Contains(d.visited, u.Key) {
		return false
	}
	d.visited = append(d.visited, u.Key)
	return true
}

// callAll collects where the users that were found, d.one, are reached: one, or the members of a group.
func (d *Decision) callAll(t Tables, now time.Time, depth int) {
	if len(d.one) == 1 {
		d.call(t, d.one[0], now, depth)
		return
	}
	d.several = true
	d.Waiting = Waiting{}
	users, rows := slices.Clone(d.one), slices.Clone(d.members) // A forward of one of them looks for others.
	if len(d.Targets) > 0 || !timed(rows) {
		for _, u := range users {
			d.call(t, u, now, depth)
		}
		return
	}
	d.rings = true
	if store.Ring(rows) == store.Serial {
		d.ringInTurn(t, users, rows, now, depth)
	} else {
		d.ringTogether(t, users, rows, now, depth)
	}
}

// timed tells whether the members of a group do not simply ring all at once, in the order of their q.
func timed(rows []*store.Alias) bool {
	return store.Ring(rows) == store.Serial || slices.ContainsFunc(rows, func(a *store.Alias) bool { return a.Delay > 0 })
}

// ringInTurn: each member is a group of targets, whatever the q of his contacts, and rings for his delay before the next does.
func (d *Decision) ringInTurn(t Tables, users []cache.User, rows []*store.Alias, now time.Time, depth int) {
	group, wait := 0, time.Duration(0)
	for i, u := range users {
		first := len(d.Targets)
		d.call(t, u, now, depth)
		if len(d.Targets) == first {
			continue
		}
		for j := range d.Targets[first:] {
			d.Targets[first+j].Group, d.Targets[first+j].Wait = group, wait
		}
		d.row("aliases", rows[i].ID, "ring group", string(u.Key), trace.Match, "in turn")
		group, wait = group+1, time.Duration(rows[i].Delay)*time.Second
	}
}

// ringTogether: each member begins to ring when his delay is over.
func (d *Decision) ringTogether(t Tables, users []cache.User, rows []*store.Alias, now time.Time, depth int) {
	at := make([]int, len(users))
	for i := range at {
		at[i] = i
	}
	slices.SortStableFunc(at, func(a, b int) int { return cmp.Compare(rows[a].Delay, rows[b].Delay) })
	group, delay, wait := 0, -1, time.Duration(0)
	for _, i := range at {
		first := len(d.Targets)
		d.call(t, users[i], now, depth)
		if len(d.Targets) == first {
			continue
		}
		if delay >= 0 && rows[i].Delay > delay {
			group, wait = group+1, time.Duration(rows[i].Delay-delay)*time.Second
		}
		delay = rows[i].Delay
		for j := range d.Targets[first:] {
			d.Targets[first+j].Group, d.Targets[first+j].Wait = group, wait
		}
		d.row("aliases", rows[i].ID, "ring group", string(users[i].Key), trace.Match, "at once, or after his delay")
	}
}
