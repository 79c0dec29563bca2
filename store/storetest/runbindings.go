package storetest

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"sipd/location"
	"sipd/sipaddr"
	"sipd/store"
)

// Binding returns a binding with every column filled.
func Binding(id, userID int64, uri string) *location.Binding {
	return &location.Binding{
		ID: id, UserID: userID, URI: uri, DisplayName: "Alice, \"at\" home", CallID: "call@192.0.2.7", InstanceID: "<urn:uuid:1>", RegID: 1,
		UserAgent: "phone/1.0", Methods: "INVITE,ACK", Path: []string{"<sip:edge.example.com;lr>", "<sip:core.example.com;lr>;x"},
		Expires: location.At(time.Now().Add(time.Hour).Truncate(time.Millisecond)), Updated: location.At(time.Now().Truncate(time.Millisecond)),
		Q: 500, CSeq: 4294967295, Source: netip.MustParseAddrPort("192.0.2.7:1024"), Local: netip.MustParseAddrPort("[2001:db8::1]:5060"),
		Action: uint8(store.Redirect), Proto: 1, ByFlow: true,
	}
}

// sameBinding compares what a store keeps.
func sameBinding(t testing.TB, what string, got, want *location.Binding) {
	t.Helper()
	g, w := *got, *want
	g.Path, w.Path = nil, nil
	w.Conn, g.Conn = 0, 0
	w.Next, w.NextProto, g.Next, g.NextProto = netip.AddrPort{}, 0, netip.AddrPort{}, 0
	if !slices.Equal(got.Path, want.Path) || !equalBinding(&g, &w) {
		t.Errorf("%s: got %+v, want %+v", what, got, want)
	}
}

func equalBinding(a, b *location.Binding) bool {
	return a.ID == b.ID && a.UserID == b.UserID && a.URI == b.URI && a.DisplayName == b.DisplayName && a.CallID == b.CallID && a.InstanceID == b.InstanceID &&
		a.RegID == b.RegID && a.UserAgent == b.UserAgent && a.Methods == b.Methods && a.Expires == b.Expires && a.Updated == b.Updated && a.Q == b.Q &&
		a.CSeq == b.CSeq && a.Source == b.Source && a.Local == b.Local && a.Action == b.Action && a.Proto == b.Proto && a.ByFlow == b.ByFlow
}

func commit(t testing.TB, l location.Store, sets ...location.RowSet) {
	t.Helper()
	errs, err := l.Commit(t.Context(), sets)
	if err := errors.Join(append(errs, err)...); err != nil {
		t.Fatal(err)
	}
}

func testBindings(t *testing.T, s store.Store) {
	ctx := t.Context()
	l := asLocation(t, s)
	alice, bob := Add(t, s, "alice"), Add(t, s, "bob")
	if id, err := l.MaxID(ctx); err != nil || id != 0 {
		t.Errorf("got highest id %d, %v; want 0", id, err)
	}
	full := Binding(7, alice.ID, "sip:alice@192.0.2.7:1024;ob")
	bare := &location.Binding{ID: 8, UserID: alice.ID, URI: "sip:alice@192.0.2.8", Q: 1000, Updated: location.At(time.Now().Truncate(time.Millisecond))}
	bobs := Binding(9, bob.ID, "sip:bob@192.0.2.9")
	commit(t, l,
		location.RowSet{AOR: alice.Key, UserID: alice.ID, Upsert: []*location.Binding{full, bare}},
		location.RowSet{AOR: bob.Key, UserID: bob.ID, Upsert: []*location.Binding{bobs}})
	want := map[int64]*location.Binding{7: full, 8: bare, 9: bobs}
	check := func(what string) {
		t.Helper()
		got := map[int64]*location.Binding{}
		seen, last := map[sipaddr.AOR]bool{}, sipaddr.AOR("")
		must(t, l.LoadBindings(ctx, func(aor sipaddr.AOR, b *location.Binding) error {
			if aor != last && seen[aor] {
				t.Errorf("%s: rows of %s do not come together", what, aor)
			}
			seen[aor], last = true, aor
			if wantAOR := map[int64]sipaddr.AOR{alice.ID: alice.Key, bob.ID: bob.Key}[b.UserID]; aor != wantAOR {
				t.Errorf("%s: got AOR %s of user %d, want %s", what, aor, b.UserID, wantAOR)
			}
			got[b.ID] = b
			return nil
		}))
		if len(got) != len(want) {
			t.Errorf("%s: got %d bindings, want %d", what, len(got), len(want))
		}
		for id, w := range want {
			if got[id] == nil {
				t.Errorf("%s: binding %d is gone", what, id)
				continue
			}
			sameBinding(t, what, got[id], w)
		}
	}
	check("added")
	if id, err := l.MaxID(ctx); err != nil || id != 9 {
		t.Errorf("got highest id %d, %v; want 9", id, err)
	}
	one, err := l.LoadAOR(ctx, alice.Key)
	must(t, err)
	if len(one) != 2 {
		t.Errorf("got %d bindings of Alice, want 2", len(one))
	}
	if none, err := l.LoadAOR(ctx, "nobody@example.com"); err != nil || len(none) != 0 {
		t.Errorf("got %v, %v; want no bindings and no error", none, err)
	}

	again := *full
	again.CSeq, again.Expires, again.Path, again.InstanceID, again.RegID = 5, full.Expires+location.Time(time.Hour), nil, "", 0
	third := Binding(10, alice.ID, "sip:alice@192.0.2.10")
	commit(t, l,
		location.RowSet{AOR: alice.Key, UserID: alice.ID, Upsert: []*location.Binding{&again, third}, Delete: []int64{8, 12345}},
		location.RowSet{AOR: bob.Key, UserID: bob.ID, Delete: []int64{9}})
	want = map[int64]*location.Binding{7: &again, 10: third}
	check("refreshed and removed")

	past := *third
	past.Expires = location.At(time.Now().Add(-time.Hour).Truncate(time.Millisecond))
	static := *bare
	static.ID = 11
	commit(t, l, location.RowSet{AOR: alice.Key, UserID: alice.ID, Upsert: []*location.Binding{&past, &static}})
	must(t, l.DeleteExpired(ctx, time.Now()))
	want = map[int64]*location.Binding{7: &again, 11: &static}
	check("expired")
	must(t, s.RemoveUser(ctx, alice.Key))
	want = nil
	check("user removed")
	if errs, err := l.Commit(ctx, nil); errs != nil || err != nil {
		t.Errorf("empty commit: got %v, %v", errs, err)
	}
}

func testBadSet(t *testing.T, s store.Store) {
	ctx := t.Context()
	l := asLocation(t, s)
	alice, bob := Add(t, s, "alice"), Add(t, s, "bob")
	commit(t, l, location.RowSet{AOR: bob.Key, UserID: bob.ID, Upsert: []*location.Binding{Binding(1, bob.ID, "sip:bob@192.0.2.1")}})
	ghost := location.RowSet{AOR: "ghost@example.com", UserID: 9999, Upsert: []*location.Binding{Binding(3, 9999, "sip:g@192.0.2.1")}, Delete: []int64{1}}
	errs, err := l.Commit(ctx, []location.RowSet{
		{AOR: alice.Key, UserID: alice.ID, Upsert: []*location.Binding{Binding(2, alice.ID, "sip:alice@192.0.2.1")}},
		ghost,
		{AOR: bob.Key, UserID: bob.ID, Upsert: []*location.Binding{Binding(4, bob.ID, "sip:bob@192.0.2.2")}},
	})
	must(t, err)
	if len(errs) != 3 || errs[0] != nil || errs[2] != nil {
		t.Fatalf("got %v, want an error for the second set only", errs)
	}
	wantErr(t, "a user that is gone", errs[1], store.ErrNotFound)
	var ids []int64
	list := func() {
		ids = nil
		must(t, l.LoadBindings(ctx, func(_ sipaddr.AOR, b *location.Binding) error {
			ids = append(ids, b.ID)
			return nil
		}))
		slices.Sort(ids)
	}
	if list(); !slices.Equal(ids, []int64{1, 2, 4}) {
		t.Errorf("got rows %v, want 1 2 4: all of the good sets, nothing of the bad one", ids)
	}
	errs, err = l.Commit(ctx, []location.RowSet{ghost})
	must(t, err)
	if len(errs) != 1 || errs[0] == nil {
		t.Errorf("alone: got %v, want an error for the only set", errs)
	}
	if list(); !slices.Equal(ids, []int64{1, 2, 4}) {
		t.Errorf("alone: got rows %v, want 1 2 4", ids)
	}
	commit(t, l, location.RowSet{AOR: bob.Key, UserID: bob.ID, Delete: []int64{1, 4}})
	if list(); !slices.Equal(ids, []int64{2}) {
		t.Errorf("afterwards: got rows %v, want 2", ids)
	}
}

func testContacts(t *testing.T, s store.Store) {
	ctx := t.Context()
	l := asLocation(t, s)
	alice, bob := Add(t, s, "alice"), Add(t, s, "bob")
	b := Binding(1, alice.ID, "sip:alice@192.0.2.7")
	commit(t, l,
		location.RowSet{AOR: bob.Key, UserID: bob.ID, Upsert: []*location.Binding{Binding(2, bob.ID, "sip:bob@192.0.2.7")}},
		location.RowSet{AOR: alice.Key, UserID: alice.ID, Upsert: []*location.Binding{b, Binding(3, alice.ID, "sip:alice@192.0.2.8")}})
	list := func(aor sipaddr.AOR) (cs []store.Contact) {
		t.Helper()
		must(t, s.Contacts(ctx, aor, func(c *store.Contact) error {
			cs = append(cs, *c)
			return nil
		}))
		return cs
	}
	all := list("")
	if len(all) != 3 || all[0].ID != 1 || all[1].ID != 3 || all[2].ID != 2 || all[2].AOR != bob.Key {
		t.Fatalf("got %+v, want Alice's two and Bob's", all)
	}
	c := all[0]
	if c.AOR != alice.Key || c.URI != b.URI || c.DisplayName != b.DisplayName || c.Q != 500 || c.Action != store.Redirect || !c.Expires.Equal(b.Expires.Wall(time.Now())) ||
		c.CallID != b.CallID || c.CSeq != b.CSeq || c.InstanceID != b.InstanceID || c.RegID != 1 || !slices.Equal(c.Path, b.Path) ||
		c.Received != "192.0.2.7:1024" || c.Flow != "tcp+flow" || c.UserAgent != b.UserAgent || c.Methods != b.Methods ||
		c.LocalAddr != "[2001:db8::1]:5060" || !c.Updated.Equal(b.Updated.Wall(time.Now())) {
		t.Errorf("got %+v, want what the binding has: %+v", c, b)
	}
	if one := list(bob.Key); len(one) != 1 || one[0].ID != 2 {
		t.Errorf("got %+v, want Bob's", one)
	}
	remove := func(aor sipaddr.AOR, uri string, want int) {
		t.Helper()
		if n, err := s.RemoveContacts(ctx, aor, uri); err != nil || n != want {
			t.Errorf("remove %q of %s: got %d, %v; want %d", uri, aor, n, err, want)
		}
	}
	remove(alice.Key, "sip:alice@192.0.2.99", 0)
	remove(alice.Key, "sip:alice@192.0.2.8", 1)
	remove(alice.Key, "", 1)
	_, err := s.RemoveContacts(ctx, "nobody@example.com", "")
	wantErr(t, "nobody", err, store.ErrNotFound)
	if all := list(""); len(all) != 1 {
		t.Errorf("got %d contacts, want Bob's only", len(all))
	}
}
