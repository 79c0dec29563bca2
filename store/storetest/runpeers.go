package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"sipd/sipaddr"
	"sipd/store"
)

func testThirdParties(t *testing.T, s store.Store) {
	ctx := t.Context()
	alice, bob, carol := Add(t, s, "alice"), Add(t, s, "bob"), Add(t, s, "carol")
	text := func(user sipaddr.AOR) string {
		t.Helper()
		var b strings.Builder
		must(t, s.ThirdParties(ctx, user, func(p *store.ThirdParty) error {
			fmt.Fprintf(&b, "%s<%s;", p.User.User(), p.Registrant.User())
			return nil
		}))
		return b.String()
	}
	got, err := s.AddThirdParty(ctx, alice.Key, carol.Key)
	must(t, err)
	if want := (store.ThirdParty{UserID: alice.ID, RegistrantID: carol.ID, User: alice.Key, Registrant: carol.Key}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for _, p := range [][2]sipaddr.AOR{{alice.Key, bob.Key}, {bob.Key, alice.Key}, {carol.Key, alice.Key}} {
		_, err := s.AddThirdParty(ctx, p[0], p[1])
		must(t, err)
	}
	user := func(name string) string { return sipaddr.AOR(name + "@" + domain).User() }
	ofAlice := fmt.Sprintf("%s<%s;%s<%s;", user("alice"), user("bob"), user("alice"), user("carol"))
	rest := fmt.Sprintf("%s<%s;%s<%s;", user("bob"), user("alice"), user("carol"), user("alice"))
	if got := text(""); got != ofAlice+rest {
		t.Errorf("all: got %q, want %q", got, ofAlice+rest)
	}
	if got := text(alice.Key); got != ofAlice {
		t.Errorf("of Alice: got %q, want %q", got, ofAlice)
	}
	stop := errors.New("stop")
	wantErr(t, "an error of the callback", s.ThirdParties(ctx, "", func(*store.ThirdParty) error { return stop }), stop)

	for _, tt := range []struct {
		name             string
		user, registrant sipaddr.AOR
		want             error
		text             string
	}{
		{"again", alice.Key, bob.Key, store.ErrExists, "bob@example.com"},
		{"for himself", alice.Key, alice.Key, store.ErrInvalid, "another user"},
		{"for nobody", "x@example.com", bob.Key, store.ErrNotFound, "x@example.com"},
		{"nobody", alice.Key, "y@example.com", store.ErrNotFound, "y@example.com"},
	} {
		_, err := s.AddThirdParty(ctx, tt.user, tt.registrant)
		wantErr(t, tt.name, err, tt.want)
		if err != nil && !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: got %q, want it to say %q", tt.name, err, tt.text)
		}
	}
	must(t, s.RemoveThirdParty(ctx, alice.Key, carol.Key))
	wantErr(t, "remove again", s.RemoveThirdParty(ctx, alice.Key, carol.Key), store.ErrNotFound)
	wantErr(t, "remove of nobody", s.RemoveThirdParty(ctx, "x@example.com", ""), store.ErrNotFound)
	// Who goes is registered for no more, and registers no more.
	must(t, s.RemoveUser(ctx, alice.Key))
	if got := text(""); got != "" {
		t.Errorf("Alice is gone: got %q, want nothing", got)
	}
	_, err = s.AddThirdParty(ctx, bob.Key, carol.Key)
	must(t, err)
	must(t, s.RemoveThirdParty(ctx, bob.Key, ""))
	if got := text(""); got != "" {
		t.Errorf("all of Bob's removed: got %q, want nothing", got)
	}
	for i := range store.MaxThirdParties {
		name := fmt.Sprintf("u%03d", i)
		_, err := s.AddThirdParty(ctx, bob.Key, Add(t, s, name).Key)
		must(t, err)
	}
	_, err = s.AddThirdParty(ctx, bob.Key, carol.Key)
	wantErr(t, "one too many", err, store.ErrInvalid)
	if n := strings.Count(text(bob.Key), ";"); n != store.MaxThirdParties {
		t.Errorf("got %d third parties, want %d", n, store.MaxThirdParties)
	}
}

func testTrustedPeers(t *testing.T, s store.Store) {
	ctx := t.Context()
	a := &store.TrustedPeer{SourceNets: "192.0.2.1 2001:DB8::/32,\n198.51.100.0/24", MayAssertIdentity: true}
	b := &store.TrustedPeer{TLSName: "Peer.Example.ORG."}
	must(t, s.AddTrustedPeer(ctx, a))
	must(t, s.AddTrustedPeer(ctx, b))
	got, err := s.TrustedPeers(ctx)
	must(t, err)
	want := []store.TrustedPeer{
		{ID: a.ID, SourceNets: "192.0.2.1, 2001:db8::/32, 198.51.100.0/24", MayAssertIdentity: true},
		{ID: b.ID, TLSName: "peer.example.org"},
	}
	if a.ID == 0 || b.ID <= a.ID || !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	wantErr(t, "again", s.AddTrustedPeer(ctx, &store.TrustedPeer{TLSName: "peer.example.org", MayAssertIdentity: true}), store.ErrExists)
	wantErr(t, "anybody", s.AddTrustedPeer(ctx, &store.TrustedPeer{MayAssertIdentity: true}), store.ErrInvalid)
	must(t, s.RemoveTrustedPeer(ctx, a.ID))
	wantErr(t, "remove again", s.RemoveTrustedPeer(ctx, a.ID), store.ErrNotFound)
	for i := range store.MaxTrustedPeers - 1 {
		must(t, s.AddTrustedPeer(ctx, &store.TrustedPeer{TLSName: fmt.Sprintf("p%d.example.org", i)}))
	}
	wantErr(t, "one too many", s.AddTrustedPeer(ctx, &store.TrustedPeer{TLSName: "last.example.org"}), store.ErrInvalid)
}

// What a server loads, and what it is told of changes.
func testPeersInMemory(t *testing.T, s store.Store) {
	ctx := t.Context()
	srv := firstServer(t, s)
	alice, bob, carol := Add(t, s, "alice"), Add(t, s, "bob"), Add(t, s, "carol")
	add := func(user, registrant *store.User) {
		t.Helper()
		_, err := s.AddThirdParty(ctx, user.Key, registrant.Key)
		must(t, err)
	}
	add(alice, bob)
	peer := &store.TrustedPeer{SourceNets: "192.0.2.0/24", TLSName: "peer.example.org", MayAssertIdentity: true}
	must(t, s.AddTrustedPeer(ctx, peer))
	var got store.Tables
	_, seq, err := s.Load(ctx, "", got.Sink())
	must(t, err)
	if !slices.Equal(got.ThirdParties, []store.ThirdParty{{UserID: alice.ID, RegistrantID: bob.ID}}) || !slices.Equal(got.TrustedPeers, []store.TrustedPeer{*peer}) {
		t.Errorf("load: got %+v and %+v, want Bob for Alice, and the peer", got.ThirdParties, got.TrustedPeers)
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
	add(alice, carol)
	add(bob, carol)
	must(t, s.RemoveThirdParty(ctx, bob.Key, ""))
	d := step("third parties")
	slices.Sort(d.ThirdPartyIDs)
	slices.SortFunc(d.ThirdParties, func(a, b store.ThirdParty) int { return int(a.RegistrantID - b.RegistrantID) })
	if !slices.Equal(d.ThirdPartyIDs, []int64{alice.ID, bob.ID}) || d.PeersChanged || len(d.UserIDs) != 0 ||
		!slices.Equal(d.ThirdParties, []store.ThirdParty{{UserID: alice.ID, RegistrantID: bob.ID}, {UserID: alice.ID, RegistrantID: carol.ID}}) {
		t.Errorf("third parties: got %+v, want both rows of Alice and none of Bob", d)
	}
	must(t, s.RemoveUser(ctx, carol.Key))
	if d = step("a registrant is gone"); !slices.Equal(d.ThirdPartyIDs, []int64{alice.ID}) || len(d.ThirdParties) != 1 {
		t.Errorf("a registrant is gone: got %+v, want Alice with Bob alone", d)
	}
	must(t, s.AddTrustedPeer(ctx, &store.TrustedPeer{TLSName: "other.example.org"}))
	must(t, s.RemoveTrustedPeer(ctx, peer.ID))
	if d = step("peers"); !d.PeersChanged || len(d.Peers) != 1 || d.Peers[0].TLSName != "other.example.org" || len(d.ThirdPartyIDs) != 0 {
		t.Errorf("peers: got %+v, want the other peer", d)
	}
}
