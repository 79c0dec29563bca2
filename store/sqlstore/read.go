package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"sipd/sipaddr"
	"sipd/store"
	"sipd/store/sqlstore/planrows"
)

// Load implements store.Reader. It leaves out created_at and updated_at of users.
func (db *DB) Load(ctx context.Context, serverName string, into store.Sink) (server store.Server, seq int64, err error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	err = db.inReadTx(ctx, "load tables", func(tx *sql.Tx) error {
		if seq, err = lastChange(ctx, tx); err != nil {
			return err
		}
		servers, err := listServers(ctx, tx)
		if err != nil {
			return err
		}
		if server, err = store.PickServer(servers, serverName); err != nil {
			return err
		}
		settings, err := listSettings(ctx, tx, server.ID)
		if err != nil {
			return err
		}
		for name, value := range settings {
			into.Setting(name, value)
		}
		var d store.Domain
		err = eachRow(ctx, tx, func(r *sql.Rows) error {
			if err := scanDomain(r, &d); err != nil {
				return err
			}
			into.Domain(&d)
			return nil
		}, selectServerDomains, server.ID)
		if err != nil {
			return err
		}
		if err := loadUsers(ctx, tx, into); err != nil {
			return err
		}
		var a store.Alias
		err = eachRow(ctx, tx, func(r *sql.Rows) error {
			if err := scanAlias(r, &a); err != nil {
				return err
			}
			into.Alias(&a)
			return nil
		}, selectAliases+` ORDER BY id`)
		if err != nil {
			return err
		}
		if err := loadPeers(ctx, tx, into); err != nil {
			return err
		}
		if err := planrows.EachForward(ctx, tx, into.Forward); err != nil {
			return err
		}
		plan, err := planrows.Read(ctx, tx)
		if err == nil {
			into.PlanRows(plan)
		}
		return err
	})
	return server, seq, err
}

// loadUsers reads a million rows in seconds: what a column costs on its way here is more than what it holds, so a row
// comes as one text.
func loadUsers(ctx context.Context, tx *sql.Tx, into store.Sink) error {
	var text string
	scan := func(r *sql.Rows) error { return r.Scan(&text) }
	var u store.User
	err := eachRow(ctx, tx, func(r *sql.Rows) error {
		if err := scan(r); err != nil {
			return err
		}
		if err := cutUser(text, &u); err != nil {
			return err
		}
		into.User(&u)
		return nil
	}, loadedUsers, separator)
	if err != nil {
		return err
	}
	var c store.Credential
	return eachRow(ctx, tx, func(r *sql.Rows) error {
		if err := scan(r); err != nil {
			return err
		}
		if err := cutCredential(text, &c); err != nil {
			return err
		}
		into.Credential(&c)
		return nil
	}, loadedCredentials, separator)
}

// separator stands between the columns of a row that comes as one text. It is a control character, which no column may have: a
// row with one too many is handed on as a name with control characters, and its check tells what is wrong.
const separator = "\x1f"

const (
	loadedUsers = `SELECT concat_ws(CAST($1 AS text), id, user_key, realm, display_name, email, auth_policy, coalesce(gateway_class_id, 0),
		coalesce(default_action, ''), is_admin, disabled, may_upload_cgi, coalesce(max_contacts, 0)) FROM users ORDER BY id`
	loadedCredentials = `SELECT concat_ws(CAST($1 AS text), user_id, auth_username, realm, algorithm, ha1) FROM credentials`
)

// cut fills fields with what lies between the separators and tells whether it is as many.
func cut(text string, fields []string) bool {
	for i := range fields {
		var more bool
		fields[i], text, more = strings.Cut(text, separator)
		if more == (i == len(fields)-1) {
			return false
		}
	}
	return true
}

func cutUser(text string, u *store.User) error {
	var f [12]string
	whole := cut(text, f[:])
	id, err := strconv.ParseInt(f[0], 10, 64)
	if err != nil {
		return fmt.Errorf("id of a user: %w", err)
	}
	if !whole {
		*u = store.User{ID: id, Key: sipaddr.AOR(text)}
		return nil
	}
	*u = store.User{ID: id, Key: sipaddr.AOR(f[1]), Realm: f[2], DisplayName: f[3], Email: f[4], IsAdmin: isTrue(f[8]), Disabled: isTrue(f[9]), MayUploadCGI: isTrue(f[10])}
	var errs [4]error
	u.AuthPolicy, errs[0] = store.ParseAuthPolicy(f[5])
	u.GatewayClassID, errs[1] = strconv.ParseInt(f[6], 10, 64)
	u.DefaultAction, errs[2] = store.ParseAction(f[7])
	u.MaxContacts, errs[3] = strconv.Atoi(f[11])
	if err := errors.Join(errs[:]...); err != nil {
		return fmt.Errorf("user %s: %w", u.Key, err)
	}
	return nil
}

// isTrue reads a boolean: 1 in SQLite, t in Postgres.
func isTrue(s string) bool { return s == "1" || s == "t" }

func cutCredential(text string, c *store.Credential) error {
	var f [5]string
	whole := cut(text, f[:])
	id, err := strconv.ParseInt(f[0], 10, 64)
	if err != nil {
		return fmt.Errorf("user of a credential: %w", err)
	}
	if !whole {
		*c = store.Credential{UserID: id, Username: text}
		return nil
	}
	*c = store.Credential{UserID: id, Username: f[1], Realm: f[2], HA1: f[4]}
	if c.Algorithm, err = store.ParseAlgorithm(f[3]); err != nil {
		return fmt.Errorf("credential %s: %w", c.Username, err)
	}
	return nil
}

const (
	userColumns = `id, user_key, realm, display_name, email, auth_policy, coalesce(gateway_class_id, 0),
		default_action, is_admin, disabled, may_upload_cgi, coalesce(max_contacts, 0)`
	selectUsers         = `SELECT ` + userColumns + `, created_at, updated_at FROM users`
	selectCredentials   = `SELECT user_id, auth_username, realm, algorithm, ha1 FROM credentials`
	selectDomains       = `SELECT id, coalesce(server_id, 0), name, kind, coalesce(canonical, ''), coalesce(realm, '') FROM domains`
	selectServerDomains = selectDomains + ` WHERE server_id IS NULL OR server_id = $1 ORDER BY id`
	selectAliases       = `SELECT id, alias, primary_user, kind, priority, ring_mode, coalesce(delay_s, 0) FROM aliases`
	// changedBetween is the keys of changed rows as a table has them; the cast sees numbers only.
	changedUsers = `(SELECT CAST(row_key AS bigint) FROM changes WHERE seq > $1 AND seq <= $2 AND table_name IN ('users', 'credentials'))`
)

func scanUser(r interface{ Scan(...any) error }, u *store.User) error {
	return r.Scan(&u.ID, (*string)(&u.Key), &u.Realm, &u.DisplayName, &u.Email, enum[store.AuthPolicy]{&u.AuthPolicy, store.ParseAuthPolicy},
		&u.GatewayClassID, enum[store.Action]{&u.DefaultAction, store.ParseAction}, &u.IsAdmin, &u.Disabled, &u.MayUploadCGI,
		&u.MaxContacts, when{&u.CreatedAt}, when{&u.UpdatedAt})
}

func scanCredential(r *sql.Rows, c *store.Credential) error {
	return r.Scan(&c.UserID, &c.Username, &c.Realm, enum[store.Algorithm]{&c.Algorithm, store.ParseAlgorithm}, &c.HA1)
}

func scanDomain(r *sql.Rows, d *store.Domain) error {
	return r.Scan(&d.ID, &d.ServerID, &d.Name, enum[store.DomainKind]{&d.Kind, store.ParseDomainKind}, &d.Canonical, &d.Realm)
}

func scanAlias(r *sql.Rows, a *store.Alias) error {
	return r.Scan(&a.ID, &a.Alias, (*string)(&a.PrimaryUser), enum[store.AliasKind]{&a.Kind, store.ParseAliasKind}, &a.Priority,
		enum[store.RingMode]{&a.RingMode, store.ParseRingMode}, &a.Delay)
}

func lastChange(ctx context.Context, q querier) (seq int64, err error) {
	err = q.QueryRowContext(ctx, `SELECT coalesce(max(seq), 0) FROM changes`).Scan(&seq)
	return seq, err
}

// Delta implements store.Reader.
func (db *DB) Delta(ctx context.Context, serverID, seq int64) (*store.Delta, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	d := &store.Delta{}
	err := db.inReadTx(ctx, "read changes", func(tx *sql.Tx) error {
		var err error
		if d.Seq, err = lastChange(ctx, tx); err != nil || d.Seq == seq {
			return err
		}
		// A smaller number means that another database was put in this one's place.
		if d.Seq < seq || d.Seq-seq > store.MaxDelta {
			d.Full = true
			return nil
		}
		return readDelta(ctx, tx, d, serverID, seq)
	})
	if err != nil {
		return nil, err
	}
	return d, nil
}

func readDelta(ctx context.Context, tx *sql.Tx, d *store.Delta, serverID, seq int64) error {
	users, thirdParties, forwards, plan := false, false, false, false
	err := eachRow(ctx, tx, func(r *sql.Rows) error {
		var table, key string
		if err := r.Scan(&table, &key); err != nil {
			return err
		}
		switch {
		case key == "*":
			d.Full = true
		case table == "users" || table == "credentials":
			users = true
		case table == "aliases":
			d.AliasNames = append(d.AliasNames, key)
		case table == "third_parties":
			thirdParties = true
		case table == "trusted_peers":
			d.PeersChanged = true
		case table == "forwards":
			forwards = true
		case table == "dialplan" || table == "gatewaymap" || table == "gateways" || table == "gateway_classes":
			plan = true
		case table == "domains":
			d.DomainsChanged = true
		case table == "server_settings":
			d.SettingsChanged = true
		}
		return nil
	}, `SELECT DISTINCT table_name, row_key FROM changes WHERE seq > $1 AND seq <= $2`, seq, d.Seq)
	if err != nil {
		return err
	}
	if d.Full {
		*d = store.Delta{Seq: d.Seq, Full: true}
		return nil
	}
	if users {
		if err := readUsers(ctx, tx, d, seq); err != nil {
			return err
		}
	}
	if len(d.AliasNames) > 0 {
		var a store.Alias
		err := eachRow(ctx, tx, func(r *sql.Rows) error {
			err := scanAlias(r, &a)
			d.Aliases = append(d.Aliases, a)
			return err
		}, selectAliases+` WHERE alias IN (SELECT row_key FROM changes WHERE seq > $1 AND seq <= $2 AND table_name = 'aliases') ORDER BY id`, seq, d.Seq)
		if err != nil {
			return err
		}
	}
	if thirdParties {
		if err := readThirdParties(ctx, tx, d, seq); err != nil {
			return err
		}
	}
	if forwards {
		if err := planrows.ReadForwards(ctx, tx, d, seq); err != nil {
			return err
		}
	}
	if plan {
		if d.Plan, err = planrows.Read(ctx, tx); err != nil {
			return err
		}
	}
	if d.PeersChanged {
		if err := eachPeer(ctx, tx, func(p *store.TrustedPeer) { d.Peers = append(d.Peers, *p) }); err != nil {
			return err
		}
	}
	if d.DomainsChanged {
		var row store.Domain
		err := eachRow(ctx, tx, func(r *sql.Rows) error {
			err := scanDomain(r, &row)
			d.Domains = append(d.Domains, row)
			return err
		}, selectServerDomains, serverID)
		if err != nil {
			return err
		}
	}
	if d.SettingsChanged {
		if d.Settings, err = listSettings(ctx, tx, serverID); err != nil {
			return err
		}
	}
	return nil
}

func readUsers(ctx context.Context, tx *sql.Tx, d *store.Delta, seq int64) error {
	err := eachRow(ctx, tx, func(r *sql.Rows) error {
		var id int64
		err := r.Scan(&id)
		d.UserIDs = append(d.UserIDs, id)
		return err
	}, `SELECT DISTINCT CAST(row_key AS bigint) FROM changes WHERE seq > $1 AND seq <= $2 AND table_name IN ('users', 'credentials')`, seq, d.Seq)
	if err != nil {
		return err
	}
	var u store.User
	err = eachRow(ctx, tx, func(r *sql.Rows) error {
		err := scanUser(r, &u)
		d.Users = append(d.Users, u)
		return err
	}, selectUsers+` WHERE id IN `+changedUsers+` ORDER BY id`, seq, d.Seq)
	if err != nil {
		return err
	}
	var c store.Credential
	return eachRow(ctx, tx, func(r *sql.Rows) error {
		err := scanCredential(r, &c)
		d.Credentials = append(d.Credentials, c)
		return err
	}, selectCredentials+` WHERE user_id IN `+changedUsers+` ORDER BY user_id, auth_username, realm, algorithm`, seq, d.Seq)
}

// TrimChanges implements store.Reader. The last row stays: its seq says where the next begins.
func (db *DB) TrimChanges(ctx context.Context, before time.Time) error {
	_, err := db.execAny(ctx, "forget old changes", `DELETE FROM changes WHERE at < $1 AND seq < (SELECT max(seq) FROM changes)`, db.d.time(before))
	return err
}
