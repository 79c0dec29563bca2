package cache

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"sipd/store"
)

// TrustedPeer is a server inside the trust domain of RFC 3325 2.3. It is who sends from one of Nets and, if there is a TLSName, has shown a
// certificate of that domain; without Nets the certificate is enough. One of the two is always there.
type TrustedPeer struct {
	ID                int64
	Nets              []netip.Prefix // IPv4 as such, never mapped into IPv6
	TLSName           string         // lower case, "" for none
	MayAssertIdentity bool
}

// peers is the table of trusted peers, by id.
type peers struct {
	list []TrustedPeer
	rows []store.TrustedPeer // what list was made of
}

// newPeers makes the table. The last good version of a row stands in for one that cannot be used.
func newPeers(rows []store.TrustedPeer, before *peers) (*peers, []Problem) {
	t := &peers{}
	var problems []Problem
	bad := func(id int64, err error) {
		problems = append(problems, Problem{Table: "trusted_peers", Row: strconv.FormatInt(id, 10), Err: err})
	}
	rows = slices.Clone(rows)
	slices.SortFunc(rows, func(a, b store.TrustedPeer) int { return cmp.Compare(a.ID, b.ID) })
	for i, row := range rows {
		if i == store.MaxTrustedPeers {
			bad(row.ID, fmt.Errorf("%w: %d trusted peers, at most %d: it and those behind it are left out", store.ErrInvalid, len(rows), store.MaxTrustedPeers))
			break
		}
		if err := row.Normalize(); err != nil {
			bad(row.ID, err)
			if before == nil {
				continue
			}
			last := slices.IndexFunc(before.rows, func(p store.TrustedPeer) bool { return p.ID == row.ID })
			if last < 0 {
				continue
			}
			row = before.rows[last]
		}
		nets, err := row.Nets()
		if err != nil {
			bad(row.ID, err)
			continue
		}
		t.rows = append(t.rows, row)
		t.list = append(t.list, TrustedPeer{ID: row.ID, Nets: nets, TLSName: row.TLSName, MayAssertIdentity: row.MayAssertIdentity})
	}
	return t, problems
}
