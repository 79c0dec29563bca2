package sqlstore_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"sipd/migrations"
	"sipd/store"
	"sipd/store/storetest"
)

// Rows that people write by hand are noticed, and those that would keep a table from being read are not taken.
func TestHandWrittenPlanIsNoticed(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		db := ready(t, url)
		plain, _ := raw(t, url)
		ctx := t.Context()
		alice := storetest.Add(t, db, "alice")
		server, seq, err := db.Load(ctx, "", (&store.Tables{}).Sink())
		if err != nil {
			t.Fatal(err)
		}
		step := func(q string) *store.Delta {
			t.Helper()
			if _, err := plain.Exec(q); err != nil {
				t.Fatalf("%s: %v", q, err)
			}
			d, err := db.Delta(ctx, server.ID, seq)
			if err != nil || d.Full || d.Seq <= seq {
				t.Fatalf("%s: got %+v, %v; want changes", q, d, err)
			}
			seq = d.Seq
			return d
		}
		for _, q := range []string{
			`INSERT INTO gateway_classes (name) VALUES ('staff')`,
			`INSERT INTO dialplan (position, pattern, target) VALUES (1, '7[', 'nowhere')`,
			`UPDATE dialplan SET enabled = NOT enabled`,
			`INSERT INTO gatewaymap (position, pattern, classes, target) VALUES (1, '(+)*', 'guest', 'sip:$@gw')`,
			`UPDATE gatewaymap SET position = 2`,
			`INSERT INTO gateways (name, uri, inbound_class_id) SELECT 'gw', 'x', id FROM gateway_classes`,
			`UPDATE gateways SET drained = NOT drained`,
			`UPDATE gateway_classes SET name = 'phd'`,
		} {
			if d := step(q); d.Plan == nil || len(d.ForwardIDs) != 0 {
				t.Errorf("%s: got %+v, want the plan", q, d)
			}
		}
		p, err := db.Plan(ctx)
		if err != nil || len(p.DialRules) != 1 || p.DialRules[0].Enabled || p.DialRules[0].Pattern != "7[" || !p.GatewayRules[0].Enabled || p.GatewayRules[0].Weight != 1 ||
			!p.Gateways[0].Drained || !p.Gateways[0].Enabled || p.Classes[0].Name != "phd" {
			t.Errorf("got %+v, %v; want the rows as they were written", p, err)
		}
		if d := step(`INSERT INTO forwards (user_id, kind, target) SELECT id, 'busy', 'sip:a@b' FROM users`); len(d.Forwards) != 1 || d.ForwardIDs[0] != alice.ID || d.Plan != nil {
			t.Errorf("forward: got %+v, want Alice's", d)
		}
		if err := db.RemoveUser(ctx, alice.Key); err != nil {
			t.Fatal(err)
		}
		if d := step(`UPDATE users SET email = ''`); len(d.ForwardIDs) != 1 || len(d.Forwards) != 0 {
			t.Errorf("Alice is gone: got %+v, want her forward gone", d)
		}
		for _, q := range []string{`DELETE FROM gatewaymap`, `DELETE FROM gateways`, `DELETE FROM dialplan`, `DELETE FROM gateway_classes`} {
			if d := step(q); d.Plan == nil {
				t.Errorf("%s: got %+v, want the plan", q, d)
			}
		}
		storetest.Add(t, db, "bob")
		for _, q := range []string{
			`INSERT INTO dialplan (position, pattern, target) VALUES ('first', '7', 'sip:a@b')`,
			`INSERT INTO dialplan (pattern, target) VALUES ('7', 'sip:a@b')`,
			`INSERT INTO gatewaymap (position, pattern, classes, target, weight) VALUES (1, '7', '*', 'sip:a@b', -1)`,
			`INSERT INTO gateways (name, uri, probe_s) VALUES ('gw', 'sip:x', 0)`,
			`INSERT INTO gateways (name, uri, max_calls) VALUES ('gw', 'sip:x', 'many')`,
			`INSERT INTO forwards (user_id, kind, target) SELECT id, 'never', 'sip:a@b' FROM users`,
			`INSERT INTO forwards (user_id, kind, target, timeout_s) SELECT id, 'busy', 'sip:a@b', 0 FROM users`,
			`INSERT INTO aliases (alias, primary_user, ring_mode) VALUES ('a@b', 'bob@example.com', 'loud')`,
			`INSERT INTO aliases (alias, primary_user, delay_s) VALUES ('a@b', 'bob@example.com', 181)`,
		} {
			if _, err := plain.Exec(q); err == nil {
				t.Errorf("%s: got no error, want the table to refuse it", q)
			}
		}
	})
}

// Tables of the version before keep what they hold, on the way there and on the way back.
func TestFromVersion2AndBack(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		db := ready(t, url)
		plain, dialect := raw(t, url)
		ctx := t.Context()
		alice, bob := storetest.Add(t, db, "alice"), storetest.Add(t, db, "bob")
		if _, err := db.AddThirdParty(ctx, alice.Key, bob.Key); err != nil {
			t.Fatal(err)
		}
		group := &store.Alias{Alias: "500@example.com", PrimaryUser: alice.Key, Kind: store.Group, Priority: 3, RingMode: store.Serial, Delay: 9}
		if err := db.AddAlias(ctx, group); err != nil {
			t.Fatal(err)
		}
		if _, err := db.AddClass(ctx, "staff"); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := migrations.Down(ctx, plain, dialect, 2); err != nil {
				t.Fatal(err)
			}
			if have, want, err := db.Version(ctx); err != nil || have != 2 || want < 3 {
				t.Errorf("down: got version %d of %d, %v; want 2", have, want, err)
			}
			if applied, err := db.Migrate(ctx); err != nil || applied == 0 {
				t.Fatalf("up: got %d migrations, %v", applied, err)
			}
		}
		group.RingMode, group.Delay = store.RingDefault, 0
		var tab store.Tables
		if _, _, err := db.Load(ctx, "", tab.Sink()); err != nil || len(tab.Users) != 2 || len(tab.ThirdParties) != 1 || len(tab.Aliases) != 1 || tab.Aliases[0] != *group ||
			len(tab.Plan.Classes) != 1 {
			t.Errorf("got %+v, %v; want the users, the group, the class and the third party", tab, err)
		}
	})
}

// What one change has read is so until it is committed, whoever else changes the plan.
func TestChangesDoNotOverlap(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		const each = 10
		ready(t, url)
		var others sync.WaitGroup
		for range 4 {
			db := open(t, url)
			others.Go(func() {
				for range each {
					err := db.ChangePlan(t.Context(), func(tx store.PlanTx) error {
						p, err := tx.Plan()
						if err != nil {
							return err
						}
						p.DialRules = append(p.DialRules, store.DialRule{Position: len(p.DialRules), Pattern: fmt.Sprint(len(p.DialRules)), Target: "sip:a@b", Enabled: true})
						return tx.SetPlan(p)
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		others.Wait()
		p, err := open(t, url).Plan(t.Context())
		if err != nil || len(p.DialRules) != 4*each {
			t.Fatalf("got %d rules, %v; want %d", len(p.DialRules), err, 4*each)
		}
		for i, r := range p.DialRules {
			if r.Position != i || r.Pattern != fmt.Sprint(i) {
				t.Errorf("rule %d: got %+v: two have seen the same", i, r)
			}
		}
	})
}

// What a change says itself is handed on as it is; what the database says has a name.
func TestErrorOfAChange(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		db := ready(t, url)
		own := errors.New("so not")
		if err := db.ChangePlan(t.Context(), func(store.PlanTx) error { return own }); err != own {
			t.Errorf("got %v, want it as it is", err)
		}
		err := db.ChangePlan(t.Context(), func(tx store.PlanTx) error {
			return tx.SetPlan(&store.PlanRows{Classes: []store.GatewayClass{{Name: "a"}, {Name: "a"}}})
		})
		if !errors.Is(err, store.ErrExists) {
			t.Errorf("got %v, want it to say that it exists", err)
		}
	})
}
