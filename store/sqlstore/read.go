package sqlstore

import (
	"context"
	"database/sql"
	"time"

	"sipd/sipaddr"
	"sipd/store"
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
		return eachRow(ctx, tx, func(r *sql.Rows) error {
			if err := scanAlias(r, &a); err != nil {
				return err
			}
			into.Alias(&a)
			return nil
		}, selectAliases+` ORDER BY id`)
	})
	return server, seq, err
}

// loadUsers reads a million rows in seconds: the fewest columns, one scan target for all rows.
func loadUsers(ctx context.Context, tx *sql.Tx, into store.Sink) error {
	var u store.User
	var key string
	targets := []any{
		&u.ID, &key, &u.Realm, &u.DisplayName, &u.Email, enum[store.AuthPolicy]{&u.AuthPolicy, store.ParseAuthPolicy}, &u.GatewayClassID,
		enum[store.Action]{&u.DefaultAction, store.ParseAction}, &u.IsAdmin, &u.Disabled, &u.MayUploadCGI, &u.MaxContacts,
	}
	err := eachRow(ctx, tx, func(r *sql.Rows) error {
		if err := r.Scan(targets...); err != nil {
			return err
		}
		u.Key = sipaddr.AOR(key)
		into.User(&u)
		return nil
	}, `SELECT `+userColumns+` FROM users ORDER BY id`)
	if err != nil {
		return err
	}
	var c store.Credential
	credential := []any{&c.UserID, &c.Username, &c.Realm, enum[store.Algorithm]{&c.Algorithm, store.ParseAlgorithm}, &c.HA1}
	return eachRow(ctx, tx, func(r *sql.Rows) error {
		if err := r.Scan(credential...); err != nil {
			return err
		}
		into.Credential(&c)
		return nil
	}, selectCredentials)
}

const (
	userColumns = `id, user_key, realm, display_name, email, auth_policy, coalesce(gateway_class_id, 0),
		default_action, is_admin, disabled, may_upload_cgi, coalesce(max_contacts, 0)`
	selectUsers         = `SELECT ` + userColumns + `, created_at, updated_at FROM users`
	selectCredentials   = `SELECT user_id, auth_username, realm, algorithm, ha1 FROM credentials`
	selectDomains       = `SELECT id, coalesce(server_id, 0), name, kind, coalesce(canonical, ''), coalesce(realm, '') FROM domains`
	selectServerDomains = selectDomains + ` WHERE server_id IS NULL OR server_id = $1 ORDER BY id`
	selectAliases       = `SELECT id, alias, primary_user, kind, priority FROM aliases`
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
	return r.Scan(&a.ID, &a.Alias, (*string)(&a.PrimaryUser), enum[store.AliasKind]{&a.Kind, store.ParseAliasKind}, &a.Priority)
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
	users := false
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
