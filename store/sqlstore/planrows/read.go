package planrows

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"sipd/store"
)

// Querier is what a database and a transaction have in common.
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

const (
	selectClasses  = `SELECT id, name FROM gateway_classes ORDER BY name`
	selectRules    = `SELECT id, position, pattern, target, emergency, comment, enabled FROM dialplan ORDER BY position, id`
	selectMap      = `SELECT id, position, pattern, classes, target, weight, comment, enabled FROM gatewaymap ORDER BY position, id`
	selectGateways = `SELECT id, name, uri, source_nets, tls_name, coalesce(inbound_class_id, 0), coalesce(probe_s, 0), coalesce(max_calls, 0), weight,
		enabled, drained, comment FROM gateways ORDER BY name`
	selectForwards  = `SELECT user_id, kind, target, coalesce(timeout_s, 0) FROM forwards`
	changedForwards = `SELECT DISTINCT CAST(row_key AS bigint) FROM changes WHERE seq > $1 AND seq <= $2 AND table_name = 'forwards'`
	selectTests     = `SELECT id, number, class, expect, comment FROM plan_tests ORDER BY id`
)

// each calls scan for every row of a query.
func each(ctx context.Context, q Querier, scan func(*sql.Rows) error, query string, args ...any) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	for rows.Next() {
		if err := scan(rows); err != nil {
			return errors.Join(err, rows.Close())
		}
	}
	return errors.Join(rows.Err(), rows.Close())
}

// list returns the rows of a query.
func list[T any](ctx context.Context, q Querier, fields func(*T) []any, query string, args ...any) ([]T, error) {
	var all []T
	var row T
	to := fields(&row)
	err := each(ctx, q, func(r *sql.Rows) error {
		err := r.Scan(to...)
		all = append(all, row)
		return err
	}, query, args...)
	return all, err
}

func classFields(c *store.GatewayClass) []any { return []any{&c.ID, &c.Name} }

func ruleFields(r *store.DialRule) []any {
	return []any{&r.ID, &r.Position, &r.Pattern, &r.Target, &r.Emergency, &r.Comment, &r.Enabled}
}

func mapFields(r *store.GatewayRule) []any {
	return []any{&r.ID, &r.Position, &r.Pattern, &r.Classes, &r.Target, &r.Weight, &r.Comment, &r.Enabled}
}

func gatewayFields(g *store.Gateway) []any {
	return []any{&g.ID, &g.Name, &g.URI, &g.SourceNets, &g.TLSName, &g.InboundClassID, &g.ProbeSeconds, &g.MaxCalls, &g.Weight, &g.Enabled, &g.Drained, &g.Comment}
}

func testFields(t *store.PlanTest) []any {
	return []any{&t.ID, &t.Number, &t.Class, &t.Expect, &t.Comment}
}

func forwardFields(f *store.Forward) []any {
	return []any{&f.UserID, kind{&f.Kind}, &f.Target, &f.Timeout}
}

// kind scans forwards.kind.
type kind struct{ to *store.ForwardKind }

// Scan implements sql.Scanner.
func (k kind) Scan(v any) error {
	text, ok := v.(string)
	if !ok {
		return fmt.Errorf("a kind of forward cannot be %T", v)
	}
	parsed, err := store.ParseForwardKind(text)
	*k.to = parsed
	return err
}

// Read returns the rows of the plan.
func Read(ctx context.Context, q Querier) (*store.PlanRows, error) {
	p := &store.PlanRows{}
	var errs [4]error
	p.Classes, errs[0] = list(ctx, q, classFields, selectClasses)
	p.DialRules, errs[1] = list(ctx, q, ruleFields, selectRules)
	p.GatewayRules, errs[2] = list(ctx, q, mapFields, selectMap)
	p.Gateways, errs[3] = list(ctx, q, gatewayFields, selectGateways)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	return p, nil
}

// EachForward calls do for every row of forwards.
func EachForward(ctx context.Context, q Querier, do func(*store.Forward)) error {
	var f store.Forward
	to := forwardFields(&f)
	return each(ctx, q, func(r *sql.Rows) error {
		err := r.Scan(to...)
		if err == nil {
			do(&f)
		}
		return err
	}, selectForwards)
}

// ReadForwards fills in what a delta after seq says of forwards.
func ReadForwards(ctx context.Context, q Querier, d *store.Delta, seq int64) error {
	err := each(ctx, q, func(r *sql.Rows) error {
		var id int64
		err := r.Scan(&id)
		d.ForwardIDs = append(d.ForwardIDs, id)
		return err
	}, changedForwards, seq, d.Seq)
	if err != nil {
		return err
	}
	d.Forwards, err = list(ctx, q, forwardFields, selectForwards+` WHERE user_id IN (`+changedForwards+`) ORDER BY user_id, kind`, seq, d.Seq)
	return err
}
