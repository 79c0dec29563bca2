package requestlog

import (
	"context"
	"errors"
	"time"

	"sipd/store"
)

// openSpool looks for what earlier processes left. A folder that cannot be used leaves the log with its memory.
func (l *Log) openSpool() {
	if l.dir == "" {
		return
	}
	s, err := openSpool(l.dir, l.database, func(file string, err error) {
		l.log.Warn("rows of the request log on disk cannot be read; those before them are written", "file", file, "err", err)
	})
	if err != nil {
		l.log.Error("no folder for rows of the request log: they wait in memory only", "err", err)
		return
	}
	l.spool = s
	l.countDisk()
	if s.rows > 0 {
		l.log.Info("request log: rows of before are written now", "rows", s.rows)
	}
}

// countDisk notes what is on disk where everybody may see it.
func (l *Log) countDisk() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.onDisk = l.spool.rows
}

// runSpooled is Run with a folder. While rows lie there, later ones go there, too: the order is kept, and a kill loses what came in the
// last quarter of a second.
func (l *Log) runSpooled(ctx context.Context) error {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		var again <-chan time.Time // nil while nothing lies on disk
		if l.spool.rows > 0 {
			again = t.C
		}
		select {
		case <-ctx.Done():
			return l.lastSpooled(ctx)
		case <-l.wake:
			if !l.gather(ctx) {
				return l.lastSpooled(ctx)
			}
			l.writeOrSpill(ctx)
		case <-again:
			l.unspool(ctx)
			t.Reset(backOff)
		}
		l.report()
	}
}

// writeOrSpill appends what waits, or puts it on disk behind what lies there, or when the database does not take it.
func (l *Log) writeOrSpill(ctx context.Context) {
	rows := l.take()
	rest := rows
	for len(rest) > 0 && l.spool.rows == 0 {
		batch := rest[:min(len(rest), maxBatch)]
		err := l.once(ctx, cleaned(batch), func() {
			l.spill(rest) // What is being written, too: nobody knows yet what becomes of it, and twice is as good as once.
			rest = nil
		})
		if err != nil {
			l.wentAway(err)
			break
		}
		if rest != nil {
			l.wrote(batch)
			rest = rest[len(batch):]
		}
	}
	l.spill(rest)
	clear(rows)
	if l.spare == nil {
		l.spare = rows[:0]
	}
}

// unspool writes rows from disk until none are left, or the database does not take them.
func (l *Log) unspool(ctx context.Context) {
	for {
		if l.head == nil {
			if l.head = l.spool.take(maxBatch); l.head == nil {
				l.countDisk()
				if l.spool.rows == 0 { // Else the oldest file cannot be opened now.
					l.cameBack()
				}
				return
			}
		}
		if err := l.once(ctx, l.head, func() {}); err != nil {
			l.wentAway(err)
			return
		}
		l.spool.took(len(l.head))
		l.mu.Lock()
		l.written += uint64(len(l.head))
		many := len(l.rows) >= maxBatch
		l.mu.Unlock()
		l.head = nil
		l.countDisk()
		if many {
			l.spill(l.take())
		}
		l.report()
	}
}

// once appends rows, once. While that takes long, what comes meanwhile goes to disk, behind what slow puts there.
func (l *Log) once(ctx context.Context, rows []store.LogRow, slow func()) error {
	limited, cancel := context.WithTimeout(ctx, appendLimit)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- l.append(limited, rows) }()
	t := time.NewTimer(slowAppend)
	defer t.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-t.C:
			if slow != nil {
				slow()
				slow = nil
			}
			l.spill(l.take())
			t.Reset(maxWait)
		}
	}
}

// spill puts rows that were taken on disk. When the folder is full they are dropped and counted; when it fails they wait in memory.
func (l *Log) spill(rows []store.LogRow) {
	for len(rows) > 0 {
		batch := rows[:min(len(rows), maxBatch)]
		err := l.spool.put(cleaned(batch))
		switch {
		case err == nil:
			l.left(batch)
			l.diskErr = ""
		case errors.Is(err, errSpoolFull):
			l.left(batch)
			l.mu.Lock()
			l.dropped += uint64(len(batch))
			l.mu.Unlock()
		default:
			if l.diskErr != err.Error() {
				l.diskErr = err.Error()
				l.log.Error("rows of the request log cannot be put on disk, they wait in memory", "err", err)
			}
			l.putBack(rows)
			signal(l.wake)
			rows = nil
			continue
		}
		rows = rows[len(batch):]
	}
	l.countDisk()
}

func (l *Log) wentAway(err error) {
	if !l.away && !errors.Is(err, context.Canceled) {
		l.away = true
		l.log.Warn("request log cannot be written, rows wait on disk", "folder", l.dir, "err", err)
	}
}

func (l *Log) cameBack() {
	if l.away {
		l.away = false
		l.log.Info("request log is written again")
	}
}

// lastSpooled writes what is left in memory within the drain limit, or puts it on disk for the next start.
func (l *Log) lastSpooled(ctx context.Context) error {
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.drain)
	defer cancel()
	l.writeOrSpill(stop)
	onDisk := l.spool.rows
	if err := l.spool.close(); err != nil {
		l.log.Error("rows of the request log may not be on disk", "err", err)
	}
	l.reportAt = time.Time{}
	l.report()
	waiting, _, _ := l.Counts()
	if lost := waiting - onDisk; lost > 0 {
		return &LostError{Rows: lost}
	}
	if onDisk > 0 {
		l.log.Info("rows of the request log wait on disk for the next start", "rows", onDisk)
	}
	return ctx.Err()
}
