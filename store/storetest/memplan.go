package storetest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"sipd/sipaddr"
	"sipd/store"
)

// planRows returns a copy of the rows in their order.
func (m *Mem) planRows() *store.PlanRows {
	p := &store.PlanRows{Classes: slices.Clone(m.classes), DialRules: slices.Clone(m.dialRules), GatewayRules: slices.Clone(m.mapRules), Gateways: slices.Clone(m.gateways)}
	slices.SortFunc(p.Classes, func(a, b store.GatewayClass) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(p.Gateways, func(a, b store.Gateway) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(p.DialRules, func(a, b store.DialRule) int {
		return cmp.Or(cmp.Compare(a.Position, b.Position), cmp.Compare(a.ID, b.ID))
	})
	slices.SortFunc(p.GatewayRules, func(a, b store.GatewayRule) int {
		return cmp.Or(cmp.Compare(a.Position, b.Position), cmp.Compare(a.ID, b.ID))
	})
	return p
}

// Plan implements store.PlanAdmin.
func (m *Mem) Plan(ctx context.Context) (*store.PlanRows, error) {
	if err := m.beginRead(ctx); err != nil {
		return nil, err
	}
	defer m.mu.RUnlock()
	return m.planRows(), nil
}

// PlanTests implements store.PlanAdmin.
func (m *Mem) PlanTests(ctx context.Context) ([]store.PlanTest, error) {
	if err := m.beginRead(ctx); err != nil {
		return nil, err
	}
	defer m.mu.RUnlock()
	return slices.Clone(m.planTests), nil
}

// AddPlanTest implements store.PlanAdmin.
func (m *Mem) AddPlanTest(ctx context.Context, t *store.PlanTest) error {
	if err := t.Normalize(); err != nil {
		return err
	}
	if err := m.begin(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	if len(m.planTests) == store.MaxPlanTests {
		return fmt.Errorf("%w: there are %d plan tests already", store.ErrInvalid, len(m.planTests))
	}
	if t.Class != "" && !m.planRows().HasClass(t.Class) {
		return notFound("gateway class", t.Class)
	}
	for _, o := range m.planTests {
		if o.Number == t.Number && o.Class == t.Class {
			return exists("plan test of", t.Number)
		}
	}
	t.ID = m.id()
	m.planTests = append(m.planTests, *t)
	return nil
}

// RemovePlanTest implements store.PlanAdmin.
func (m *Mem) RemovePlanTest(ctx context.Context, id int64) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.planTests, func(t store.PlanTest) bool { return t.ID == id })
	if i < 0 {
		return notFound("plan test", fmt.Sprint(id))
	}
	m.planTests = slices.Delete(m.planTests, i, i+1)
	return nil
}

// Forwards implements store.PlanAdmin.
func (m *Mem) Forwards(ctx context.Context, user sipaddr.AOR, each func(*store.Forward) error) error {
	if err := m.beginRead(ctx); err != nil {
		return err
	}
	var rows []store.Forward
	for _, f := range m.forwards {
		if f.User = m.userByID(f.UserID).Key; user == "" || f.User == user {
			rows = append(rows, f)
		}
	}
	m.mu.RUnlock()
	slices.SortFunc(rows, func(a, b store.Forward) int {
		return cmp.Or(strings.Compare(string(a.User), string(b.User)), strings.Compare(a.Kind.String(), b.Kind.String()))
	})
	for i := range rows {
		if err := each(&rows[i]); err != nil {
			return err
		}
	}
	return nil
}

// SetForward implements store.PlanAdmin.
func (m *Mem) SetForward(ctx context.Context, f *store.Forward) error {
	if err := f.Check(); err != nil {
		return err
	}
	if err := m.begin(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	u := m.users[f.User]
	if u == nil {
		return notFound("user", string(f.User))
	}
	f.UserID = u.ID
	row := *f
	row.User = ""
	m.forwards = append(slices.DeleteFunc(m.forwards, func(o store.Forward) bool { return o.UserID == u.ID && o.Kind == f.Kind }), row)
	m.changed("forwards", "", u.ID)
	return nil
}

// RemoveForward implements store.PlanAdmin.
func (m *Mem) RemoveForward(ctx context.Context, user sipaddr.AOR, kinds ...store.ForwardKind) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	u := m.users[user]
	if u == nil || !m.removeForwards(func(f store.Forward) bool { return f.UserID == u.ID && slices.Contains(kinds, f.Kind) }) {
		return notFound("forward of", string(user))
	}
	return nil
}

func (m *Mem) removeForwards(which func(store.Forward) bool) bool {
	n := len(m.forwards)
	m.forwards = slices.DeleteFunc(m.forwards, func(f store.Forward) bool {
		if which(f) {
			m.changed("forwards", "", f.UserID)
			return true
		}
		return false
	})
	return len(m.forwards) < n
}

// AuditLog implements store.PlanAdmin.
func (m *Mem) AuditLog(ctx context.Context, limit int) ([]store.AuditEntry, error) {
	if err := m.beginRead(ctx); err != nil {
		return nil, err
	}
	defer m.mu.RUnlock()
	log := slices.Clone(m.audit)
	slices.Reverse(log)
	return log[:min(limit, len(log))], nil
}

// ChangePlan implements store.PlanAdmin.
func (m *Mem) ChangePlan(ctx context.Context, change func(store.PlanTx) error) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	before := memPlan{m.classes, m.dialRules, m.mapRules, m.gateways, slices.Clone(m.aliases), m.audit}
	tx := &memTx{m: m}
	if err := change(tx); err != nil {
		m.classes, m.dialRules, m.mapRules, m.gateways, m.aliases, m.audit =
			before.classes, before.dialRules, before.mapRules, before.gateways, before.aliases, before.audit
		return err
	}
	for _, c := range tx.changes {
		m.changed(c.table, c.key, c.id)
	}
	return nil
}

type memPlan struct {
	classes   []store.GatewayClass
	dialRules []store.DialRule
	mapRules  []store.GatewayRule
	gateways  []store.Gateway
	aliases   []store.Alias
	audit     []store.AuditEntry
}

// memTx implements store.PlanTx.
type memTx struct {
	m       *Mem
	changes []change
}

// Plan implements store.PlanTx.
func (t *memTx) Plan() (*store.PlanRows, error) { return t.m.planRows(), nil }

// PlanTests implements store.PlanTx.
func (t *memTx) PlanTests() ([]store.PlanTest, error) { return slices.Clone(t.m.planTests), nil }

// HasUser implements store.PlanTx.
func (t *memTx) HasUser(key sipaddr.AOR) (bool, error) { return t.m.users[key] != nil, nil }

// Aliases implements store.PlanTx.
func (t *memTx) Aliases(alias string) ([]store.Alias, error) { return t.m.aliasRows(alias), nil }

// AddAlias implements store.PlanTx.
func (t *memTx) AddAlias(a *store.Alias) error {
	if err := t.m.addAlias(a); err != nil {
		return err
	}
	t.changes = append(t.changes, change{table: "aliases", key: a.Alias, id: a.ID})
	return nil
}

// RemoveAlias implements store.PlanTx.
func (t *memTx) RemoveAlias(alias string, user sipaddr.AOR) error {
	if err := t.m.removeAlias(alias, user); err != nil {
		return err
	}
	t.changes = append(t.changes, change{table: "aliases", key: alias})
	return nil
}

// Audit implements store.PlanTx.
func (t *memTx) Audit(e *store.AuditEntry) error {
	if err := e.Check(); err != nil {
		return err
	}
	e.ID, e.At = t.m.id(), time.Now().UTC().Truncate(time.Millisecond)
	t.m.audit = append(slices.Clip(t.m.audit), *e)
	return nil
}

// SetPlan implements store.PlanTx.
func (t *memTx) SetPlan(next *store.PlanRows) error {
	m := t.m
	now := m.planRows()
	if err := next.Check(now); err != nil {
		return err
	}
	gone, err := take(t, "gateway_classes", now.Classes, next.Classes, func(c *store.GatewayClass) *int64 { return &c.ID })
	if err != nil {
		return err
	}
	for _, u := range m.users {
		if gone[u.GatewayClassID] {
			return fmt.Errorf("%w: users are in the class", store.ErrInvalid)
		}
	}
	if _, err := take(t, "gateways", now.Gateways, next.Gateways, func(g *store.Gateway) *int64 { return &g.ID }); err != nil {
		return err
	}
	if _, err := take(t, "dialplan", now.DialRules, next.DialRules, func(r *store.DialRule) *int64 { return &r.ID }); err != nil {
		return err
	}
	if _, err := take(t, "gatewaymap", now.GatewayRules, next.GatewayRules, func(r *store.GatewayRule) *int64 { return &r.ID }); err != nil {
		return err
	}
	names := map[string]bool{}
	for _, c := range next.Classes {
		if names[c.Name] {
			return exists("gateway class", c.Name)
		}
		names[c.Name] = true
	}
	names = map[string]bool{}
	for _, g := range next.Gateways {
		if names[g.Name] {
			return exists("gateway", g.Name)
		}
		names[g.Name] = true
	}
	m.classes, m.dialRules = slices.Clone(next.Classes), slices.Clone(next.DialRules)
	m.mapRules, m.gateways = slices.Clone(next.GatewayRules), slices.Clone(next.Gateways)
	return nil
}

// take gives new rows their ids, notes what changed, and returns the ids of those that go.
func take[T comparable](t *memTx, table string, now, next []T, id func(*T) *int64) (gone map[int64]bool, err error) {
	old := map[int64]T{}
	for i := range now {
		old[*id(&now[i])] = now[i]
	}
	for i := range next {
		p := id(&next[i])
		if *p == 0 {
			*p = t.m.id()
			t.changes = append(t.changes, change{table: table, id: *p})
			continue
		}
		row, has := old[*p]
		if !has {
			return nil, notFound("row of "+table, fmt.Sprint(*p))
		}
		if row != next[i] {
			t.changes = append(t.changes, change{table: table, id: *p})
		}
		delete(old, *p)
	}
	gone = map[int64]bool{}
	for i := range maps.Keys(old) {
		gone[i] = true
		t.changes = append(t.changes, change{table: table, id: i})
	}
	return gone, nil
}
