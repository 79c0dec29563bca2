package test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// outageRow is a line of the table: what was lost and what was answered.
type outageRow struct {
	name, database string
	note           string // instead of figures

	tried, completed, exempt int // calls of the outage
	outside                  int // calls before and after it that failed
	p99                      time.Duration
	ok, failed, refused      int // REGISTERs of the outage: 200, 500, 503
	silent, odd              int // without an answer; with another one
	noRetryAfter             int
	slowest                  time.Duration // answer to a REGISTER
	falseOK                  int           // users whose rows are not what was answered
	rows, missing, twice     int           // of the request log
	lost                     int           // rows that a killed server took along
	memory                   int           // users of whom memory and database say different things
	back, drained            time.Duration
	lines                    int
}

// count sums up what the phones saw.
func (r *rig) count() {
	r.f.mu.Lock()
	defer r.f.mu.Unlock()
	row := &r.row
	var setups []time.Duration
	for _, c := range r.f.calls {
		if c.began.After(r.healAt) || !c.byeAt.IsZero() && c.byeAt.Before(r.faultAt) {
			if !c.completed() && !r.serverGone(c.began, later(c.byeAt, c.inviteAt)) {
				if row.outside++; row.outside <= 5 {
					r.t.Errorf("a call outside of the outage failed: INVITE %d, BYE %d", c.invite, c.bye)
				}
			}
			continue
		}
		if !c.completed() && r.serverGone(c.began, later(c.byeAt, c.inviteAt)) {
			row.exempt++
			continue
		}
		row.tried++
		if c.completed() {
			row.completed++
		}
		if c.invite == 200 && c.began.After(r.faultAt) && !r.serverGone(c.began, c.inviteAt) {
			setups = append(setups, c.setup)
		}
	}
	if slices.Sort(setups); len(setups) > 0 {
		row.p99 = setups[len(setups)*99/100]
	}
	var good time.Time // the first REGISTER after the outage from which on all went well
	ops := slices.Clone(r.f.regs)
	slices.SortFunc(ops, func(a, b *registration) int { return a.sent.Compare(b.sent) })
	for _, op := range ops {
		if op.sent.After(r.healAt) {
			if op.status != 200 {
				good = time.Time{}
			} else if good.IsZero() {
				good = op.sent
			}
		}
		if op.sent.Before(r.faultAt) || op.sent.After(r.healAt) {
			continue
		}
		if !r.serverGone(op.sent, op.done) {
			row.slowest = max(row.slowest, op.done.Sub(op.sent))
		}
		switch {
		case op.status == 200:
			row.ok++
		case op.status == 500:
			row.failed++
		case op.status == 503:
			row.refused++
			if !op.retryAfter {
				row.noRetryAfter++
			}
		case (op.status == 0 || op.status == 401) && r.serverGone(op.sent, op.done):
			row.exempt++ // A new server does not know the nonces of the one before.
		case op.status == 0:
			row.silent++
		default:
			row.odd++
		}
	}
	row.back = time.Hour
	if !good.IsZero() {
		row.back = good.Sub(r.healAt)
	}
}

// later is the later of two times.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// bindingState is what the database has of a user; the zero value is no row.
type bindingState struct{ cseq, q int }

// storedBindings reads the rows of all registrants and callees.
func (r *rig) storedBindings() map[string]bindingState {
	r.t.Helper()
	rows := map[string]bindingState{}
	r.db.query(r.t, "SELECT user_key, cseq, q_milli FROM contacts JOIN users ON users.id = user_id", func(c []string) {
		name, _, _ := strings.Cut(c[0], "@")
		cseq, err1 := strconv.Atoi(c[1])
		q, err2 := strconv.Atoi(c[2])
		if err1 != nil || err2 != nil {
			r.t.Errorf("contacts has %q", c)
		}
		if _, twice := rows[name]; twice {
			r.t.Errorf("%s has two rows, want one", name)
		}
		rows[name] = bindingState{cseq, q}
	})
	return rows
}

// compareMemory asks the server for every binding and returns of how many users the database says something else.
func (r *rig) compareMemory() (different int) {
	r.t.Helper()
	rows := r.storedBindings()
	for n := range r.f.users {
		name := registrantUser(n).name
		q, err := r.f.fetch(n)
		if err != nil {
			r.t.Error(err)
			return len(r.f.users)
		}
		if q != rows[name].q {
			if different++; different <= 5 {
				r.t.Errorf("%s has q %d in memory and %d in the database (0: no binding)", name, q, rows[name].q)
			}
		}
	}
	for n := range callees {
		if name := callee(n).name; rows[name].q == 0 {
			different++
			r.t.Errorf("%s has no row any more", name)
		}
	}
	return different
}

// verifyBindings compares the rows with what was answered: after a 200 the row is there; after 503 nothing was done; after 500, and
// without an answer, either.
func (r *rig) verifyBindings() (wrong int) {
	r.t.Helper()
	rows := r.storedBindings()
	for n, u := range r.f.users {
		name := registrantUser(n).name
		possible := []bindingState{{}}
		var story []string
		for _, op := range u.ops {
			state := bindingState{op.cseq, op.q}
			if op.q == 0 {
				state = bindingState{}
			}
			switch op.status {
			case 200:
				possible = []bindingState{state}
			case 503:
			default:
				possible = append(possible, state)
			}
			story = append(story, fmt.Sprintf("%s CSeq %d q %d: %d", op.sent.Format("05.000"), op.cseq, op.q, op.status))
		}
		if !slices.Contains(possible, rows[name]) {
			if wrong++; wrong <= 5 {
				r.t.Errorf("%s: the row has CSeq %d and q %d after %s; the outage was %s to %s", name, rows[name].cseq, rows[name].q,
					strings.Join(story, ", "), r.faultAt.Format("05.000"), r.healAt.Format("05.000"))
			}
		}
	}
	return wrong
}

// verifyLog looks for each request that was answered: its row must be there once.
func (r *rig) verifyLog() {
	r.t.Helper()
	rows := map[string]int{}
	r.db.query(r.t, "SELECT method, sip_callid, cseq, sip_status FROM requestlog", func(c []string) {
		rows[strings.Join(c, " ")]++
	})
	look := func(method, callID string, cseq, status int, at time.Time) {
		if status == 0 || status == 401 || status == 407 || r.refusedAtStop(status, at) { // Challenges are not logged.
			return
		}
		key := fmt.Sprintf("%s %s %d %d", method, callID, cseq, status)
		r.row.rows++
		switch n := rows[key]; {
		case n == 0 && r.unlogged(at):
			r.row.lost++
		case n == 0:
			if r.row.missing++; r.row.missing <= 5 {
				r.t.Errorf("the request log has no row of %s, answered %v after the beginning of the outage", key, at.Sub(r.faultAt))
			}
		case n > 1:
			if r.row.twice++; r.row.twice <= 5 {
				r.t.Errorf("the request log has %d rows of %s, want one", n, key)
			}
		}
	}
	for _, c := range r.f.calls {
		look("INVITE", c.id, c.inviteN, c.invite, c.inviteAt)
		look("BYE", c.id, c.byeN, c.bye, c.byeAt)
	}
	for _, op := range r.f.regs {
		look("REGISTER", "reg-"+registrantUser(op.user).name, op.cseq, op.status, op.done)
	}
}

// The rules of every outage: what is wrong when a limit is passed, on a machine that does other work as well. docs/outage.md has what is
// measured on a quiet one.
const (
	setupMost   = 4 * timerT1     // the 99th percentile; calls wait for no database
	backMost    = 5 * time.Second // until REGISTER works again: a packet of a connect that was dropped is sent again after 1, 2, 4 s
	drainedMost = 5 * time.Second // until the request log is complete
	linesMost   = 20              // of the server's log; an outage is told, not repeated
)

// judge fails the run when a rule is broken. What is wrong with rows has been told with its details.
func (r *rig) judge() {
	r.t.Helper()
	row := &r.row
	if row.completed != row.tried || row.tried == 0 {
		r.t.Errorf("%d of %d calls were completed, want all", row.completed, row.tried)
		for _, c := range r.f.calls {
			if !c.completed() && !r.serverGone(c.began, later(c.byeAt, c.inviteAt)) {
				r.t.Logf("%s, begun %v after the outage did: INVITE %d, BYE %d", c.id, c.began.Sub(r.faultAt), c.invite, c.bye)
			}
		}
	}
	if row.p99 > setupMost {
		r.t.Errorf("the 99th percentile of the set-up time is %v, want at most %v", row.p99, setupMost)
	}
	if row.silent > 0 || row.odd > 0 || row.noRetryAfter > 0 {
		r.t.Errorf("%d REGISTERs had no answer, %d an odd one, %d a 503 without Retry-After; want none", row.silent, row.odd, row.noRetryAfter)
	}
	if row.back > backMost {
		r.t.Errorf("REGISTER works again %v after the outage, want at most %v", row.back, backMost)
	}
	if row.drained > drainedMost {
		r.t.Errorf("the request log is complete %v after the outage, want at most %v", row.drained, drainedMost)
	}
	if row.lines > linesMost {
		r.t.Errorf("the server wrote %d lines about the outage, want at most %d", row.lines, linesMost)
	}
}
