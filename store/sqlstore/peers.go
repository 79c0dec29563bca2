package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"sipd/sipaddr"
	"sipd/store"
)

const (
	selectThirdParties = `SELECT user_id, registrant_user_id FROM third_parties`
	// namedThirdParties has the keys, too.
	namedThirdParties = `SELECT t.user_id, t.registrant_user_id, u.user_key, r.user_key FROM third_parties t
		JOIN users u ON u.id = t.user_id JOIN users r ON r.id = t.registrant_user_id`
	selectPeers         = `SELECT id, source_nets, tls_name, may_assert_identity FROM trusted_peers ORDER BY id`
	changedThirdParties = `SELECT DISTINCT CAST(row_key AS bigint) FROM changes WHERE seq > $1 AND seq <= $2 AND table_name = 'third_parties'`
)

// loadPeers hands over third_parties and trusted_peers.
func loadPeers(ctx context.Context, q querier, into store.Sink) error {
	err := eachThirdParty(ctx, q, into.ThirdParty, selectThirdParties)
	if err != nil {
		return err
	}
	return eachPeer(ctx, q, into.TrustedPeer)
}

func eachThirdParty(ctx context.Context, q querier, do func(*store.ThirdParty), query string, args ...any) error {
	var t store.ThirdParty
	return eachRow(ctx, q, func(r *sql.Rows) error {
		if err := r.Scan(&t.UserID, &t.RegistrantID); err != nil {
			return err
		}
		do(&t)
		return nil
	}, query, args...)
}

func eachPeer(ctx context.Context, q querier, do func(*store.TrustedPeer)) error {
	var p store.TrustedPeer
	return eachRow(ctx, q, func(r *sql.Rows) error {
		if err := r.Scan(&p.ID, &p.SourceNets, &p.TLSName, &p.MayAssertIdentity); err != nil {
			return err
		}
		do(&p)
		return nil
	}, selectPeers)
}

// readThirdParties fills in what a delta says of third_parties.
func readThirdParties(ctx context.Context, tx *sql.Tx, d *store.Delta, seq int64) error {
	err := eachRow(ctx, tx, func(r *sql.Rows) error {
		var id int64
		err := r.Scan(&id)
		d.ThirdPartyIDs = append(d.ThirdPartyIDs, id)
		return err
	}, changedThirdParties, seq, d.Seq)
	if err != nil {
		return err
	}
	return eachThirdParty(ctx, tx, func(t *store.ThirdParty) { d.ThirdParties = append(d.ThirdParties, *t) },
		selectThirdParties+` WHERE user_id IN (`+changedThirdParties+`) ORDER BY user_id, registrant_user_id`, seq, d.Seq)
}

// ThirdParties implements store.Admin.
func (db *DB) ThirdParties(ctx context.Context, user sipaddr.AOR, each func(*store.ThirdParty) error) error {
	page := make([]store.ThirdParty, 0, pageRows)
	var last store.ThirdParty
	for {
		page = page[:0]
		if err := db.thirdPartyPage(ctx, user, last, &page); err != nil {
			return err
		}
		for i := range page {
			if err := each(&page[i]); err != nil {
				return err
			}
		}
		if len(page) < pageRows {
			return nil
		}
		last = page[len(page)-1]
	}
}

func (db *DB) thirdPartyPage(ctx context.Context, user sipaddr.AOR, last store.ThirdParty, page *[]store.ThirdParty) error {
	ctx, cancel := deadline(ctx)
	defer cancel()
	query, args := namedThirdParties+` WHERE u.user_key > $1 OR u.user_key = $1 AND r.user_key > $2`, []any{string(last.User), string(last.Registrant), pageRows}
	if user != "" {
		query, args[0] = namedThirdParties+` WHERE u.user_key = $1 AND r.user_key > $2`, string(user)
	}
	return db.wrap("list third parties", eachRow(ctx, db.read, func(r *sql.Rows) error {
		var t store.ThirdParty
		err := r.Scan(&t.UserID, &t.RegistrantID, (*string)(&t.User), (*string)(&t.Registrant))
		*page = append(*page, t)
		return err
	}, query+` ORDER BY u.user_key, r.user_key LIMIT $3`, args...))
}

// AddThirdParty implements store.Admin.
func (db *DB) AddThirdParty(ctx context.Context, user, registrant sipaddr.AOR) (store.ThirdParty, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	t := store.ThirdParty{User: user, Registrant: registrant}
	err := db.inTx(ctx, "third party "+string(registrant)+" of "+string(user), func(tx *sql.Tx) error {
		for _, who := range [...]struct {
			key sipaddr.AOR
			id  *int64
		}{{user, &t.UserID}, {registrant, &t.RegistrantID}} {
			err := tx.QueryRowContext(ctx, `SELECT id FROM users WHERE user_key = $1`, string(who.key)).Scan(who.id)
			if errors.Is(err, sql.ErrNoRows) {
				return fmt.Errorf("user %s: %w", who.key, store.ErrNotFound)
			}
			if err != nil {
				return err
			}
		}
		if err := t.Check(); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO third_parties (user_id, registrant_user_id) VALUES ($1, $2)`, t.UserID, t.RegistrantID); err != nil {
			return err
		}
		return atMost(ctx, tx, store.MaxThirdParties, "third parties of "+string(user), `SELECT count(*) FROM third_parties WHERE user_id = $1`, t.UserID)
	})
	if err != nil {
		return store.ThirdParty{}, err
	}
	return t, nil
}

// atMost refuses the row that makes a table too large. Two at once may both get through: the cache names what is too much.
func atMost(ctx context.Context, tx *sql.Tx, limit int, what, count string, args ...any) error {
	var n int
	if err := tx.QueryRowContext(ctx, count, args...).Scan(&n); err != nil {
		return err
	}
	if n > limit {
		return fmt.Errorf("%w: there are %d %s already, which is the most: remove one first", store.ErrInvalid, limit, what)
	}
	return nil
}

// RemoveThirdParty implements store.Admin.
func (db *DB) RemoveThirdParty(ctx context.Context, user, registrant sipaddr.AOR) error {
	return db.exec(ctx, "third party "+string(registrant)+" of "+string(user), `DELETE FROM third_parties
		WHERE user_id = (SELECT id FROM users WHERE user_key = $1) AND ($2 = '' OR registrant_user_id = (SELECT id FROM users WHERE user_key = $2))`,
		string(user), string(registrant))
}

// TrustedPeers implements store.Admin.
func (db *DB) TrustedPeers(ctx context.Context) ([]store.TrustedPeer, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	var list []store.TrustedPeer
	err := eachPeer(ctx, db.read, func(p *store.TrustedPeer) { list = append(list, *p) })
	return list, db.wrap("list trusted peers", err)
}

// AddTrustedPeer implements store.Admin.
func (db *DB) AddTrustedPeer(ctx context.Context, p *store.TrustedPeer) error {
	if err := p.Normalize(); err != nil {
		return err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	var id int64
	err := db.inTx(ctx, "trusted peer", func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `INSERT INTO trusted_peers (source_nets, tls_name, may_assert_identity) VALUES ($1, $2, $3) RETURNING id`,
			p.SourceNets, p.TLSName, p.MayAssertIdentity).Scan(&id)
		if err != nil {
			return err
		}
		return atMost(ctx, tx, store.MaxTrustedPeers, "trusted peers", `SELECT count(*) FROM trusted_peers`)
	})
	if err == nil {
		p.ID = id
	}
	return err
}

// RemoveTrustedPeer implements store.Admin.
func (db *DB) RemoveTrustedPeer(ctx context.Context, id int64) error {
	return db.exec(ctx, fmt.Sprintf("trusted peer %d", id), `DELETE FROM trusted_peers WHERE id = $1`, id)
}
