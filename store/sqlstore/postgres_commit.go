package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"sipd/location"
	"sipd/store"
)

// postgresHot writes registrations: the rows of a whole batch as arrays, in one statement each for deletes and upserts,
// in one round trip.
type postgresHot struct {
	pool     *pgxpool.Pool
	doubtful []uint32 // process numbers of sessions whose last commit had no answer, see fence
}

const (
	postgresUpsert = `INSERT INTO contacts (` + contactColumns + `)
		SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::int[], $6::text[], $7::timestamptz[], $8::text[], $9::bigint[],
			$10::text[], $11::int[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[], $18::timestamptz[], $19::bigint[])
		ON CONFLICT (id) DO UPDATE SET ` + refreshColumns
	postgresDelete = `DELETE FROM contacts WHERE id = ANY ($1::bigint[])`
)

func (h *postgresHot) commit(ctx context.Context, sets []location.RowSet) ([]error, error) {
	if checkSets(sets) {
		err := h.writeAll(ctx, sets)
		if err == nil {
			return nil, nil
		}
		if !ofRow(err) {
			return nil, err
		}
	}
	// Postgres has refused a row and rolled back everything, or would: find out whose it is.
	return h.writeEach(ctx, sets)
}

// checkSets tells whether no binding is bad.
func checkSets(sets []location.RowSet) bool {
	for i := range sets {
		if checkSet(&sets[i]) != nil {
			return false
		}
	}
	return true
}

func checkSet(set *location.RowSet) error {
	for _, b := range set.Upsert {
		if err := checkBinding(b); err != nil {
			return err
		}
	}
	return nil
}

// writeAll writes all sets at once, all or nothing. The batch is one implicit transaction: it ends with its only Sync.
func (h *postgresHot) writeAll(ctx context.Context, sets []location.RowSet) error {
	conn, err := h.pool.Acquire(ctx)
	if err != nil {
		return notTried(err)
	}
	defer conn.Release()
	batch := &pgx.Batch{}
	queueRows(batch, sets)
	return h.doubt(conn.Conn(), outcome(conn.SendBatch(ctx, batch).Close()))
}

// ofRow tells whether an error is about the row that was to be written; every other ends the whole batch: no space left, a
// standby that only reads.
func ofRow(err error) bool {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || len(refused.Code) < 2 {
		return false
	}
	class := refused.Code[:2]
	return class == "22" || class == "23" || refused.Code == "54000" // data_exception, integrity_constraint_violation, program_limit_exceeded
}

// outcome tells what an error at or after the end of a transaction means.
func outcome(err error) error {
	var refused *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case pgconn.SafeToRetry(err), errors.As(err, &refused) && refused.Code == "25006": // read_only_sql_transaction
		return notTried(err)
	case errors.As(err, &refused) && !lostInCommit(refused.Code):
		return fmt.Errorf("%w: %w", location.ErrNotCommitted, err)
	}
	return fmt.Errorf("%w: %w", location.ErrUnknownOutcome, err)
}

// lostInCommit tells whether an error of the server leaves open what became of the transaction.
func lostInCommit(code string) bool {
	switch code {
	case "57P01", "57P02", "08007": // admin_shutdown, crash_shutdown, transaction_resolution_unknown
		return true
	}
	return false
}

// writeEach writes one set after the other, each under a savepoint.
func (h *postgresHot) writeEach(ctx context.Context, sets []location.RowSet) ([]error, error) {
	conn, err := h.pool.Acquire(ctx)
	if err != nil {
		return nil, notTried(err)
	}
	defer conn.Release()
	tx, err := conn.Begin(ctx)
	if err != nil {
		return nil, notTried(err)
	}
	errs := make([]error, len(sets))
	failed := false
	for i := range sets {
		if err := checkSet(&sets[i]); err != nil {
			failed = true
			errs[i] = fmt.Errorf("contacts of %s: %w", sets[i].AOR, err)
			continue
		}
		err := pgx.BeginFunc(ctx, tx, func(point pgx.Tx) error {
			batch := &pgx.Batch{}
			queueRows(batch, sets[i:i+1])
			return point.SendBatch(ctx, batch).Close()
		})
		switch {
		case err == nil:
		case ofRow(err) && !conn.Conn().IsClosed():
			failed = true
			if sentinel := classifyPostgres(err); sentinel != nil {
				err = fmt.Errorf("%w (%w)", sentinel, err)
			}
			errs[i] = fmt.Errorf("contacts of %s: %w", sets[i].AOR, err)
		default:
			// Nothing was committed: the COMMIT was never sent.
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), aliveTimeout)
			defer cancel()
			return nil, fmt.Errorf("%w: %w", location.ErrNotCommitted, errors.Join(err, tx.Rollback(end)))
		}
	}
	if err := h.doubt(conn.Conn(), outcome(tx.Commit(ctx))); err != nil {
		return nil, err
	}
	if !failed {
		errs = nil
	}
	return errs, nil
}

// queueRows adds the statements for all rows of the sets.
func queueRows(batch *pgx.Batch, sets []location.RowSet) {
	upserts, deletes := rows(sets)
	if deletes > 0 {
		ids := make([]int64, 0, deletes)
		for i := range sets {
			ids = append(ids, sets[i].Delete...)
		}
		batch.Queue(postgresDelete, ids)
	}
	if upserts == 0 {
		return
	}
	c := newContactArrays(upserts)
	for i := range sets {
		for _, b := range sets[i].Upsert {
			c.add(sets[i].UserID, b)
		}
	}
	batch.Queue(postgresUpsert, c.users, c.uri, c.norm, c.display, c.q, c.action, c.expires, c.callID, c.cseq, c.instance, c.regID,
		c.path, c.received, c.flow, c.agent, c.methods, c.local, c.updated, c.id)
}

// contactArrays is contacts by column.
type contactArrays struct {
	users, cseq, id                                                                           []int64
	uri, norm, display, action, callID, instance, path, received, flow, agent, methods, local []*string
	q                                                                                         []int32
	regID                                                                                     []*int32
	expires, updated                                                                          []*time.Time
}

func newContactArrays(n int) *contactArrays {
	texts := func() []*string { return make([]*string, 0, n) }
	return &contactArrays{
		users: make([]int64, 0, n), cseq: make([]int64, 0, n), id: make([]int64, 0, n), q: make([]int32, 0, n), regID: make([]*int32, 0, n),
		expires: make([]*time.Time, 0, n), updated: make([]*time.Time, 0, n),
		uri: texts(), norm: texts(), display: texts(), action: texts(), callID: texts(), instance: texts(), path: texts(),
		received: texts(), flow: texts(), agent: texts(), methods: texts(), local: texts(),
	}
}

func (c *contactArrays) add(userID int64, b *location.Binding) {
	given := func(s string) *string { return &s }
	optional := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	now := time.Now()
	moment := func(t location.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		v := t.Wall(now)
		return &v
	}
	c.users = append(c.users, userID)
	c.uri = append(c.uri, given(b.URI))
	c.norm = append(c.norm, given(uriNorm(b.URI)))
	c.display = append(c.display, given(clean(b.DisplayName)))
	c.q = append(c.q, int32(b.Q))
	c.action = append(c.action, optional(actionName(b)))
	c.expires = append(c.expires, moment(b.Expires))
	c.callID = append(c.callID, given(b.CallID))
	c.cseq = append(c.cseq, int64(b.CSeq))
	c.instance = append(c.instance, optional(b.InstanceID))
	var reg *int32
	if b.RegID != 0 {
		n := int32(b.RegID)
		reg = &n
	}
	c.regID = append(c.regID, reg)
	c.path = append(c.path, optional(pathText(b.Path)))
	c.received = append(c.received, optional(store.AddrText(b.Source)))
	c.flow = append(c.flow, optional(store.FlowText(b.Proto, b.ByFlow)))
	c.agent = append(c.agent, given(clean(b.UserAgent)))
	c.methods = append(c.methods, given(clean(b.Methods)))
	c.local = append(c.local, optional(store.AddrText(b.Local)))
	c.updated = append(c.updated, moment(b.Updated))
	c.id = append(c.id, b.ID)
}
