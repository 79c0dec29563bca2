package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"sipd/location"
	"sipd/sipaddr"
	"sipd/store"
)

const (
	bindingColumns = `c.id, c.user_id, u.user_key, c.uri, c.display_name, c.q_milli, c.action, c.expires_at, c.call_id, c.cseq,
		coalesce(c.instance_id, ''), coalesce(c.reg_id, 0), coalesce(c.path, ''), coalesce(c.received, ''), coalesce(c.flow, ''),
		c.user_agent, c.methods, coalesce(c.local_addr, ''), c.updated_at`
	selectBindings = `SELECT ` + bindingColumns + ` FROM contacts c JOIN users u ON u.id = c.user_id`
	// pathSeparator stands between the values of a Path; a line end cannot be in one.
	pathSeparator = "\n"
)

// contactRow scans a row of selectBindings.
type contactRow struct {
	id, userID                         int64
	key, uri, display                  string
	q                                  int
	action                             store.Action
	expires, updated                   time.Time
	callID, instance, path, from, flow string
	cseq                               int64
	regID                              int
	agent, methods, local              string
	targets                            []any
}

func newContactRow() *contactRow {
	r := &contactRow{}
	r.targets = []any{
		&r.id, &r.userID, &r.key, &r.uri, &r.display, &r.q, enum[store.Action]{&r.action, store.ParseAction}, when{&r.expires}, &r.callID, &r.cseq,
		&r.instance, &r.regID, &r.path, &r.from, &r.flow, &r.agent, &r.methods, &r.local, when{&r.updated},
	}
	return r
}

func (r *contactRow) paths() []string {
	if r.path == "" {
		return nil
	}
	return strings.Split(r.path, pathSeparator)
}

func (r *contactRow) binding() *location.Binding {
	now := time.Now()
	proto, byFlow := store.ParseFlow(r.flow)
	return &location.Binding{
		ID: r.id, UserID: r.userID, URI: r.uri, DisplayName: r.display, Q: r.q, Action: uint8(r.action),
		Expires: location.FromWall(r.expires, now), CallID: r.callID, CSeq: uint32(r.cseq), InstanceID: r.instance, RegID: r.regID,
		Path: r.paths(), UserAgent: r.agent, Methods: r.methods, Source: store.ParseAddr(r.from), Local: store.ParseAddr(r.local),
		Proto: proto, ByFlow: byFlow, Updated: location.FromWall(r.updated, now),
	}
}

// LoadBindings implements location.Store. Rows of one AOR come together.
func (db *DB) LoadBindings(ctx context.Context, each func(aor sipaddr.AOR, b *location.Binding) error) error {
	ctx, cancel := deadline(ctx)
	defer cancel()
	if err := db.hot.fence(ctx); err != nil {
		return db.wrap("load bindings", err)
	}
	row := newContactRow()
	var bad location.BadRowsError
	err := eachRow(ctx, db.read, func(r *sql.Rows) error {
		if err := r.Scan(row.targets...); err != nil {
			bad.Add(fmt.Errorf("contacts, id %d: %w", row.id, err))
			return nil
		}
		return each(sipaddr.AOR(row.key), row.binding())
	}, selectBindings+` ORDER BY c.user_id, c.id`)
	if err != nil {
		return db.wrap("load bindings", err)
	}
	return bad.OrNil()
}

// LoadAOR implements location.Store.
func (db *DB) LoadAOR(ctx context.Context, aor sipaddr.AOR) ([]*location.Binding, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	if err := db.hot.fence(ctx); err != nil {
		return nil, db.wrap("load bindings of "+string(aor), err)
	}
	var list []*location.Binding
	row := newContactRow()
	err := eachRow(ctx, db.read, func(r *sql.Rows) error {
		if r.Scan(row.targets...) == nil { // One that cannot be used was named when all were loaded.
			list = append(list, row.binding())
		}
		return nil
	}, selectBindings+` WHERE u.user_key = $1 ORDER BY c.id`, string(aor))
	if err != nil {
		return nil, db.wrap("load bindings of "+string(aor), err)
	}
	return list, nil
}

// MaxID implements location.Store. It asks in a transaction that takes the lock of a writer, and so fails where a change would.
func (db *DB) MaxID(ctx context.Context) (id int64, err error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	const what = "highest id of a contact"
	tx, err := db.begin(ctx)
	if err != nil {
		return 0, db.wrap(what, err)
	}
	err = tx.QueryRowContext(ctx, `SELECT coalesce(max(id), 0) FROM contacts`).Scan(&id)
	if err == nil && db.pool != nil {
		var readOnly string
		if err = tx.QueryRowContext(ctx, `SELECT current_setting('transaction_read_only')`).Scan(&readOnly); err == nil && readOnly == "on" {
			err = errors.New("the database takes no changes: it is read-only, or a standby")
		}
	}
	return id, db.wrap(what, errors.Join(err, ignoreDone(tx.Rollback())))
}

// Commit implements location.Store. On SQLite only the wait for the connection heeds the context.
func (db *DB) Commit(ctx context.Context, sets []location.RowSet) (errs []error, err error) {
	if len(sets) == 0 {
		return nil, nil
	}
	return db.hot.commit(ctx, sets)
}

// DeleteExpired implements location.Store.
func (db *DB) DeleteExpired(ctx context.Context, before time.Time) error {
	_, err := db.execAny(ctx, "delete expired contacts", `DELETE FROM contacts WHERE expires_at < $1`, db.d.time(before))
	return err
}

// Contacts implements store.Admin.
func (db *DB) Contacts(ctx context.Context, aor sipaddr.AOR, each func(*store.Contact) error) error {
	page := make([]store.Contact, 0, pageRows)
	key, id := "", int64(0)
	for {
		page = page[:0]
		var err error
		if aor != "" {
			err = db.contactRows(ctx, &page, selectBindings+` WHERE u.user_key = $1 ORDER BY c.id`, string(aor))
		} else {
			err = db.contactRows(ctx, &page, selectBindings+` WHERE u.user_key > $1 OR u.user_key = $1 AND c.id > $2 ORDER BY u.user_key, c.id LIMIT $3`, key, id, pageRows)
		}
		if err != nil {
			return err
		}
		for i := range page {
			if err := each(&page[i]); err != nil {
				return err
			}
		}
		if aor != "" || len(page) < pageRows {
			return nil
		}
		last := &page[len(page)-1]
		key, id = string(last.AOR), last.ID
	}
}

func (db *DB) contactRows(ctx context.Context, page *[]store.Contact, query string, args ...any) error {
	ctx, cancel := deadline(ctx)
	defer cancel()
	row := newContactRow()
	return db.wrap("list contacts", eachRow(ctx, db.read, func(r *sql.Rows) error {
		err := r.Scan(row.targets...)
		*page = append(*page, store.Contact{
			ID: row.id, AOR: sipaddr.AOR(row.key), URI: row.uri, DisplayName: row.display, Q: row.q, Action: row.action, Expires: row.expires,
			CallID: row.callID, CSeq: uint32(row.cseq), InstanceID: row.instance, RegID: row.regID, Path: row.paths(), Received: row.from,
			Flow: row.flow, UserAgent: row.agent, Methods: row.methods, LocalAddr: row.local, Updated: row.updated,
		})
		return err
	}, query, args...))
}

// RemoveContacts implements store.Admin.
func (db *DB) RemoveContacts(ctx context.Context, aor sipaddr.AOR, uri string) (int, error) {
	u, err := db.User(ctx, aor)
	if err != nil {
		return 0, err
	}
	n, err := db.execAny(ctx, "contacts of "+string(aor), `DELETE FROM contacts WHERE user_id = $1 AND ($2 = '' OR uri = $2)`, u.ID, uri)
	return int(n), err
}
