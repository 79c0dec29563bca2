package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"sipd/migrations"
	"sipd/store"
)

const (
	// bulkTimeout is the deadline of a bulk load without one of its own: a million users take a few minutes.
	bulkTimeout = 30 * time.Minute
	// bulkProgress is after how many users progress is told.
	bulkProgress = 1000
)

// The rows are taken into temporary tables first, which locks nothing, and then moved in one short transaction. n is the
// place of the user in the load.
const (
	createImportUsers = `CREATE TEMPORARY TABLE import_users (n bigint, user_key text, realm text, display_name text, email text, auth_policy text,
		gateway_class_id bigint, default_action text, is_admin boolean, disabled boolean, may_upload_cgi boolean, max_contacts integer)`
	createImportCredentials = `CREATE TEMPORARY TABLE import_credentials (n bigint, auth_username text, realm text, algorithm text, ha1 text)`
	insertImportUser        = `INSERT INTO import_users VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	insertImportCredential  = `INSERT INTO import_credentials VALUES (?, ?, ?, ?, ?)`
	importedColumns         = `realm, display_name, email, auth_policy, gateway_class_id, default_action, is_admin, disabled, may_upload_cgi, max_contacts`

	beginBulk = `INSERT INTO changes (seq, table_name, row_key) VALUES (0, 'users', '*')`
	endBulk   = `DELETE FROM changes WHERE seq = 0`
	bulkDone  = `INSERT INTO changes (table_name, row_key) VALUES ('users', '*')`
	// nextUserID is an id that no user of SQLite has or had.
	nextUserID = `SELECT 1 + max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'users'), 0), coalesce((SELECT max(id) FROM users), 0))`
	// orderChanges is the lock of the trigger note_changes in Postgres, which makes the order of seq that of commits.
	orderChanges = `SELECT pg_advisory_xact_lock(1936289892, 1)`

	findUser       = `SELECT i.user_key FROM import_users i JOIN users u ON u.user_key = i.user_key ORDER BY i.n LIMIT 1`
	findCredential = `SELECT i.auth_username || ' in realm ' || i.realm FROM import_credentials i
		JOIN credentials c ON c.auth_username = i.auth_username AND c.realm = i.realm AND c.algorithm = i.algorithm ORDER BY i.n LIMIT 1`
)

// BulkUsers implements store.Admin.
func (db *DB) BulkUsers(ctx context.Context, users []store.ImportUser, progress func(done int)) error {
	for i := range users {
		if err := users[i].User.Check(); err != nil {
			return err
		}
		if err := checkCredentials(users[i].Credentials); err != nil {
			return err
		}
	}
	if progress == nil {
		progress = func(int) {}
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, bulkTimeout)
		defer cancel()
	}
	// In the order of the keys every index grows at its end, which is several times as fast.
	users = slices.Clone(users)
	slices.SortFunc(users, func(a, b store.ImportUser) int { return strings.Compare(string(a.User.Key), string(b.User.Key)) })
	if db.d.migrations == migrations.SQLite {
		return db.wrap("load users", db.bulkSQLite(ctx, users, progress))
	}
	return db.wrap("load users", db.bulkPostgres(ctx, users, progress))
}

func userRow(n int, u *store.User) []any {
	return []any{
		int64(n), string(u.Key), u.Realm, u.DisplayName, u.Email, u.AuthPolicy.String(), orNull(u.GatewayClassID), orNull(u.DefaultAction.String()),
		u.IsAdmin, u.Disabled, u.MayUploadCGI, orNull(int64(u.MaxContacts)),
	}
}

func credentialRow(n int, c *store.Credential) []any {
	return []any{int64(n), c.Username, c.Realm, c.Algorithm.String(), c.HA1}
}

// already turns a row that findUser or findCredential has found into an error.
func already(name string, err error) error {
	switch {
	case err == nil:
		return fmt.Errorf("%s: %w", name, store.ErrExists)
	case errors.Is(err, sql.ErrNoRows) || errors.Is(err, pgx.ErrNoRows):
		return nil
	}
	return err
}

// bulkSQLite works on a connection of its own: filling the temporary tables holds no lock of the database, and the
// connection that writes registrations stays free.
func (db *DB) bulkSQLite(ctx context.Context, users []store.ImportUser, progress func(done int)) (err error) {
	own, err := db.openSQLitePool(1, []string{"synchronous(FULL)", "wal_autocheckpoint(4000)", "cache_size(-64000)", "temp_store(FILE)"}, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, own.Close()) }()
	conn, err := own.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := stageSQLite(ctx, conn, users, progress); err != nil {
		return err
	}
	if err := pollLocks(ctx, conn); err != nil {
		return err
	}
	// The one transaction that others wait for.
	for {
		_, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE")
		if err == nil {
			break
		}
		if !busy(err) || ctx.Err() != nil {
			return err
		}
	}
	if err := mergeSQLite(ctx, conn); err != nil {
		_, back := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		return errors.Join(err, back)
	}
	return nil
}

func stageSQLite(ctx context.Context, conn *sql.Conn, users []store.ImportUser, progress func(done int)) error {
	for _, step := range []string{createImportUsers, createImportCredentials, "BEGIN"} {
		if _, err := conn.ExecContext(ctx, step); err != nil {
			return err
		}
	}
	user, err := conn.PrepareContext(ctx, insertImportUser)
	if err != nil {
		return err
	}
	defer user.Close()
	credential, err := conn.PrepareContext(ctx, insertImportCredential)
	if err != nil {
		return err
	}
	defer credential.Close()
	background := context.Background() // Temporary tables block nobody; ctx is looked at between the rows.
	for i := range users {
		if _, err := user.ExecContext(background, userRow(i, &users[i].User)...); err != nil {
			return err
		}
		for j := range users[i].Credentials {
			if _, err := credential.ExecContext(background, credentialRow(i, &users[i].Credentials[j])...); err != nil {
				return err
			}
		}
		if n := i + 1; n%bulkProgress == 0 || n == len(users) {
			if err := ctx.Err(); err != nil {
				return err
			}
			progress(n)
		}
	}
	_, err = conn.ExecContext(ctx, "COMMIT")
	return err
}

func mergeSQLite(ctx context.Context, conn *sql.Conn) error {
	if _, err := conn.ExecContext(ctx, beginBulk); err != nil {
		return err
	}
	for _, find := range []string{findUser, findCredential} {
		var name string
		err := conn.QueryRowContext(ctx, find).Scan(&name)
		if err := already(name, err); err != nil {
			return err
		}
	}
	var base int64
	if err := conn.QueryRowContext(ctx, nextUserID).Scan(&base); err != nil {
		return err
	}
	now := sqliteText(time.Now())
	if _, err := conn.ExecContext(ctx, `INSERT INTO users (id, user_key, `+importedColumns+`, created_at, updated_at)
		SELECT n + $1, user_key, `+importedColumns+`, $2, $2 FROM import_users ORDER BY n`, base, now); err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, `INSERT INTO credentials (user_id, auth_username, realm, algorithm, ha1, updated_at)
		SELECT n + $1, auth_username, realm, algorithm, ha1, $2 FROM import_credentials`, base, now); err != nil {
		return err
	}
	for _, step := range []string{endBulk, bulkDone, "COMMIT"} {
		if _, err := conn.ExecContext(ctx, step); err != nil {
			return err
		}
	}
	return nil
}

// bulkPostgres does everything in one transaction: COPY into temporary tables locks nothing, and new rows of users are in
// nobody's way.
func (db *DB) bulkPostgres(ctx context.Context, users []store.ImportUser, progress func(done int)) error {
	return pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		if err := stagePostgres(ctx, tx, users, progress); err != nil {
			return err
		}
		for _, find := range []string{findUser, findCredential} {
			var name string
			err := tx.QueryRow(ctx, find).Scan(&name)
			if err := already(name, err); err != nil {
				return err
			}
		}
		for _, step := range []string{
			beginBulk,
			`INSERT INTO users (user_key, ` + importedColumns + `) SELECT user_key, ` + importedColumns + ` FROM import_users ORDER BY n`,
			`INSERT INTO credentials (user_id, auth_username, realm, algorithm, ha1)
				SELECT u.id, c.auth_username, c.realm, c.algorithm, c.ha1 FROM import_credentials c JOIN import_users i USING (n) JOIN users u ON u.user_key = i.user_key`,
			endBulk,
			orderChanges,
			bulkDone,
		} {
			if _, err := tx.Exec(ctx, step); err != nil {
				return err
			}
		}
		return nil
	})
}

func stagePostgres(ctx context.Context, tx pgx.Tx, users []store.ImportUser, progress func(done int)) error {
	for _, create := range []string{createImportUsers, createImportCredentials} {
		if _, err := tx.Exec(ctx, create+" ON COMMIT DROP"); err != nil {
			return err
		}
	}
	i := -1
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"import_users"}, []string{"n", "user_key", "realm", "display_name", "email", "auth_policy",
		"gateway_class_id", "default_action", "is_admin", "disabled", "may_upload_cgi", "max_contacts"},
		pgx.CopyFromFunc(func() ([]any, error) {
			if i++; i == len(users) {
				return nil, nil
			}
			if n := i + 1; n%bulkProgress == 0 || n == len(users) {
				progress(n)
			}
			return userRow(i, &users[i].User), nil
		}))
	if err != nil {
		return err
	}
	i = 0
	j := -1
	if _, err = tx.CopyFrom(ctx, pgx.Identifier{"import_credentials"}, []string{"n", "auth_username", "realm", "algorithm", "ha1"},
		pgx.CopyFromFunc(func() ([]any, error) {
			for j++; i < len(users) && j == len(users[i].Credentials); j = 0 {
				i++
			}
			if i == len(users) {
				return nil, nil
			}
			return credentialRow(i, &users[i].Credentials[j]), nil
		})); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `ANALYZE import_users, import_credentials`)
	return err
}
