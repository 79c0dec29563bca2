package bulk

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"sipd/store"
)

const (
	// progressEvery is after how many users progress is told.
	progressEvery = 1000
	// mergeUsers is how many users SQLite takes in one transaction, for which everybody else who writes has to wait: with four
	// credentials each some 50 ms in a table of a million. After each the others have mergePause to get hold of the lock, which they
	// try every few milliseconds (busyPoll).
	mergeUsers = 1000
	mergePause = 10 * time.Millisecond
	// undoTimeout bounds the end of a load that nobody waits for any more: taking out what it has put in, or the commit.
	undoTimeout = 5 * time.Minute
)

// The rows are taken into temporary tables first, which locks nothing, and then moved. n is the place of the user in the load.
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
	// now is the time as tables of SQLite have it. As a query of its own it is asked once for all rows.
	now = `(SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))`
	// orderChanges is the lock of the trigger note_changes in Postgres, which makes the order of seq that of commits.
	orderChanges = `SELECT pg_advisory_xact_lock(1936289892, 1)`

	findUser       = `SELECT i.user_key FROM import_users i JOIN users u ON u.user_key = i.user_key ORDER BY i.n LIMIT 1`
	findCredential = `SELECT i.auth_username || ' in realm ' || i.realm FROM import_credentials i
		JOIN credentials c ON c.auth_username = i.auth_username AND c.realm = i.realm AND c.algorithm = i.algorithm ORDER BY i.n LIMIT 1`
)

func userRow(n int, u *store.User) []any {
	return []any{
		int64(n), string(u.Key), u.Realm, u.DisplayName, u.Email, u.AuthPolicy.String(), null(u.GatewayClassID), null(u.DefaultAction.String()),
		u.IsAdmin, u.Disabled, u.MayUploadCGI, null(int64(u.MaxContacts)),
	}
}

func credentialRow(n int, c *store.Credential) []any {
	return []any{int64(n), c.Username, c.Realm, c.Algorithm.String(), c.HA1}
}

// null stands for a zero value: optional columns have no empty text and no zero.
func null[T comparable](v T) any {
	var zero T
	if v == zero {
		return nil
	}
	return v
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

// Stage takes users into temporary tables of a connection to SQLite, which locks nothing.
func Stage(ctx context.Context, conn *sql.Conn, users []store.ImportUser, progress func(done int)) error {
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
		if n := i + 1; n%progressEvery == 0 || n == len(users) {
			if err := ctx.Err(); err != nil {
				return err
			}
			progress(n)
		}
	}
	_, err = conn.ExecContext(ctx, "COMMIT")
	return err
}

// Merge moves the users that Stage has taken in into the other tables, all or none. The connection gives up waiting for a lock soon; busy
// tells that error from others.
func Merge(ctx context.Context, conn *sql.Conn, users []store.ImportUser, busy func(error) bool) error {
	m := merge{conn: conn, users: users, busy: busy}
	err := m.check(ctx)
	for err == nil && m.users != nil {
		if err = m.part(ctx); err == nil && m.users != nil {
			select {
			case <-ctx.Done():
				err = ctx.Err()
			case <-time.After(mergePause):
			}
		}
	}
	if err != nil { // All or none: what is in goes again, even when nobody wants to wait any more.
		back, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
		defer cancel()
		return errors.Join(err, m.undo(back))
	}
	return nil
}

// merge moves users from the temporary tables into the others, a part at a time.
type merge struct {
	conn        *sql.Conn
	busy        func(error) bool
	users       []store.ImportUser // that are not in yet; nil: all are
	n           int                // how many are in
	credentials int                // rows of credentials that are in
	parts       [][2]int64         // first and last id of each part
}

// check looks for what is there already; it holds no lock.
func (m *merge) check(ctx context.Context) error {
	for _, find := range []string{findUser, findCredential} {
		var name string
		err := m.conn.QueryRowContext(ctx, find).Scan(&name)
		if err := already(name, err); err != nil {
			return err
		}
	}
	return nil
}

// part moves the next users. Somebody may have added one of them since check: then a constraint fails.
func (m *merge) part(ctx context.Context) error {
	part := m.users[:min(mergeUsers, len(m.users))]
	rows := 0
	for i := range part {
		rows += len(part[i].Credentials)
	}
	last := len(part) == len(m.users)
	var base int64
	err := m.exclusively(ctx, func() error {
		if _, err := m.conn.ExecContext(ctx, beginBulk); err != nil {
			return err
		}
		if err := m.conn.QueryRowContext(ctx, nextUserID).Scan(&base); err != nil {
			return err
		}
		if _, err := m.conn.ExecContext(ctx, `INSERT INTO users (id, user_key, `+importedColumns+`, created_at, updated_at)
			SELECT n + $1, user_key, `+importedColumns+`, `+now+`, `+now+` FROM import_users WHERE rowid > $2 AND rowid <= $3 ORDER BY rowid`,
			base-int64(m.n), m.n, m.n+len(part)); err != nil {
			return err
		}
		// Both tables are filled in the order of the users, and their rows numbered from 1.
		if _, err := m.conn.ExecContext(ctx, `INSERT INTO credentials (user_id, auth_username, realm, algorithm, ha1, updated_at)
			SELECT n + $1, auth_username, realm, algorithm, ha1, `+now+` FROM import_credentials WHERE rowid > $2 AND rowid <= $3`,
			base-int64(m.n), m.credentials, m.credentials+rows); err != nil {
			return err
		}
		if last {
			if _, err := m.conn.ExecContext(ctx, bulkDone); err != nil {
				return err
			}
		}
		_, err := m.conn.ExecContext(ctx, endBulk)
		return err
	})
	if err != nil {
		return err
	}
	m.parts = append(m.parts, [2]int64{base, base + int64(len(part)) - 1})
	m.n += len(part)
	m.credentials += rows
	if m.users = m.users[len(part):]; last {
		m.users = nil
	}
	return nil
}

// undo removes the parts that are in. Caches may have read some of them, so they are told.
func (m *merge) undo(ctx context.Context) error {
	for i, p := range m.parts {
		err := m.exclusively(ctx, func() error {
			for _, step := range []string{beginBulk, fmt.Sprintf(`DELETE FROM users WHERE id BETWEEN %d AND %d`, p[0], p[1])} {
				if _, err := m.conn.ExecContext(ctx, step); err != nil {
					return err
				}
			}
			if i == len(m.parts)-1 {
				if _, err := m.conn.ExecContext(ctx, bulkDone); err != nil {
					return err
				}
			}
			_, err := m.conn.ExecContext(ctx, endBulk)
			return err
		})
		if err != nil {
			return fmt.Errorf("%d of the users are in nevertheless: %w", m.n, err)
		}
		m.n -= int(p[1] - p[0] + 1)
		time.Sleep(mergePause)
	}
	return nil
}

// exclusively calls do in a transaction that has SQLite's lock from the beginning.
//
// Beginning and end are not cut short: of a COMMIT that was, it would not be known whether the rows are in, and undo would leave them there. Both
// are bounded all the same, the one by busy, the other by the disk.
func (m *merge) exclusively(ctx context.Context, do func() error) error {
	whole := context.WithoutCancel(ctx)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		_, err := m.conn.ExecContext(whole, "BEGIN IMMEDIATE")
		if err == nil {
			break
		}
		if !m.busy(err) {
			return err
		}
	}
	err := do()
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		_, err = m.conn.ExecContext(whole, "COMMIT")
	}
	if err != nil {
		_, back := m.conn.ExecContext(whole, "ROLLBACK")
		if ctx.Err() != nil {
			back = nil // A statement that is cut short has rolled back by itself.
		}
		return errors.Join(err, back)
	}
	return nil
}

// Postgres loads users in one transaction: COPY into temporary tables locks nothing, and new rows of users are in nobody's way.
func Postgres(ctx context.Context, pool *pgxpool.Pool, users []store.ImportUser, progress func(done int)) error {
	tx, err := pool.Begin(ctx)
	if err != nil {
		return err
	}
	moved := movePostgres(ctx, tx, users, progress)
	// Who wants to wait no more must not cut the commit short: whether the users are in would not be known.
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	if moved != nil {
		_ = tx.Rollback(end) // When it fails the connection is gone, and Postgres rolls back by itself.
		return moved
	}
	return tx.Commit(end)
}

func movePostgres(ctx context.Context, tx pgx.Tx, users []store.ImportUser, progress func(done int)) error {
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
			if n := i + 1; n%progressEvery == 0 || n == len(users) {
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
