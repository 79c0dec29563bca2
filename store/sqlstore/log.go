package sqlstore

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"sipd/store"
)

// appendLog writes rows of the request log.
type appendLog interface {
	append(ctx context.Context, rows []store.LogRow) error
}

const (
	// sqliteLogRows is how many rows a transaction on SQLite has: it holds the one writer, and registrations wait for it.
	sqliteLogRows = 100
	// copyRows is from how many rows on COPY is worth its staging table (measured).
	copyRows = 1000
	// maxIndexed is how many bytes of a Call-ID are kept: an index entry of Postgres has room for some 2700, and a stranger
	// chooses the length.
	maxIndexed = 1024
)

const (
	logColumns = `request_time, method, sip_status, request_url, sip_callid, sip_from, sip_to,
		server, cseq, from_tag, to_tag, auth_user, source, next_hop, gateway_class, duration_ms, event_id`
	insertLog = `INSERT INTO requestlog (` + logColumns + `)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) ON CONFLICT (event_id) DO NOTHING`
)

var logColumnNames = []string{"request_time", "method", "sip_status", "request_url", "sip_callid", "sip_from", "sip_to",
	"server", "cseq", "from_tag", "to_tag", "auth_user", "source", "next_hop", "gateway_class", "duration_ms", "event_id"}

// AppendLog implements store.Logger.
func (db *DB) AppendLog(ctx context.Context, rows []store.LogRow) error {
	if len(rows) == 0 {
		return nil
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	return db.wrap(fmt.Sprintf("append %d rows to requestlog", len(rows)), db.d.append(ctx, rows))
}

// logArgs are the values of a row in the order of logColumns.
func logArgs(r *store.LogRow, time any) []any {
	text := func(s string) any { return orNull(clean(s)) }
	return []any{
		time, clean(r.Method), r.Status, text(r.RequestURL), text(r.CallID[:min(len(r.CallID), maxIndexed)]), text(r.From), text(r.To),
		text(r.Server), int64(r.CSeq), text(r.FromTag), text(r.ToTag), text(r.AuthUser), text(r.Source), text(r.NextHop),
		text(r.Class), r.Duration.Milliseconds(), text(r.EventID),
	}
}

// clean replaces what a database refuses in text: requests carry bytes of strangers, and one bad row must not hold up
// the others.
func clean(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

type sqliteLog struct{ db *DB }

func (l sqliteLog) append(ctx context.Context, rows []store.LogRow) error {
	for len(rows) > 0 {
		n := min(len(rows), sqliteLogRows)
		if err := l.chunk(ctx, rows[:n]); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

func (l sqliteLog) chunk(ctx context.Context, rows []store.LogRow) (err error) {
	tx, err := l.db.begin(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = tx.Rollback() // The first error is the one to tell.
		}
	}()
	stmt, err := tx.PrepareContext(ctx, insertLog)
	if err != nil {
		return err
	}
	defer stmt.Close()
	for i := range rows {
		// A chunk takes some milliseconds and cannot block: a context that cannot be cancelled spares a goroutine a row.
		if _, err := stmt.ExecContext(context.Background(), logArgs(&rows[i], sqliteText(rows[i].Time))...); err != nil {
			return err
		}
	}
	return tx.Commit()
}

type postgresLog struct{ pool *pgxpool.Pool }

func (l postgresLog) append(ctx context.Context, rows []store.LogRow) error {
	if len(rows) >= copyRows {
		return l.copy(ctx, rows)
	}
	batch := &pgx.Batch{}
	for i := range rows {
		batch.Queue(insertLog, logArgs(&rows[i], rows[i].Time)...)
	}
	return l.pool.SendBatch(ctx, batch).Close() // One implicit transaction.
}

// copy streams rows into a temporary table: COPY itself cannot leave out what is there already.
func (l postgresLog) copy(ctx context.Context, rows []store.LogRow) error {
	return pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `CREATE TEMPORARY TABLE requestlog_in (LIKE requestlog) ON COMMIT DROP`); err != nil {
			return err
		}
		// id is given by requestlog, not here.
		if _, err := tx.Exec(ctx, `ALTER TABLE requestlog_in DROP COLUMN id, DROP COLUMN period`); err != nil {
			return err
		}
		_, err := tx.CopyFrom(ctx, pgx.Identifier{"requestlog_in"}, logColumnNames, pgx.CopyFromSlice(len(rows), func(i int) ([]any, error) {
			return logArgs(&rows[i], rows[i].Time), nil
		}))
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO requestlog (`+logColumns+`) SELECT `+logColumns+` FROM requestlog_in ON CONFLICT (event_id) DO NOTHING`)
		return err
	})
}
