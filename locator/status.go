package locator

import (
	"fmt"
	"log/slog"
	"time"
)

const (
	// failsUntilDown is how many questions in a row must fail until it is left alone for restTime.
	failsUntilDown = 5
	restTime       = 10 * time.Second
	// tellEvery is how often at most the log hears of one thing.
	tellEvery = 30 * time.Second
)

// errDown: it is left alone for a while.
var errDown = fmt.Errorf("%w: it has failed %d times in a row and is left alone for %v", ErrUnavailable, failsUntilDown, restTime)

// health is how it is with who is asked. The Locator's mutex guards it.
type health struct {
	answered, failed uint64
	row              int // failures since the last answer
	until            time.Time
	err              error // the last
	at               time.Time
}

// down tells whether it is left alone.
func (h *health) down(now time.Time) error {
	if h.row >= failsUntilDown && now.Before(h.until) {
		return errDown
	}
	return nil
}

// lets tells whether a new question may be asked. When the rest is over one is, as a trial, and the others are
// refused until it has ended.
func (h *health) lets(now time.Time) (trial bool, err error) {
	if h.row < failsUntilDown {
		return false, nil
	}
	if err := h.down(now); err != nil {
		return false, err
	}
	h.until = now.Add(restTime)
	return true, nil
}

// heard notes how a question ended.
func (h *health) heard(err error, now time.Time) {
	if err == nil {
		h.answered++
		h.row = 0
		return
	}
	h.failed++
	h.row++
	h.err, h.at, h.until = err, now, now.Add(restTime)
}

// notes is what the log has not heard yet. The Locator's mutex guards it.
type notes struct {
	failed  uint64 // questions without an answer
	query   Query  // the last of them, and why
	err     error
	faulty  uint64 // answers that have faults
	about   Query  // the last of them, and one
	fault   string
	silent  bool // the log has heard that there are no answers
	answers bool // and there are again
	refused uint64

	toldFailed, toldFaulty, toldRefused time.Time
}

// line is one of the log.
type line struct {
	level slog.Level
	text  string
	args  []any
}

// heard notes how a question ended.
func (n *notes) heard(q Query, faults []string, err error) {
	n.answers = err == nil
	switch {
	case err != nil:
		n.failed++
		n.query, n.err = q, err
	case len(faults) > 0:
		n.faulty++
		n.about, n.fault = q, faults[0]
	}
}

// due returns what the log should hear now. refused is how many callers were turned away so far.
func (n *notes) due(refused uint64, now time.Time) (lines []line) {
	if n.silent && n.answers {
		n.silent, n.failed = false, 0
		lines = append(lines, line{slog.LevelInfo, "the locator answers again", nil})
	}
	if n.failed > 0 && now.Sub(n.toldFailed) >= tellEvery {
		lines = append(lines, line{slog.LevelWarn, "the locator does not answer; calls go on without it", []any{"query", n.query.String(), "err", n.err, "failed", n.failed}})
		n.toldFailed, n.failed, n.silent = now, 0, true
	}
	if n.faulty > 0 && now.Sub(n.toldFaulty) >= tellEvery {
		lines = append(lines, line{slog.LevelWarn, "the locator's answer has faults", []any{"query", n.about.String(), "err", n.fault, "answers", n.faulty}})
		n.toldFaulty, n.faulty = now, 0
	}
	if refused > n.refused && now.Sub(n.toldRefused) >= tellEvery {
		lines = append(lines, line{slog.LevelWarn, "too many calls wait for the locator, others go on without it", []any{"refused", refused - n.refused}})
		n.toldRefused, n.refused = now, refused
	}
	return lines
}

// Status is a Locator in numbers.
type Status struct {
	Answered, Failed uint64
	Down             bool  // it keeps failing and is left alone
	Err              error // the last failure, nil for none
	At               time.Time
	Running, Queued  int    // questions that are being asked, and that wait for their turn
	Waiting          int    // callers of both
	Refused          uint64 // callers that got ErrBusy
	Entries, Bytes   int    // of the cache
	Panics           int64
}

// Status returns the numbers now.
func (l *Locator) Status(now time.Time) Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := &l.health
	return Status{Answered: h.answered, Failed: h.failed, Down: h.down(now) != nil, Err: h.err, At: h.at, Running: l.running, Queued: len(l.queue),
		Waiting: l.waiting, Refused: l.refused, Entries: len(l.cache.entries), Bytes: l.cache.bytes, Panics: l.panics}
}
