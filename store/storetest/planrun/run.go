package planrun

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sipd/sipaddr"
	"sipd/store"
)

// Tests are the tests, each for a new store with one server record and nothing else.
var Tests = []struct {
	Name string
	Test func(t *testing.T, s store.Store)
}{
	{"plan", testPlan},
	{"change of the plan", testPlanTx},
	{"plan tests", testPlanTests},
	{"forwards", testForwards},
	{"audit log", testAudit},
	{"plan in memory", testPlanInMemory},
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got error %v, want %v", what, err, want)
	}
}

// add adds name@example.com.
func add(t testing.TB, s store.Admin, name string) *store.User {
	t.Helper()
	u := &store.User{Key: sipaddr.AOR(name + "@example.com"), Realm: "example.com"}
	must(t, s.AddUser(t.Context(), u, nil))
	return u
}

// setPlan makes a change of the plan.
func setPlan(t *testing.T, s store.Store, do func(tx store.PlanTx, p *store.PlanRows) error) error {
	t.Helper()
	return s.ChangePlan(t.Context(), func(tx store.PlanTx) error {
		p, err := tx.Plan()
		if err != nil {
			return err
		}
		if err := do(tx, p); err != nil {
			return err
		}
		return tx.SetPlan(p)
	})
}

func testPlan(t *testing.T, s store.Store) {
	ctx := t.Context()
	must(t, setPlan(t, s, func(_ store.PlanTx, p *store.PlanRows) error {
		p.Classes = append(p.Classes, store.GatewayClass{Name: "student"}, store.GatewayClass{Name: "staff"})
		p.DialRules = append(p.DialRules,
			store.DialRule{Position: 20, Pattern: "(9)*", Target: "tel:+1$", Enabled: true},
			store.DialRule{Position: 10, Pattern: "911", Target: "sip:911@psap.example.org", Emergency: true, Comment: "always first", Enabled: true})
		p.GatewayRules = append(p.GatewayRules,
			store.GatewayRule{Position: 10, Pattern: "(+1)*", Classes: "staff,student", Target: "sip:$@gw1", Weight: 3, Comment: "c", Enabled: true})
		p.Gateways = append(p.Gateways, store.Gateway{Name: "GW1", URI: "sip:192.0.2.7:5070", SourceNets: "192.0.2.7 192.0.2.8", TLSName: "GW.example.net",
			ProbeSeconds: 30, MaxCalls: 24, Weight: 2, Enabled: true, Drained: true, Comment: "the basement"})
		return nil
	}))
	got, err := s.Plan(ctx)
	must(t, err)
	if len(got.Classes) != 2 || got.Classes[0].Name != "staff" || got.Classes[0].ID == 0 {
		t.Fatalf("got classes %+v, want staff and student", got.Classes)
	}
	want := store.PlanRows{Classes: got.Classes,
		DialRules: []store.DialRule{
			{ID: got.DialRules[0].ID, Position: 10, Pattern: "911", Target: "sip:911@psap.example.org", Emergency: true, Comment: "always first", Enabled: true},
			{ID: got.DialRules[1].ID, Position: 20, Pattern: "(9)*", Target: "tel:+1$", Enabled: true}},
		GatewayRules: []store.GatewayRule{
			{ID: got.GatewayRules[0].ID, Position: 10, Pattern: "(+1)*", Classes: "staff,student", Target: "sip:$@gw1", Weight: 3, Comment: "c", Enabled: true}},
		Gateways: []store.Gateway{{ID: got.Gateways[0].ID, Name: "gw1", URI: "sip:192.0.2.7:5070", SourceNets: "192.0.2.7, 192.0.2.8", TLSName: "gw.example.net",
			ProbeSeconds: 30, MaxCalls: 24, Weight: 2, Enabled: true, Drained: true, Comment: "the basement"}},
	}
	if !samePlan(got, &want) || got.DialRules[0].ID == 0 || got.DialRules[0].ID == got.DialRules[1].ID {
		t.Errorf("got %+v, want %+v", got, want)
	}
	// One row changes, one goes, one comes.
	must(t, setPlan(t, s, func(_ store.PlanTx, p *store.PlanRows) error {
		p.DialRules[1].Enabled = false
		p.DialRules = append(p.DialRules[1:], store.DialRule{Position: 30, Pattern: "7???", Target: "tel:+1212939$", Enabled: true})
		p.Gateways[0].InboundClassID, p.Gateways[0].MaxCalls, p.Gateways[0].Drained, p.Gateways[0].ProbeSeconds = p.Classes[0].ID, 0, false, -1
		return nil
	}))
	after, err := s.Plan(ctx)
	must(t, err)
	if len(after.DialRules) != 2 || after.DialRules[0].ID != got.DialRules[1].ID || after.DialRules[0].Enabled || after.DialRules[1].Pattern != "7???" {
		t.Errorf("got %+v, want the second rule switched off, and a new one", after.DialRules)
	}
	if g := after.Gateways[0]; g.ID != got.Gateways[0].ID || g.InboundClassID != got.Classes[0].ID || g.MaxCalls != 0 || g.Drained || g.ProbeSeconds != -1 {
		t.Errorf("got %+v, want the class, no limit and no probes", g)
	}
	// What is refused changes nothing.
	stop := errors.New("stop")
	bob := add(t, s, "bob")
	bob.GatewayClassID = got.Classes[1].ID
	must(t, s.UpdateUser(ctx, bob))
	for _, tt := range []struct {
		name string
		do   func(p *store.PlanRows)
		want error
		says string
	}{
		{"pattern", func(p *store.PlanRows) { p.DialRules[0].Pattern = "7(" }, store.ErrInvalid, "column 2"},
		{"target", func(p *store.PlanRows) { p.DialRules[0].Target = "mailto:$@x" }, store.ErrInvalid, "mailto"},
		{"no such class", func(p *store.PlanRows) { p.GatewayRules[0].Classes = "staff,phd" }, store.ErrInvalid, "class add phd"},
		{"probes", func(p *store.PlanRows) { p.Gateways[0].ProbeSeconds = -2 }, store.ErrInvalid, "or -1 for never"},
		{"bad gateway", func(p *store.PlanRows) { p.Gateways[0].URI = "tel:1" }, store.ErrInvalid, "sip"},
		{"no such row", func(p *store.PlanRows) { p.DialRules[0].ID += 1000 }, store.ErrNotFound, ""},
		{"class in use", func(p *store.PlanRows) {
			p.Classes, p.GatewayRules[0].Classes = p.Classes[:1], "*"
		}, store.ErrInvalid, "in the class"},
		{"two of a name", func(p *store.PlanRows) { p.Classes = append(p.Classes, store.GatewayClass{Name: "staff"}) }, store.ErrExists, ""},
		{"two gateways", func(p *store.PlanRows) {
			p.Gateways = append(p.Gateways, store.Gateway{Name: "gw1", URI: "sip:192.0.2.9"})
		}, store.ErrExists, ""},
		{"too many", func(p *store.PlanRows) { p.DialRules = slices.Repeat(p.DialRules, 5001) }, store.ErrInvalid, "at most 10000"},
	} {
		err := setPlan(t, s, func(_ store.PlanTx, p *store.PlanRows) error { tt.do(p); return nil })
		wantErr(t, tt.name, err, tt.want)
		if err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: got %q, want it to say %q", tt.name, err, tt.says)
		}
	}
	err = s.ChangePlan(ctx, func(tx store.PlanTx) error {
		p, err := tx.Plan()
		must(t, err)
		p.DialRules = nil
		must(t, tx.SetPlan(p))
		if p, err = tx.Plan(); err != nil || len(p.DialRules) != 0 {
			t.Errorf("within the change: got %+v, %v; want no rules", p, err)
		}
		must(t, tx.AddAlias(&store.Alias{Alias: "300@example.com", PrimaryUser: bob.Key}))
		if rows, err := tx.Aliases("300@example.com"); err != nil || len(rows) != 1 {
			t.Errorf("within the change: got %+v, %v; want the alias", rows, err)
		}
		must(t, tx.Audit(&store.AuditEntry{Actor: "os:root", Action: "test"}))
		return stop
	})
	wantErr(t, "stopped", err, stop)
	if now, err := s.Plan(ctx); err != nil || !samePlan(now, after) {
		t.Errorf("got %+v, %v; want it as before %+v", now, err, after)
	}
	if rows, err := s.Aliases(ctx, "300@example.com"); err != nil || len(rows) != 0 {
		t.Errorf("got %+v, %v; want no alias", rows, err)
	}
	// The user out of it, the class goes, and everything with it.
	bob.GatewayClassID = 0
	must(t, s.UpdateUser(ctx, bob))
	must(t, setPlan(t, s, func(_ store.PlanTx, p *store.PlanRows) error {
		*p = store.PlanRows{}
		return nil
	}))
	if now, err := s.Plan(ctx); err != nil || len(now.Classes)+len(now.DialRules)+len(now.GatewayRules)+len(now.Gateways) != 0 {
		t.Errorf("got %+v, %v; want nothing", now, err)
	}
	log, err := s.AuditLog(ctx, 10)
	if err != nil || len(log) != 0 {
		t.Errorf("got %+v, %v; want no entry", log, err)
	}
}

func samePlan(a, b *store.PlanRows) bool {
	return slices.Equal(a.Classes, b.Classes) && slices.Equal(a.DialRules, b.DialRules) && slices.Equal(a.GatewayRules, b.GatewayRules) && slices.Equal(a.Gateways, b.Gateways)
}

func testPlanTx(t *testing.T, s store.Store) {
	ctx := t.Context()
	alice, bob := add(t, s, "alice"), add(t, s, "bob")
	must(t, s.ChangePlan(ctx, func(tx store.PlanTx) error {
		for key, want := range map[sipaddr.AOR]bool{alice.Key: true, "x@example.com": false} {
			if has, err := tx.HasUser(key); err != nil || has != want {
				t.Errorf("%s: got %v, %v; want %v", key, has, err, want)
			}
		}
		g := &store.Alias{Alias: "sales@example.com", PrimaryUser: alice.Key, Kind: store.Group, Priority: 2, RingMode: store.Serial, Delay: 15}
		must(t, tx.AddAlias(g))
		must(t, tx.AddAlias(&store.Alias{Alias: "sales@example.com", PrimaryUser: bob.Key, Kind: store.Group, Priority: 1}))
		wantErr(t, "again", tx.AddAlias(&store.Alias{Alias: "sales@example.com", PrimaryUser: bob.Key, Kind: store.Group}), store.ErrExists)
		wantErr(t, "of nobody", tx.AddAlias(&store.Alias{Alias: "x@example.com", PrimaryUser: "y@example.com"}), store.ErrNotFound)
		wantErr(t, "of himself", tx.AddAlias(&store.Alias{Alias: string(bob.Key), PrimaryUser: bob.Key}), store.ErrInvalid)
		wantErr(t, "of none", tx.RemoveAlias("x@example.com", ""), store.ErrNotFound)
		rows, err := tx.Aliases("sales@example.com")
		if err != nil || len(rows) != 2 || rows[0].PrimaryUser != bob.Key || rows[0].RingMode != store.RingDefault || rows[1] != *g {
			t.Errorf("got %+v, %v; want Bob, then Alice", rows, err)
		}
		if m := store.Ring([]*store.Alias{&rows[0], &rows[1]}); m != store.Serial {
			t.Errorf("got %v, want serial", m)
		}
		must(t, tx.RemoveAlias("sales@example.com", bob.Key))
		return nil
	}))
	rows, err := s.Aliases(ctx, "")
	if err != nil || len(rows) != 1 || rows[0].PrimaryUser != alice.Key || rows[0].Delay != 15 || rows[0].RingMode != store.Serial {
		t.Errorf("got %+v, %v; want Alice", rows, err)
	}
}

func testPlanTests(t *testing.T, s store.Store) {
	ctx := t.Context()
	_, err := s.AddClass(ctx, "staff")
	must(t, err)
	a := &store.PlanTest{Number: "7042", Expect: "SIP:alice@example.com  sip:bob@example.com", Comment: "c"}
	b := &store.PlanTest{Number: "+442079460000", Class: "staff", Expect: "Denied"}
	must(t, s.AddPlanTest(ctx, a))
	must(t, s.AddPlanTest(ctx, b))
	got, err := s.PlanTests(ctx)
	must(t, err)
	want := []store.PlanTest{{ID: a.ID, Number: "7042", Expect: "SIP:alice@example.com sip:bob@example.com", Comment: "c"}, {ID: b.ID, Number: b.Number, Class: "staff", Expect: "denied"}}
	if !slices.Equal(got, want) || a.ID == 0 {
		t.Errorf("got %+v, want %+v", got, want)
	}
	wantErr(t, "again", s.AddPlanTest(ctx, &store.PlanTest{Number: "7042", Class: "null", Expect: "denied"}), store.ErrExists)
	wantErr(t, "class", s.AddPlanTest(ctx, &store.PlanTest{Number: "7042", Class: "phd", Expect: "denied"}), store.ErrNotFound)
	wantErr(t, "expect", s.AddPlanTest(ctx, &store.PlanTest{Number: "7043", Expect: "perhaps"}), store.ErrInvalid)
	must(t, s.RemovePlanTest(ctx, a.ID))
	wantErr(t, "remove again", s.RemovePlanTest(ctx, a.ID), store.ErrNotFound)
	must(t, s.ChangePlan(ctx, func(tx store.PlanTx) error {
		if got, err := tx.PlanTests(); err != nil || len(got) != 1 || got[0] != want[1] {
			t.Errorf("within a change: got %+v, %v", got, err)
		}
		return nil
	}))
	for i := range store.MaxPlanTests - 1 {
		must(t, s.AddPlanTest(ctx, &store.PlanTest{Number: fmt.Sprint(i), Expect: "nomatch"}))
	}
	wantErr(t, "one too many", s.AddPlanTest(ctx, &store.PlanTest{Number: "x", Expect: "nomatch"}), store.ErrInvalid)
}

func testForwards(t *testing.T, s store.Store) {
	ctx := t.Context()
	alice, bob := add(t, s, "alice"), add(t, s, "bob")
	set := func(f store.Forward) {
		t.Helper()
		must(t, s.SetForward(ctx, &f))
		if f.UserID == 0 {
			t.Errorf("got no id of %s", f.User)
		}
	}
	set(store.Forward{User: bob.Key, Kind: store.ForwardBusy, Target: "sip:carol@example.com"})
	set(store.Forward{User: alice.Key, Kind: store.ForwardNoAnswer, Target: "tel:+1212", Timeout: 20})
	set(store.Forward{User: alice.Key, Kind: store.ForwardAll, Target: "sip:old@example.com"})
	set(store.Forward{User: alice.Key, Kind: store.ForwardAll, Target: "sip:new@example.com"})
	text := func() string {
		var b strings.Builder
		must(t, s.Forwards(ctx, "", func(f *store.Forward) error {
			fmt.Fprintf(&b, "%s %s %s %d;", f.User.User(), f.Kind, f.Target, f.Timeout)
			return nil
		}))
		return b.String()
	}
	if got, want := text(), "alice all sip:new@example.com 0;alice noanswer tel:+1212 20;bob busy sip:carol@example.com 0;"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	n := 0
	must(t, s.Forwards(ctx, bob.Key, func(f *store.Forward) error { n++; return nil }))
	if n != 1 {
		t.Errorf("of Bob: got %d, want 1", n)
	}
	wantErr(t, "of nobody", s.SetForward(ctx, &store.Forward{User: "x@example.com", Target: "sip:a@b"}), store.ErrNotFound)
	wantErr(t, "to nowhere", s.SetForward(ctx, &store.Forward{User: bob.Key, Target: "carol"}), store.ErrInvalid)
	wantErr(t, "timeout", s.SetForward(ctx, &store.Forward{User: bob.Key, Kind: store.ForwardBusy, Target: "sip:a@b", Timeout: 5}), store.ErrInvalid)
	must(t, s.RemoveForward(ctx, alice.Key, store.ForwardAll, store.ForwardBusy))
	wantErr(t, "remove again", s.RemoveForward(ctx, alice.Key, store.ForwardAll), store.ErrNotFound)
	must(t, s.RemoveUser(ctx, bob.Key))
	if got, want := text(), "alice noanswer tel:+1212 20;"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func testAudit(t *testing.T, s store.Store) {
	ctx := t.Context()
	started := time.Now()
	for i := range 3 {
		must(t, s.ChangePlan(ctx, func(tx store.PlanTx) error {
			return tx.Audit(&store.AuditEntry{Actor: "os:root", Action: fmt.Sprint("step ", i), Object: "dialplan", Detail: "+ 7042\n- 7043"})
		}))
	}
	got, err := s.AuditLog(ctx, 2)
	must(t, err)
	if len(got) != 2 || got[0].Action != "step 2" || got[1].Action != "step 1" || got[0].Detail != "+ 7042\n- 7043" || got[0].ID <= got[1].ID {
		t.Errorf("got %+v, want the last two", got)
	}
	if at := got[0].At; at.Before(started.Add(-time.Second)) || at.After(time.Now().Add(time.Second)) {
		t.Errorf("got %v, want now", at)
	}
	wantErr(t, "of nobody", s.ChangePlan(ctx, func(tx store.PlanTx) error { return tx.Audit(&store.AuditEntry{Action: "x"}) }), store.ErrInvalid)
}

// What a server loads, and what it is told of changes.
func testPlanInMemory(t *testing.T, s store.Store) {
	ctx := t.Context()
	servers, err := s.Servers(ctx)
	must(t, err)
	srv := servers[0]
	alice := add(t, s, "alice")
	must(t, setPlan(t, s, func(_ store.PlanTx, p *store.PlanRows) error {
		p.DialRules = append(p.DialRules, store.DialRule{Pattern: "1", Target: "sip:a@b", Enabled: true})
		return nil
	}))
	forward := &store.Forward{User: alice.Key, Kind: store.ForwardOffline, Target: "sip:a@b"}
	must(t, s.SetForward(ctx, forward))
	var got store.Tables
	_, seq, err := s.Load(ctx, "", got.Sink())
	must(t, err)
	if len(got.Plan.DialRules) != 1 || !slices.Equal(got.Forwards, []store.Forward{{UserID: alice.ID, Kind: store.ForwardOffline, Target: "sip:a@b"}}) {
		t.Errorf("load: got %+v and %+v", got.Plan, got.Forwards)
	}
	step := func(what string) *store.Delta {
		t.Helper()
		d, err := s.Delta(ctx, srv.ID, seq)
		must(t, err)
		if d.Full || d.Empty() || d.Seq <= seq {
			t.Fatalf("%s: got %+v after seq %d, want changes", what, d, seq)
		}
		seq = d.Seq
		return d
	}
	_, err = s.AddClass(ctx, "staff")
	must(t, err)
	if d := step("class"); d.Plan == nil || len(d.Plan.Classes) != 1 || len(d.Plan.DialRules) != 1 || len(d.ForwardIDs) != 0 {
		t.Errorf("class: got %+v, want the plan", d)
	}
	for _, do := range []func(p *store.PlanRows){
		func(p *store.PlanRows) { p.DialRules[0].Enabled = false },
		func(p *store.PlanRows) {
			p.GatewayRules = append(p.GatewayRules, store.GatewayRule{Pattern: "1", Classes: "*", Target: "sip:a@b"})
		},
		func(p *store.PlanRows) {
			p.Gateways = append(p.Gateways, store.Gateway{Name: "gw", URI: "sip:192.0.2.1"})
		},
		func(p *store.PlanRows) { p.Gateways = nil },
	} {
		must(t, setPlan(t, s, func(_ store.PlanTx, p *store.PlanRows) error { do(p); return nil }))
		now, err := s.Plan(ctx)
		must(t, err)
		if d := step("plan"); d.Plan == nil || !samePlan(d.Plan, now) {
			t.Errorf("got %+v, want %+v", d.Plan, now)
		}
	}
	must(t, s.RemoveForward(ctx, alice.Key, store.ForwardOffline))
	if d := step("forward"); !slices.Equal(d.ForwardIDs, []int64{alice.ID}) || len(d.Forwards) != 0 || d.Plan != nil {
		t.Errorf("forward: got %+v, want none of Alice", d)
	}
	must(t, s.SetForward(ctx, forward))
	if d := step("forward"); len(d.Forwards) != 1 || d.Forwards[0].Target != "sip:a@b" {
		t.Errorf("forward: got %+v, want Alice's", d)
	}
}
