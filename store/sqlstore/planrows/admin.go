package planrows

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sipd/sipaddr"
	"sipd/store"
)

// Config is what a database gives this package.
type Config struct {
	// Read calls do in a transaction that sees one moment, Write in one that may write. what names it in errors.
	Read, Write func(ctx context.Context, what string, do func(context.Context, *sql.Tx) error) error
	// Serial is a statement after which no other transaction gets past it until this one ends; "" where only one writes.
	Serial string
	// Time returns a time as an argument of a statement, and When what scans one.
	Time func(time.Time) any
	When func(*time.Time) sql.Scanner
	// Aliases is the query of the table aliases without WHERE, and Alias what scans a row of it.
	Aliases string
	Alias   func(*sql.Rows, *store.Alias) error
}

// Admin implements store.PlanAdmin.
type Admin struct{ cfg Config }

// New returns the part of a database that cfg describes.
func New(cfg Config) Admin { return Admin{cfg} }

// Plan implements store.PlanAdmin.
func (a Admin) Plan(ctx context.Context) (p *store.PlanRows, err error) {
	err = a.cfg.Read(ctx, "read the plan", func(ctx context.Context, tx *sql.Tx) error {
		p, err = Read(ctx, tx)
		return err
	})
	return p, err
}

// PlanTests implements store.PlanAdmin.
func (a Admin) PlanTests(ctx context.Context) (tests []store.PlanTest, err error) {
	err = a.cfg.Read(ctx, "list plan tests", func(ctx context.Context, tx *sql.Tx) error {
		tests, err = list(ctx, tx, testFields, selectTests)
		return err
	})
	return tests, err
}

// AddPlanTest implements store.PlanAdmin.
func (a Admin) AddPlanTest(ctx context.Context, t *store.PlanTest) error {
	if err := t.Normalize(); err != nil {
		return err
	}
	var id int64
	err := a.serial(ctx, "plan test of "+t.Number, func(ctx context.Context, tx *sql.Tx) error {
		if err := atMost(ctx, tx, store.MaxPlanTests-1, "plan tests", `SELECT count(*) FROM plan_tests`); err != nil {
			return err
		}
		if t.Class != "" {
			var n int
			if err := tx.QueryRowContext(ctx, `SELECT 1 FROM gateway_classes WHERE name = $1`, t.Class).Scan(&n); errors.Is(err, sql.ErrNoRows) {
				return fmt.Errorf("gateway class %s: %w", t.Class, store.ErrNotFound)
			} else if err != nil {
				return err
			}
		}
		return tx.QueryRowContext(ctx, `INSERT INTO plan_tests (number, class, expect, comment) VALUES ($1, $2, $3, $4) RETURNING id`,
			t.Number, t.Class, t.Expect, t.Comment).Scan(&id)
	})
	if err == nil {
		t.ID = id
	}
	return err
}

// atMost refuses what would make a table too large.
func atMost(ctx context.Context, tx *sql.Tx, limit int, what, count string) error {
	var n int
	if err := tx.QueryRowContext(ctx, count).Scan(&n); err != nil {
		return err
	}
	if n > limit {
		return fmt.Errorf("%w: there are %d %s already, which is the most: remove one first", store.ErrInvalid, n, what)
	}
	return nil
}

// RemovePlanTest implements store.PlanAdmin.
func (a Admin) RemovePlanTest(ctx context.Context, id int64) error {
	return a.cfg.Write(ctx, fmt.Sprintf("plan test %d", id), func(ctx context.Context, tx *sql.Tx) error {
		return remove(ctx, tx, `DELETE FROM plan_tests WHERE id = $1`, id)
	})
}

// remove runs a statement that must change a row.
func remove(ctx context.Context, tx *sql.Tx, query string, args ...any) error {
	res, err := tx.ExecContext(ctx, query, args...)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n > 0 {
		return err
	}
	return store.ErrNotFound
}

// forwardPage is how many forwards are read at a time.
const forwardPage = 1000

// Forwards implements store.PlanAdmin.
func (a Admin) Forwards(ctx context.Context, user sipaddr.AOR, do func(*store.Forward) error) error {
	var last store.Forward
	after := "" // the kind of last
	for {
		var page []store.Forward
		err := a.cfg.Read(ctx, "list forwards", func(ctx context.Context, tx *sql.Tx) error {
			var err error
			page, err = list(ctx, tx, func(f *store.Forward) []any { return append(forwardFields(f), (*string)(&f.User)) },
				`SELECT f.user_id, f.kind, f.target, coalesce(f.timeout_s, 0), u.user_key FROM forwards f JOIN users u ON u.id = f.user_id
				WHERE ($1 = '' OR u.user_key = $1) AND (u.user_key > $2 OR u.user_key = $2 AND f.kind > $3) ORDER BY u.user_key, f.kind LIMIT $4`,
				string(user), string(last.User), after, forwardPage)
			return err
		})
		if err != nil {
			return err
		}
		for i := range page {
			if err := do(&page[i]); err != nil {
				return err
			}
		}
		if len(page) < forwardPage {
			return nil
		}
		last = page[len(page)-1]
		after = last.Kind.String()
	}
}

// SetForward implements store.PlanAdmin.
func (a Admin) SetForward(ctx context.Context, f *store.Forward) error {
	if err := f.Check(); err != nil {
		return err
	}
	var id int64
	err := a.cfg.Write(ctx, "forward of "+string(f.User), func(ctx context.Context, tx *sql.Tx) error {
		if err := tx.QueryRowContext(ctx, `SELECT id FROM users WHERE user_key = $1`, string(f.User)).Scan(&id); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO forwards (user_id, kind, target, timeout_s) VALUES ($1, $2, $3, $4)
			ON CONFLICT (user_id, kind) DO UPDATE SET target = excluded.target, timeout_s = excluded.timeout_s`, id, f.Kind.String(), f.Target, orNull(f.Timeout))
		return err
	})
	if err == nil {
		f.UserID = id
	}
	return err
}

// RemoveForward implements store.PlanAdmin.
func (a Admin) RemoveForward(ctx context.Context, user sipaddr.AOR, kinds ...store.ForwardKind) error {
	return a.cfg.Write(ctx, "forward of "+string(user), func(ctx context.Context, tx *sql.Tx) error {
		found := false
		for _, k := range kinds {
			err := remove(ctx, tx, `DELETE FROM forwards WHERE user_id = (SELECT id FROM users WHERE user_key = $1) AND kind = $2`, string(user), k.String())
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			found = found || err == nil
		}
		if !found {
			return store.ErrNotFound
		}
		return nil
	})
}

// maxAuditRows is how many entries are read at once.
const maxAuditRows = 10_000

// AuditLog implements store.PlanAdmin.
func (a Admin) AuditLog(ctx context.Context, limit int) (entries []store.AuditEntry, err error) {
	err = a.cfg.Read(ctx, "read audit_log", func(ctx context.Context, tx *sql.Tx) error {
		entries, err = list(ctx, tx, func(e *store.AuditEntry) []any {
			return []any{&e.ID, a.cfg.When(&e.At), &e.Actor, &e.Action, &e.Object, &e.Detail}
		}, `SELECT id, at, actor, action, object, detail FROM audit_log ORDER BY id DESC LIMIT $1`, min(max(limit, 0), maxAuditRows))
		return err
	})
	return entries, err
}

// serial is Write for what must not overlap with another change of the plan.
func (a Admin) serial(ctx context.Context, what string, do func(context.Context, *sql.Tx) error) error {
	return a.cfg.Write(ctx, what, func(ctx context.Context, tx *sql.Tx) error {
		if a.cfg.Serial != "" {
			if _, err := tx.ExecContext(ctx, a.cfg.Serial); err != nil {
				return err
			}
		}
		return do(ctx, tx)
	})
}

// ChangePlan implements store.PlanAdmin.
func (a Admin) ChangePlan(ctx context.Context, change func(store.PlanTx) error) error {
	var own error
	err := a.serial(ctx, "change of the plan", func(ctx context.Context, tx *sql.Tx) error {
		own = change(&planTx{ctx: ctx, tx: tx, cfg: &a.cfg})
		return own
	})
	if own == nil {
		return err
	}
	// What change says is for people as it is, unless it is the database's and has been given a name.
	for _, sentinel := range [...]error{store.ErrExists, store.ErrNotFound, store.ErrInvalid, store.ErrNotMigrated} {
		if errors.Is(err, sentinel) && !errors.Is(own, sentinel) {
			return err
		}
	}
	return own
}

// planTx implements store.PlanTx. It lives as long as the call that made it.
type planTx struct {
	ctx context.Context
	tx  *sql.Tx
	cfg *Config
}

// Plan implements store.PlanTx.
func (t *planTx) Plan() (*store.PlanRows, error) { return Read(t.ctx, t.tx) }

// PlanTests implements store.PlanTx.
func (t *planTx) PlanTests() ([]store.PlanTest, error) {
	return list(t.ctx, t.tx, testFields, selectTests)
}

// HasUser implements store.PlanTx.
func (t *planTx) HasUser(key sipaddr.AOR) (bool, error) {
	var n int
	err := t.tx.QueryRowContext(t.ctx, `SELECT 1 FROM users WHERE user_key = $1`, string(key)).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// Aliases implements store.PlanTx.
func (t *planTx) Aliases(alias string) ([]store.Alias, error) {
	var rows []store.Alias
	var a store.Alias
	err := each(t.ctx, t.tx, func(r *sql.Rows) error {
		err := t.cfg.Alias(r, &a)
		rows = append(rows, a)
		return err
	}, t.cfg.Aliases+` WHERE alias = $1 ORDER BY priority, id`, alias)
	return rows, err
}

// AddAlias implements store.PlanTx.
func (t *planTx) AddAlias(a *store.Alias) error {
	if err := a.Check(); err != nil {
		return err
	}
	what := "alias " + a.Alias + " of " + string(a.PrimaryUser)
	var n int
	switch err := t.tx.QueryRowContext(t.ctx, `SELECT count(*) FROM aliases WHERE alias = $1 AND primary_user = $2`, a.Alias, string(a.PrimaryUser)).Scan(&n); {
	case err != nil:
		return err
	case n > 0:
		return fmt.Errorf("%s: %w", what, store.ErrExists)
	}
	if has, err := t.HasUser(a.PrimaryUser); err != nil {
		return err
	} else if !has {
		return fmt.Errorf("%s: %w", what, store.ErrNotFound)
	}
	return InsertAlias(t.ctx, t.tx, a)
}

// InsertAlias adds a row of aliases and sets its id.
func InsertAlias(ctx context.Context, tx *sql.Tx, a *store.Alias) error {
	return tx.QueryRowContext(ctx, `INSERT INTO aliases (alias, primary_user, kind, priority, ring_mode, delay_s) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id`,
		a.Alias, string(a.PrimaryUser), a.Kind.String(), a.Priority, orNull(a.RingMode.String()), orNull(a.Delay)).Scan(&a.ID)
}

// RemoveAlias implements store.PlanTx.
func (t *planTx) RemoveAlias(alias string, user sipaddr.AOR) error {
	err := remove(t.ctx, t.tx, `DELETE FROM aliases WHERE alias = $1 AND ($2 = '' OR primary_user = $2)`, alias, string(user))
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("alias %s: %w", alias, err)
	}
	return err
}

// Audit implements store.PlanTx.
func (t *planTx) Audit(e *store.AuditEntry) error {
	if err := e.Check(); err != nil {
		return err
	}
	e.At = time.Now().UTC().Truncate(time.Millisecond)
	if err := t.tx.QueryRowContext(t.ctx, `INSERT INTO audit_log (at, actor, action, object, detail) VALUES ($1, $2, $3, $4, $5) RETURNING id`,
		t.cfg.Time(e.At), e.Actor, e.Action, e.Object, e.Detail).Scan(&e.ID); err != nil {
		return err
	}
	_, err := t.tx.ExecContext(t.ctx, `DELETE FROM audit_log WHERE id <= $1`, e.ID-store.MaxAudit)
	return err
}

// SetPlan implements store.PlanTx.
func (t *planTx) SetPlan(next *store.PlanRows) error {
	now, err := t.Plan()
	if err != nil {
		return err
	}
	if err := next.Check(now); err != nil {
		return err
	}
	// Classes come before what names them and go after it.
	classes := classTable.of(now.Classes, next.Classes)
	if err := t.put(classes); err != nil {
		return err
	}
	for _, c := range []change{
		gatewayTable.of(now.Gateways, next.Gateways), ruleTable.of(now.DialRules, next.DialRules), mapTable.of(now.GatewayRules, next.GatewayRules),
	} {
		// First those that go: another may take a name.
		if err := t.removeIDs(c.name, c.goes); err != nil {
			return err
		}
		if err := t.put(c); err != nil {
			return err
		}
	}
	for _, id := range classes.goes {
		var n int
		if err := t.tx.QueryRowContext(t.ctx, `SELECT count(*) FROM users WHERE gateway_class_id = $1`, id).Scan(&n); err != nil {
			return err
		}
		if n > 0 {
			return fmt.Errorf("%w: %d users are in the class: give them another first", store.ErrInvalid, n)
		}
	}
	return t.removeIDs(classes.name, classes.goes)
}

func (t *planTx) removeIDs(table string, ids []int64) error {
	for _, id := range ids {
		if err := remove(t.ctx, t.tx, `DELETE FROM `+table+` WHERE id = $1`, id); err != nil {
			return err
		}
	}
	return nil
}

// change is how rows of a table become others.
type change struct {
	name, columns string
	now           map[int64][]any // by id
	next          []row
	goes          []int64 // ids
}

type row struct {
	id     *int64
	values []any
}

// table is how a row is written: the columns behind id and what is in them.
type table[T any] struct {
	name, columns string
	id            func(*T) *int64
	values        func(*T) []any
}

var (
	classTable = table[store.GatewayClass]{"gateway_classes", "name",
		func(c *store.GatewayClass) *int64 { return &c.ID }, func(c *store.GatewayClass) []any { return []any{c.Name} }}
	ruleTable = table[store.DialRule]{"dialplan", "position, pattern, target, emergency, comment, enabled",
		func(r *store.DialRule) *int64 { return &r.ID },
		func(r *store.DialRule) []any {
			return []any{r.Position, r.Pattern, r.Target, r.Emergency, r.Comment, r.Enabled}
		}}
	mapTable = table[store.GatewayRule]{"gatewaymap", "position, pattern, classes, target, weight, comment, enabled",
		func(r *store.GatewayRule) *int64 { return &r.ID },
		func(r *store.GatewayRule) []any {
			return []any{r.Position, r.Pattern, r.Classes, r.Target, r.Weight, r.Comment, r.Enabled}
		}}
	gatewayTable = table[store.Gateway]{"gateways", "name, uri, source_nets, tls_name, inbound_class_id, probe_s, max_calls, weight, enabled, drained, comment",
		func(g *store.Gateway) *int64 { return &g.ID },
		func(g *store.Gateway) []any {
			return []any{g.Name, g.URI, g.SourceNets, g.TLSName, orNull(g.InboundClassID), orNull(g.ProbeSeconds), orNull(g.MaxCalls), g.Weight, g.Enabled, g.Drained, g.Comment}
		}}
)

func (t table[T]) of(now, next []T) change {
	c := change{name: t.name, columns: t.columns, now: make(map[int64][]any, len(now))}
	stays := make(map[int64]bool, len(next))
	for i := range next {
		r := row{t.id(&next[i]), t.values(&next[i])}
		c.next = append(c.next, r)
		stays[*r.id] = true
	}
	for i := range now {
		id := *t.id(&now[i])
		c.now[id] = t.values(&now[i])
		if !stays[id] {
			c.goes = append(c.goes, id)
		}
	}
	return c
}

// put adds and changes rows.
func (t *planTx) put(c change) error {
	columns := strings.Split(c.columns, ", ")
	places, sets := make([]string, len(columns)), make([]string, len(columns))
	for i, name := range columns {
		places[i] = fmt.Sprintf("$%d", i+1)
		sets[i] = name + " = " + places[i]
	}
	insert := fmt.Sprintf(`INSERT INTO %s (%s) VALUES (%s) RETURNING id`, c.name, c.columns, strings.Join(places, ", "))
	update := fmt.Sprintf(`UPDATE %s SET %s WHERE id = $%d`, c.name, strings.Join(sets, ", "), len(columns)+1)
	for _, r := range c.next {
		if *r.id == 0 {
			if err := t.tx.QueryRowContext(t.ctx, insert, r.values...).Scan(r.id); err != nil {
				return err
			}
			continue
		}
		old, has := c.now[*r.id]
		if !has {
			return fmt.Errorf("row %d of %s: %w", *r.id, c.name, store.ErrNotFound)
		}
		if slices.Equal(old, r.values) {
			continue
		}
		if err := remove(t.ctx, t.tx, update, append(r.values, *r.id)...); err != nil {
			return err
		}
	}
	return nil
}

// orNull returns null for the zero value.
func orNull[T comparable](v T) any {
	var zero T
	if v == zero {
		return nil
	}
	return v
}
