package cache

import (
	"fmt"
	"strings"

	"sipd/store"
)

// gather takes the users and credentials of a load or a delta and keeps what differs from the table before. A row that
// cannot be used counts as the last good one. So a refresh that finds nothing new makes nothing new.
type gather struct {
	prev    *users
	seen    [][]uint64 // by shard and position of prev: bit 0 its row of users came, bit i+1 its credential i
	changed [][]pending
	ids     index // of changed: its slots hold the number in it
	texts   texts
	run     run
	problem func(table, row string, err error)
}

// pending is a record that is new or differs.
type pending struct{ head, creds record }

const (
	// seenCredentials is how many credentials of a user the bits of seen tell apart; one with more is built anew each time.
	seenCredentials = 63
	// blockRows is how many records are collected at a time while their number is unknown.
	blockRows = 4096
)

// run is the credentials of one user that come one after the other; a user may have several runs.
type run struct {
	user  int64
	at    int      // his location in prev, as long as nothing differs; else -1
	to    *pending // nil: nothing differs yet, or nobody has that id
	creds []byte   // those for to
}

func newGather(prev *users, problem func(table, row string, err error)) *gather {
	return &gather{prev: prev, seen: make([][]uint64, len(prev.shards)), problem: problem, run: run{at: -1}}
}

// mask returns the bits of seen for a location.
func (g *gather) mask(at int) *uint64 {
	i := at >> positionBits
	if g.seen[i] == nil {
		g.seen[i] = make([]uint64, g.prev.shards[i].len())
	}
	return &g.seen[i][at&maxPosition]
}

func (g *gather) user(u *store.User) {
	if store.IsTemplate(u.Key) {
		return
	}
	var buf [headSize + 4*maxText + extraSize]byte
	at := g.prev.locate(u.ID)
	err := u.Check()
	var head []byte
	if err == nil {
		head, err = appendHead(buf[:0], u)
	}
	switch {
	case err != nil:
		g.problem("users", string(u.Key), err)
		if at >= 0 {
			*g.mask(at) |= 1
		}
	case at >= 0 && string(g.prev.at(at).head()) == string(head):
		*g.mask(at) |= 1
	default:
		g.add(record(g.texts.add(head)))
	}
}

// add begins a pending record.
func (g *gather) add(head record) *pending {
	n := len(g.changed)
	if n == 0 || len(g.changed[n-1]) == blockRows {
		g.changed = append(g.changed, make([]pending, 0, blockRows))
		n++
	}
	g.changed[n-1] = append(g.changed[n-1], pending{head: head})
	i := len(g.changed[n-1]) - 1
	g.ids.add(uint32(hashID(head.id())), (n-1)*blockRows+i)
	return &g.changed[n-1][i]
}

func (g *gather) pending(id int64) *pending {
	h := uint32(hashID(id))
	for i, n := g.ids.first(h); n >= 0; i, n = g.ids.next(h, i) {
		if p := &g.changed[n/blockRows][n%blockRows]; p.head.id() == id {
			return p
		}
	}
	return nil
}

func (g *gather) credential(c *store.Credential) {
	if c.UserID != g.run.user {
		g.endRun()
		g.run.user, g.run.at = c.UserID, -1
		if g.run.to = g.pending(c.UserID); g.run.to == nil {
			if at := g.prev.locate(c.UserID); at >= 0 && *g.mask(at) != 0 {
				g.run.at = at
			}
		}
	}
	if g.run.to == nil && g.run.at >= 0 {
		if g.same(c) {
			return
		}
		g.differs(g.run.at)
	}
	if g.run.to != nil { // Else it is a template's, or that of a user who was left out.
		g.append(c)
	}
}

// same notes a credential that the record has as it is. One that cannot be used is not a difference: its last good version
// is as good as come.
func (g *gather) same(c *store.Credential) bool {
	i, old := g.prev.at(g.run.at).find(c.Username, c.Realm, c.Algorithm)
	known := i >= 0 && i < seenCredentials
	if known && sameHex(c.HA1, old.ha1) {
		*g.mask(g.run.at) |= 2 << i
		return true
	}
	err := c.Check()
	if err == nil || i >= seenCredentials {
		return false
	}
	g.problem("credentials", c.Username, err)
	if known {
		*g.mask(g.run.at) |= 2 << i
	}
	return true
}

// differs makes the user at a location a pending one, with the credentials that came so far.
func (g *gather) differs(at int) {
	r, mask := g.prev.at(at), *g.mask(at)
	g.run.at, g.run.to = -1, g.add(r.head())
	rest := r.creds()
	for i := 0; rest != ""; i++ {
		from := rest
		if _, rest = r.cut(rest); i < seenCredentials && mask&(2<<i) != 0 {
			g.run.creds = append(g.run.creds, from[:len(from)-len(rest)]...)
		}
	}
}

// append adds a credential to the pending user of the run, or its last good version.
func (g *gather) append(c *store.Credential) {
	grown, err := appendCredential(g.run.creds, g.run.to.head, c)
	if err == nil {
		g.run.creds = grown
		return
	}
	g.problem("credentials", c.Username, err)
	if old := g.prev.byID(c.UserID); old != "" {
		if i, good := old.find(c.Username, c.Realm, c.Algorithm); i >= 0 {
			row := good.row(c.UserID)
			if grown, err := appendCredential(g.run.creds, g.run.to.head, &row); err == nil {
				g.run.creds = grown
			}
		}
	}
}

// endRun gives the user his credentials.
func (g *gather) endRun() {
	if p := g.run.to; p != nil && len(g.run.creds) > 0 {
		if p.creds != "" {
			g.run.creds = append([]byte(p.creds), g.run.creds...)
		}
		rest := record(g.run.creds)
		for n := 0; rest != ""; n++ {
			if n == maxCredentials {
				g.problem("credentials", p.head.key(), fmt.Errorf("%w: a user has at most %d, the others are left out", store.ErrInvalid, maxCredentials))
				g.run.creds = g.run.creds[:len(g.run.creds)-len(rest)]
				break
			}
			_, rest = p.head.cut(rest)
		}
		p.creds = record(g.texts.add(g.run.creds))
	}
	g.run = run{at: -1, creds: g.run.creds[:0]}
}

// all returns the table of exactly the users that came.
func (g *gather) all() *users {
	g.endRun()
	if g.prev.n == 0 {
		n := 0
		for _, block := range g.changed {
			n += len(block)
		}
		t := newUsers(n)
		t.build(n, func(yield func(head, creds record)) {
			for _, block := range g.changed {
				for i := range block {
					yield(block[i].head, block[i].creds)
				}
			}
		})
		return t
	}
	var gone []int64
	g.prev.each(func(at int, r record) { gone = g.complete(at, r, gone) })
	return g.table(gone)
}

// some returns the table in which the users with these ids are the ones that came.
func (g *gather) some(ids []int64) *users {
	g.endRun()
	var gone []int64
	for _, id := range ids {
		if at := g.prev.locate(id); at >= 0 {
			gone = g.complete(at, g.prev.at(at), gone)
		}
	}
	return g.table(gone)
}

// complete finds out what became of a user: the same, changed, or gone.
func (g *gather) complete(at int, r record, gone []int64) []int64 {
	mask := *g.mask(at)
	if mask == 0 {
		if g.pending(r.id()) == nil {
			gone = append(gone, r.id())
		}
		return gone
	}
	n := 0
	for rest := r.creds(); rest != ""; n++ {
		_, rest = r.cut(rest)
	}
	if (n > seenCredentials || mask != 1<<(n+1)-1) && g.pending(r.id()) == nil {
		g.differs(at)
		g.endRun()
	}
	return gone
}

// table applies what was found to the table before.
func (g *gather) table(gone []int64) *users {
	n := 0
	for _, block := range g.changed {
		n += len(block)
	}
	if n == 0 && len(gone) == 0 {
		return g.prev
	}
	t := g.prev
	if n += t.n; t.crowded(n) {
		t = t.cutAnew(n)
	}
	e := t.edit()
	for _, id := range gone {
		e.remove(id)
	}
	// All that go first: a key may pass from one user to another.
	for _, block := range g.changed {
		for i := range block {
			if old := e.byID(block[i].head.id()); old != "" && old.key() != block[i].head.key() {
				e.remove(old.id())
			}
		}
	}
	for _, block := range g.changed {
		for i := range block {
			e.put(block[i].head + block[i].creds)
		}
	}
	return e.done()
}

// sameHex tells whether the lower-case hex digits are those of raw.
func sameHex(digits, raw string) bool {
	var buf [2 * maxHA1]byte
	return string(appendHex(buf[:0], raw)) == digits
}

// texts keeps what is collected together: few large pieces of memory instead of millions of small ones.
type texts struct{ block strings.Builder }

const textBlock = 64 << 10

func (t *texts) add(s []byte) string {
	if len(s) == 0 {
		return ""
	}
	if t.block.Cap()-t.block.Len() < len(s) {
		t.block = strings.Builder{}
		t.block.Grow(max(textBlock, len(s)))
	}
	from := t.block.Len()
	t.block.Write(s)
	return t.block.String()[from:]
}
