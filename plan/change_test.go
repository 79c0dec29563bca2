package plan_test

import (
	"errors"
	"strings"
	"testing"

	"sipd/plan"
	"sipd/store"
	"sipd/store/storetest"
)

func TestApply(t *testing.T) {
	ctx := t.Context()
	db := storetest.New()
	alice := storetest.Add(t, db, "alice")
	change := plan.Change{Actor: "os:root", Action: "dialplan add", Object: "dialplan", Home: "example.com", Canonical: canonical}
	set := func(c plan.Change, do func(p *store.PlanRows)) (*plan.Report, error) {
		return c.Apply(ctx, db, func(tx store.PlanTx) (string, error) {
			p, err := tx.Plan()
			if err != nil {
				return "", err
			}
			do(p)
			return "+ something", tx.SetPlan(p)
		})
	}
	if _, err := set(change, func(p *store.PlanRows) {
		*p = *campus(t)
		for i := range p.Classes {
			p.Classes[i].ID = 0
		}
		for i := range p.DialRules {
			p.DialRules[i].ID = 0
		}
		for i := range p.GatewayRules {
			p.GatewayRules[i].ID = 0
		}
		p.Gateways = nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := change.Apply(ctx, db, func(tx store.PlanTx) (string, error) {
		return "+ alias", tx.AddAlias(&store.Alias{Alias: "+12129397042@example.com", PrimaryUser: alice.Key})
	}); err != nil {
		t.Fatal(err)
	}
	for _, pt := range []store.PlanTest{
		{Number: "7042", Expect: "sip:alice@example.com"}, {Number: "95551234", Class: "student", Expect: "denied"},
		{Number: "7139", Class: "student", Expect: "sip:somebody@else.example"}, // It fails already.
	} {
		if err := db.AddPlanTest(ctx, &pt); err != nil {
			t.Fatal(err)
		}
	}
	entries := func() int {
		log, err := db.AuditLog(ctx, 100)
		if err != nil {
			t.Fatal(err)
		}
		return len(log)
	}
	before := entries()
	// What breaks a test is refused and says which, whatever it is.
	breaks := map[string]func(tx store.PlanTx) (string, error){
		"rule": func(tx store.PlanTx) (string, error) {
			p, err := tx.Plan()
			if err != nil {
				return "", err
			}
			p.DialRules = p.DialRules[1:]
			return "- rule", tx.SetPlan(p)
		},
		"alias": func(tx store.PlanTx) (string, error) {
			return "- alias", tx.RemoveAlias("+12129397042@example.com", "")
		},
	}
	for name, do := range breaks {
		_, err := change.Apply(ctx, db, do)
		var broken *plan.BrokenError
		if !errors.As(err, &broken) || len(broken.Tests) != 1 || !strings.Contains(err.Error(), "7042, class NULL: got denied, want sip:alice@example.com") && !strings.Contains(err.Error(), "7042, class NULL: got nomatch") {
			t.Errorf("%s: got %v, want the test of 7042", name, err)
		}
	}
	if p, err := db.Plan(ctx); err != nil || len(p.DialRules) != 7 || entries() != before {
		t.Errorf("got %+v, %v; want nothing changed", p, err)
	}
	// The test that failed before is told, and does not refuse.
	report, err := set(change, func(p *store.PlanRows) { p.DialRules[6].Comment = "x" })
	if err != nil || len(report.Failing) != 1 || report.Failing[0].Test.Number != "7139" || len(report.Broken) != 0 || entries() != before+1 {
		t.Errorf("got %+v, %v; want 7139 failing", report, err)
	}
	// A target that may be misspelled is noted once.
	report, err = set(change, func(p *store.PlanRows) { p.GatewayRules[0].Target = "sip:$@gw7" })
	if err != nil || len(report.Notes) != 1 || !strings.Contains(report.Notes[0], "gw7") {
		t.Errorf("got %+v, %v; want a note of gw7", report, err)
	}
	if report, err = set(change, func(p *store.PlanRows) { p.DialRules[6].Comment = "y" }); err != nil || len(report.Notes) != 0 {
		t.Errorf("got %+v, %v; want no note", report, err)
	}
	// A hunt group that is too large is no row's own fault, and is refused.
	if _, err = set(change, func(p *store.PlanRows) {
		for range 40 {
			p.GatewayRules = append(p.GatewayRules, store.GatewayRule{Position: 500, Pattern: "1", Classes: "*", Target: "sip:a@b.example", Enabled: true})
		}
	}); err == nil || !strings.Contains(err.Error(), "position 500") {
		t.Errorf("got %v, want position 500", err)
	}
	before = entries()
	change.Force = true
	dry := change
	dry.DryRun = true
	if report, err = dry.Apply(ctx, db, breaks["rule"]); err != nil || len(report.Broken) != 1 || entries() != before {
		t.Errorf("dry run: got %+v, %v; want the broken test and nothing changed", report, err)
	}
	report, err = change.Apply(ctx, db, breaks["rule"])
	if err != nil || len(report.Broken) != 1 {
		t.Fatalf("got %+v, %v; want the broken test", report, err)
	}
	log, err := db.AuditLog(ctx, 1)
	if err != nil || entries() != before+1 || log[0].Actor != "os:root" || !strings.HasPrefix(log[0].Detail, "forced, 1 plan tests would break:") || !strings.Contains(log[0].Detail, "- rule") {
		t.Errorf("got %+v, %v; want who forced what", log, err)
	}
	// What changes nothing is not noted.
	if _, err := change.Apply(ctx, db, func(store.PlanTx) (string, error) { return "", nil }); err != nil || entries() != before+1 {
		t.Errorf("got %v and %d entries, want %d", err, entries(), before+1)
	}
}
