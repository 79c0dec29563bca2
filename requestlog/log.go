package requestlog

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"sipd/store"
)

// Limits and rhythms of the log.
const (
	// DefaultSize is how many rows wait in memory at most: 20 s of 2500 calls/s, each with INVITE and BYE.
	DefaultSize = 100_000
	// maxBytes bounds the text of the rows that wait, because a peer chooses how long his URIs and Call-IDs are.
	maxBytes = 64 << 20
	// maxField cuts a single text: people read these columns, and no phone sends a URI of this length.
	maxField = 4096
	// maxBatch is how many rows one Append gets: enough that COPY pays.
	maxBatch = 1000
	// maxWait is how long a row waits for others to share its transaction.
	maxWait = 250 * time.Millisecond
	// appendLimit ends an Append that hangs: its rows are tried again.
	appendLimit = 10 * time.Second
	// backOff is the pause before an Append is tried again: rows are to be there as soon after an outage as they are at any time.
	backOff = 250 * time.Millisecond
	// slowAppend is how long rows that come later wait in memory for an Append: then they, and those it was to write, go to disk.
	slowAppend = time.Second
	// DefaultDrain is how long the last rows may take at stop.
	DefaultDrain = 5 * time.Second
	// reportEvery is the shortest pause between two lines about dropped rows.
	reportEvery = time.Second
)

// Config is what a Log is made of.
type Config struct {
	// Append writes rows, all or none; a row whose EventID is in the table already is passed over.
	Append   func(ctx context.Context, rows []store.LogRow) error
	Log      *slog.Logger
	Dir      string        // folder, this process's own, where rows wait while the database is away; "" is nowhere
	Database string        // which database Append writes to: rows that wait for another one are left alone
	Size     int           // most rows waiting in memory, 0: DefaultSize
	Drain    time.Duration // limit for the rest at stop, 0: DefaultDrain
}

// Log is the request log's queue.
type Log struct {
	append   func(context.Context, []store.LogRow) error
	database string
	log      *slog.Logger
	size     int
	drain    time.Duration
	dir      string
	boot     string        // begins each EventID: no two runs share one
	wake     chan struct{} // cap 1: the first row of a batch is here
	full     chan struct{} // cap 1: a whole batch is here

	mu      sync.Mutex
	rows    []store.LogRow // waiting, oldest first
	bytes   int            // text of rows and of the batches being written
	held    int            // rows taken by Run and not yet written
	onDisk  int            // rows in the spool
	dropped uint64
	written uint64

	// Run's own.
	spool    *spool         // nil: rows wait in memory alone
	head     []store.LogRow // taken from the spool, and not yet in the database
	away     bool           // the log has heard that rows cannot be written
	diskErr  string         // and of this error of the folder
	seq      uint64
	spare    []store.LogRow
	reported uint64    // dropped rows that the log has heard of
	reportAt time.Time // when it last did
}

// New makes a Log. It starts nothing.
func New(cfg Config) (*Log, error) {
	if cfg.Append == nil {
		return nil, errors.New("requestlog: Config.Append is missing")
	}
	if cfg.Size < 0 || cfg.Drain < 0 {
		return nil, errors.New("requestlog: Config.Size and Config.Drain must not be negative")
	}
	var boot [9]byte
	if _, err := rand.Read(boot[:]); err != nil {
		return nil, err
	}
	l := &Log{append: cfg.Append, log: cfg.Log, size: cfg.Size, drain: cfg.Drain, dir: cfg.Dir, database: cfg.Database,
		boot: hex.EncodeToString(boot[:]) + "-", wake: make(chan struct{}, 1), full: make(chan struct{}, 1)}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	if l.size == 0 {
		l.size = DefaultSize
	}
	if l.drain == 0 {
		l.drain = DefaultDrain
	}
	return l, nil
}

// Record queues a row and never waits. When the queue is full the row is dropped and counted: what is there first stays.
// An empty EventID is filled in.
func (l *Log) Record(row store.LogRow) {
	n := textSize(&row)
	l.mu.Lock()
	if len(l.rows)+l.held >= l.size || l.bytes+n > maxBytes {
		l.dropped++
		l.mu.Unlock()
		return
	}
	l.rows = append(l.rows, row)
	l.bytes += n
	waiting := len(l.rows)
	l.mu.Unlock()
	switch waiting {
	case 1:
		signal(l.wake)
	case maxBatch:
		signal(l.full)
	}
}

// signal leaves a token in c unless one lies there.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Counts returns the rows that wait, in memory and on disk, those written and those dropped.
func (l *Log) Counts() (waiting int, written, dropped uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.rows) + l.held + l.onDisk, l.written, l.dropped
}

// Run writes rows until ctx ends, then what is left within the drain limit. It returns ctx's error, or how many rows were lost.
func (l *Log) Run(ctx context.Context) error {
	l.openSpool()
	if l.spool != nil {
		return l.runSpooled(ctx)
	}
	for {
		select {
		case <-ctx.Done():
			return l.last(ctx)
		case <-l.wake:
		}
		if !l.gather(ctx) {
			return l.last(ctx)
		}
		if !l.write(ctx) {
			return l.last(ctx)
		}
	}
}

// gather waits for a whole batch or maxWait. It reports false when ctx ended.
func (l *Log) gather(ctx context.Context) bool {
	t := time.NewTimer(maxWait)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-l.full:
	case <-t.C:
	}
	return true
}

// write takes what waits and appends it batch by batch, the oldest first. A batch is tried until it is written; it reports
// false when ctx ended before that, and puts what is left back in front of the queue.
func (l *Log) write(ctx context.Context) bool {
	rows := l.take()
	rest := rows
	for len(rest) > 0 {
		batch := rest[:min(len(rest), maxBatch)]
		if !l.try(ctx, batch) {
			l.putBack(rest)
			return false
		}
		l.wrote(batch)
		rest = rest[len(batch):]
	}
	clear(rows)
	l.spare = rows[:0]
	l.report()
	return true
}

// take moves the waiting rows to Run and gives each the EventID and the form that every database accepts.
func (l *Log) take() []store.LogRow {
	l.mu.Lock()
	rows := l.rows
	l.rows = l.spare
	l.held += len(rows)
	l.mu.Unlock()
	l.spare = nil
	select { // What a full batch signalled is in rows.
	case <-l.full:
	default:
	}
	for i := range rows {
		if rows[i].EventID == "" {
			l.seq++
			rows[i].EventID = l.boot + strconv.FormatUint(l.seq, 10)
		}
	}
	return rows
}

// wrote takes a written batch off the accounts.
func (l *Log) wrote(batch []store.LogRow) {
	l.left(batch)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.written += uint64(len(batch))
}

// left takes a batch off the accounts of memory.
func (l *Log) left(batch []store.LogRow) {
	n := 0
	for i := range batch {
		n += textSize(&batch[i])
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held -= len(batch)
	l.bytes -= n
}

// putBack returns rows that are not written to the front of the queue.
func (l *Log) putBack(rest []store.LogRow) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rows = slices.Concat(rest, l.rows) // Not in the place of rest: the caller goes on with that.
	l.held -= len(rest)
}

// try appends one batch, again and again, until it is written or ctx ends.
func (l *Log) try(ctx context.Context, batch []store.LogRow) bool {
	clean := cleaned(batch)
	away := false
	for {
		one, cancel := context.WithTimeout(ctx, appendLimit)
		err := l.append(one, clean)
		cancel()
		if err == nil {
			if away {
				l.log.Info("request log is written again", "rows", len(batch))
			}
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		if !away {
			away = true
			l.log.Warn("request log cannot be written, rows wait in memory", "err", err)
		}
		l.report()
		t := time.NewTimer(backOff)
		select {
		case <-ctx.Done():
			t.Stop()
			return false
		case <-t.C:
		}
	}
}

// last writes what is left at stop, within the drain limit.
func (l *Log) last(ctx context.Context) error {
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.drain)
	defer cancel()
	for {
		waiting, _, _ := l.Counts()
		if waiting == 0 {
			l.reportAt = time.Time{}
			l.report()
			return ctx.Err()
		}
		if !l.write(stop) {
			waiting, _, _ = l.Counts()
			l.reportAt = time.Time{}
			l.report()
			return &LostError{Rows: waiting}
		}
	}
}

// LostError says that Run had to end before every row was written.
type LostError struct {
	Rows int // rows that were not written
}

// Error says how many rows were lost.
func (e *LostError) Error() string {
	return "requestlog: " + strconv.Itoa(e.Rows) + " rows could not be written before the stop"
}

// report tells the log about rows dropped since the last time, once in reportEvery.
func (l *Log) report() {
	l.mu.Lock()
	dropped := l.dropped
	l.mu.Unlock()
	now := time.Now()
	if dropped == l.reported || now.Sub(l.reportAt) < reportEvery {
		return
	}
	l.log.Warn("request log is full, rows were dropped", "rows", dropped-l.reported, "all", dropped)
	l.reported, l.reportAt = dropped, now
}

// textSize is what a row's texts take, as they came.
func textSize(r *store.LogRow) int {
	return len(r.Method) + len(r.RequestURL) + len(r.CallID) + len(r.From) + len(r.To) + len(r.Server) + len(r.FromTag) +
		len(r.ToTag) + len(r.AuthUser) + len(r.Source) + len(r.NextHop) + len(r.Class)
}

// printable returns the row with texts that every database takes: valid UTF-8 without NUL, of bounded length. One row that
// the database refuses would hold up all that follow.
func printable(r store.LogRow) store.LogRow {
	for _, s := range []*string{&r.Method, &r.RequestURL, &r.CallID, &r.From, &r.To, &r.Server, &r.FromTag, &r.ToTag, &r.AuthUser,
		&r.Source, &r.NextHop, &r.Class, &r.EventID} {
		*s = clip(*s)
	}
	return r
}

// cleaned returns the rows in the form that every database accepts.
func cleaned(batch []store.LogRow) []store.LogRow {
	clean := make([]store.LogRow, len(batch))
	for i := range batch {
		clean[i] = printable(batch[i])
	}
	return clean
}

// clip makes one text printable.
func clip(s string) string {
	if len(s) > maxField {
		s = s[:maxField]
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "\uFFFD")
	}
	return s
}
