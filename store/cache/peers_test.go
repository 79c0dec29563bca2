package cache_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"sipd/config"
	"sipd/sipaddr"
	"sipd/store"
	"sipd/store/cache"
	"sipd/store/storetest"
)

// peerSpoiler hands over rows as if somebody had written SQL by hand while on is set: the first peer loses its networks, and Alice has more
// third parties than one may have.
type peerSpoiler struct {
	*storetest.Mem
	on    atomic.Bool
	alice int64
}

func (s *peerSpoiler) Load(ctx context.Context, name string, into store.Sink) (store.Server, int64, error) {
	var t store.Tables
	server, seq, err := s.Mem.Load(ctx, name, t.Sink())
	if err == nil && s.on.Load() {
		t.TrustedPeers, t.ThirdParties = s.spoil(slices.Clone(t.TrustedPeers)), s.crowd(t.ThirdParties)
	}
	t.Feed(into)
	return server, seq, err
}

func (s *peerSpoiler) Delta(ctx context.Context, server, seq int64) (*store.Delta, error) {
	d, err := s.Mem.Delta(ctx, server, seq)
	if err == nil && s.on.Load() {
		d.Peers = s.spoil(d.Peers)
		if slices.Contains(d.ThirdPartyIDs, s.alice) {
			d.ThirdParties = s.crowd(d.ThirdParties)
		}
	}
	return d, err
}

func (s *peerSpoiler) spoil(rows []store.TrustedPeer) []store.TrustedPeer {
	if len(rows) > 0 {
		rows[0].SourceNets = "192.0.2.0/24 everywhere"
	}
	return rows
}

func (s *peerSpoiler) crowd(rows []store.ThirdParty) []store.ThirdParty {
	for i := range int64(store.MaxThirdParties) {
		rows = append(rows, store.ThirdParty{UserID: s.alice, RegistrantID: 1_000_000 + i})
	}
	return append(rows, store.ThirdParty{UserID: s.alice, RegistrantID: s.alice})
}

func TestPeersAndThirdParties(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		m := &peerSpoiler{Mem: storetest.New()}
		alice, bob, carol := storetest.Add(t, m, "alice"), storetest.Add(t, m, "bob"), storetest.Add(t, m, "carol")
		m.alice = alice.ID
		add := func(user, registrant sipaddr.AOR) {
			t.Helper()
			_, err := m.AddThirdParty(ctx, user, registrant)
			check(t, err)
		}
		add(alice.Key, bob.Key)
		first := &store.TrustedPeer{SourceNets: "192.0.2.1, 2001:db8::/32", MayAssertIdentity: true}
		check(t, m.AddTrustedPeer(ctx, first))
		c := start(t, m, cache.Config{})
		synctest.Wait()
		text := func() string {
			s := c.Snapshot()
			u := func(r *store.User) cache.User { return s.UserByID(r.ID) }
			var b strings.Builder
			for _, p := range [...][2]*store.User{{bob, alice}, {alice, bob}, {carol, alice}, {carol, bob}, {alice, alice}} {
				if s.MayRegisterFor(u(p[0]), u(p[1])) {
					fmt.Fprintf(&b, "%s for %s; ", p[0].Key.User(), p[1].Key.User())
				}
			}
			for _, p := range s.TrustedPeers() {
				fmt.Fprintf(&b, "%v %q %v; ", p.Nets, p.TLSName, p.MayAssertIdentity)
			}
			return strings.TrimSuffix(b.String(), " ")
		}
		problems := func() string {
			var b strings.Builder
			for _, p := range c.Status().Problems {
				fmt.Fprintln(&b, &p)
			}
			return b.String()
		}
		step := func(name, want string) {
			t.Helper()
			synctest.Wait()
			if got := text(); got != want {
				t.Errorf("%s: got %s\nwant %s", name, got, want)
			}
			check(t, c.Refresh(ctx)) // All tables at once: the same.
			if got := text(); got != want {
				t.Errorf("%s, full: got %s\nwant %s", name, got, want)
			}
		}
		const peer = "[192.0.2.1/32 2001:db8::/32] \"\" true;"
		step("first tables", "bob for alice; "+peer)
		add(alice.Key, carol.Key)
		add(bob.Key, alice.Key)
		check(t, m.RemoveThirdParty(ctx, alice.Key, bob.Key))
		step("changed", "alice for bob; carol for alice; "+peer)
		check(t, m.AddTrustedPeer(ctx, &store.TrustedPeer{TLSName: "peer.example.org"}))
		step("a second peer", "alice for bob; carol for alice; "+peer+" [] \"peer.example.org\" false;")

		m.on.Store(true)
		add(alice.Key, bob.Key)
		check(t, m.AddTrustedPeer(ctx, &store.TrustedPeer{TLSName: "third.example.org"}))
		spoiled := "bob for alice; alice for bob; carol for alice; " + peer + " [] \"peer.example.org\" false; [] \"third.example.org\" false;"
		step("spoiled", spoiled)
		if got := problems(); !strings.Contains(got, fmt.Sprintf("trusted_peers %d: ", first.ID)) || !strings.Contains(got, `"everywhere" is no network`) ||
			!strings.Contains(got, fmt.Sprintf("third_parties %d: ", alice.ID)) || !strings.Contains(got, "102 may register for the user with this id, at most 100") ||
			!strings.Contains(got, "another user's id") || len(c.Status().Problems) != 3 {
			t.Errorf("spoiled: got problems\n%s; want the peer, the crowd and the row for himself named", got)
		}
		storetest.Add(t, m, "dave") // What is not about them leaves them named.
		synctest.Wait()
		if n := len(c.Status().Problems); n != 3 {
			t.Errorf("another change: got %d problems, want the same 3", n)
		}
		m.on.Store(false)
		add(alice.Key, "dave@example.com")
		check(t, m.AddTrustedPeer(ctx, &store.TrustedPeer{TLSName: "fourth.example.org"}))
		step("mended", spoiled+" [] \"fourth.example.org\" false;")
		if got := problems(); got != "" {
			t.Errorf("mended: got problems\n%s", got)
		}
		var saved store.Tables
		c.Snapshot().Feed(saved.Sink())
		if len(saved.TrustedPeers) != 4 || len(saved.ThirdParties) != 4 {
			t.Errorf("fed: got %d peers and %d third parties, want 4 of each", len(saved.TrustedPeers), len(saved.ThirdParties))
		}
		again, err := cache.Build(saved, &config.Settings{})
		check(t, err)
		if got, want := fmt.Sprint(again.TrustedPeers()), fmt.Sprint(c.Snapshot().TrustedPeers()); got != want || !again.MayRegisterFor(again.UserByID(bob.ID), again.UserByID(alice.ID)) {
			t.Errorf("fed and built: got %s, want %s, and Bob for Alice", got, want)
		}
	})
}

func TestTooManyPeers(t *testing.T) {
	tab := tables()
	for i := range int64(store.MaxTrustedPeers + 2) {
		tab.TrustedPeers = append(tab.TrustedPeers, store.TrustedPeer{ID: 1000 - i, TLSName: fmt.Sprintf("p%d.example.org", i)})
	}
	snap, err := cache.Build(tab, &config.Settings{})
	if err == nil || !strings.Contains(err.Error(), "at most 256") || len(snap.TrustedPeers()) != store.MaxTrustedPeers {
		t.Errorf("got %d peers, %v; want 256 and the others named", len(snap.TrustedPeers()), err)
	}
	if !slices.IsSortedFunc(snap.TrustedPeers(), func(a, b cache.TrustedPeer) int { return int(a.ID - b.ID) }) {
		t.Error("got peers in no order, want by id")
	}
}

// Whatever comes and goes, row by row, is what all rows at once make.
func TestThirdPartiesByRowAndAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := storetest.New()
		const users = 40
		var keys []sipaddr.AOR
		for i := range users {
			keys = append(keys, storetest.Add(t, m, fmt.Sprintf("u%02d", i)).Key)
		}
		c := start(t, m, cache.Config{})
		synctest.Wait()
		r := rand.New(rand.NewPCG(1, 2))
		there := map[[2]sipaddr.AOR]bool{}
		for range 2000 {
			p := [2]sipaddr.AOR{keys[r.IntN(users)], keys[r.IntN(users)]}
			switch {
			case p[0] == p[1]:
			case there[p]:
				delete(there, p)
				check(t, m.RemoveThirdParty(t.Context(), p[0], p[1]))
			default:
				there[p] = true
				_, err := m.AddThirdParty(t.Context(), p[0], p[1])
				check(t, err)
			}
			if r.IntN(10) > 0 {
				continue
			}
			synctest.Wait()
			s, n := c.Snapshot(), 0
			some := map[sipaddr.AOR]bool{}
			for p := range there {
				some[p[1]] = true
			}
			for _, user := range keys {
				if got := s.IsThirdParty(s.User([]byte(user))); got != some[user] {
					t.Fatalf("%s is a third party: got %v", user, got)
				}
				for _, registrant := range keys {
					got := s.MayRegisterFor(s.User([]byte(registrant)), s.User([]byte(user)))
					if got != there[[2]sipaddr.AOR{user, registrant}] {
						t.Fatalf("%s for %s: got %v", registrant, user, got)
					}
					if got {
						n++
					}
				}
			}
			if n != len(there) {
				t.Fatalf("got %d rows, want %d", n, len(there))
			}
		}
	})
}

// A look-up is made for each REGISTER of a third party: it allocates nothing. A million rows are a million times 16 bytes.
func TestThirdPartiesAllocateNothing(t *testing.T) {
	tab := tables()
	for i := range int64(20_000) {
		tab.ThirdParties = append(tab.ThirdParties, store.ThirdParty{UserID: 100 + i, RegistrantID: 10})
	}
	tab.ThirdParties = append(tab.ThirdParties, store.ThirdParty{UserID: 10, RegistrantID: 11})
	tab.TrustedPeers = []store.TrustedPeer{{ID: 1, SourceNets: "192.0.2.0/24"}}
	snap := build(t, tab, &config.Settings{})
	alice, bob := snap.UserByID(10), snap.UserByID(11)
	if !snap.MayRegisterFor(bob, alice) || snap.MayRegisterFor(alice, bob) || snap.MayRegisterFor(cache.User{}, alice) || snap.MayRegisterFor(bob, cache.User{}) {
		t.Error("got another answer than Bob for Alice, and nobody else")
	}
	if !snap.IsThirdParty(bob) || !snap.IsThirdParty(alice) || snap.IsThirdParty(cache.User{}) {
		t.Error("got another answer than that Bob and Alice are third parties, and nobody is not")
	}
	addr := netip.MustParseAddr("192.0.2.7")
	if n := testing.AllocsPerRun(100, func() {
		if !snap.MayRegisterFor(bob, alice) || !snap.TrustedPeers()[0].Nets[0].Contains(addr) {
			t.Error("not found")
		}
	}); n != 0 {
		t.Errorf("got %v allocations, want none", n)
	}
}
