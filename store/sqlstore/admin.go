package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"sipd/sipaddr"
	"sipd/store"
	"sipd/store/sqlstore/planrows"
)

// Servers implements store.Admin.
func (db *DB) Servers(ctx context.Context) ([]store.Server, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	list, err := listServers(ctx, db.read)
	return list, db.wrap("list servers", err)
}

func listServers(ctx context.Context, q querier) ([]store.Server, error) {
	var list []store.Server
	err := eachRow(ctx, q, func(r *sql.Rows) error {
		var s store.Server
		err := r.Scan(&s.ID, &s.Name)
		list = append(list, s)
		return err
	}, `SELECT id, name FROM servers ORDER BY id`)
	return list, err
}

// AddServer implements store.Admin.
func (db *DB) AddServer(ctx context.Context, name string) (store.Server, error) {
	if err := store.CheckName("server", name); err != nil {
		return store.Server{}, err
	}
	s := store.Server{Name: name}
	err := db.insert(ctx, "server "+name, &s.ID, `INSERT INTO servers (name) VALUES ($1) RETURNING id`, name)
	return s, err
}

// insert runs a statement that returns the id of the new row.
func (db *DB) insert(ctx context.Context, what string, id *int64, query string, args ...any) error {
	ctx, cancel := deadline(ctx)
	defer cancel()
	return db.inTx(ctx, what, func(tx *sql.Tx) error { return tx.QueryRowContext(ctx, query, args...).Scan(id) })
}

// Settings implements store.Admin.
func (db *DB) Settings(ctx context.Context, serverID int64) (map[string]string, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	var settings map[string]string
	err := db.inReadTx(ctx, fmt.Sprintf("settings of server %d", serverID), func(tx *sql.Tx) error {
		var id int64
		if err := tx.QueryRowContext(ctx, `SELECT id FROM servers WHERE id = $1`, serverID).Scan(&id); err != nil {
			return err
		}
		var err error
		settings, err = listSettings(ctx, tx, serverID)
		return err
	})
	return settings, err
}

func listSettings(ctx context.Context, q querier, serverID int64) (map[string]string, error) {
	settings := map[string]string{}
	err := eachRow(ctx, q, func(r *sql.Rows) error {
		var name, value string
		err := r.Scan(&name, &value)
		settings[name] = value
		return err
	}, `SELECT name, value FROM server_settings WHERE server_id = $1`, serverID)
	return settings, err
}

// SetSetting implements store.Admin.
func (db *DB) SetSetting(ctx context.Context, serverID int64, name, value string) error {
	if err := store.CheckSetting(name, value); err != nil {
		return err
	}
	return db.exec(ctx, "setting "+name, `INSERT INTO server_settings (server_id, name, value) VALUES ($1, $2, $3)
		ON CONFLICT (server_id, name) DO UPDATE SET value = excluded.value`, serverID, name, value)
}

// RemoveSetting implements store.Admin.
func (db *DB) RemoveSetting(ctx context.Context, serverID int64, name string) error {
	return db.exec(ctx, "setting "+name, `DELETE FROM server_settings WHERE server_id = $1 AND name = $2`, serverID, name)
}

// Domains implements store.Admin.
func (db *DB) Domains(ctx context.Context) ([]store.Domain, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	var list []store.Domain
	err := eachRow(ctx, db.read, func(r *sql.Rows) error {
		var d store.Domain
		err := scanDomain(r, &d)
		list = append(list, d)
		return err
	}, selectDomains+` ORDER BY id`)
	return list, db.wrap("list domains", err)
}

// AddDomain implements store.Admin.
func (db *DB) AddDomain(ctx context.Context, d *store.Domain) error {
	if err := d.Normalize(); err != nil {
		return err
	}
	return db.insert(ctx, "domain "+d.Name, &d.ID, `INSERT INTO domains (server_id, name, kind, canonical, realm) VALUES ($1, $2, $3, $4, $5) RETURNING id`,
		orNull(d.ServerID), d.Name, d.Kind.String(), orNull(d.Canonical), orNull(d.Realm))
}

// RemoveDomain implements store.Admin.
func (db *DB) RemoveDomain(ctx context.Context, name string) error {
	return db.exec(ctx, "domain "+name, `DELETE FROM domains WHERE name = $1 OR name = $2`, name, strings.ToLower(name))
}

// Classes implements store.Admin.
func (db *DB) Classes(ctx context.Context) ([]store.GatewayClass, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	var list []store.GatewayClass
	err := eachRow(ctx, db.read, func(r *sql.Rows) error {
		var c store.GatewayClass
		err := r.Scan(&c.ID, &c.Name)
		list = append(list, c)
		return err
	}, `SELECT id, name FROM gateway_classes ORDER BY name`)
	return list, db.wrap("list gateway classes", err)
}

// AddClass implements store.Admin.
func (db *DB) AddClass(ctx context.Context, name string) (store.GatewayClass, error) {
	if err := store.CheckName("gateway class", name); err != nil {
		return store.GatewayClass{}, err
	}
	c := store.GatewayClass{Name: name}
	err := db.insert(ctx, "gateway class "+name, &c.ID, `INSERT INTO gateway_classes (name) VALUES ($1) RETURNING id`, name)
	return c, err
}

// Aliases implements store.Admin.
func (db *DB) Aliases(ctx context.Context, alias string) ([]store.Alias, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	var list []store.Alias
	err := eachRow(ctx, db.read, func(r *sql.Rows) error {
		var a store.Alias
		err := scanAlias(r, &a)
		list = append(list, a)
		return err
	}, selectAliases+` WHERE $1 = '' OR alias = $1 ORDER BY alias, priority, id`, alias)
	return list, db.wrap("list aliases", err)
}

// AddAlias implements store.Admin.
func (db *DB) AddAlias(ctx context.Context, a *store.Alias) error {
	if err := a.Check(); err != nil {
		return err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	return db.inTx(ctx, "alias "+a.Alias+" of "+string(a.PrimaryUser), func(tx *sql.Tx) error { return planrows.InsertAlias(ctx, tx, a) })
}

// RemoveAlias implements store.Admin.
func (db *DB) RemoveAlias(ctx context.Context, alias string, user sipaddr.AOR) error {
	return db.exec(ctx, "alias "+alias, `DELETE FROM aliases WHERE alias = $1 AND ($2 = '' OR primary_user = $2)`, alias, string(user))
}
