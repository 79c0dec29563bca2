package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"sipd/sipaddr"
	"sipd/store"
)

// pageRows is how many rows a long listing reads at a time: no read transaction stays open while somebody pages through
// a million users.
const pageRows = 1000

// Users implements store.Admin.
func (db *DB) Users(ctx context.Context, domain string, each func(*store.User) error) error {
	page := make([]store.User, 0, pageRows)
	for after := ""; ; after = string(page[len(page)-1].Key) {
		page = page[:0]
		if err := db.userPage(ctx, domain, after, &page); err != nil {
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
	}
}

func (db *DB) userPage(ctx context.Context, domain, after string, page *[]store.User) error {
	ctx, cancel := deadline(ctx)
	defer cancel()
	err := eachRow(ctx, db.read, func(r *sql.Rows) error {
		var u store.User
		err := scanUser(r, &u)
		*page = append(*page, u)
		return err
	}, selectUsers+` WHERE user_key > $1 AND ($2 = '' OR substr(user_key, length(user_key) - length($2)) = '@' || $2) ORDER BY user_key LIMIT $3`,
		after, domain, pageRows)
	return db.wrap("list users", err)
}

// User implements store.Admin.
func (db *DB) User(ctx context.Context, key sipaddr.AOR) (*store.User, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	u := &store.User{}
	if err := scanUser(db.read.QueryRowContext(ctx, selectUsers+` WHERE user_key = $1`, string(key)), u); err != nil {
		return nil, db.wrap("user "+string(key), err)
	}
	return u, nil
}

// AddUser implements store.Admin.
func (db *DB) AddUser(ctx context.Context, u *store.User, creds []store.Credential) error {
	if err := u.Check(); err != nil {
		return err
	}
	if err := checkCredentials(creds); err != nil {
		return err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	c := *u
	c.CreatedAt = time.Now().UTC().Truncate(time.Millisecond)
	c.UpdatedAt = c.CreatedAt
	err := db.inTx(ctx, "user "+string(u.Key), func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `INSERT INTO users (user_key, realm, display_name, email, auth_policy, gateway_class_id, default_action,
			is_admin, disabled, may_upload_cgi, max_contacts, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12) RETURNING id`,
			string(c.Key), c.Realm, c.DisplayName, c.Email, c.AuthPolicy.String(), orNull(c.GatewayClassID), orNull(c.DefaultAction.String()),
			c.IsAdmin, c.Disabled, c.MayUploadCGI, orNull(c.MaxContacts), db.d.time(c.CreatedAt)).Scan(&c.ID)
		if err != nil {
			return err
		}
		return db.addCredentials(ctx, tx, c.ID, creds)
	})
	if err == nil {
		*u = c
	}
	return err
}

func checkCredentials(creds []store.Credential) error {
	for i := range creds {
		if err := creds[i].Check(); err != nil {
			return err
		}
	}
	return nil
}

func (db *DB) addCredentials(ctx context.Context, tx *sql.Tx, userID int64, creds []store.Credential) error {
	now := db.d.time(time.Now())
	for _, c := range creds {
		_, err := tx.ExecContext(ctx, `INSERT INTO credentials (user_id, auth_username, realm, algorithm, ha1, updated_at) VALUES ($1, $2, $3, $4, $5, $6)`,
			userID, c.Username, c.Realm, c.Algorithm.String(), c.HA1, now)
		if err != nil {
			return fmt.Errorf("credential %s in realm %s: %w", c.Username, c.Realm, err)
		}
	}
	return nil
}

// UpdateUser implements store.Admin.
func (db *DB) UpdateUser(ctx context.Context, u *store.User) error {
	if err := u.Check(); err != nil {
		return err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	now := time.Now().UTC().Truncate(time.Millisecond)
	var created time.Time
	err := db.inTx(ctx, "user "+string(u.Key), func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `UPDATE users SET user_key = $1, realm = $2, display_name = $3, email = $4, auth_policy = $5, gateway_class_id = $6,
		default_action = $7, is_admin = $8, disabled = $9, may_upload_cgi = $10, max_contacts = $11, updated_at = $12 WHERE id = $13 RETURNING created_at`,
			string(u.Key), u.Realm, u.DisplayName, u.Email, u.AuthPolicy.String(), orNull(u.GatewayClassID), orNull(u.DefaultAction.String()),
			u.IsAdmin, u.Disabled, u.MayUploadCGI, orNull(u.MaxContacts), db.d.time(now), u.ID).Scan(when{&created})
	})
	if err != nil {
		return err
	}
	u.CreatedAt, u.UpdatedAt = created, now
	return nil
}

// RemoveUser implements store.Admin.
func (db *DB) RemoveUser(ctx context.Context, key sipaddr.AOR) error {
	return db.exec(ctx, "user "+string(key), `DELETE FROM users WHERE user_key = $1`, string(key))
}

// Credentials implements store.Admin.
func (db *DB) Credentials(ctx context.Context, userID int64) ([]store.Credential, error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	var list []store.Credential
	err := eachRow(ctx, db.read, func(r *sql.Rows) error {
		var c store.Credential
		err := scanCredential(r, &c)
		list = append(list, c)
		return err
	}, selectCredentials+` WHERE user_id = $1 ORDER BY auth_username, realm, algorithm`, userID)
	return list, db.wrap(fmt.Sprintf("credentials of user %d", userID), err)
}

// SetCredentials implements store.Admin.
func (db *DB) SetCredentials(ctx context.Context, userID int64, creds []store.Credential) error {
	if err := checkCredentials(creds); err != nil {
		return err
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	return db.inTx(ctx, fmt.Sprintf("credentials of user %d", userID), func(tx *sql.Tx) error {
		// Without this an empty list for a user that is not there would succeed.
		if err := tx.QueryRowContext(ctx, `SELECT id FROM users WHERE id = $1`, userID).Scan(&userID); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM credentials WHERE user_id = $1`, userID); err != nil {
			return err
		}
		return db.addCredentials(ctx, tx, userID, creds)
	})
}
