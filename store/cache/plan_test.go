package cache_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"sipd/gatewaymap"
	"sipd/store"
	"sipd/store/cache"
	"sipd/store/storetest"
)

// planSpoiler hands over rows as if somebody had written SQL by hand.
type planSpoiler struct {
	*storetest.Mem
	spoil atomic.Pointer[func(p *store.PlanRows, f []store.Forward)]
}

func (s *planSpoiler) Load(ctx context.Context, name string, into store.Sink) (store.Server, int64, error) {
	var t store.Tables
	server, seq, err := s.Mem.Load(ctx, name, t.Sink())
	if do := s.spoil.Load(); err == nil && do != nil {
		t.Forwards = slices.Clone(t.Forwards)
		(*do)(&t.Plan, t.Forwards)
	}
	t.Feed(into)
	return server, seq, err
}

func (s *planSpoiler) Delta(ctx context.Context, server, seq int64) (*store.Delta, error) {
	d, err := s.Mem.Delta(ctx, server, seq)
	if do := s.spoil.Load(); err == nil && do != nil {
		p := d.Plan
		if p == nil {
			p = &store.PlanRows{}
		}
		(*do)(p, d.Forwards)
	}
	return d, err
}

// changePlan changes the rows of the plan.
func changePlan(t *testing.T, m store.PlanAdmin, do func(p *store.PlanRows)) {
	t.Helper()
	check(t, m.ChangePlan(t.Context(), func(tx store.PlanTx) error {
		p, err := tx.Plan()
		if err != nil {
			return err
		}
		do(p)
		return tx.SetPlan(p)
	}))
}

func TestPlan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		m := &planSpoiler{Mem: storetest.New()}
		alice, bob := storetest.Add(t, m, "alice"), storetest.Add(t, m, "bob")
		changePlan(t, m, func(p *store.PlanRows) {
			p.Classes = []store.GatewayClass{{Name: "staff"}}
			p.DialRules = []store.DialRule{{Position: 1, Pattern: "7???", Target: "tel:+1212939$", Enabled: true}}
			p.GatewayRules = []store.GatewayRule{{Position: 1, Pattern: "(+)*", Classes: "staff", Target: "sip:$@gw", Enabled: true}}
			p.Gateways = []store.Gateway{{Name: "gw", URI: "sip:192.0.2.7", SourceNets: "192.0.2.7", Enabled: true}}
		})
		check(t, m.SetForward(ctx, &store.Forward{User: alice.Key, Kind: store.ForwardBusy, Target: "sip:bob@example.com"}))
		c := start(t, m, cache.Config{})
		synctest.Wait()
		text := func() string {
			s := c.Snapshot()
			dial, _ := s.Plan().DialPlan.Find(nil, []byte("7042"), nil)
			found, out := s.Plan().Map.Find(nil, []byte("+123"), s.Class(s.UserByID(bob.ID)), nil)
			uri := out.String()
			if out == gatewaymap.Found {
				uri = found[0].URI
			}
			gw := "none"
			if g := s.Plan().Gateway([]byte("Gw")); g != nil {
				gw = g.Row.URI
			}
			forward := "none"
			if f := s.Forward(s.UserByID(alice.ID), store.ForwardBusy); f != nil {
				forward = f.Target
			}
			if f := s.Forward(s.UserByID(alice.ID), store.ForwardAll); f != nil {
				t.Errorf("got %+v, which nobody has set", f)
			}
			return fmt.Sprintf("%s %s %s %s", dial, uri, gw, forward)
		}
		problems := func() string {
			var names []string
			for _, p := range c.Status().Problems {
				names = append(names, p.Table+" "+p.Row)
			}
			slices.Sort(names)
			return strings.Join(names, ", ")
		}
		step := func(name, want, bad string) {
			t.Helper()
			synctest.Wait()
			if got := text(); got != want {
				t.Errorf("%s: got %s\nwant %s", name, got, want)
			}
			if got := problems(); got != bad {
				t.Errorf("%s: got problems %q, want %q", name, got, bad)
			}
			check(t, c.Refresh(ctx)) // All tables at once: the same.
			if got := text(); got != want {
				t.Errorf("%s, full: got %s\nwant %s", name, got, want)
			}
			if got := problems(); got != bad {
				t.Errorf("%s, full: got problems %q, want %q", name, got, bad)
			}
		}
		step("loaded", "tel:+12129397042 denied sip:192.0.2.7 sip:bob@example.com", "")
		classes, err := m.Classes(ctx)
		check(t, err)
		bob.GatewayClassID = classes[0].ID
		check(t, m.UpdateUser(ctx, bob))
		step("Bob has a class", "tel:+12129397042 sip:123@gw sip:192.0.2.7 sip:bob@example.com", "")
		changePlan(t, m, func(p *store.PlanRows) { p.DialRules[0].Target, p.Gateways[0].URI = "tel:+1$", "sip:192.0.2.8" })
		step("another target", "tel:+17042 sip:123@gw sip:192.0.2.8 sip:bob@example.com", "")

		// SQL by hand: each table keeps its last good version and names the row, while others go on.
		dial, gw := m.planIDs(t)
		spoil := func(p *store.PlanRows, f []store.Forward) {
			for i := range p.DialRules {
				p.DialRules[i].Pattern = "7["
			}
			for i := range p.GatewayRules {
				p.GatewayRules[i].Classes = "staff,guest"
			}
			for i := range f {
				f[i].Target = "nowhere"
			}
		}
		m.spoil.Store(&spoil)
		changePlan(t, m, func(p *store.PlanRows) { p.Gateways[0].URI = "sip:192.0.2.9" })
		check(t, m.SetForward(ctx, &store.Forward{User: alice.Key, Kind: store.ForwardBusy, Target: "sip:carol@example.com"}))
		bad := fmt.Sprintf("dialplan %d, forwards %d, gatewaymap %d", dial, alice.ID, gw)
		step("rows by hand", "tel:+17042 sip:123@gw sip:192.0.2.9 sip:bob@example.com", bad)
		check(t, m.AddDomain(ctx, &store.Domain{Name: "other.example"}))
		synctest.Wait()
		if got := problems(); got != bad {
			t.Errorf("a change of something else: got %q, want %q", got, bad)
		}
		// A copy of what is in force answers the same, without what is wrong.
		var saved store.Tables
		c.Snapshot().Feed(saved.Sink())
		copied, err := cache.Build(saved, c.Snapshot().Settings)
		check(t, err)
		if uri, _ := copied.Plan().DialPlan.Find(nil, []byte("7042"), nil); string(uri) != "tel:+17042" {
			t.Errorf("copied: got %s, want tel:+17042", uri)
		}
		if f := copied.Forward(copied.UserByID(alice.ID), store.ForwardBusy); f == nil || f.Target != "sip:bob@example.com" {
			t.Errorf("copied: got %+v, want the last good forward", f)
		}
		m.spoil.Store(nil)
		changePlan(t, m, func(p *store.PlanRows) { p.DialRules[0].Comment = "mended" })
		check(t, m.SetForward(ctx, &store.Forward{User: alice.Key, Kind: store.ForwardBusy, Target: "sip:carol@example.com"}))
		step("mended", "tel:+17042 sip:123@gw sip:192.0.2.9 sip:carol@example.com", "")

		// A gateway that is gone: its rule stays, and is named.
		changePlan(t, m, func(p *store.PlanRows) { p.Gateways = nil })
		step("no gateway", "tel:+17042 sip:123@gw none sip:carol@example.com", fmt.Sprint("gatewaymap ", gw))
		check(t, m.RemoveForward(ctx, alice.Key, store.ForwardBusy))
		changePlan(t, m, func(p *store.PlanRows) { p.DialRules, p.GatewayRules = nil, nil })
		step("nothing", " no match none none", "")
	})
}

// planIDs are the ids of the rule of the dial plan and of the gateway map.
func (s *planSpoiler) planIDs(t *testing.T) (dial, gw int64) {
	t.Helper()
	p, err := s.Plan(t.Context())
	check(t, err)
	return p.DialRules[0].ID, p.GatewayRules[0].ID
}

// A call that has taken a snapshot sees one plan to its end, however often the tables change meanwhile.
func TestPlanUnderLoad(t *testing.T) {
	m := storetest.New()
	set := func(n int) {
		changePlan(t, m, func(p *store.PlanRows) {
			p.DialRules = []store.DialRule{{Position: 1, Pattern: "7???", Target: fmt.Sprintf("tel:+%d$", n), Enabled: true}}
			p.GatewayRules = []store.GatewayRule{{Position: 1, Pattern: fmt.Sprintf("(+%d)*", n), Classes: "*", Target: "sip:$@gw.example", Enabled: true}}
		})
	}
	set(100)
	c, err := cache.New(cache.Config{Store: m})
	check(t, err)
	check(t, c.Refresh(t.Context()))
	stop := make(chan struct{})
	var calls sync.WaitGroup
	for range 4 {
		calls.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				s := c.Snapshot()
				number, _ := s.Plan().DialPlan.Find(nil, []byte("7042"), nil)
				found, _ := s.Plan().Map.Find(nil, number[len("tel:"):], "x", nil)
				if len(found) != 1 || found[0].URI != "sip:7042@gw.example" {
					t.Errorf("got %s and %v: of two plans", number, found)
					return
				}
			}
		})
	}
	for n := range 100 {
		set(100 + n)
		check(t, c.Refresh(t.Context()))
	}
	close(stop)
	calls.Wait()
}
