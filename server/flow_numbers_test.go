package server_test

import (
	"context"
	"testing"

	"sipd/internal/siptest/flow"
	"sipd/sipaddr"
	"sipd/store"
	"sipd/store/storetest"
)

// addClasses writes the gateway classes of a flow into the store, and returns their ids.
func addClasses(t *testing.T, mem *storetest.Mem, f *flow.Flow) map[string]int64 {
	t.Helper()
	ids := map[string]int64{}
	for _, name := range f.Classes {
		c, err := mem.AddClass(context.WithoutCancel(t.Context()), name)
		if err != nil {
			t.Fatal(err)
		}
		ids[name] = c.ID
	}
	return ids
}

// addNumbers writes what becomes of numbers, and the forwards.
func addNumbers(t *testing.T, mem *storetest.Mem, f *flow.Flow, classes map[string]int64) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	err := mem.ChangePlan(ctx, func(tx store.PlanTx) error {
		rows, err := tx.Plan()
		if err != nil {
			return err
		}
		for i, r := range f.DialPlan {
			rows.DialRules = append(rows.DialRules, store.DialRule{Position: i, Pattern: r.Pattern, Target: r.Target, Emergency: r.Emergency, Enabled: true})
		}
		for _, r := range f.Gateways {
			rows.GatewayRules = append(rows.GatewayRules, store.GatewayRule{Position: r.Position, Pattern: r.Pattern, Classes: r.Classes,
				Target: r.Target, Weight: r.Weight, Enabled: true})
		}
		for _, g := range f.Trunks {
			rows.Gateways = append(rows.Gateways, store.Gateway{Name: g.Name, URI: g.URI, SourceNets: g.Nets, TLSName: g.TLSName, ProbeSeconds: g.Probe, MaxCalls: g.MaxCalls,
				InboundClassID: classes[g.Class], Enabled: !g.Disabled, Drained: g.Drained})
		}
		return tx.SetPlan(rows)
	})
	if err != nil {
		t.Fatalf("%s: %v", f.File, err)
	}
	for _, w := range f.Forwards {
		kind, err := store.ParseForwardKind(w.Kind)
		if err != nil {
			t.Fatal(err)
		}
		if err := mem.SetForward(ctx, &store.Forward{User: sipaddr.AOR(w.AOR), Kind: kind, Target: w.Target, Timeout: w.Seconds}); err != nil {
			t.Fatalf("%s: %v", f.File, err)
		}
	}
}
