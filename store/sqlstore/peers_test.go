package sqlstore_test

import (
	"slices"
	"testing"

	"sipd/migrations"
	"sipd/store"
	"sipd/store/storetest"
)

// Rows that people write by hand are noticed, and those that would keep the table from being read are not taken.
func TestHandWrittenPeersAreNoticed(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		db := ready(t, url)
		plain, _ := raw(t, url)
		ctx := t.Context()
		alice, bob, carol := storetest.Add(t, db, "alice"), storetest.Add(t, db, "bob"), storetest.Add(t, db, "carol")
		server, seq, err := db.Load(ctx, "", (&store.Tables{}).Sink())
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range []string{
			`INSERT INTO third_parties SELECT u.id, r.id FROM users u, users r WHERE u.user_key = 'alice@example.com' AND r.user_key = 'bob@example.com'`,
			`UPDATE third_parties SET user_id = (SELECT id FROM users WHERE user_key = 'carol@example.com')`,
			`INSERT INTO trusted_peers (source_nets) VALUES ('192.0.2.0/24')`,
			`UPDATE trusted_peers SET tls_name = 'Peer.example.org'`,
		} {
			if _, err := plain.Exec(q); err != nil {
				t.Fatalf("%s: %v", q, err)
			}
		}
		d, err := db.Delta(ctx, server.ID, seq)
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(d.ThirdPartyIDs)
		if !slices.Equal(d.ThirdPartyIDs, []int64{alice.ID, carol.ID}) || !slices.Equal(d.ThirdParties, []store.ThirdParty{{UserID: carol.ID, RegistrantID: bob.ID}}) ||
			len(d.Peers) != 1 || d.Peers[0].SourceNets != "192.0.2.0/24" || d.Peers[0].TLSName != "Peer.example.org" || d.Peers[0].MayAssertIdentity {
			t.Errorf("got %+v, want Bob for Carol instead of Alice, and the peer as written", d)
		}
		for _, q := range []string{
			`INSERT INTO third_parties SELECT id, id FROM users`,
			`INSERT INTO third_parties SELECT id, 'bob@example.com' FROM users`,
			`INSERT INTO third_parties SELECT 'bob@example.com', id FROM users`,
			`INSERT INTO trusted_peers (source_nets, tls_name) VALUES ('192.0.2.0/24', 'Peer.example.org')`,
			`INSERT INTO trusted_peers (source_nets, may_assert_identity) VALUES ('192.0.2.1', 'perhaps')`,
			`INSERT INTO trusted_peers (source_nets) VALUES (NULL)`,
		} {
			if _, err := plain.Exec(q); err == nil {
				t.Errorf("%s: got no error, want the table to refuse it", q)
			}
		}
		seq = d.Seq
		if _, err := plain.Exec(`DELETE FROM trusted_peers`); err != nil {
			t.Fatal(err)
		}
		if d, err = db.Delta(ctx, server.ID, seq); err != nil || !d.PeersChanged || len(d.Peers) != 0 {
			t.Errorf("removed: got %+v, %v; want no peer", d, err)
		}
	})
}

// Tables of the version before keep what they hold, on the way there and on the way back.
func TestFromVersion1AndBack(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		db := ready(t, url)
		plain, dialect := raw(t, url)
		ctx := t.Context()
		alice, bob := storetest.Add(t, db, "alice"), storetest.Add(t, db, "bob")
		if _, err := db.AddThirdParty(ctx, alice.Key, bob.Key); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := migrations.Down(ctx, plain, dialect, 1); err != nil {
				t.Fatal(err)
			}
			if have, want, err := db.Version(ctx); err != nil || have != 1 || want < 2 {
				t.Errorf("down: got version %d of %d, %v; want 1", have, want, err)
			}
			if applied, err := db.Migrate(ctx); err != nil || applied == 0 {
				t.Fatalf("up: got %d migrations, %v", applied, err)
			}
		}
		var tab store.Tables
		if _, _, err := db.Load(ctx, "", tab.Sink()); err != nil || len(tab.Users) != 2 || len(tab.Credentials) != 2 || len(tab.ThirdParties) != 0 {
			t.Errorf("got %+v, %v; want both users and no third party", tab, err)
		}
		if _, err := db.AddThirdParty(ctx, alice.Key, bob.Key); err != nil {
			t.Error(err)
		}
	})
}

// A long listing comes in pages, whatever they end with.
func TestThirdPartiesByPage(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		db := ready(t, url)
		plain, _ := raw(t, url)
		storetest.Add(t, db, "alice")
		for _, q := range []string{
			`WITH d(n) AS (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) INSERT INTO users (user_key, realm)
				SELECT 'u' || a.n || b.n || c.n || e.n || '@example.com', 'example.com' FROM d a, d b, d c, d e WHERE a.n < 3`,
			`INSERT INTO third_parties SELECT u.id, a.id FROM users u, users a WHERE a.user_key = 'alice@example.com' AND u.id <> a.id`,
		} {
			if _, err := plain.Exec(q); err != nil {
				t.Fatal(err)
			}
		}
		seen := map[int64]bool{}
		if err := db.ThirdParties(t.Context(), "", func(p *store.ThirdParty) error {
			seen[p.UserID] = true
			return nil
		}); err != nil || len(seen) != 3000 {
			t.Errorf("got %d rows, %v; want 3000", len(seen), err)
		}
	})
}
